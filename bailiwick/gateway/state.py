"""State: the sessions of this gateway, and what other modules keep beside them, in SQLite. One process owns the store.

What is written here is on disk when the call returns: a revocation survives the loss of power.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.event import listens_for
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from bailiwick.errors import ConfigError
from bailiwick.gateway.moments import from_microseconds, to_microseconds
from bailiwick.gateway.sessions.stored import (
    dump_user,
    dump_values,
    load_user,
    load_values,
    scalar_from_json,
    scalar_to_json,
)
from bailiwick.model.policy import Narrowing
from bailiwick.model.session import Session, SessionState
from bailiwick.policy.asking import read_asked

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

_metadata = sa.MetaData()
sessions = sa.Table(
    "sessions",
    _metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("jti", sa.Text, nullable=False, unique=True),
    sa.Column("agent", sa.Text, nullable=False),
    sa.Column("task", sa.Text),
    sa.Column("person", sa.Text),
    sa.Column("context", sa.Text, nullable=False),
    sa.Column("tenant", sa.Text),
    sa.Column("chain", sa.Text, nullable=False),
    sa.Column("mounts", sa.Text, nullable=False),
    sa.Column("opened_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Column("active_at", sa.BigInteger, nullable=False),
    sa.Column("idle", sa.BigInteger),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("ended_at", sa.BigInteger),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("asked", sa.Text),
    sa.Column("parent", sa.Text),
    sa.Column("opener", sa.Text, nullable=False),
)
groupings = sa.Table(
    "groupings",
    _metadata,
    sa.Column("session", sa.Text, primary_key=True),
    sa.Column("resource", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("content", sa.Text, nullable=False),
    sa.Column("refused", sa.Integer, nullable=False),
)
spent = sa.Table(
    "spent",
    _metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("until", sa.BigInteger, nullable=False),
)


@dataclass(frozen=True, slots=True)
class StoredSession:
    """A session's row. `session.state` is as stored: an expired session may still read OPEN here."""

    session: Session
    jti: str
    """Id of the one token that was issued for it."""
    mounts: tuple[str, ...]
    active_at: datetime
    """Its last activity as far as it was saved; may lag by the time between two saves."""
    ended_at: datetime | None = None
    reason: str = ""
    """Why it ended: `closed`, `revoked`, `expired`, `idle`, or in words; empty while it is open."""
    asked: str | None = None
    """What its opener asked for, as it was written (`policy.asking`); `session.asked` is what it means."""
    parent: str | None = None
    """Id of the session that delegated to it. `session.parent` is known only while both are live."""


