"""A diff that says nothing widened is right, row by row, for random pairs of policies."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import product

from hypothesis import event, given, settings
from hypothesis import strategies as st

from bailiwick.decide.scope import effective_scope
from bailiwick.match.evaluate import all_of, holds
from bailiwick.model.action import Action
from bailiwick.model.lock import Lock, LockedColumn, LockedTable
from bailiwick.model.mask import Mask
from bailiwick.model.matcher import Bound, Equal, Matcher, Not, OneOf
from bailiwick.model.policy import Agent, Grant, Mount, Policy, Resource, Role, SecretRef
from bailiwick.model.scope import ResourceScope, RowFilter
from bailiwick.model.session import Session
from bailiwick.policy.diff import diff, widened

NOW = datetime(2026, 11, 22, tzinfo=UTC)
COLUMNS: tuple[str, ...] = ("a", "b")
ROWS: tuple[Mapping[str, int | None], ...] = tuple(
    dict(zip(COLUMNS, values, strict=True)) for values in product((None, 1, 2, 3), repeat=2)
)
COLUMNS_OF_T = tuple(LockedColumn(name, "integer") for name in COLUMNS)
LOCK = Lock({"crm": {("public", "t"): LockedTable("public", "t", "r", COLUMNS_OF_T)}})
MOUNTS = {"crm": Mount("crm", "postgres", SecretRef("${URL}"), {"t": Resource("t", "crm", "public", "t")})}

numbers = st.integers(1, 3)
plain: st.SearchStrategy[Matcher] = st.one_of(
    st.builds(Equal, numbers),
    st.lists(numbers, max_size=3).map(lambda items: OneOf(tuple(items))),
    st.builds(Bound, min=numbers),
)
names: st.SearchStrategy[str] = st.sampled_from(COLUMNS)
rows: st.SearchStrategy[dict[str, Matcher]] = st.dictionaries(names, plain | st.builds(Not, plain), max_size=1)
fields = st.none() | st.sets(names, min_size=1).map(lambda found: tuple(sorted(found)))


@st.composite
def grants(draw: st.DrawFn, place: int) -> Grant:
    verb = draw(st.sampled_from(["read", "read", "update", "delete", "*"]))
    effect = draw(st.sampled_from(["allow", "allow", "deny"]))
    masks = draw(st.dictionaries(names, st.sampled_from([Mask("full"), Mask("year")]), max_size=1))
    given_rows, named = draw(rows), draw(fields)
    if effect == "deny":
        return Grant(f"g{place}", "deny", Action("t", verb), "r", rows=given_rows, fields=named)
    return Grant(f"g{place}", "allow", Action("t", verb), "r", "why", rows=given_rows, fields=named, mask=masks)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[list[Grant], list[Grant]]:
    """Two lists of grants, the second a change of the first."""
    old = [draw(grants(place)) for place in range(draw(st.integers(1, 4)))]
    place = draw(st.integers(0, len(old) - 1))
    how = draw(st.sampled_from(["replace", "remove", "add"]))
    if how == "add":
        return old, [*old, draw(grants(9))]
    changed = [draw(grants(place))] if how == "replace" else []
    return old, [*old[:place], *changed, *old[place + 1 :]]


def policy(made: list[Grant]) -> Policy:
    return Policy("v", MOUNTS, {"r": Role("r", (), tuple(made))}, {"bot": Agent("bot", "o", "p", ("r",))}, {})


def admits(where: RowFilter, row: Mapping[str, int | None]) -> bool | None:
    return all_of(holds(matcher, row[name], lambda _: None, NOW) for name, matcher in where.conditions)


def reached(made: list[Grant]) -> set[tuple[str, int, str]]:
    """Return every verb (and way of showing), row and field that the grants reach."""
    session = Session("s", "bot", None, None, {}, None, NOW, NOW, None)
    scope = effective_scope(policy(made), LOCK, session).resources.get("t") or ResourceScope(
        MOUNTS["crm"].resources["t"]
    )
    found: set[tuple[str, int, str]] = set()
    for place, row in enumerate(ROWS):
        denied = [deny.fields for deny in scope.denied_rows if admits(deny.filter, row) is not False]
        if None in denied:
            continue
        for read in scope.reads:
            if admits(read.filter, row):
                shown = {name: mask for name, mask in read.fields.items() if not any(name in (d or ()) for d in denied)}
                for name, mask in shown.items():
                    ways = ("clear", "year", "full") if mask is None else ("year", "full")[mask.name == "full" :]
                    found |= {(way, place, name) for way in ways}
        for write in scope.updates:
            if admits(write.filter, row):
                found |= {("update", place, name) for name in write.fields}
        if any(admits(write.filter, row) for write in scope.deletes):
            found.add(("delete", place, ""))
    return found


@settings(max_examples=120, deadline=None)
@given(pairs())
def test_what_is_not_said_to_widen_reaches_nothing_more(pair: tuple[list[Grant], list[Grant]]) -> None:
    old, new = pair
    wider = widened(diff(policy(old), policy(new), LOCK, LOCK))
    event(f"widened: {wider}")
    if not wider:
        assert reached(new) <= reached(old)


@settings(max_examples=40, deadline=None)
@given(pairs())
def test_taking_an_allow_away_widens_nothing(pair: tuple[list[Grant], list[Grant]]) -> None:
    old, _ = pair
    fewer = [grant for grant in old if grant is not next((each for each in old if each.effect == "allow"), None)]
    assert not widened(diff(policy(old), policy(fewer), LOCK, LOCK))
