"""What is usual, and what was found, on disk: each batch with the cursor behind it, together."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import cast

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from bailiwick.gateway.moments import to_microseconds
from bailiwick.gateway.sinks.store import Cursor, putting
from bailiwick.gateway.state import State
from bailiwick.ledger.baselines import Baseline, dump, restore
from bailiwick.ledger.departures import Told
from bailiwick.model.record import JsonValue

_metadata = sa.MetaData()
baselines = sa.Table(
    "baselines",
    _metadata,
    sa.Column("agent", sa.Text, primary_key=True),
    sa.Column("task", sa.Text, primary_key=True),
    sa.Column("content", sa.Text, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
)
findings = sa.Table(
    "findings",
    _metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("content", sa.Text, nullable=False),
    sa.Column("recorded", sa.Integer, nullable=False),
)
_most_kept = 10_000


class FindingStore:
    """The rows. Raises ConfigError when the store fails."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def load(self, most: int) -> list[Baseline]:
        """Return the baselines of those who did something last."""
        query = sa.select(baselines.c.content).order_by(baselines.c.at.desc()).limit(most)
        async with self._state.reading() as connection:
            rows = (await connection.execute(query)).all()
        return [restore(cast("Mapping[str, JsonValue]", json.loads(row[0]))) for row in reversed(rows)]

    async def save(
        self,
        cursor: Cursor,
        changed: Iterable[Baseline],
        gone: Iterable[Baseline],
        found: Sequence[tuple[datetime, Told]],
    ) -> None:
        """Store how far the ledger was read, and all that came of it."""
        async with self._state.writing() as connection:
            await connection.execute(putting(cursor))
            for each in changed:
                values = {"content": json.dumps(dump(each)), "at": to_microseconds(each.hour)}
                made = insert(baselines).values(agent=each.agent, task=each.task, **values)
                await connection.execute(made.on_conflict_do_update(index_elements=["agent", "task"], set_=values))
            for each in gone:
                mine = (baselines.c.agent == each.agent, baselines.c.task == each.task)
                await connection.execute(sa.delete(baselines).where(*mine))
            for at, told in found:
                row = {"id": told.id, "at": to_microseconds(at), "content": json.dumps(asdict(told)), "recorded": 0}
                await connection.execute(insert(findings).values(row).on_conflict_do_nothing())
            if found:
                newest = sa.select(findings.c.id).order_by(findings.c.at.desc()).limit(_most_kept)
                await connection.execute(sa.delete(findings).where(findings.c.id.not_in(newest)))

    async def unrecorded(self) -> list[Told]:
        """Return what was found and is not known to be on record, the oldest first."""
        return await self._select(sa.select(findings.c.content).where(findings.c.recorded == 0).order_by(findings.c.at))

    async def recorded(self, identity: str) -> None:
        """Note that a finding is on record."""
        async with self._state.writing() as connection:
            await connection.execute(sa.update(findings).where(findings.c.id == identity).values(recorded=1))

    async def list(self, limit: int) -> list[Told]:
        """Return what was found, the newest first."""
        return await self._select(sa.select(findings.c.content).order_by(findings.c.at.desc()).limit(limit))

    async def _select(self, query: sa.Select[tuple[object]]) -> list[Told]:
        async with self._state.reading() as connection:
            rows = (await connection.execute(query)).all()
        return [Told(**cast("dict[str, str]", json.loads(cast(str, row[0])))) for row in rows]  # pyright: ignore[reportArgumentType]  # as `save` wrote it
