"""The elevations in force, as sessions see them. Does no I/O; `gateway.elevations` grants, ends and stores them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from bailiwick.decide.elevations import end_of, reaches
from bailiwick.model.elevation import Elevation
from bailiwick.model.policy import Policy
from bailiwick.model.session import Session


class Elevated:
    """Elevations by id. INVARIANT: what was over once is never in force again, whatever the clock says."""

    def __init__(self) -> None:
        self._held: dict[str, Elevation] = {}
        self._over: set[str] = set()
        self._ending: dict[str, tuple[Elevation, str]] = {}
        """Those that are over, and how, while that is not stored."""

    def __iter__(self) -> Iterator[Elevation]:
        yield from tuple(self._held.values())

    def __len__(self) -> int:
        return len(self._held)

    def add(self, elevation: Elevation) -> None:
        """Put one in force that was not over before."""
        if elevation.id not in self._over:
            self._held[elevation.id] = elevation

    def get(self, elevation_id: str) -> Elevation | None:
        """Return one that is in force, as far as anybody has looked."""
        return self._held.get(elevation_id)

    def drop(self, elevation_id: str) -> Elevation | None:
        """End one at once."""
        self._over.add(elevation_id)
        return self._held.pop(elevation_id, None)

    def retry(self, elevation: Elevation, how: str) -> None:
        """Keep one whose end could not be stored: it is not in force, and `due` tells it again."""
        self._ending[elevation.id] = (elevation, how)

    def forget(self, elevation_id: str) -> None:
        """The end of one is stored: its id never comes back."""
        self._over.discard(elevation_id)
        self._ending.pop(elevation_id, None)

    def of(self, session: Session, policy: Policy, now: datetime) -> tuple[Sequence[Elevation], datetime | None]:
        """Return those of a session that are in force under a policy, and when the first of them ends."""
        found: list[Elevation] = []
        ends: list[datetime] = []
        for each in self:
            end = end_of(each, policy)
            if end is not None and now >= end:
                self.drop(each.id)
                self._ending[each.id] = (each, "expired")
            elif end is None or not reaches(each, session):
                continue
            else:
                found.append(each)
                ends.append(end)
        return found, min(ends, default=None)

    def due(self, policy: Policy, now: datetime) -> Sequence[tuple[Elevation, str]]:
        """Return those that are over by now, and why."""
        found: list[tuple[Elevation, str]] = [*self._ending.values()]
        for each in self:
            end = end_of(each, policy)
            if end is None:
                found.append((each, "policy"))
            elif now >= end:
                found.append((each, "expired"))
        return found
