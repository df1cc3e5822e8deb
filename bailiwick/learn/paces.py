"""Paces and hours: how fast and when, from what was observed, with head-room."""

from __future__ import annotations

from bailiwick.learn.facts import FEW
from bailiwick.learn.settled import Settled

HEADROOM = 3
_LEAST_PACE = 20
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_LEAST_WEEKS = 3
_LEAST_SESSIONS = 100
_WIDEST = 14


def nice(number: float) -> int:
    """Return the next number of the row 10, 20, 50, 100, …: figures that people read, and that do not move."""
    step = 10
    while True:
        for factor in (1, 2, 5):
            if factor * step >= number:
                return factor * step
        step *= 10


def pace_of(settled: Settled, deed: int) -> str:
    """Return how many calls an hour, three times the most that there were in one."""
    gathered = settled.gathered
    less: dict[int, int] = {}
    for session in settled.aside:
        use = gathered.sessions[session]
        for form, calls in use.forms.items():
            if deed in gathered.forms[form].deeds:
                hour = int(use.first.timestamp()) // 3600
                less[hour] = less.get(hour, 0) + calls
    most = max((calls - less.get(hour, 0) for (each, hour), calls in gathered.rates.items() if each == deed), default=0)
    return f"{nice(max(_LEAST_PACE, HEADROOM * most))}/h"


def batch_of(settled: Settled, deed: int) -> int:
    """Return how many rows one write may touch: what the largest did, one as one, more with head-room. 0: not seen."""
    rows = [count for count, session in settled.gathered.batches.get(deed, ()) if session not in settled.aside]
    if not rows:
        return 0
    return 1 if max(rows) == 1 else nice(2 * max(rows))


def most_actions(settled: Settled) -> int:
    """Return how many actions a session may do, three times the most that one did."""
    most = max((sum(settled.gathered.sessions[each].forms.values()) for each in settled.sessions), default=0)
    return nice(max(_LEAST_PACE, HEADROOM * most))


def hours_of(settled: Settled) -> str:
    """Return the weekly window of all calls with an hour around it; empty where they do not show one.

    There must be a hundred sessions in three different weeks or more, and the window must leave most of the day out.
    """
    gathered = settled.gathered
    weeks = {gathered.sessions[each].first.isocalendar()[:2] for each in settled.sessions}
    if len(settled.sessions) < _LEAST_SESSIONS or len(weeks) < _LEAST_WEEKS:
        return ""
    used = {
        place
        for place, (_, few) in gathered.hours.items()
        if len(few) > FEW or any(session not in settled.aside for session in few)
    }
    if not used:
        return ""
    days = sorted({day for day, _ in used})
    hours = [hour for _, hour in used]
    first, last = max(0, min(hours) - 1), min(24, max(hours) + 2)
    if last - first > _WIDEST or days != list(range(days[0], days[-1] + 1)):
        return ""
    named = _DAYS[days[0]] if len(days) == 1 else f"{_DAYS[days[0]]}-{_DAYS[days[-1]]}"
    return f"{named} {first:02d}:00-{last:02d}:00 UTC"
