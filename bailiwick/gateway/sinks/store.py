"""Cursors: how far each sink has been delivered. What is written is on disk when a call returns."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from bailiwick.gateway.moments import from_microseconds, to_microseconds
from bailiwick.gateway.state import State

cursors = sa.Table(
    "cursors",
    sa.MetaData(),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("origin", sa.Text, nullable=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("checkpoint", sa.BigInteger, nullable=False),
    sa.Column("delivered", sa.BigInteger, nullable=False),
    sa.Column("refused", sa.BigInteger, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
)
_epoch = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a reader of the ledger has come."""

    name: str
    origin: str
    """Of which ledger: another one begins anew."""
    seq: int = 0
    """The next record."""
    checkpoint: int = 0
    """Size of the last checkpoint."""
    delivered: int = 0
    refused: int = 0
    at: datetime = _epoch
    """When something was last delivered."""


class Cursors:
    """The rows. Raises ConfigError when the store fails."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def find(self, name: str) -> Cursor | None:
        """Return the cursor of a name."""
        async with self._state.reading() as connection:
            row = (await connection.execute(sa.select(cursors).where(cursors.c.name == name))).mappings().first()
        if row is None:
            return None
        counts = (row["seq"], row["checkpoint"], row["delivered"], row["refused"])
        return Cursor(row["name"], row["origin"], *counts, from_microseconds(row["at"]))

    async def put(self, cursor: Cursor) -> None:
        """Store where a reader is."""
        async with self._state.writing() as connection:
            await connection.execute(putting(cursor))


def putting(cursor: Cursor) -> sa.Executable:
    """Return the statement that stores a cursor, for those who store more with it."""
    values = {
        "name": cursor.name,
        "origin": cursor.origin,
        "seq": cursor.seq,
        "checkpoint": cursor.checkpoint,
        "delivered": cursor.delivered,
        "refused": cursor.refused,
        "at": to_microseconds(cursor.at),
    }
    made = insert(cursors).values(values)
    return made.on_conflict_do_update(index_elements=["name"], set_=values)
