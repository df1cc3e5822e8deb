"""When a saved search says something: so many records within a time. Arithmetic over moments, nothing else."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from datetime import datetime, timedelta

_MOST_KEYS = 10_000


@dataclass(frozen=True, slots=True)
class Alert:
    """So many records within a time, counted for each value of a member by itself, or all together."""

    count: int
    within: timedelta
    each: str = ""
    """Empty: all together."""


class Window:
    """The records that a search found lately, and whether that is worth saying."""

    def __init__(self, alert: Alert) -> None:
        self._alert = alert
        self._found: OrderedDict[str, deque[datetime]] = OrderedDict()
        """Of each key the moments of its last records, at most as many as it takes; the key used last comes last."""
        self._said: dict[str, datetime] = {}

    def take(self, key: str, at: datetime) -> bool:
        """Count a record; return whether it is the one to be said. Then that key is silent for as long as it counts.

        Of more than ten thousand keys those are forgotten that have not come for the longest time.
        """
        moments = self._found.pop(key, None) or deque(maxlen=self._alert.count)
        self._found[key] = moments
        if len(self._found) > _MOST_KEYS:
            gone, _ = self._found.popitem(last=False)
            self._said.pop(gone, None)
        moments.append(at)
        if len(moments) < self._alert.count or at - moments[0] > self._alert.within:
            return False
        said = self._said.get(key)
        if said is not None and at - said <= self._alert.within:
            return False
        self._said[key] = at
        return True

    def first(self, key: str) -> datetime | None:
        """Return the moment of the oldest record that counts for a key; None when there is none."""
        moments = self._found.get(key)
        return moments[0] if moments else None
