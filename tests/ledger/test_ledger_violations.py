"""The report of denials: every denial is counted once in each of its dimensions."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.ledger.violations import Denied, add_up, change, month, told

SINCE = datetime(2026, 11, 1, tzinfo=UTC)
UNTIL = datetime(2026, 12, 1, tzinfo=UTC)
NAME = st.sampled_from(["a", "b", "c"])
DENIED = st.builds(
    Denied,
    NAME,
    NAME,
    NAME,
    st.integers(1, 30).map(lambda day: f"2026-11-{day:02}"),
    st.lists(st.sampled_from(["x:read", "x:update", "y:read"]), max_size=3).map(tuple),
    st.integers(1, 9),
)


@given(st.lists(DENIED, max_size=20))
def test_each_denial_counts_once_in_each_dimension(denied: list[Denied]) -> None:
    found = add_up(denied, SINCE, UNTIL, 0)
    total = sum(each.times for each in denied)
    assert found.total == total
    for counted in (found.agents, found.codes, found.persons, found.days):
        assert sum(count for _, count in counted) == total
    assert len(found.days) == 30
    touched = {"x", "y"}
    for name, count in found.resources:
        assert count == sum(d.times for d in denied if any(a.startswith(f"{name}:") for a in d.actions))
        touched.discard(name)
    assert not [d for d in denied for a in d.actions if a.partition(":")[0] in touched]
    assert [cause.count for cause in found.causes] == sorted((c.count for c in found.causes), reverse=True)
    assert sum(cause.count for cause in found.causes) <= total
    if len({(d.agent, d.actions[:1], d.code) for d in denied}) <= 10:
        assert sum(cause.count for cause in found.causes) == total


def test_days_without_denials_are_days_too() -> None:
    found = add_up(
        [Denied("a", "p", "c", "2026-11-22", (), 2)], SINCE + timedelta(days=20), SINCE + timedelta(days=23), 1
    )
    assert found.days == [("2026-11-21", 0), ("2026-11-22", 2), ("2026-11-23", 0)]
    assert told(found)["before"] == 1


def test_a_change_is_in_percent_of_what_was() -> None:
    assert (change(12, 10), change(5, 10), change(10, 10), change(3, 0)) == ("+20%", "-50%", "+0%", "")


def test_months_are_read() -> None:
    assert month("2026-12") == (date(2026, 12, 1), date(2027, 1, 1))
    assert month("2026-02") == (date(2026, 2, 1), date(2026, 3, 1))
    for odd in ("2026-13", "2026", "x-y", "2026-1-1"):
        with pytest.raises(ValueError, match=r"."):
            month(odd)
