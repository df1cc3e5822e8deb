"""The arithmetic of sliding windows, against a model that keeps every use."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from bailiwick.decide.windows import EXACT, Meter

WINDOW = 1000
Uses = list[tuple[int, int]]
uses = st.lists(st.tuples(st.integers(0, 400), st.integers(1, 5)), max_size=60)
"""How long after the one before, and how much."""


def in_any_window(taken: Uses) -> int:
    """The most that any window of that length holds, wherever it begins."""
    return max((sum(a for at, a in taken if begin <= at < begin + WINDOW) for begin, _ in taken), default=0)


@given(uses, st.integers(1, 20))
def test_no_window_holds_more_than_allowed_and_none_is_refused_without_need(steps: Uses, most: int) -> None:
    meter, now, taken = Meter(WINDOW), 0, Uses()
    for after, amount in steps:
        now += after
        counted = sum(a for at, a in taken if at > now - WINDOW)
        fits = meter.used(now) + amount <= most
        assert fits == (counted + amount <= most)
        if fits:
            meter.add(amount, now)
            taken.append((now, amount))
    assert in_any_window(taken) <= most


@given(uses, st.integers(1, 20), st.integers(1, 20))
def test_what_is_said_to_be_the_wait_is_exactly_the_wait(steps: Uses, most: int, wanted: int) -> None:
    meter, now = Meter(WINDOW), 0
    for after, amount in steps:
        now += after
        meter.used(now)
        meter.add(amount, now)  # an overdraft stands
    excess = meter.used(now) + wanted - most
    wait = meter.wait(excess, now)
    if wait is None:
        assert wanted > most
    elif wait:
        assert meter.used(now + wait - 1) + wanted > most
        assert meter.used(now + wait) + wanted <= most
    else:
        assert excess <= 0


@settings(max_examples=20)
@given(st.lists(st.integers(0, 3), min_size=EXACT + 50, max_size=3 * EXACT), st.integers(200, 600))
def test_of_very_many_uses_none_comes_back_early_and_memory_is_bounded(steps: list[int], most: int) -> None:
    meter, now, taken = Meter(WINDOW), 0, Uses()
    for after in steps:
        now += after
        if meter.used(now) + 1 <= most:
            meter.add(1, now)
            taken.append((now, 1))
        assert meter.used(now) >= sum(a for at, a in taken if at > now - WINDOW)
        late = WINDOW // 256 + 1
        assert meter.used(now) <= sum(a for at, a in taken if at > now - WINDOW - late)
        assert len(meter.log) <= 2 * EXACT + 2
    assert in_any_window(taken) <= most


@given(uses, st.data())
def test_what_is_given_back_counts_no_more_and_nothing_else_does_less(steps: Uses, data: st.DataObject) -> None:
    meter, now, taken = Meter(WINDOW), 0, Uses()
    for after, amount in steps:
        now += after
        meter.used(now)
        meter.add(amount, now)
        taken.append((now, amount))
        if data.draw(st.booleans()):
            at, back = data.draw(st.sampled_from(taken))
            meter.give_back(back, at, now)
            taken.remove((at, back))
        assert meter.used(now) == sum(a for at, a in taken if at > now - WINDOW)


def test_a_full_window_at_its_end_leaves_nothing_for_the_next_one_at_its_beginning() -> None:
    meter = Meter(WINDOW)
    for _ in range(10):
        meter.add(1, 999)
    assert meter.used(1001) == 10
    assert meter.used(1998) == 10
    assert meter.used(1999) == 0


def test_without_a_window_nothing_comes_back() -> None:
    meter = Meter(None)
    meter.add(3, 1)
    meter.add(4, 10**15)
    assert meter.used(10**18) == 7
    assert meter.wait(1, 10**18) is None
    assert len(meter.log) == 1
