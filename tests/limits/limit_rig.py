"""Stores of limits under one interface, with a clock in hand; every behaviour test runs on each."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from bailiwick.gateway.limits.limits import LimitStore
from bailiwick.gateway.limits.memory import Reserved
from bailiwick.model.budget import Budget, Crossing, Full, Level, Measure, Used, Want

SECOND = 1_000_000


@dataclass(slots=True)
class Clock:
    """Microseconds, moved by hand."""

    now: int = 1_800_000_000 * SECOND

    def __call__(self) -> int:
        return self.now

    def after(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)


def budget(measure: Measure, most: int, seconds: int | None = None, key: str = "") -> Budget:
    """Return a budget; without seconds it is a total, or of what runs at once."""
    window = None if seconds is None else seconds * SECOND
    return Budget(key or f"{measure}:{most}:{seconds}", measure, most, window, "tests")


@dataclass(slots=True)
class Counter:
    """A store as tests ask it."""

    store: LimitStore
    clock: Clock
    crossed: list[Crossing] = field(default_factory=list[Crossing])

    async def ask(self, *wants: Want) -> Reserved | Full | None:
        """Reserve."""
        found: asyncio.Future[Reserved | Full | None] = asyncio.get_running_loop().create_future()
        self.store.reserve(wants, found.set_result)
        answer = await asyncio.wait_for(found, 90)
        if isinstance(answer, Reserved):
            self.crossed += answer.crossed
        return answer

    async def take(self, *wants: Want) -> Reserved:
        """Reserve what must be there."""
        found = await self.ask(*wants)
        assert isinstance(found, Reserved), found
        return found

    async def full(self, *wants: Want) -> Full:
        """Ask for what must not be there."""
        found = await self.ask(*wants)
        assert isinstance(found, Full), found
        return found

    async def settle(self, reserved: Reserved, rows: int = 0, size: int = 0, cost: int = 0) -> None:
        """Settle."""
        self.store.settle(reserved, Used(rows, size, cost), self.crossed.extend)
        await self.levels()  # behind it

    async def levels(self, *budgets: Budget) -> list[Level]:
        """Return how budgets stand."""
        found = await self.store.levels(budgets)
        assert found is not None
        return [*found]

    async def used(self, budget: Budget) -> int:
        """Return what is used of one."""
        return (await self.levels(budget))[0].used
