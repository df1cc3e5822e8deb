"""Where held changes are kept: in the state store, beside the sessions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import cast

import sqlalchemy as sa

from bailiwick.gateway.moments import from_microseconds, to_microseconds
from bailiwick.gateway.state import State
from bailiwick.model.change import Asked, ChangedRow, HeldChange, Previewed, Shown

changes = sa.Table(
    "changes",
    sa.MetaData(),
    sa.Column("id", sa.Text, primary_key=True),
    *(
        sa.Column(name, sa.Text, nullable=False)
        for name in ("session", "agent", "person", "task", "mount", "policy", "actions", "grants", "purpose")
    ),
    *(sa.Column(name, sa.Text, nullable=False) for name in ("statement", "parameters", "digest", "preview")),
    sa.Column("affected", sa.BigInteger),
    sa.Column("shown", sa.Text, nullable=False),
    sa.Column("keys", sa.Text, nullable=False),
    sa.Column("made_at", sa.BigInteger, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
)


class ChangeStore:
    """Held changes by id. What is written is on disk when the call returns."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def insert(self, change: HeldChange) -> None:
        """Store a new change."""
        async with self._state.writing() as connection:
            await connection.execute(sa.insert(changes).values(_to_row(change)))

    async def remove(self, change_id: str) -> None:
        """Forget a change that could not be recorded."""
        async with self._state.writing() as connection:
            await connection.execute(sa.delete(changes).where(changes.c.id == change_id))

    async def find(self, change_id: str) -> HeldChange | None:
        """Return a change."""
        found = await self._select(sa.select(changes).where(changes.c.id == change_id))
        return found[0] if found else None

    async def pending(self, session: str) -> Sequence[HeldChange]:
        """Return the pending changes of a session."""
        mine = sa.select(changes).where(changes.c.session == session, changes.c.state == "PENDING")
        return await self._select(mine)

    async def list(self, limit: int = 1000) -> Sequence[HeldChange]:
        """Return changes, the newest first."""
        newest = sa.select(changes).order_by(changes.c.made_at.desc(), changes.c.id.desc())
        return await self._select(newest.limit(limit))

    async def _select(self, query: sa.Select[tuple[object, ...]]) -> list[HeldChange]:
        async with self._state.reading() as connection:
            found = await connection.execute(query)
            return [_from_row(row) for row in found.mappings()]


def shown_to_json(rows: Sequence[ChangedRow]) -> list[dict[str, object]]:
    """Return the rows of a preview as JSON."""
    return [
        {
            "key": list(row.key),
            "before": None if row.before is None else dict(row.before),
            "after": None if row.after is None else dict(row.after),
        }
        for row in rows
    ]


def _rows_from_json(text: str) -> tuple[ChangedRow, ...]:
    found = cast("list[dict[str, object]]", json.loads(text))
    return tuple(
        ChangedRow(
            tuple(cast("list[str | None]", row["key"])),
            cast("Shown | None", row["before"]),
            cast("Shown | None", row["after"]),
        )
        for row in found
    )


def _to_row(change: HeldChange) -> dict[str, str | int | None]:
    return {
        "id": change.id,
        "session": change.session,
        "agent": change.agent,
        "person": change.user,
        "task": change.task,
        "mount": change.mount,
        "policy": change.policy,
        "actions": json.dumps(change.actions),
        "grants": json.dumps(change.grants),
        "purpose": change.purpose,
        "statement": change.asked.statement,
        "parameters": change.asked.parameters,
        "digest": change.asked.digest,
        "preview": change.asked.preview,
        "affected": change.previewed.rows,
        "shown": json.dumps(shown_to_json(change.previewed.shown)),
        "keys": change.previewed.keys,
        "made_at": to_microseconds(change.made_at),
        "state": change.state,
    }


def _from_row(row: sa.RowMapping) -> HeldChange:
    return HeldChange(
        id=row["id"],
        session=row["session"],
        agent=row["agent"],
        user=row["person"],
        task=row["task"],
        mount=row["mount"],
        policy=row["policy"],
        actions=tuple(json.loads(row["actions"])),
        grants=tuple(json.loads(row["grants"])),
        purpose=row["purpose"],
        asked=Asked(row["statement"], row["parameters"], row["digest"], row["preview"]),
        previewed=Previewed(row["affected"], _rows_from_json(row["shown"]), row["keys"]),
        made_at=from_microseconds(row["made_at"]),
        state=row["state"],
    )
