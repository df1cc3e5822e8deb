"""Where approvals are kept: in the state store, beside the sessions. A change goes in only over what it was made of."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import cast

import sqlalchemy as sa

from bailiwick.gateway.approvals.as_json import dump, load
from bailiwick.gateway.moments import from_microseconds, to_microseconds
from bailiwick.gateway.state import State
from bailiwick.model.approval import WAITING, Approval

approvals = sa.Table(
    "approvals",
    sa.MetaData(),
    sa.Column("id", sa.Text, primary_key=True),
    *(sa.Column(name, sa.Text, nullable=False) for name in ("session", "agent", "kind", "digest", "state")),
    sa.Column("made_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
)


class ApprovalStore:
    """Approvals by id. What is written is on disk when the call returns."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def insert(self, approval: Approval) -> None:
        """Store a new approval."""
        async with self._state.writing() as connection:
            await connection.execute(sa.insert(approvals).values(_to_row(approval)))

    async def remove(self, approval: str) -> None:
        """Forget an approval that could not be recorded."""
        async with self._state.writing() as connection:
            await connection.execute(sa.delete(approvals).where(approvals.c.id == approval))

    async def replace(self, old: Approval, new: Approval) -> bool:
        """Store what became of an approval; false, and nothing is changed, when it is not `old` any more."""
        same = (approvals.c.id == old.id, approvals.c.revision == len(old.steps), approvals.c.state == old.state)
        async with self._state.writing() as connection:
            done = await connection.execute(sa.update(approvals).where(*same).values(_to_row(new)))
            return done.rowcount == 1

    async def find(self, approval: str) -> Approval | None:
        """Return an approval."""
        found = await self._select(sa.select(approvals).where(approvals.c.id == approval))
        return found[0] if found else None

    async def waiting(self, agent: str | None = None) -> Sequence[Approval]:
        """Return those that are not final, of one agent or of all, the oldest first."""
        mine = sa.select(approvals).where(approvals.c.state.in_(sorted(WAITING)))
        if agent is not None:
            mine = mine.where(approvals.c.agent == agent)
        return await self._select(mine.order_by(approvals.c.made_at, approvals.c.id))

    async def of_digest(self, session: str, digest: str) -> Approval | None:
        """Return the newest approval of a session for exactly this."""
        same = sa.select(approvals).where(approvals.c.session == session, approvals.c.digest == digest)
        found = await self._select(same.order_by(approvals.c.made_at.desc(), approvals.c.id.desc()).limit(1))
        return found[0] if found else None

    async def list(self, states: Collection[str] = (), limit: int = 1000) -> Sequence[Approval]:
        """Return approvals, of these states if some are given, the newest first."""
        newest = sa.select(approvals).order_by(approvals.c.made_at.desc(), approvals.c.id.desc())
        if states:
            newest = newest.where(approvals.c.state.in_(sorted(states)))
        return await self._select(newest.limit(limit))

    async def _select(self, query: sa.Select[tuple[object, ...]]) -> list[Approval]:
        async with self._state.reading() as connection:
            found = await connection.execute(query)
            return [_from_row(row) for row in found.mappings()]


def _to_row(approval: Approval) -> dict[str, str | int]:
    return {
        "id": approval.id,
        "session": approval.requester.session,
        "agent": approval.requester.agent,
        "kind": approval.subject.kind,
        "digest": approval.requested,
        "state": approval.state,
        "made_at": to_microseconds(approval.made_at),
        "expires_at": to_microseconds(approval.expires_at),
        "revision": len(approval.steps),
        "body": dump(approval),
    }


def _from_row(row: sa.RowMapping) -> Approval:
    return load(cast("dict[str, object]", dict(row)), _moment(row["made_at"]), _moment(row["expires_at"]))


def _moment(stored: int) -> datetime:
    return from_microseconds(stored)