class State:
    """The store. Made with `open_state`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def insert(self, stored: StoredSession) -> None:
        """Store a new session."""
        async with self._write() as connection:
            await connection.execute(sa.insert(sessions).values(_to_row(stored)))

    async def find(self, session_id: str) -> StoredSession | None:
        """Return the session's row."""
        async with self._read() as connection:
            found = await connection.execute(sa.select(sessions).where(sessions.c.id == session_id))
            row = found.mappings().first()
        return None if row is None else _from_row(row)

    async def list(self, state: SessionState | None = None, limit: int = 1000) -> Sequence[StoredSession]:
        """Return sessions, the newest first, of one state or of all."""
        query = sa.select(sessions).order_by(sessions.c.opened_at.desc(), sessions.c.id.desc()).limit(limit)
        if state is not None:
            query = query.where(sessions.c.state == state)
        async with self._read() as connection:
            found = await connection.execute(query)
            return [_from_row(row) for row in found.mappings()]

    async def end(self, session_id: str, state: SessionState, reason: str, at: datetime) -> bool:
        """End an open session; False when it was not open. An ended session never opens again."""
        change = (
            sa.update(sessions)
            .where(sessions.c.id == session_id, sessions.c.state == "OPEN")
            .values(state=state, reason=reason, ended_at=to_microseconds(at))
        )
        async with self._write() as connection:
            return (await connection.execute(change)).rowcount == 1

    async def touch(self, activity: Sequence[tuple[str, datetime]]) -> None:
        """Save when sessions were last active, so that the idle time survives a restart."""
        change = sa.update(sessions).where(sessions.c.id == sa.bindparam("key")).values(active_at=sa.bindparam("seen"))
        if activity:
            async with self._write() as connection:
                await connection.execute(change, [{"key": key, "seen": to_microseconds(at)} for key, at in activity])

    def reading(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Return a connection to read what other modules keep here. Raises ConfigError."""
        return self._read()

    def writing(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Return a connection whose changes are on disk at its end. Raises ConfigError."""
        return self._write()

    async def groupings(self, session_id: str) -> Sequence[Mapping[str, object]]:
        """Return what a session has asked of relations that it may only aggregate, in order; see `told`."""
        query = sa.select(groupings).where(groupings.c.session == session_id).order_by(groupings.c.number)
        async with self._read() as connection:
            return [dict(row) for row in (await connection.execute(query)).mappings()]

    async def tell(self, rows: Sequence[Mapping[str, str | int]]) -> None:
        """Store groupings; one that is stored already is changed."""
        made = insert(groupings)
        change = made.on_conflict_do_update(
            index_elements=["session", "resource", "number"], set_={"refused": made.excluded.refused}
        )
        async with self._write() as connection:
            await connection.execute(change, [dict(row) for row in rows])

    async def spend(self, identity: str, until: datetime, now: datetime) -> bool:
        """Use up an id that counts once until a moment; False when it was used up before."""
        async with self._write() as connection:
            await connection.execute(sa.delete(spent).where(spent.c.until < to_microseconds(now)))
            made = insert(spent).values(id=identity, until=to_microseconds(until)).on_conflict_do_nothing()
            return (await connection.execute(made)).rowcount == 1

    async def is_spent(self, identity: str) -> bool:
        """Return whether an id was used up."""
        async with self._read() as connection:
            return (await connection.execute(sa.select(spent).where(spent.c.id == identity))).first() is not None

    async def close(self) -> None:
        """Let go of the file."""
        await self._engine.dispose()

    @asynccontextmanager
    async def _read(self) -> AsyncGenerator[AsyncConnection]:
        try:
            async with self._engine.connect() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise _unavailable(error) from None

    @asynccontextmanager
    async def _write(self) -> AsyncGenerator[AsyncConnection]:
        try:
            async with self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise _unavailable(error) from None


async def open_state(file: Path) -> State:
    """Open the store, bringing its schema to this version's. Raises ConfigError. The folder must exist."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{file}")
    listens_for(engine.sync_engine, "connect")(_set_up)
    try:
        _make_private(file)
        async with engine.begin() as connection:
            await connection.run_sync(_migrate)
    except (SQLAlchemyError, OSError) as error:
        await engine.dispose()
        raise _unavailable(error) from None
    return State(engine)


def _make_private(file: Path) -> None:
    """Create the file for its owner alone; SQLite gives its journals the same mode."""
    os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    file.chmod(0o600)


def _set_up(connection: DBAPIConnection, _record: object) -> None:
    cursor = connection.cursor()
    for setting in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=5000"):
        cursor.execute(f"PRAGMA {setting}")
    cursor.close()


def _migrate(connection: sa.Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _unavailable(error: Exception) -> ConfigError:
    cause = " ".join(str(getattr(error, "orig", None) or error).split())
    return ConfigError(f"the state store failed: {cause}", remedy="check the disk and the owner of the data directory")


def _to_row(stored: StoredSession) -> dict[str, str | int | None]:
    session = stored.session
    return {
        "id": session.id,
        "jti": stored.jti,
        "agent": session.agent,
        "task": session.task,
        "person": None if session.user is None else dump_user(session.user),
        "context": dump_values(session.context),
        "tenant": None if session.tenant is None else json.dumps(scalar_to_json(session.tenant)),
        "chain": json.dumps(session.chain),
        "mounts": json.dumps(stored.mounts),
        "opened_at": to_microseconds(session.opened_at),
        "expires_at": to_microseconds(session.expires_at),
        "active_at": to_microseconds(stored.active_at),
        "idle": None if session.idle is None else session.idle // timedelta(microseconds=1),
        "state": session.state,
        "ended_at": None if stored.ended_at is None else to_microseconds(stored.ended_at),
        "reason": stored.reason,
        "asked": stored.asked,
        "parent": stored.parent,
        "opener": "agent" if session.own else "",
    }


def _from_row(row: sa.RowMapping) -> StoredSession:
    session = Session(
        id=row["id"],
        agent=row["agent"],
        user=None if row["person"] is None else load_user(row["person"]),
        task=row["task"],
        context=load_values(row["context"]),
        tenant=None if row["tenant"] is None else scalar_from_json(json.loads(row["tenant"])),
        opened_at=from_microseconds(row["opened_at"]),
        expires_at=from_microseconds(row["expires_at"]),
        idle=None if row["idle"] is None else timedelta(microseconds=row["idle"]),
        state=row["state"],
        chain=tuple(json.loads(row["chain"])),
        asked=None if row["asked"] is None else _asked(row["asked"]),
        own=row["opener"] == "agent",
    )
    return StoredSession(
        session=session,
        jti=row["jti"],
        mounts=tuple(json.loads(row["mounts"])),
        active_at=from_microseconds(row["active_at"]),
        ended_at=None if row["ended_at"] is None else from_microseconds(row["ended_at"]),
        reason=row["reason"],
        asked=row["asked"],
        parent=row["parent"],
    )


def _asked(text: str) -> Mapping[str, Narrowing]:
    """Return what was asked for; what cannot be read any more leaves nothing."""
    found = read_asked(text)
    return {} if isinstance(found, tuple) else found
