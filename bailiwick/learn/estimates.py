"""What few observations say about the many to come: intervals, the mass of what was never seen, tails. Arithmetic only.

docs/learn.md explains each of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, sqrt

Z = 1.2816
"""One-sided 90%: one estimate in ten may be worse than its bound."""


@dataclass(frozen=True, slots=True)
class Interval:
    low: float
    high: float


def wilson(hits: int, trials: int, z: float = Z) -> Interval:
    """Return Wilson's score interval of a share. Of no trials nothing is known: from 0 to 1."""
    if trials <= 0:
        return Interval(0.0, 1.0)
    share, square = hits / trials, z * z
    middle = (share + square / (2 * trials)) / (1 + square / trials)
    half = z * sqrt(share * (1 - share) / trials + square / (4 * trials * trials)) / (1 + square / trials)
    return Interval(max(0.0, middle - half), min(1.0, middle + half))


def unseen(once: int, drawn: int) -> Interval:
    """Return bounds of the chance that the next value is a new one (Good and Turing's estimate: `once / drawn`).

    `once`: values that one session alone had; `drawn`: pairs of a session and a value that it had. The estimate is
    taken as a share and given Wilson's interval, which is not exact: values do not come independently.
    """
    return wilson(min(once, drawn), drawn)


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the value below which that share of the ordered ones lies, interpolated."""
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def tail(ordered: Sequence[float], beyond: float) -> float:
    """Return what one value in `1 / beyond` exceeds, if the upper tail falls as an exponential's does.

    Its scale is the mean excess over the median, taken between the median and the 90th percentile, where few outliers
    do not reach. Never less than the largest but for the outliers themselves: the caller takes the maximum.
    """
    middle, high = quantile(ordered, 0.5), quantile(ordered, 0.9)
    scale = (high - middle) / log(5)
    return middle + scale * log(0.5 / beyond)
