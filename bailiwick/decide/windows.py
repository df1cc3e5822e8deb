"""The arithmetic of budgets: what was used in a sliding window, and when it comes back. Pure; moments are given.

A use counts from its moment until just before one window later, so no window of that length, wherever it begins, holds
more than is allowed. Up to `EXACT` uses are kept one by one. Of more, those that lie within one part of the window are
kept together under the latest moment among them: they come back a little late, and none comes back early.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

EXACT = 256
_PARTS = 256


class Meter:
    """What was used of one budget. Moments are microseconds, and never go back."""

    __slots__ = ("_log", "held", "total", "window")

    def __init__(self, window: int | None, log: Iterable[tuple[int, int]] = ()) -> None:
        self.window = window
        self._log = deque[tuple[int, int]](log)
        """(moment, amount) of what is counted, the oldest first; without a window at most one."""
        self.total = sum(amount for _, amount in self._log)
        self.held = 0
        """What is kept for requests in flight."""

    @property
    def log(self) -> tuple[tuple[int, int], ...]:
        """What is counted: (moment, amount), the oldest first."""
        return tuple(self._log)

    def used(self, now: int) -> int:
        """Return what counts at that moment, with what is kept for requests in flight."""
        window, log = self.window, self._log
        if window is not None and log and log[0][0] <= now - window:
            self._expire(now - window)
        return self.total + self.held

    def add(self, amount: int, now: int) -> None:
        """Count a use."""
        if not amount:
            return
        log, window = self._log, self.window
        if log:
            at, before = log[-1]
            if window is None or now <= at:
                now = max(at, now)
                log[-1] = (now, before + amount)
                self.total += amount
                return
            if len(log) >= EXACT:
                earlier = log[-2][0]
                if now - earlier <= window // _PARTS:
                    log[-1] = (now, before + amount)
                    self.total += amount
                    return
        log.append((now, amount))
        self.total += amount

    def give_back(self, amount: int, at: int, now: int) -> None:
        """Uncount a use of that moment, as far as it still counts."""
        if self.window is not None and at <= now - self.window:
            return
        for place, (moment, kept) in enumerate(self._log):
            if moment >= at:
                back = min(amount, kept)
                self._log[place] = (moment, kept - back)
                self.total -= back
                return

    def wait(self, excess: int, now: int) -> int | None:
        """Return after how long so much of what counts will have come back; None when that is not known."""
        if excess <= 0:
            return 0
        if self.window is None:
            return None
        for moment, amount in self._log:
            excess -= amount
            if excess <= 0:
                return max(moment + self.window - now, 0)
        return None

    def _expire(self, before: int) -> None:
        log = self._log
        while log and log[0][0] <= before:
            self.total -= log.popleft()[1]
