"""Implication between matchers and filters, which decides what counts as a widening."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bailiwick.match.evaluate import all_of, holds
from bailiwick.match.implies import filter_implies, implies
from bailiwick.model.matcher import Anything, Bound, Empty, Equal, Every, Glob, Matcher, Not, OneOf, Prefix, Within
from bailiwick.model.scope import RowFilter
from bailiwick.model.session import Claim
from bailiwick.model.value import Ref

NOW = datetime(2026, 11, 22, tzinfo=UTC)
N = Ref(("n",))


@pytest.mark.parametrize(
    ("narrow", "wide", "expected"),
    [
        (Equal(1), Anything(), True),
        (Anything(), Equal(1), False),
        (OneOf(()), Equal(1), True),
        (Equal("a"), OneOf(("a", "b")), True),
        (OneOf(("a", "b")), OneOf(("b", "a", "c")), True),
        (OneOf(("a", "b")), OneOf(("a",)), False),
        (OneOf(("a",)), Equal("a"), True),
        (Equal("open"), Not(Equal("closed")), True),
        (Equal("a"), Not(Equal("a")), False),
        (Equal("A"), Not(Equal("a")), None),  # a citext, or a collation, takes them for equal
        (OneOf(("b", "A")), Not(OneOf(("a", "c"))), None),
        (Equal("à"), Not(Equal("a")), None),
        (Equal("ø"), Not(Equal("o")), None),
        (Equal("Co-op"), Not(Equal("coop")), None),
        (Equal("ABC"), Not(Prefix("ab")), None),
        (Equal("ABC"), Not(Prefix("bc")), True),
        (Equal("ABC"), Not(Glob("a*")), None),
        (Equal(1), Not(Equal(2)), True),
        (Equal(5), Bound(min=1, max=5), True),
        (Equal(5), Bound(under=5), False),
        (Equal(N), Equal(N), True),
        (Equal(N), OneOf((N, 1)), True),
        (Equal(N), Equal(1), None),
        (Equal(1), Equal(N), None),
        (Equal(1), OneOf((N, 1)), True),
        (Bound(min=2, max=3), Bound(min=1), True),
        (Bound(min=2), Bound(min=1, max=9), False),
        (Bound(over=1), Bound(min=1), True),
        (Bound(min=1), Bound(over=1), False),
        (Bound(under=5), Bound(max=5), True),
        (Bound(max=5), Bound(under=5), False),
        (Bound(min=N), Bound(min=N), True),
        (Bound(over=N), Bound(min=N), True),
        (Bound(min=N), Bound(min=1), None),
        (Within(timedelta(days=1)), Within(timedelta(days=2)), True),
        (Within(timedelta(days=2)), Within(timedelta(days=1)), False),
        (Equal("abc"), Prefix("ab"), True),
        (Prefix("abc"), Prefix("ab"), True),
        (Prefix("a"), Prefix("ab"), False),
        (Equal("abc"), Glob("a*c"), True),
        (Prefix("ab"), Glob("a*"), None),
        (Every((Bound(min=1), Not(Equal(5)))), Bound(min=0), True),
        (Equal(1), Every((Bound(min=0), Bound(max=2))), True),
        (Every((Bound(min=1), Bound(max=2))), Equal(1), None),
        (Not(OneOf(("a", "b"))), Not(Equal("a")), True),
        (Not(Equal("a")), Not(OneOf(("a", "b"))), False),
        (Not(Equal("a")), Not(Equal(1)), None),
        (Equal(1), Empty(False), True),
        (Bound(min=1), Empty(False), True),
        (Empty(True), Empty(False), None),
    ],
)
def test_a_matcher_implies_another_or_not_or_it_cannot_be_decided(
    narrow: Matcher, wide: Matcher, expected: bool | None
) -> None:
    assert implies(narrow, wide) is expected


A1, A2, B1 = ("a", Equal(1)), ("a", OneOf((1, 2))), ("b", Equal(1))


@pytest.mark.parametrize(
    ("narrow", "wide", "expected"),
    [
        (RowFilter(), RowFilter(), True),
        (RowFilter((A1,)), RowFilter(), True),
        (RowFilter(), RowFilter((A1,)), False),
        (RowFilter((A1, B1)), RowFilter((A2,)), True),
        (RowFilter((A2,)), RowFilter((A1,)), False),
        (RowFilter((B1,)), RowFilter((A1,)), False),
        (RowFilter((), "a = 1"), RowFilter((A1,)), None),
        (RowFilter((A1,), "x  >\n1"), RowFilter((), "x > 1"), True),
        (RowFilter((A1,)), RowFilter((), "x > 1"), None),
        (RowFilter(), RowFilter((), "x > 1"), False),
        (RowFilter((("a", Bound(min=1)), ("a", Bound(max=1)))), RowFilter((A1,)), None),
    ],
)
def test_a_filter_implies_another_or_not_or_it_cannot_be_decided(
    narrow: RowFilter, wide: RowFilter, expected: bool | None
) -> None:
    assert filter_implies(narrow, wide) is expected


scalars = st.integers(-2, 2) | st.sampled_from(["a", "ab", ""]) | st.just(Decimal("0.5"))
operands = scalars | st.just(N)
ends = st.none() | st.integers(-2, 2) | st.just(N)
leaves: st.SearchStrategy[Matcher] = st.one_of(
    st.builds(Equal, operands),
    st.lists(operands, max_size=3).map(lambda items: OneOf(tuple(items))),
    st.builds(Bound, min=ends, max=ends, over=ends, under=ends),
    st.builds(Prefix, st.sampled_from(["", "a", "ab"])),
    st.builds(Glob, st.sampled_from(["*", "a*", "a?"])),
    st.builds(Empty, st.booleans()),
    st.just(Anything()),
)
matchers: st.SearchStrategy[Matcher] = st.recursive(
    leaves,
    lambda inner: st.builds(Not, inner) | st.lists(inner, max_size=2).map(lambda parts: Every(tuple(parts))),
    max_leaves=4,
)
claims = st.none() | scalars | st.lists(scalars, max_size=2).map(tuple)


@settings(max_examples=400)
@given(matchers, matchers, scalars | st.none(), claims)
def test_what_is_said_to_imply_does_for_every_value(
    narrow: Matcher, wide: Matcher, value: object, claim: Claim | None
) -> None:
    if implies(narrow, wide) and holds(narrow, value, lambda _: claim, NOW):
        assert holds(wide, value, lambda _: claim, NOW)


@given(st.lists(st.tuples(st.just("a"), matchers), max_size=2), st.lists(st.tuples(st.just("a"), matchers), max_size=2))
def test_what_a_filter_is_said_to_imply_it_does(
    narrow: list[tuple[str, Matcher]], wide: list[tuple[str, Matcher]]
) -> None:
    if filter_implies(RowFilter(tuple(narrow)), RowFilter(tuple(wide))):
        for value in (None, -1, 0, 1, "a", "ab", ""):
            admitted = all_of(holds(matcher, value, lambda _: 1, NOW) for _, matcher in narrow)
            if admitted:
                assert all_of(holds(matcher, value, lambda _: 1, NOW) for _, matcher in wide)
