"""Where elevations are kept: in the state store, beside the sessions."""

from __future__ import annotations

import json
from collections.abc import Sequence

import sqlalchemy as sa

from bailiwick.gateway.moments import from_microseconds, to_microseconds
from bailiwick.gateway.state import State
from bailiwick.model.elevation import Elevation

elevations = sa.Table(
    "elevations",
    sa.MetaData(),
    *(sa.Column(name, sa.Text, primary_key=name == "id") for name in ("id", "name", "agent", "session")),
    sa.Column("granted_at", sa.BigInteger, nullable=False),
    sa.Column("ends_at", sa.BigInteger, nullable=False),
    *(sa.Column(name, sa.Text, nullable=False) for name in ("approved_by", "reason", "ended")),
)


class ElevationStore:
    """Elevations by id. What is written is on disk when the call returns."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def insert(self, elevation: Elevation) -> None:
        """Store one that was granted."""
        async with self._state.writing() as connection:
            await connection.execute(sa.insert(elevations).values(_to_row(elevation)))

    async def end(self, elevation_id: str, how: str) -> bool:
        """Store how one ended; False when it had ended before."""
        mine = sa.update(elevations).where(elevations.c.id == elevation_id, elevations.c.ended == "")
        async with self._state.writing() as connection:
            return (await connection.execute(mine.values(ended=how))).rowcount == 1

    async def in_force(self) -> Sequence[Elevation]:
        """Return those whose end is not stored."""
        async with self._state.reading() as connection:
            found = await connection.execute(sa.select(elevations).where(elevations.c.ended == ""))
            return [_from_row(row) for row in found.mappings()]

    async def over(self, limit: int = 1000) -> Sequence[tuple[Elevation, str]]:
        """Return those that have ended, and how, the newest first."""
        past = sa.select(elevations).where(elevations.c.ended != "").order_by(elevations.c.granted_at.desc())
        async with self._state.reading() as connection:
            found = await connection.execute(past.limit(limit))
            return [(_from_row(row), row["ended"]) for row in found.mappings()]


def _to_row(elevation: Elevation) -> dict[str, str | int]:
    return {
        "id": elevation.id,
        "name": elevation.name,
        "agent": elevation.agent,
        "session": elevation.session,
        "granted_at": to_microseconds(elevation.granted_at),
        "ends_at": to_microseconds(elevation.ends_at),
        "approved_by": json.dumps(elevation.approved_by),
        "reason": elevation.reason,
        "ended": "",
    }


def _from_row(row: sa.RowMapping) -> Elevation:
    return Elevation(
        row["id"],
        row["name"],
        row["agent"],
        row["session"],
        from_microseconds(row["granted_at"]),
        from_microseconds(row["ends_at"]),
        tuple(json.loads(row["approved_by"])),
        row["reason"],
    )
