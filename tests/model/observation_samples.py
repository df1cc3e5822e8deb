"""Strategies for observations of every kind."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

from hypothesis import strategies as st

from bailiwick.model.observation import (
    Argument,
    Condition,
    Held,
    Link,
    Observation,
    Origin,
    Seen,
    TableUse,
    ToolUse,
    comparisons,
    origin_kinds,
    reaches,
    seeings,
)

_words = st.text(min_size=1, max_size=8)
_any_text = st.text(max_size=8)
_moments = st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 -- hypothesis adds the zone
_origins = st.builds(Origin, st.sampled_from(origin_kinds), _any_text)
_numbers = st.decimals(allow_nan=False, allow_infinity=False).map(Decimal)


def _clear() -> st.SearchStrategy[Seen]:
    pairs = st.one_of(
        st.tuples(st.just("integer"), st.integers()),
        st.tuples(st.just("number"), _numbers),
        st.tuples(st.just("string"), _any_text),
        st.tuples(st.just("boolean"), st.booleans()),
        st.tuples(st.just("uuid"), st.uuids().map(str)),
        st.tuples(st.just("date"), st.dates(min_value=date(1990, 1, 1))),
        st.tuples(st.just("timestamp"), _moments),
    )
    return st.builds(lambda pair, origin: Seen(pair[0], pair[1], origin=origin), pairs, _origins)  # type: ignore[arg-type]  # pairs are of a type and its values


_hidden = st.builds(
    Seen, st.sampled_from(("string", "integer", "null", "object", "unknown")), digest=_any_text, shape=_any_text
)
_lists = st.builds(
    Seen, st.just("list"), items=st.lists(_clear(), max_size=3).map(tuple), whole=st.booleans(), origin=_origins
)
values = st.one_of(_clear(), _hidden, _lists)
_names = st.lists(_words, max_size=3, unique=True).map(lambda names: tuple(sorted(names)))
_several = st.lists(values, max_size=3).map(tuple)
_conditions = st.builds(Condition, _words, st.sampled_from(comparisons), _several)
_links = st.builds(Link, _words, _words, _words)
_held = st.builds(Held, _words, _several, st.booleans())
_counts = st.none() | st.integers(min_value=0, max_value=10**9)


def _few(each: st.SearchStrategy[object]) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(each, max_size=2).map(tuple)


tables = st.builds(
    TableUse,
    _words,
    st.sampled_from(("read", "create", "update", "delete")),
    table=_any_text,
    read=_names,
    filtered=_names,
    joined=_names,
    counted=_names,
    compared=_names,
    written=_names,
    reach=st.sampled_from(reaches),
    conditions=_few(_conditions),
    links=_few(_links),
    holds=_few(_held),
    sets=_few(_held),
    rows=_counts,
)
tools = st.builds(
    ToolUse,
    _words,
    resource=_any_text,
    verb=_any_text,
    kind=st.sampled_from(("tool", "prompt", "document", "route", "field")),
    arguments=_few(st.builds(Argument, _words, values)),
    read=_names,
    holds=_few(_held),
    effects=_names,
)
observations = st.builds(
    Observation,
    agent=_any_text,
    session=_any_text,
    at=_moments,
    user=_any_text,
    task=_any_text,
    mount=_any_text,
    record=_any_text,
    values=st.dictionaries(_words, values, max_size=3),
    tables=_few(tables),
    tool=st.none() | tools,
    statement=_any_text,
    rows=_counts,
    bytes=_counts,
    duration_us=_counts,
    cost=st.none() | _numbers,
    decision=st.sampled_from(seeings),
    code=_any_text,
)
