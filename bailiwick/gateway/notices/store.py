"""The outbox: what is still to be sent to whom, on disk until it was sent."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Literal, cast

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from bailiwick.gateway.moments import from_microseconds, to_microseconds
from bailiwick.gateway.state import State
from bailiwick.model.notice import Notice

OutboxState = Literal["WAITING", "SENDING", "SENT", "FAILED", "UNKNOWN"]
"""UNKNOWN: it was on its way when nothing more was heard, and a second one could not be told from the first."""
outbox = sa.Table(
    "outbox",
    sa.MetaData(),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("channel", sa.Text, primary_key=True),
    sa.Column("content", sa.Text, nullable=False),
    sa.Column("made_at", sa.BigInteger, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_at", sa.BigInteger, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One notice for one channel."""

    id: str
    """The same for all channels, and for every attempt: receivers know a second one by it."""
    channel: str
    notice: Notice
    made_at: datetime
    next_at: datetime
    attempts: int = 0
    state: OutboxState = "WAITING"
    reason: str = ""


class Outbox:
    """The rows. What is written is on disk when a call returns. Raises ConfigError when the store fails."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def put(self, rows: Sequence[Outgoing]) -> None:
        """Store new ones; one that is there already, sent or not, stays as it is."""
        async with self._state.writing() as connection:
            made = insert(outbox).on_conflict_do_nothing()
            await connection.execute(made, [_to_row(each) for each in rows])

    async def due(self, channel: str, now: datetime) -> Outgoing | None:
        """Return the next one that is to be sent by now."""
        mine = sa.select(outbox).where(outbox.c.channel == channel, outbox.c.state == "WAITING")
        found = await self._select(mine.where(outbox.c.next_at <= to_microseconds(now)), 1)
        return found[0] if found else None

    async def next_at(self, channel: str) -> datetime | None:
        """Return when there is something to send next."""
        mine = sa.select(outbox).where(outbox.c.channel == channel, outbox.c.state == "WAITING")
        found = await self._select(mine, 1)
        return found[0].next_at if found else None

    async def change(self, row: Outgoing) -> None:
        """Store what has become of one."""
        mine = sa.update(outbox).where(outbox.c.id == row.id, outbox.c.channel == row.channel)
        next_at = to_microseconds(row.next_at)
        values = {"attempts": row.attempts, "next_at": next_at, "state": row.state, "reason": row.reason}
        async with self._state.writing() as connection:
            await connection.execute(mine.values(values))

    async def unfinished(self) -> Sequence[Outgoing]:
        """Return what is not over, also what was on its way when the gateway stopped."""
        return await self._select(sa.select(outbox).where(outbox.c.state.in_(("WAITING", "SENDING"))), 100_000)

    async def list(self, limit: int = 200) -> Sequence[Outgoing]:
        """Return all of them, the newest first."""
        async with self._state.reading() as connection:
            newest = sa.select(outbox).order_by(outbox.c.made_at.desc(), outbox.c.id).limit(limit)
            return [_from_row(row) for row in (await connection.execute(newest)).mappings()]

    async def forget(self, before: datetime) -> None:
        """Forget what is over and older than that."""
        over = sa.delete(outbox).where(outbox.c.state.not_in(("WAITING", "SENDING")))
        async with self._state.writing() as connection:
            await connection.execute(over.where(outbox.c.made_at < to_microseconds(before)))

    async def _select(self, query: sa.Select[tuple[object, ...]], limit: int) -> list[Outgoing]:
        ordered = query.order_by(outbox.c.next_at, outbox.c.made_at, outbox.c.id).limit(limit)
        async with self._state.reading() as connection:
            return [_from_row(row) for row in (await connection.execute(ordered)).mappings()]


def _to_row(row: Outgoing) -> dict[str, str | int]:
    return {
        "id": row.id,
        "channel": row.channel,
        "content": json.dumps(asdict(row.notice)),
        "made_at": to_microseconds(row.made_at),
        "attempts": row.attempts,
        "next_at": to_microseconds(row.next_at),
        "state": row.state,
        "reason": row.reason,
    }


def _from_row(row: sa.RowMapping) -> Outgoing:
    content = cast("dict[str, object]", json.loads(row["content"]))
    texts = {name: str(value) for name, value in content.items() if name not in ("lines", "kind")}
    notice = Notice(content["kind"], **texts, lines=tuple(cast("list[str]", content["lines"])))  # pyright: ignore[reportArgumentType]  # as `_to_row` wrote it
    return Outgoing(
        row["id"],
        row["channel"],
        notice,
        from_microseconds(row["made_at"]),
        from_microseconds(row["next_at"]),
        row["attempts"],
        row["state"],
        row["reason"],
    )
