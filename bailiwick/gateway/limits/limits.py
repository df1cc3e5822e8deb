"""Limits: what a request is charged to is reserved before it, all together or not at all, and settled after it.

Denials, warnings and what people are shown of budgets come from here; how they are counted is a store's
(`limit_memory`, `limit_redis`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

from bailiwick.decide.budgets import UNAVAILABLE, budget_in_words, for_agents, holding, money, used_up, wants
from bailiwick.gateway.limits.memory import Reserved
from bailiwick.gateway.moments import utc_now
from bailiwick.gateway.sessions.live import Live
from bailiwick.gateway.wire import Json
from bailiwick.model.budget import NOTHING_USED, Budget, Crossing, Full, Level, Used, Want
from bailiwick.model.decision import Allow, Decision, Denial, Hold

_most_kept = 4096
FREE = Reserved((), 0, ())
"""Of a request that is charged to nothing."""
FREE.open = False


class LimitStore(Protocol):
    """Counts. `done` is called once, at once or in a later turn of the event loop."""

    def reserve(self, wants: Sequence[Want], done: Callable[[Reserved | Full | None], None]) -> None:
        """Take all that is wanted, or nothing. None: nobody can count now."""
        ...

    def settle(self, reserved: Reserved, used: Used, done: Callable[[Sequence[Crossing]], None]) -> None:
        """Charge what was really used in place of what was kept; `done` hears of what that crossed, if anything."""
        ...

    def release(self, reserved: Reserved) -> None:
        """Give back all that was taken: nothing was done."""
        ...

    async def levels(self, budgets: Sequence[Budget]) -> Sequence[Level] | None:
        """Return how budgets stand; None: that is not known now."""
        ...

    def forget(self, prefix: str) -> None:
        """Forget the budgets of an owner that is no more."""
        ...


class Limits:
    """The limits of this gateway. Methods are for the event loop's thread."""

    def __init__(self, store: LimitStore, warn: Callable[[Live, Crossing], None]) -> None:
        """`warn` hears once in a window that a budget is used to 80 or 100 percent."""
        self.store = store
        self._warn = warn
        self._charged: dict[tuple[str, int], tuple[tuple[Budget, ...], tuple[Budget, ...], tuple[Budget, ...]]] = {}

    def charged(self, live: Live, decision: Decision) -> tuple[Budget, ...]:
        """Return the budgets that a request of the session with that decision is charged to."""
        own = live.terms.budgets
        if isinstance(decision, Allow):
            given = decision.budgets
        elif isinstance(decision, Hold) and decision.queued is not None:
            given = decision.queued.budgets
        else:
            given = ()
        if isinstance(decision, Allow) and decision.actions > 1:
            own = tuple(replace(each, weight=decision.actions) for each in own)
            return (*own, *for_agents(given, live.session))
        if not given:
            return own
        key = (live.session.id, id(given))
        kept = self._charged.get(key)
        if kept is not None and kept[0] is given and kept[1] is own:
            return kept[2]
        if len(self._charged) >= _most_kept:
            self._charged.clear()
        found = (*own, *for_agents(given, live.session))
        self._charged[key] = (given, own, found)  # holding what is given keeps its id from another
        return found

    def begin(
        self, live: Live, budgets: tuple[Budget, ...], cost: int | None, done: Callable[[Reserved | Denial], None]
    ) -> None:
        """Reserve for a request; `done` is called once, at once or later. `cost`: the most that it may cost."""
        self._reserve(live, wants(budgets, cost), done)

    def begin_hold(self, live: Live, decision: Hold, done: Callable[[Reserved | Denial], None]) -> None:
        """Charge a request that is held for people: one action of every budget of actions, and nothing else."""
        self._reserve(live, holding(self.charged(live, decision)), done)

    async def reserve(self, live: Live, decision: Allow, cost: int | None = None) -> Reserved | Denial:
        """Reserve for a request; whoever gets no denial settles or releases."""
        budgets = self.charged(live, decision)
        return await _answered(lambda done: self.begin(live, budgets, cost, done), self) if budgets else FREE

    async def hold(self, live: Live, decision: Hold) -> Denial | None:
        """Charge a request that is held for people; return why it cannot even be held."""
        found = await _answered(lambda done: self.begin_hold(live, decision, done), self)
        return found if isinstance(found, Denial) else None

    def settle(self, live: Live, reserved: Reserved, used: Used = NOTHING_USED) -> None:
        """Charge what was really used."""
        if reserved.open:
            self.store.settle(reserved, used, lambda crossed: self._tell(live, crossed))

    def release(self, reserved: Reserved) -> None:
        """Nothing was done: give everything back."""
        if reserved.open:
            self.store.release(reserved)

    async def levels(self, live: Live) -> Sequence[Level] | None:
        """Return how all budgets stand that a session can be charged to; None: that is not known now."""
        scope = live.scope
        mounts = {each.resource.mount for each in scope.resources.values()}
        mounts |= {each.mount for each in scope.tools.values()}
        given = live.terms.table.charging
        found = dict.fromkeys(live.terms.budgets)
        for mount in sorted(mounts & live.mounts if live.mounts else mounts):
            found |= dict.fromkeys(for_agents(given.of(scope.grants, mount, "read"), live.session))
        return await self.store.levels(tuple({each.key: each for each in found}.values()))

    async def told(self, live: Live) -> list[Json]:
        """Return how all budgets of a session stand, for people; empty when that is not known now."""
        found = await self.levels(live)
        return [level_told(each, utc_now()) for each in found or ()]

    def forget(self, session: str) -> None:
        """A session has ended."""
        self.store.forget(f"session:{session}:")

    def _reserve(self, live: Live, wanted: Sequence[Want], done: Callable[[Reserved | Denial], None]) -> None:
        if not wanted:
            done(FREE)
            return

        def answered(found: Reserved | Full | None) -> None:
            if isinstance(found, Reserved):
                if found.crossed:
                    self._tell(live, found.crossed)
                done(found)
            else:
                done(UNAVAILABLE if found is None else used_up(found.budget, found.wait))

        self.store.reserve(wanted, answered)

    def _tell(self, live: Live, crossed: Sequence[Crossing]) -> None:
        for each in crossed:
            self._warn(live, each)


def level_told(level: Level, now: datetime) -> dict[str, Json]:
    """Return how a budget stands: what it bounds, used and limit (money as text), when something comes back."""
    budget, used = level.budget, level.used
    money_in = budget.measure == "cost"
    frees = None if level.frees is None or not used else now + timedelta(microseconds=level.frees)
    return {
        "name": f"{budget_in_words(budget)} of {budget.owner}",
        "owner": budget.owner,
        "measure": budget.measure,
        "used": money(used) if money_in else used,
        "limit": money(budget.most) if money_in else budget.most,
        "unit": budget.unit,
        "percent": min(used * 100 // budget.most, 1000) if budget.most else 100,
        "window": None if budget.window is None else budget.window // 1_000_000,
        "resets_at": None if frees is None else frees.isoformat(timespec="seconds"),
    }


async def _answered(start: Callable[[Callable[[Reserved | Denial], None]], None], limits: Limits) -> Reserved | Denial:
    """Return what is answered; what comes too late for whoever was cancelled is given back."""
    found: asyncio.Future[Reserved | Denial] = asyncio.get_running_loop().create_future()

    def done(answer: Reserved | Denial) -> None:
        if not found.done():
            found.set_result(answer)
        elif isinstance(answer, Reserved):
            limits.release(answer)

    start(done)
    return await found
