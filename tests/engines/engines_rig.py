"""A whole gateway in this process before a database of a kind `sql` mount, and statements of its sessions."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from typing_extensions import TypeVar

from bailiwick.gateway.backends.backends import place_of, read_tables
from bailiwick.gateway.config import load_config
from bailiwick.gateway.run import Running, running
from bailiwick.gateway.sessions.live import Live
from bailiwick.gateway.sessions.opening import Opened, Wanted
from bailiwick.model.decision import Denial
from bailiwick.model.lock import Lock
from bailiwick.model.record import JsonValue
from bailiwick.model.session import User
from bailiwick.mounts.sql.front import SqlMounts
from bailiwick.mounts.sql.results import Answer, Denied, Failed, Result
from bailiwick.policy.load import load
from bailiwick.policy.lockfile import render_lock
from tests.support.canary import leaks_in_files


def make_database(path: Path, script: str) -> None:
    """Make a SQLite file."""
    connection = sqlite3.connect(path)
    try:
        connection.executescript(script)
    finally:
        connection.close()


@dataclass(frozen=True, slots=True)
class Desk:
    """One gateway, and what its agents and a person with the database's file can do."""

    folder: Path
    gateway: Running
    mounts: SqlMounts

    async def session(self, agent: str, **given: str) -> Live:
        """Open a session. `tenant`, `user` and `task` are what they say, the rest are values."""
        wanted = Wanted(
            agent=agent,
            task=given.pop("task", None),
            user=User(given.pop("user", "ada"), frozenset({"support", "ops"})),
            tenant=given.pop("tenant", None),
            values=given,
        )
        found = await self.gateway.opener.open(wanted)
        assert isinstance(found, Opened), found
        return found.live

    async def ask(self, live: Live, sql: str, *parameters: JsonValue) -> Answer:
        """Do one statement of a session."""
        return await self.mounts.query(live, "shop", sql, parameters)

    async def rows(self, live: Live, sql: str, *parameters: JsonValue) -> list[tuple[JsonValue, ...]]:
        """Return the rows of a query that is allowed."""
        found = await self.ask(live, sql, *parameters)
        assert isinstance(found, Result), f"{sql}: {found}"
        return list(found.rows)

    async def written(self, live: Live, sql: str, *parameters: JsonValue) -> int | None:
        """Return how many rows a write that is allowed has written."""
        found = await self.ask(live, sql, *parameters)
        assert isinstance(found, Result), f"{sql}: {found}"
        return found.affected

    async def denial(self, live: Live, sql: str, *parameters: JsonValue) -> Denial:
        """Return the denial of a statement that is not allowed."""
        found = await self.ask(live, sql, *parameters)
        assert isinstance(found, Denied), f"{sql}: {found}"
        return found.denial

    async def failure(self, live: Live, sql: str, *parameters: JsonValue) -> Failed:
        """Return how a statement failed that is allowed."""
        found = await self.ask(live, sql, *parameters)
        assert isinstance(found, Failed), f"{sql}: {found}"
        return found

    def dump(self) -> list[str]:
        """Return all that the database holds."""
        connection = sqlite3.connect(self.folder / "shop.db")
        try:
            return list(connection.iterdump())
        finally:
            connection.close()

    def state(self) -> bytes:
        """Return what has changed whenever the database has; empty where nothing is that cheap."""
        return (self.folder / "shop.db").read_bytes()

    def restore(self, script: str) -> None:
        """Make the database anew."""
        (self.folder / "shop.db").unlink()
        make_database(self.folder / "shop.db", script)

    def direct(self, sql: str) -> list[tuple[object, ...]]:
        """Ask the database itself."""
        connection = sqlite3.connect(self.folder / "shop.db")
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()


DeskT = TypeVar("DeskT", bound=Desk, default=Desk)


async def lock_of(policy: str, folder: Path, environ: Mapping[str, str] | None = None) -> str:
    """Return the lock that `bailiwick accept` would write."""
    loaded = load({"policy.yaml": policy})
    assert loaded.policy is not None, loaded.problems
    found = {
        name: await read_tables(
            mount,
            place_of(mount, environ or {}, folder).reveal(),
            [(each.schema, each.table) for each in mount.resources.values()],
        )
        for name, mount in loaded.policy.mounts.items()
    }
    return render_lock(Lock(found))


@contextlib.asynccontextmanager
async def desk(
    folder: Path,
    policy: str,
    script: str,
    settings: str = "",
    *,
    make: Callable[[Path, str], None] = make_database,
    kind: type[DeskT] = Desk,
) -> AsyncGenerator[DeskT]:
    """Run a gateway before `shop.db`. Afterwards nothing of the canaries may stand in its files."""
    await asyncio.to_thread(make, folder / "shop.db", script)
    home = folder / "home"
    home.mkdir()
    (home / "policy.yaml").write_text(policy)
    (home / "gateway.yaml").write_text(settings or "environment: staging\n")
    (home / "bailiwick.lock").write_text(await lock_of(policy, home))
    config = load_config(home / "policy.yaml", {})
    mounts = SqlMounts(config)
    async with running(home / "policy.yaml", config, {}, [mounts]) as gateway:
        yield kind(folder, gateway, mounts)
    assert leaks_in_files(home) == []


def answers(found: Sequence[tuple[JsonValue, ...]]) -> list[tuple[JsonValue, ...]]:
    """Return rows in an order of their own."""
    return sorted(found, key=repr)
