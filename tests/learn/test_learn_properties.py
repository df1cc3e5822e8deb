"""What is learned admits every session that it was learned from, and is no wider than what they did."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from learn_world import TABLES, Plain, call, covered, customer, learned, read, update

from bailiwick.learn.draft import Draft, Line
from bailiwick.model.matcher import Anything, Equal, Matcher, OneOf
from bailiwick.model.observation import Observation
from bailiwick.model.value import Ref, Scalar

_texts = st.sampled_from(("EUR", "USD", "$x", "any", "a: b", "x y z w", "", 'qu"ote', "новый", "true", "5", "a/b/c"))
_numbers = st.one_of(st.integers(-5, 500), st.floats(-10, 1000, allow_nan=False).map(lambda x: round(x, 2)))
_values: st.SearchStrategy[Plain] = st.one_of(
    _texts, _numbers, st.booleans(), st.none(), st.lists(_texts, max_size=2).map(list[str])
)


@st.composite
def _calls(draw: st.DrawFn, session: int) -> Observation:
    kind = draw(st.sampled_from(("refund", "search", "read", "read", "update")))
    mine = draw(st.sampled_from((True, True, True, False)))
    who = customer(session) if mine else draw(st.integers(1, 2000))
    if kind == "refund":
        given = draw(st.dictionaries(st.sampled_from(("amount", "currency", "note")), _values, max_size=3))
        return call(session, "refund", customer_id=who, **given)
    if kind == "search":
        given = draw(st.dictionaries(st.sampled_from(("query", "limit", "tags")), _values, max_size=3))
        return call(session, "search", **given)
    table = draw(st.sampled_from(tuple(TABLES)))
    columns = draw(st.lists(st.sampled_from(TABLES[table]), min_size=1, max_size=3, unique=True))
    if kind == "read":
        rows = draw(st.integers(0, 2))
        return read(session, table, *columns, rows=rows, customer_id=who)
    return update(session, table, {name: draw(_texts) for name in columns}, customer_id=who)


@st.composite
def _sessions(draw: st.DrawFn) -> list[Observation]:
    count = draw(st.sampled_from((1, 2, 5, 12, 30)))
    found: list[Observation] = []
    for session in range(count):
        found += [draw(_calls(session)) for _ in range(draw(st.integers(1, 3)))]
    return found


@settings(max_examples=30)
@given(observed=_sessions())
def test_every_session_that_was_learned_from_is_admitted(observed: list[Observation]) -> None:
    draft = learned(observed)
    aside = {each.session for each in draft.kept_out}
    cover = covered(draft)
    for each in observed:
        if each.session not in aside:
            assert cover.denied(each, each.values) == "", each


@settings(max_examples=30)
@given(observed=_sessions())
def test_nothing_is_wider_than_what_was_done_but_by_a_generalisation_that_is_named(
    observed: list[Observation],
) -> None:
    draft = learned(observed)
    aside = {each.session for each in draft.kept_out}
    kept = [each for each in observed if each.session not in aside]
    for proposed in draft.grants:
        lines = {line.what: line for line in proposed.lines}
        if proposed.tool:
            given = _given(kept, proposed.tool)
            for name, matcher in (proposed.args or {}).items():
                assert name in given
                _no_wider(matcher, given[name], lines.get(f"argument {name}"))
        else:
            assert set(proposed.fields or ()) <= _columns(kept, proposed.action.resource, proposed.action.verb)


@given(observed=_sessions(), again=st.permutations(range(5)))
@settings(max_examples=20)
def test_the_order_of_observations_makes_no_difference_to_who_may_do_what(
    observed: list[Observation], again: list[int]
) -> None:
    shuffled = [each for turn in again for each in observed[turn::5]]
    assert _actions(learned(observed)) == _actions(learned(shuffled))


def _actions(draft: Draft) -> set[tuple[str, tuple[str, ...] | None, tuple[str, ...]]]:
    return {(str(each.action), each.fields, tuple(sorted(each.rows))) for each in draft.grants}


def _given(observed: list[Observation], tool: str) -> dict[str, set[Scalar | None]]:
    found: dict[str, set[Scalar | None]] = {}
    for each in observed:
        if each.tool is not None and each.tool.name == tool:
            for argument in each.tool.arguments:
                found.setdefault(argument.name, set()).add(argument.value.value)
    return found


def _columns(observed: list[Observation], resource: str, verb: str) -> set[str]:
    found: set[str] = set()
    for each in observed:
        for use in each.tables:
            if use.resource == resource and verb == "read":
                found |= {*use.read, *use.filtered, *use.counted}
            elif use.resource == resource and use.verb == verb:
                found |= set(use.written)
    return found


def _no_wider(matcher: Matcher, seen: set[Scalar | None], line: Line | None) -> None:
    operands = (matcher.operand,) if isinstance(matcher, Equal) else ()
    operands = matcher.operands if isinstance(matcher, OneOf) else operands
    if operands and not any(isinstance(each, Ref) for each in operands):
        assert set(operands) <= seen
    elif isinstance(matcher, Anything):
        assert line is not None
        assert line.generalisation == "any value"
