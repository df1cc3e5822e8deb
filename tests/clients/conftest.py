"""The library behind a gateway, as the clients meet it: one session of one tenant."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.canary import leaks_in_files
from tests.support.desk import Desk, clean
from tests.support.gateway import running_gateway
from tests.support.installed import programs
from tests.support.postgres import Database, Server

FOLDER = Path(__file__).parent
collect_ignore = [] if programs()["jdbc"] else ["test_client_jdbc.py"]

Steps = Mapping[str, Any]


ALONE = """
DELETE FROM public.reviews WHERE tenant_id <> 1;
DELETE FROM public.book_tags WHERE tenant_id <> 1;
DELETE FROM public.tags WHERE tenant_id <> 1;
DELETE FROM public.books WHERE tenant_id <> 1;
DELETE FROM public.authors WHERE tenant_id <> 1;
UPDATE public.authors SET email = left(email, 1) || '***@' || split_part(email, '@', 2);
ALTER TABLE public.authors DROP COLUMN password_hash;
ALTER TABLE public.books DROP COLUMN margin;
ALTER TABLE public.reviews DROP COLUMN moderator_note, ALTER COLUMN tenant_id SET DEFAULT 1;
DROP TABLE public.payroll;
"""
"""Leaves what the clerk of the first tenant may see, as it may see it."""


@dataclass(frozen=True, slots=True)
class Library:
    """The same client may be sent to the gateway, or to a database that holds nothing but its scope."""

    desk: Desk
    alone: Database

    def url(self, *, scoped: bool, scheme: str = "postgresql") -> str:
        """Return where a client connects: through the gateway, or directly to the scope alone."""
        if scoped:
            return self.desk.session.url(scheme=scheme)
        return self.alone.url("librarian", "librarian").replace("postgresql:", f"{scheme}:", 1)

    def environment(self, *, scoped: bool) -> dict[str, str]:
        """Return the same as libpq's variables."""
        if scoped:
            return self.desk.session.environment()
        names = {"PGHOST": "127.0.0.1", "PGPORT": str(self.alone.server.port), "PGDATABASE": self.alone.name}
        return names | {"PGUSER": "librarian", "PGPASSWORD": "librarian"}

    def steps(self, *command: str | Path, scoped: bool) -> Steps:
        """Run a client's program and return what each of its steps printed: one JSON line a step."""
        done = subprocess.run(
            command,
            env={**self.environment(scoped=scoped), "PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        self.desk.clean(done.stdout + done.stderr)
        return {line["step"]: line["value"] for line in map(json.loads, done.stdout.splitlines())}

    def both(self, *command: str | Path) -> tuple[Steps, Steps]:
        """Run it through the gateway, then directly."""
        return self.steps(*command, scoped=True), self.steps(*command, scoped=False)


@pytest.fixture(scope="module")
def library(postgres: Server) -> Iterator[Library]:
    """An open session of the first tenant's clerk, and a database of its scope alone."""
    script = (FOLDER / "library.sql").read_text()
    upstream, alone = postgres.create(script), postgres.create(script + ALONE)
    url = upstream.url("librarian", "librarian")
    with running_gateway((FOLDER / "library.yaml").read_text(), {"LIBRARY_URL": url}) as gateway:
        yield Library(Desk(gateway, gateway.open_session("clerk", tenant="1"), upstream, clean), alone)
        gateway.flush()
        assert leaks_in_files(gateway.folder) == []
