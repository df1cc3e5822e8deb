"""OCSF: every record of every kind is a valid event of version 1.8, and says no more than the record does."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Literal, cast, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ocsf_check import complaints

from bailiwick.ledger.encode import encode, read
from bailiwick.ledger.ocsf.mapping import checkpoint_of, event_of
from bailiwick.model.record import JsonValue, Record, RecordKind

AT = datetime(2026, 11, 22, 8, 0, 0, 5, UTC)
KINDS: tuple[RecordKind, ...] = get_args(RecordKind)
DECISIONS: list[Literal["", "allow", "deny", "hold"]] = ["", "allow", "deny", "hold"]


def event(record: Record, seq: int = 7) -> dict[str, Any]:
    body = encode(record, seq)
    document = read(body)
    assert document is not None
    return cast("dict[str, Any]", event_of(document, body.decode(), "bailiwick/1"))


def details(text: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, JsonValue]]:
    leaf: st.SearchStrategy[JsonValue] = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | text
    names = st.sampled_from(
        ["peer", "by", "caller", "finding", "measure", "seen", "usual", "approval", "name", "agent"]
    )
    value = st.recursive(
        leaf, lambda one: st.lists(one, max_size=2) | st.dictionaries(text, one, max_size=2), max_leaves=3
    )
    return st.dictionaries(names | text, value, max_size=5)


def records() -> st.SearchStrategy[Record]:
    text = st.text(st.characters(categories=None), max_size=6) | st.sampled_from(
        ["127.0.0.1:99999", "[::1]:5", "10.0.0.1"]
    )
    texts = st.lists(text | st.sampled_from(["tickets:read", "tickets:update:status", ":", "mail:send"]), max_size=3)
    number = st.none() | st.integers(-(2**70), 2**70)
    return st.builds(
        Record,
        id=text,
        kind=st.sampled_from(KINDS),
        at=st.datetimes(timezones=st.just(UTC)),
        agent=text,
        user=text,
        session=text,
        task=text,
        chain=texts.map(tuple),
        mount=text,
        actions=texts.map(tuple),
        fields=st.dictionaries(text, texts.map(tuple), max_size=2),
        labels=texts.map(tuple),
        statement=text,
        decision=st.sampled_from(DECISIONS),
        code=text,
        message=text,
        grants=texts.map(tuple),
        policy=text,
        refers=text,
        purpose=text,
        rows=number,
        bytes=number,
        duration_us=number,
        detail=details(text),
    )


@settings(deadline=None, max_examples=200)
@given(records())
def test_every_record_of_every_kind_is_a_valid_event(record: Record) -> None:
    made = event(record)
    assert complaints(made) == []
    json.dumps(made)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_alone_is_a_valid_event_of_a_class_that_fits(kind: RecordKind) -> None:
    made = event(Record("rec_1", kind, AT))
    assert complaints(made) == []
    assert made["metadata"]["event_code"] == kind
    if kind.endswith((".refused", ".failed")):
        assert made["status"] == "Failure"


def test_the_classes_are_those_that_a_security_team_looks_for() -> None:
    sql = Record("rec_1", "call", AT, actions=("tickets:read",), statement="SELECT $1", decision="allow")
    tool = Record("rec_1", "intent", AT, actions=("billing:refund",), decision="allow")
    assert [event(each)["class_uid"] for each in (sql, tool)] == [6005, 6003]
    of = {kind: event(Record("rec_1", kind, AT))["class_uid"] for kind in KINDS}
    assert (of["session.opened"], of["login"], of["finding"], of["agent.suspended"]) == (3003, 3002, 2004, 3001)
    assert event(sql._replace(actions=("tickets:read", "tickets:delete")))["activity_name"] == "Delete"


def test_who_what_and_on_which_grant_stand_in_the_event() -> None:
    record = Record(
        "rec_1",
        "call",
        AT,
        agent="support-bot",
        user="maria",
        session="ses_1",
        chain=("planner", "support-bot"),
        mount="crm",
        actions=("tickets:read",),
        fields={"tickets": ("subject",)},
        labels=("untrusted",),
        decision="deny",
        code="not_granted",
        grants=("support/tickets:read/1",),
        policy="v1",
        rows=3,
    )
    made = event(record)
    assert made["actor"]["user"]["name"] == "maria"
    assert made["actor"]["app_name"] == "support-bot"
    assert made["actor"]["invoked_by"] == "planner > support-bot"
    assert (made["action"], made["status_code"], made["severity"]) == ("Denied", "not_granted", "Medium")
    assert made["authorizations"][0]["policy"]["uid"] == "support/tickets:read/1"
    assert made["database"]["name"] == "crm"
    assert made["unmapped"]["resources"][0]["name"] == "tickets"
    assert (made["metadata"]["uid"], made["metadata"]["sequence"]) == ("rec_1", 7)


@given(records())
def test_what_was_taken_out_of_a_record_is_not_in_its_event(record: Record) -> None:
    body = encode(record._replace(agent="CANARY-kept"), 1).decode()
    document = read(body.encode())
    assert document is not None
    made = event_of({name: value for name, value in document.items() if name != "agent"}, "", "log")
    assert "CANARY" not in json.dumps(made)


def test_a_record_can_be_proven_from_its_event() -> None:
    record = Record("rec_1", "call", AT, agent="a", message="é")
    assert event(record)["raw_data"].encode() == encode(record, 7)


def test_a_checkpoint_is_an_event_that_carries_its_note() -> None:
    made = cast(
        "dict[str, Any]", checkpoint_of("bailiwick/1", 5, "bailiwick/1\n5\nAA=\n\n— x AA\n", "2026-11-22T08:00:00Z")
    )
    assert complaints(made) == []
    assert made["raw_data"].startswith("bailiwick/1\n5\n")
    assert made["log_name"] == "bailiwick/1"


def test_the_check_itself_finds_what_is_wrong() -> None:
    good = event(Record("rec_1", "call", AT, statement="SELECT 1"))
    assert complaints(good | {"activity_id": 55}) != []
    assert complaints(good | {"colour": "red"}) == ["colour is not an attribute"]
    assert complaints({name: value for name, value in good.items() if name != "src_endpoint"}) != []
    assert complaints(good | {"time": "today"}) == ["time is not a timestamp_t"]
    assert complaints(good | {"src_endpoint": {}}) != []
