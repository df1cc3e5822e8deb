"""A session of the corpus' policy, as the driver tests meet it: tables of the schema `public`."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.support.canary import leaks, leaks_in_files
from tests.support.corpus import FOLDER, ROLES, Watch
from tests.support.gateway import Credentials, RunningGateway, running_gateway
from tests.support.postgres import Database, Server

TABLES = {"customers", "kb_articles", "orders", "tickets"}
"""What the session may read."""


@dataclass(frozen=True, slots=True)
class Desk:
    """A session of the corpus' policy, and the database behind it."""

    gateway: RunningGateway
    session: Credentials
    upstream: Database
    clean: Callable[[object], None]
    """Fails when anything that was seen holds a canary."""


def clean(seen: object) -> None:
    assert leaks(repr(seen)) == []


@contextmanager
def open_desk(postgres: Server) -> Generator[tuple[Desk, Watch]]:
    """Run a gateway before the corpus' data with one session; at the end nothing may be in the gateway's files."""
    script = (FOLDER / "fixture.sql").read_text()
    upstream = postgres.create(script, ROLES)
    watch = Watch(upstream, script, ROLES)
    with running_gateway((FOLDER / "policy.yaml").read_text(), {"CORPUS_URL": upstream.url("gw", "gw")}) as gateway:
        yield Desk(gateway, gateway.open_session("constant-bot"), upstream, clean), watch
        watch.close()
        gateway.flush()
        assert leaks_in_files(gateway.folder) == []
