"""Budgets: limits as they are counted, and what a request takes of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Decimal
from typing import Literal, NamedTuple

Measure = Literal["actions", "rows", "bytes", "cost", "concurrent"]
measures: tuple[Measure, ...] = ("actions", "rows", "bytes", "cost", "concurrent")
MILLION = 1_000_000
"""Money is counted in millionths, time in microseconds."""


@dataclass(frozen=True, slots=True)
class Budget:
    """One limit over time, over the life of a session, or on what runs at once; counted under its key."""

    key: str
    measure: Measure
    most: int
    """Of money in millionths."""
    window: int | None
    """Microseconds; None: as long as its owner lives (of `concurrent`: at this moment)."""
    owner: str
    """Whose it is, in words: "role `support`"."""
    unit: str = ""
    """Of money: its currency."""
    by_agent: bool = False
    """Whether each agent has one of its own."""
    weight: int = 1
    """How many actions a request is for it."""

    def of_agent(self, agent: str) -> Budget:
        """Return the budget that this agent has."""
        return replace(self, key=f"{self.key}@{agent}", by_agent=False) if self.by_agent else self

    @property
    def lasting(self) -> bool:
        """Whether it outlives a restart: a total, or over an hour and more."""
        return self.measure != "concurrent" and (self.window is None or self.window >= 3600 * MILLION)


class Want(NamedTuple):
    """What a request takes of a budget at its beginning."""

    budget: Budget
    take: int = 0
    """Used from now on."""
    hold: int = 0
    """Kept for it until it is settled; with neither of them one must be left, and nothing is taken."""


@dataclass(frozen=True, slots=True)
class Used:
    """What a request really used."""

    rows: int = 0
    bytes: int = 0
    cost: int = 0
    """Millionths."""

    def of(self, measure: Measure) -> int:
        """Return what is added to budgets of that measure when a request is settled."""
        if measure == "rows":
            return self.rows
        if measure == "bytes":
            return self.bytes
        return self.cost if measure == "cost" else 0


NOTHING_USED = Used()


@dataclass(frozen=True, slots=True)
class Price:
    """What one call of a tool costs, all parts of it together."""

    unit: str
    """Currency."""
    call: Decimal = Decimal(0)
    row: Decimal = Decimal(0)
    """For each row or item that it returns."""
    path: tuple[str, ...] = ()
    """Where its answer tells what it cost, as JSON."""
    header: str = ""
    """Or in which header."""
    most: Decimal | None = None
    """What is kept for it beforehand when its answer tells, and charged when it does not."""

    @property
    def is_told(self) -> bool:
        """Whether the answer tells of it."""
        return bool(self.path or self.header)


@dataclass(frozen=True, slots=True)
class Full:
    """A budget has not enough left. `wait`: microseconds until it has; None: nobody knows, or never."""

    budget: Budget
    wait: int | None


@dataclass(frozen=True, slots=True)
class Crossing:
    """A budget is used to 80 or to 100 percent, for the first time in its window (and minute)."""

    budget: Budget
    percent: Literal[80, 100]


@dataclass(frozen=True, slots=True)
class Level:
    """How a budget stands."""

    budget: Budget
    used: int
    """What was used in the window, and what is kept for requests in flight."""
    frees: int | None = None
    """Microseconds until something of it comes back; None: nothing will."""


def millionths(amount: Decimal) -> int:
    """Return money as it is counted: never less than it is."""
    return int((amount * MILLION).to_integral_value(ROUND_CEILING))
