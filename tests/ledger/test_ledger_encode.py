"""Canonical bytes: one form, read back exactly, never failing."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.ledger.encode import Entry, Stamped, decode, encode, form_of
from bailiwick.model.record import JsonValue, Record

AT = datetime(2026, 11, 22, 8, 0, 0, 5, UTC)
CLEAN = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=8)
ODD = st.text(st.characters(categories=None), max_size=8) | st.sampled_from(["\ud800", "\0", "\\u0000", "a\udfffb\0"])
DECISIONS: list[Literal["", "allow", "deny", "hold"]] = ["", "allow", "deny", "hold"]


def details(text: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, JsonValue]]:
    leaf = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | text
    value: st.SearchStrategy[JsonValue] = st.recursive(
        leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3), max_leaves=6
    )
    return st.dictionaries(text, value, max_size=3)


def records(text: st.SearchStrategy[str]) -> st.SearchStrategy[Record]:
    texts = st.lists(text, max_size=3).map(tuple)
    number = st.none() | st.integers(0, 2**60)
    return st.builds(
        Record,
        id=text,
        kind=st.sampled_from(["call", "intent", "outcome", "session.opened"]),
        at=st.datetimes(min_value=datetime(1000, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 -- hypothesis wants it naive
        agent=text,
        user=text,
        session=text,
        task=text,
        chain=texts,
        mount=text,
        actions=texts,
        fields=st.dictionaries(text, texts, max_size=3),
        labels=texts,
        statement=text,
        decision=st.sampled_from(DECISIONS),
        code=text,
        message=text,
        grants=texts,
        policy=text,
        refers=text,
        purpose=text,
        rows=number,
        bytes=number,
        duration_us=number,
        detail=details(text),
    )


@given(records(CLEAN), st.integers(0, 2**50))
def test_a_record_reads_back_as_it_was(record: Record, seq: int) -> None:
    assert decode(encode(record, seq)) == Entry(seq, record)


@given(records(ODD), st.integers(0, 2**50))
def test_odd_text_never_fails_and_the_result_is_stable(record: Record, seq: int) -> None:
    body = encode(record, seq)
    assert b"\\u0000" not in body.replace(b"\\\\", b"")
    entry = decode(body)
    assert entry is not None
    assert entry.seq == seq
    assert encode(entry.record, seq) == body


NUMBERS = st.integers(0, 2**62)
IDS = st.from_regex(r"rec_[0-9A-Z]{26}", fullmatch=True)
MOMENTS = st.datetimes(min_value=datetime(1000, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 -- hypothesis wants it naive


@given(records(ODD), IDS, MOMENTS, NUMBERS, NUMBERS, NUMBERS, st.integers(0, 2**50))
def test_a_stamped_record_has_the_bytes_of_the_whole_one(
    common: Record, name: str, at: datetime, rows: int, size: int, spent: int, seq: int
) -> None:
    form = form_of(common)
    assert form is not None
    stamped = Stamped(form, name, at, rows, size, spent)
    assert stamped.record == common._replace(id=name, at=at, rows=rows, bytes=size, duration_us=spent)
    assert encode(stamped, seq) == encode(stamped.record, seq)


def test_a_record_that_looks_like_the_probe_has_no_form() -> None:
    common = Record("", "call", AT, detail={"duration_us": 1_008_000_000_000_000_001})
    assert form_of(common) is None
    assert form_of(common._replace(detail={"duration_us": 1_008})) is not None


@given(records(ODD))
def test_bytes_are_sorted_compact_json_without_empty_members(record: Record) -> None:
    body = encode(record, 3)
    document = json.loads(body)
    assert list(document) == sorted(document)
    assert all(value not in ("", [], {}, None) for name, value in document.items() if name not in ("id", "rows"))
    assert json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() == body


def test_the_form_in_full() -> None:
    record = Record(
        id="rec_1", kind="call", at=AT, agent="bot", actions=("t:read",), rows=0, detail={"b": 1, "a": None}
    )
    assert encode(record, 7) == (
        b'{"actions":["t:read"],"agent":"bot","at":"2026-11-22T08:00:00.000005Z","detail":{"a":null,"b":1},'
        b'"id":"rec_1","kind":"call","rows":0,"seq":7,"v":1}'
    )


@pytest.mark.parametrize(
    "at",
    [
        datetime(2026, 11, 22, 8, 0, tzinfo=UTC),
        datetime(2026, 11, 22, 8, 0),  # noqa: DTZ001 -- taken to be UTC
        datetime(2026, 11, 22, 9, 0, tzinfo=timezone(timedelta(hours=1))),
    ],
)
def test_moments_are_utc_with_six_digits(at: datetime) -> None:
    assert b'"at":"2026-11-22T08:00:00.000000Z"' in encode(Record(id="r", kind="call", at=at), 0)


def test_what_json_cannot_carry_is_replaced_visibly() -> None:
    nested: JsonValue = "end"
    for _ in range(400):
        nested = [nested]
    detail: dict[str, JsonValue] = {"big": 2**70, "nan": float("nan"), "deep": nested, "\ud800": "\0"}
    document = json.loads(encode(Record(id="r", kind="call", at=AT, detail=detail), 0))
    assert document["detail"]["big"] == hex(2**70)
    assert document["detail"]["\ufffd"] == "\ufffd"
    assert "end" not in json.dumps(document["detail"]["deep"])


GOOD = encode(Record(id="r", kind="call", at=AT), 4)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"\xff",
        GOOD + b" ",
        GOOD.replace(b'"v":1', b'"v":2'),
        GOOD.replace(b'"v":1', b'"v":1,"w":1'),
        GOOD.replace(b'"seq":4', b'"seq":"4"'),
        GOOD.replace(b'"call"', b'"event"'),
        GOOD.replace(b"000005Z", b"5Z"),
        GOOD.replace(b'"id"', b'"agent":"","id"'),
        GOOD.replace(b'"id"', b'"fields":{"t":"a"},"id"'),
        GOOD.replace(b'"at"', b'"actions":[1],"at"'),
    ],
)
def test_only_canonical_bytes_are_decoded(body: bytes) -> None:
    assert decode(GOOD) is not None
    assert decode(body) is None
