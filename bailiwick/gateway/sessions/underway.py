"""What is being executed by the backends: calls begun a moment ago will soon have a record."""

from __future__ import annotations

import time
from collections.abc import Callable

YOUNG = 0.0003
"""Seconds after its beginning for which a call is expected to end at once."""


class Underway:
    """The calls under way, by whoever runs them; each runs one at a time. Calls of the event loop only."""

    def __init__(self, seconds: Callable[[], float] = time.perf_counter) -> None:
        self._seconds = seconds
        self._begun: dict[object, float] = {}
        """In the order in which they began, so that the last one is the youngest."""

    def began(self, who: object) -> None:
        """A call of `who` was sent to its backend."""
        self._begun.pop(who, None)
        self._begun[who] = self._seconds()

    def over(self, who: object) -> None:
        """It has ended, or was given up."""
        self._begun.pop(who, None)

    def expects(self) -> bool:
        """Return whether some call began so recently that it will probably end in a moment."""
        begun = self._begun
        return bool(begun) and self._seconds() - begun[next(reversed(begun))] < YOUNG
