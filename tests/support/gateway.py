"""A complete gateway as it runs in earnest: a process of its own, its data folder, its ports, its log.

Sessions are opened through the admin socket, as operators do it.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast
from urllib.parse import quote

from bailiwick.errors import BailiwickError
from bailiwick.gateway.admin_client import AdminClient
from bailiwick.gateway.backends.backends import place_of, read_tables
from bailiwick.model.lock import Lock, LockedTable
from bailiwick.model.policy import Policy
from bailiwick.mounts.mcp.accepting import live_tools
from bailiwick.policy.load import load
from bailiwick.policy.lockfile import render_lock
from tests.support.forked import Child, forked, said

PROGRAM = str(Path(sys.prefix) / "bin" / "bailiwick")


@dataclass(frozen=True, slots=True)
class Credentials:
    """What an agent holds: where to connect, as whom, and its token."""

    id: str
    host: str
    port: int
    user: str
    database: str
    token: str = field(repr=False)

    def url(self, *, scheme: str = "postgresql", user: str | None = None, token: str | None = None) -> str:
        """Return a connection URL; `user` and `token` replace the right ones."""
        secret = quote(token or self.token, safe="")
        return f"{scheme}://{user or self.user}:{secret}@{self.host}:{self.port}/{self.database}"

    def environment(self) -> dict[str, str]:
        """Return what libpq and node-postgres read from the environment."""
        found = {"PGHOST": self.host, "PGPORT": str(self.port), "PGUSER": self.user}
        return found | {"PGDATABASE": self.database, "PGPASSWORD": self.token}


class RunningGateway:
    """A gateway's process and what can be asked of it."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self.folder = folder
        self.policy = folder / "policy.yaml"
        self.environ = {**os.environ, **environ}
        self.port = 0
        self.mcp_port = 0
        """0: it does not listen for MCP."""
        self.http_port = 0
        """0: it has no APIs."""
        self.smtp_port = 0
        """0: it does not listen for mail programs."""
        self.api_port = 0
        """0: it has neither API nor console."""
        self.process: Child | None = None
        self.admin = AdminClient(folder / ".bailiwick" / "admin.sock")

    def say(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one command of `bailiwick` beside this gateway."""
        return said(self.folder, self.environ, *arguments)

    def start(self) -> None:
        """Start `bailiwick serve` and wait until it answers."""
        self.process = forked(["serve", str(self.policy)], self.environ, self.folder, self.folder / "log")
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                fronts = cast(Mapping[str, Mapping[str, int]], self.admin.ask("status", {})["fronts"])
            except BailiwickError:
                time.sleep(0.03)
            else:
                self.port = fronts["postgres"]["port"] if "postgres" in fronts else 0
                self.mcp_port = fronts["mcp"]["port"] if "mcp" in fronts else 0
                self.http_port = fronts["http"]["port"] if "http" in fronts else 0
                self.smtp_port = fronts["smtp"]["port"] if "smtp" in fronts else 0
                self.api_port = fronts["api"]["port"] if "api" in fronts else 0
                return
        raise RuntimeError("the gateway did not start: " + self.log())

    def stop(self) -> None:
        """Ask it to end, and wait."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5)

    def flush(self) -> None:
        """End it so that everything it would ever write is in its files."""
        self.stop()

    def kill(self) -> None:
        """kill -9."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)

    def log(self) -> str:
        """Return its log so far."""
        return (self.folder / "log").read_text(errors="replace")

    def memory(self) -> int:
        """Return the bytes of memory that it holds (resident), 0 where the system does not tell."""
        try:
            pages = Path(f"/proc/{self.process.pid if self.process else 0}/statm").read_text().split()[1]
        except OSError:
            return 0
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def open_session(
        self,
        agent: str,
        *,
        task: str | None = None,
        user: str | None = None,
        groups: tuple[str, ...] = (),
        tenant: str | None = None,
        values: Mapping[str, str] | None = None,
        ttl: str | None = None,
    ) -> Credentials:
        """Open a session as its trusted opener does. Raises BailiwickError when it is refused."""
        asked = {"agent": agent, "task": task, "user": user, "tenant": tenant, "ttl": ttl}
        fields = {name: value for name, value in asked.items() if value is not None}
        answer = self.admin.ask("session.open", {**fields, "groups": [*groups], "values": dict(values or {})})
        session = cast(Mapping[str, object], answer["session"])
        database = str(cast(list[str], session["mounts"])[0])
        return Credentials(str(session["id"]), "127.0.0.1", self.port, agent, database, str(answer["token"]))

    def revoke(self, session: Credentials) -> None:
        """Revoke a session."""
        self.admin.ask("session.revoke", {"session": session.id})


async def _accepted(policy: Policy, environ: Mapping[str, str], base: Path) -> Lock:
    mounts: dict[str, Mapping[tuple[str, str], LockedTable]] = {}
    for name, mount in policy.mounts.items():
        wanted = {(resource.schema, resource.table) for resource in mount.resources.values()}
        mounts[name] = await read_tables(mount, place_of(mount, environ, base).reveal(), [*wanted])
    return Lock(mounts, await live_tools(policy, environ, base))


def accept(folder: Path, environ: Mapping[str, str]) -> None:
    """Write the lock beside a policy: the databases as they are."""
    policy = load({str(folder / "policy.yaml"): (folder / "policy.yaml").read_text()})
    if policy.policy is None:
        raise RuntimeError("; ".join(map(str, policy.problems)))
    lock = asyncio.run(_accepted(policy.policy, {**os.environ, **environ}, folder))
    (folder / "bailiwick.lock").write_text(render_lock(lock))


def prepare_gateway(folder: Path, policy: str, environ: Mapping[str, str], settings: str = "") -> RunningGateway:
    """Write the files of a gateway and accept the databases as they are. Not started yet."""
    (folder / "policy.yaml").write_text(policy)
    (folder / "gateway.yaml").write_text(
        "environment: staging\npostgres: {port: 0}\nmcp: {port: 0}\nhttp: {port: 0}\n" + settings
    )
    accept(folder, environ)
    return RunningGateway(folder, environ)


@contextmanager
def running_gateway(policy: str, environ: Mapping[str, str], settings: str = "") -> Generator[RunningGateway]:
    """Run a gateway for a policy's text. `environ` resolves its secrets, `settings` goes into gateway.yaml."""
    folder = Path(tempfile.mkdtemp(prefix="bwgw"))
    gateway = prepare_gateway(folder, policy, environ, settings)
    try:
        gateway.start()
        yield gateway
    finally:
        gateway.stop()
        shutil.rmtree(folder, ignore_errors=True)
