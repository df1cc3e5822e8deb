"""Budgets counted in this process: the twin of `limit_redis`. What it changes lastingly it tells `limit_store`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from bailiwick.decide.windows import Meter
from bailiwick.model.budget import MILLION, Budget, Crossing, Full, Level, Used, Want

_sweep_every = 100_000
"""Reservations after which meters of which nothing counts any more are forgotten."""
_seldom = 60 * MILLION
"""Of a budget no two warnings of one level come within less."""


class Reserved:
    """What a request has taken, until it is settled or released, once."""

    __slots__ = ("at", "crossed", "open", "wants")

    def __init__(self, wants: Sequence[Want], at: int, crossed: Sequence[Crossing]) -> None:
        self.wants = wants
        self.at = at
        self.crossed = crossed
        """What it crossed at its beginning."""
        self.open = True


class _Counted(Meter):
    """A meter, and until when it has warned: at 80 and at 100 percent."""

    __slots__ = ("until_80", "until_100")

    def __init__(self, window: int | None, log: Iterable[tuple[int, int]] = ()) -> None:
        super().__init__(window, log)
        self.until_80 = self.until_100 = 0


class MemoryStore:
    """Every change is one turn of the event loop, so what is reserved together is reserved together or not at all."""

    def __init__(
        self,
        clock: Callable[[], int],
        changed: Callable[[Budget, Meter], None] | None = None,
        gone: Callable[[str], None] | None = None,
    ) -> None:
        """`clock`: microseconds. `changed` hears of every change of a lasting budget, `gone` of forgotten prefixes."""
        self._clock = clock
        self._changed = changed
        self._gone = gone
        self._now = 0
        self._meters: dict[str, _Counted] = {}
        self._since_sweep = 0

    def load(self, key: str, window: int | None, log: Iterable[tuple[int, int]]) -> None:
        """Take up what was counted before a restart. Nobody is warned again of what was crossed before it."""
        self._meters[key] = meter = _Counted(window, log)
        self._now = max([self._now, *(at for at, _ in meter.log)])

    def reserve(self, wants: Sequence[Want], done: Callable[[Reserved | Full | None], None]) -> None:
        """Take all that is wanted, or nothing; `done` is called at once."""
        now = self._tick()
        fullest: Full | None = None
        known = self._meters
        taken: list[tuple[_Counted, Want]] = []
        for want in wants:
            budget, take, hold = want
            meter = known.get(budget.key) or self._meter(budget)
            excess = meter.used(now) + (take + hold or 1) - budget.most
            if excess > 0:
                full = Full(budget, meter.wait(excess, now))
                if fullest is None or _later(full, fullest):
                    fullest = full
            if take or hold:
                taken.append((meter, want))
        if fullest is not None:
            done(fullest)
            return
        crossed: list[Crossing] = []
        for meter, (budget, take, hold) in taken:
            if take:
                meter.add(take, now)
                if meter.total * 5 >= budget.most * 4:
                    self._warn(budget, meter, now, crossed)
            meter.held += hold
            if self._changed is not None and budget.lasting:
                self._changed(budget, meter)
        done(Reserved(wants, now, crossed))

    def settle(self, reserved: Reserved, used: Used, done: Callable[[Sequence[Crossing]], None]) -> None:
        """Charge what was really used in place of what was kept. An overdraft stands."""
        if not reserved.open:
            return
        reserved.open = False
        now = self._tick()
        known = self._meters
        crossed: list[Crossing] = []
        for budget, _, hold in reserved.wants:
            more = used.of(budget.measure)
            if more <= 0 and not hold:
                continue
            meter = known.get(budget.key) or self._meter(budget)
            if hold:
                meter.held = max(meter.held - hold, 0)
            if more > 0:
                meter.used(now)
                meter.add(more, now)
                if meter.total * 5 >= budget.most * 4:
                    self._warn(budget, meter, now, crossed)
            if self._changed is not None and budget.lasting:
                self._changed(budget, meter)
        if crossed:
            done(crossed)

    def release(self, reserved: Reserved) -> None:
        """Give back all that was taken: nothing was done."""
        if not reserved.open:
            return
        reserved.open = False
        now = self._tick()
        for want in reserved.wants:
            meter = self._meter(want.budget)
            meter.held = max(meter.held - want.hold, 0)
            if want.take:
                meter.give_back(want.take, reserved.at, now)
            if self._changed is not None and want.budget.lasting:
                self._changed(want.budget, meter)

    async def levels(self, budgets: Sequence[Budget]) -> Sequence[Level] | None:
        """Return how budgets stand; None: that is not known now."""
        now = self._tick()
        found: list[Level] = []
        for budget in budgets:
            meter = self._meters.get(budget.key)
            used = 0 if meter is None else meter.used(now)
            frees = None if meter is None or meter.window is None else meter.wait(1, now)
            found.append(Level(budget, used, frees))
        return found

    def forget(self, prefix: str) -> None:
        """Forget the budgets of an owner that is no more."""
        for key in [key for key in self._meters if key.startswith(prefix)]:
            del self._meters[key]
        if self._gone is not None:
            self._gone(prefix)

    def _tick(self) -> int:
        """Return the moment; one that lies before an earlier one counts as that."""
        now = self._clock()
        if now <= self._now:
            return self._now
        self._now = now
        return now

    def _meter(self, budget: Budget) -> _Counted:
        meter = self._meters.get(budget.key)
        if meter is None:
            self._since_sweep += 1
            if self._since_sweep >= _sweep_every:
                self._sweep()
            meter = self._meters[budget.key] = _Counted(budget.window)
        return meter

    def _sweep(self) -> None:
        self._since_sweep = 0
        for key, meter in tuple(self._meters.items()):
            if meter.window is not None and not meter.used(self._now):
                del self._meters[key]

    def _warn(self, budget: Budget, meter: _Counted, now: int, crossed: list[Crossing]) -> None:
        """Note that a budget, used to 80 percent or more, reached a level: once in its window."""
        used, most = meter.total, budget.most
        span = _forever if budget.window is None else max(budget.window, _seldom)
        if used >= most:
            if meter.until_100 <= now:
                meter.until_80 = meter.until_100 = now + span
                crossed.append(Crossing(budget, 100))
        elif meter.until_80 <= now:
            meter.until_80 = now + span
            crossed.append(Crossing(budget, 80))


_forever = 1 << 62


def _later(full: Full, other: Full) -> bool:
    return other.wait is not None and (full.wait is None or full.wait > other.wait)
