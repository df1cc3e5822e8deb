"""Pictures as numbers for the templates to draw: bars of what was decided over time, and calls on a line of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from bailiwick.console.tally import Verdict, verdicts

WIDTH, HEIGHT = 720, 120


@dataclass(frozen=True, slots=True)
class Bar:
    """A part of one bar."""

    x: float
    y: float
    width: float
    height: float
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Bars:
    """A picture of bars, one a bucket, and its words for who does not see it."""

    bars: tuple[Bar, ...]
    most: int
    totals: Mapping[Verdict, int]
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def label(self) -> str:
        """Return what it shows, in words."""
        told = ", ".join(f"{self.totals.get(each, 0):,} {word}" for each, word in _words.items())
        return f"{told}; at most {self.most:,} at a time"


_words: Mapping[Verdict, str] = {"allow": "allowed", "deny": "denied", "hold": "held"}


def bars(buckets: Sequence[Mapping[Verdict, int]]) -> Bars:
    """Return the picture of buckets, the oldest at the left. What is not allowed is seen however small it is."""
    most = max((sum(each.values()) for each in buckets), default=0)
    totals: dict[Verdict, int] = {verdict: sum(each.get(verdict, 0) for each in buckets) for verdict in verdicts}
    step = WIDTH / max(1, len(buckets))
    found: list[Bar] = []
    for place, bucket in enumerate(buckets):
        bottom = float(HEIGHT)
        for verdict in verdicts:
            number = bucket.get(verdict, 0)
            if number:
                height = max(HEIGHT * number / most, 2.0)
                bottom = max(bottom - height, 0.0)
                found.append(
                    Bar(round(place * step, 1), round(bottom, 1), round(step * 0.8, 1), round(height, 1), verdict)
                )
    return Bars(tuple(found), most, totals)


@dataclass(frozen=True, slots=True)
class Mark:
    """A call on the line of time."""

    x: float
    y: float
    verdict: str


@dataclass(frozen=True, slots=True)
class Line:
    """Calls on a line of time, a lane for each mount."""

    marks: tuple[Mark, ...]
    lanes: tuple[tuple[str, float], ...]
    """Name, and where it is from above."""
    begins: datetime
    ends: datetime
    width: int = WIDTH

    @property
    def height(self) -> int:
        """Return how high it is."""
        return max(1, len(self.lanes)) * _lane


_lane = 28


def line(calls: Sequence[tuple[datetime, str, str]], begins: datetime, ends: datetime) -> Line:
    """Return the picture of calls: (when, mount, what was decided)."""
    names = tuple(dict.fromkeys(lane for _, lane, _ in calls))
    places = {name: place * _lane + _lane / 2 for place, name in enumerate(names)}
    span = max((ends - begins).total_seconds(), 1.0)
    marks = [
        Mark(
            round(4 + (WIDTH - 8) * min(max((at - begins).total_seconds() / span, 0.0), 1.0), 1), places[lane], verdict
        )
        for at, lane, verdict in calls
    ]
    return Line(tuple(marks), tuple(places.items()), begins, ends)
