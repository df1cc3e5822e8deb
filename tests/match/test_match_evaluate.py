"""Matchers over values: three-valued, exact, and without regular expressions."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.match.evaluate import all_of, any_of, compare, holds
from bailiwick.match.glob import glob_matches
from bailiwick.model.matcher import Anything, Bound, Empty, Equal, Every, Glob, Matcher, Not, OneOf, Prefix, Within
from bailiwick.model.session import Claim
from bailiwick.model.value import Ref

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
VALUES: dict[str, Claim] = {"customer_id": 7, "regions": ("eu", "us"), "none": (), "name": "ann"}


def resolve(ref: Ref) -> Claim | None:
    return VALUES.get(ref.path[0])


def check(matcher: Matcher, value: object) -> bool | None:
    return holds(matcher, value, resolve, NOW)


def ref(name: str) -> Ref:
    return Ref((name,))


@pytest.mark.parametrize(
    ("matcher", "value", "expected"),
    [
        (Equal(1), 1, True),
        (Equal(1), Decimal("1.00"), True),
        (Equal(1), 1.0, True),
        (Equal(Decimal("0.1")), 0.1, True),
        (Equal(Decimal("0.30000000000000004")), 0.1 + 0.2, True),
        (Equal(2**70), 2**70 + 1, False),
        (Equal(1), "1", None),
        (Equal("1"), 1, None),
        (Equal(1), True, None),
        (Equal(True), 1, None),
        (Equal(True), True, True),
        (Equal(True), False, False),
        (Equal(1), None, None),
        (Equal(1), float("nan"), None),
        (Equal(1), Decimal("NaN"), None),
        (Equal(1), Decimal("sNaN"), None),
        (Equal("a"), "A", False),
        (Equal(1), [1], None),
        (Equal("00000000-0000-0000-0000-000000000001"), UUID(int=1), True),
        (Equal(date(2026, 1, 1)), datetime(2026, 1, 1, tzinfo=UTC), True),
        (Equal(date(2026, 1, 1)), "2026-01-01", None),
        (Equal(ref("customer_id")), 7, True),
        (Equal(ref("missing")), 7, None),
        (Equal(ref("regions")), "eu", None),
        (OneOf(("a", "b")), "b", True),
        (OneOf(("a", "b")), "c", False),
        (OneOf(()), "a", False),
        (OneOf(()), None, None),
        (OneOf((1, "a")), "a", True),
        (OneOf((1, "a")), "b", None),
        (OneOf((ref("regions"),)), "us", True),
        (OneOf((ref("regions"),)), "cn", False),
        (OneOf((ref("none"),)), "cn", False),
        (OneOf((ref("missing"), "a")), "b", None),
        (OneOf((ref("missing"), "a")), "a", True),
        (Anything(), None, True),
        (Bound(min=1, max=3), 3, True),
        (Bound(min=1, max=3), Decimal("3.0000000000000000001"), False),
        (Bound(over=1, under=3), 1, False),
        (Bound(over=1, under=3), 3, False),
        (Bound(over=1, under=3), 2, True),
        (Bound(min=1), True, None),
        (Bound(min=True), True, None),
        (Bound(min=1), "5", None),
        (Bound(min=1, max=ref("missing")), 0, False),
        (Bound(min=1, max=ref("missing")), 2, None),
        (Bound(max=500), float("inf"), False),
        (Bound(), 1, None),
        (Bound(min=date(2026, 1, 1)), datetime(2026, 1, 1, tzinfo=UTC), True),
        (Bound(min=date(2026, 1, 1)), datetime(2025, 12, 31, 23, 59, tzinfo=UTC), False),
        (Bound(min=date(2026, 1, 1)), datetime(2026, 5, 1), None),  # noqa: DTZ001 - a naive moment is the case
        (Within(timedelta(days=90)), NOW, True),
        (Within(timedelta(days=90)), NOW.isoformat(), True),
        (Within(timedelta(days=90)), (NOW - timedelta(days=91)).isoformat(), False),
        (Within(timedelta(days=90)), NOW.replace(tzinfo=None).isoformat(), None),
        (Within(timedelta(days=90)), "yesterday", None),
        (Within(timedelta(days=90)), NOW - timedelta(days=90), True),
        (Within(timedelta(days=90)), NOW - timedelta(days=90, seconds=1), False),
        (Within(timedelta(days=90)), NOW + timedelta(microseconds=1), False),
        (Within(timedelta.max), datetime(1, 1, 1, tzinfo=UTC), True),
        (Within(timedelta(days=90)), date(2026, 11, 1), True),
        (Within(timedelta(days=90)), "2026-11-01", None),
        (Within(timedelta(days=90)), None, None),
        (Prefix("ab"), "abc", True),
        (Prefix("ab"), "ABC", False),
        (Prefix(ref("name")), "anna", True),
        (Prefix(ref("customer_id")), "7", None),
        (Prefix("ab"), None, None),
        (Glob("a*"), "abc", True),
        (Glob("a*"), 1, None),
        (Empty(True), None, True),
        (Empty(True), "", True),
        (Empty(True), [], True),
        (Empty(True), 0, False),
        (Empty(True), " ", False),
        (Empty(False), None, False),
        (Empty(False), False, True),
        (Not(Equal(1)), 2, True),
        (Not(Equal(1)), None, None),
        (Not(Equal(1)), "1", None),
        (Every((Bound(min=1), Not(Equal(5)))), 5, False),
        (Every((Bound(min=1), Not(Equal(5)))), 4, True),
        (Every(()), 4, None),
    ],
)
def test_a_matcher_is_true_false_or_unknown(matcher: Matcher, value: object, expected: bool | None) -> None:
    assert check(matcher, value) is expected


truths = st.sampled_from([True, False, None])
numbers = st.one_of(st.integers(-3, 3), st.decimals(-3, 3, places=2), st.none(), st.just("2"))
leaves: st.SearchStrategy[Matcher] = st.one_of(
    st.builds(Equal, st.integers(-3, 3)),
    st.builds(Equal, st.sampled_from([ref("customer_id"), ref("missing")])),
    st.builds(Bound, min=st.none() | st.integers(-3, 3), over=st.none() | st.integers(-3, 3)),
    st.lists(st.integers(-3, 3), max_size=3).map(lambda items: OneOf(tuple(items))),
    st.builds(Empty, st.booleans()),
)
matchers: st.SearchStrategy[Matcher] = st.recursive(
    leaves,
    lambda inner: st.builds(Not, inner) | st.lists(inner, max_size=3).map(lambda parts: Every(tuple(parts))),
    max_leaves=6,
)


@given(st.lists(truths))
def test_conjunction_and_disjunction_are_kleenes(parts: list[bool | None]) -> None:
    rank = {False: 0, None: 1, True: 2}
    assert rank[all_of(parts)] == min([2, *(rank[part] for part in parts)])
    assert rank[any_of(parts)] == max([0, *(rank[part] for part in parts)])


@given(matchers, numbers)
def test_twice_not_is_the_matcher_itself(matcher: Matcher, value: object) -> None:
    assert check(Not(Not(matcher)), value) is check(matcher, value)


@given(matchers, matchers, numbers)
def test_de_morgan_holds_with_unknowns(first: Matcher, second: Matcher, value: object) -> None:
    either = Not(Every((Not(first), Not(second))))
    assert check(either, value) is any_of([check(first, value), check(second, value)])


@given(st.lists(st.integers(-3, 3) | st.just("2")), numbers)
def test_one_of_is_the_disjunction_of_its_equals(operands: list[int | str], value: object) -> None:
    expected = any_of(check(Equal(operand), value) for operand in operands)
    assert check(OneOf(tuple(operands)), value) is (None if value is None else expected)


@given(matchers)
def test_null_is_matched_by_nothing_but_any_and_empty(matcher: Matcher) -> None:
    if check(matcher, None) is not None:
        assert "Empty" in repr(matcher)


@given(st.integers() | st.decimals(allow_nan=False), st.integers() | st.decimals(allow_nan=False))
def test_numbers_compare_exactly(left: int | Decimal, right: int | Decimal) -> None:
    expected = (left > right) - (left < right)
    assert compare(left, right) == expected
    swapped = compare(right, left)
    assert swapped is not None
    assert expected == -swapped


def slow_glob(pattern: str, text: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "*":
        return slow_glob(pattern[1:], text) or (bool(text) and slow_glob(pattern, text[1:]))
    return bool(text) and pattern[0] in ("?", text[0]) and slow_glob(pattern[1:], text[1:])


@given(st.text("ab*?[", max_size=7), st.text("ab[\n", max_size=8))
def test_glob_is_its_definition(pattern: str, text: str) -> None:
    assert glob_matches(pattern, text) is slow_glob(pattern, text)


def test_glob_has_no_slow_patterns() -> None:
    assert not glob_matches("*a" * 60 + "b", "a" * 20_000)  # tried one by one, the ways to match would take for ever
