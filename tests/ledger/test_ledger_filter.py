"""The filter language: what it means, what it refuses, and that the index finds all that it means."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.errors import LedgerError
from bailiwick.ledger.facts import Facts, actions_of, facts_of
from bailiwick.ledger.filter import All, condition, meets, parse
from bailiwick.model.record import JsonValue

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
RECORD: Mapping[str, JsonValue] = {
    "seq": 7,
    "id": "rec_7",
    "kind": "call",
    "at": "2026-11-22T11:30:00.000000Z",
    "agent": "support-bot",
    "user": "ann@corp.example",
    "session": "ses_1",
    "mount": "crm",
    "actions": ["tickets:read", "customers:read"],
    "fields": {"tickets": ["subject"], "customers": ["name", "email"]},
    "labels": ["confidential", "pii"],
    "grants": ["support/tickets:read/1a"],
    "statement": "SELECT subject FROM tickets WHERE ticket_id = $1",
    "decision": "allow",
    "rows": 120,
    "bytes": 4096,
    "duration_us": 250_000,
    "detail": {"peer": "10.0.0.7", "elevation": {"id": "esc_1"}, "held": 2},
}


def moment(text: str) -> datetime:
    return NOW - timedelta(hours=int(text[:-1])) if text.endswith("h") else datetime.fromisoformat(text)


def meant(text: str, record: Mapping[str, JsonValue] = RECORD) -> bool:
    return meets(parse(text, moment), record)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "agent:support-bot",
        "agent=support-bot",
        "agent:support-*",
        "agent:*bot",
        "agent:*port*b*",
        "user:*@corp.example",
        "person:ann@corp.example",
        "agent:billing,support-bot",
        "agent!=billing",
        "code:",
        'code:""',
        "task:",
        "resource:customers",
        "action:tickets:read",
        'action:"tickets:read"',
        "field:email",
        "field:customers.email",
        "label:pii",
        "grant:support/*",
        "rows>100",
        "rows>=120 rows<=120",
        "rows:120",
        "rows:7,120",
        "bytes>=4KiB",
        "duration>=250ms duration<1s",
        "seq<8",
        "at>=1h",
        "at<2026-11-22T12:00:00+00:00",
        "detail.peer:10.*",
        "detail.elevation.id:esc_1",
        "detail.held:2",
        "detail.absent:",
        "not agent:billing",
        "agent:billing or rows>100",
        "agent:support-bot and rows>100",
        "agent:support-bot AND NOT (rows<100 OR code:session)",
        "(agent:billing or agent:support-bot) decision:allow",
        "not (not agent:support-bot)",
        "TICKET_ID",
        '"where ticket_id"',
    ],
)
def test_a_filter_means_the_record(text: str) -> None:
    assert meant(text)
    assert not meant(f"not ({text})" if text else "not (seq>=0)")


@pytest.mark.parametrize(
    "text",
    [
        "agent:support",
        'agent:"support-*"',
        "agent:SUPPORT-BOT",
        "agent!=support-bot",
        "agent:a,b",
        "rows>120",
        "rows<120",
        "resource:ticket",
        "action:tickets",
        "field:tickets.email",
        "label:restricted",
        "at>=2026-11-22T11:30:01+00:00",
        "detail.peer:11.*",
        "seq>7",
        "agent:billing or rows>120",
        "agent:billing rows>100",
        "confidence",
        "kind",  # the names of members are not looked at
    ],
)
def test_a_filter_does_not_mean_the_record(text: str) -> None:
    assert not meant(text)
    assert meant(f"not ({text})")


@pytest.mark.parametrize("text", ["rows>1", "rows<1", "rows:1", "not rows>1 duration<1s"])
def test_what_a_record_does_not_have_compares_with_nothing(text: str) -> None:
    assert not meant(text, {"seq": 1, "kind": "login"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("agnet:x", "`agnet` is not a member of records"),
        ("rows>many", "`many` is no rows"),
        ("at>=soon", "`soon` is no time"),
        ("agent>x", "`agent` is a text"),
        ("rows>1,2", "`>` compares with one value"),
        ("(agent:x", "a `(` is not closed"),
        ("agent:x)", "a `)` has no `(`"),
        (")", "a `)` has no `(`"),
        ('agent:"x', "a value is missing, or its quotes are not closed"),
        ('"x', 'a `"` is not closed'),
        ("agent:x or", "nothing stands beside an `or`"),
        ("or agent:x", "nothing stands beside an `or`"),
        ("not", "nothing stands behind a `not`"),
        ("not " * 100 + "x", "it is nested too deeply"),
        ("(" * 100, "it is nested too deeply"),
        ("x" * 5000, "4000 characters at most"),
        ("detail.:x", "is not a member of records"),
    ],
)
def test_what_is_not_understood_is_said_with_its_place(text: str, said: str) -> None:
    with pytest.raises(LedgerError) as error:
        parse(text, moment)
    assert said in error.value.message


def test_a_misspelt_member_is_guessed() -> None:
    with pytest.raises(LedgerError) as error:
        parse("rows>1 agnet:x", moment)
    assert error.value.message.startswith("the filter is not understood at character 8")
    assert error.value.remedy == "did you mean `agent`?"


WORD = st.sampled_from(["a", "b", "a*", "*b", "a[b]?", "ab", ""])
TESTS = st.one_of(
    st.builds(
        "{}{}{}".format,
        st.sampled_from(["id", "kind", "agent", "mount", "decision", "code", "action", "resource"]),
        st.sampled_from([":", "!="]),
        WORD,
    ),
    st.builds("rows{}{}".format, st.sampled_from([":", "<", ">="]), st.integers(0, 3)),
    st.builds("seq{}{}".format, st.sampled_from([":", "<", ">="]), st.integers(0, 3)),
    st.builds("at{}{}h".format, st.sampled_from(["<", ">="]), st.integers(0, 3)),
    st.sampled_from(["kind:login", "decision:deny,hold", "kind:call,login", "a"]),
)
FILTERS = st.recursive(
    TESTS,
    lambda inner: st.one_of(
        st.builds("not ({})".format, inner),
        st.builds("({} or {})".format, inner, inner),
        st.builds("({} {})".format, inner, inner),
    ),
    max_leaves=6,
)
NAMES = st.sampled_from(["", "a", "b", "ab", "a[b]?"])
DOCUMENTS = st.fixed_dictionaries(
    {
        "seq": st.integers(0, 3),
        "kind": st.sampled_from(["call", "login", "a", ""]),
        "at": st.integers(0, 3).map(lambda hours: f"2026-11-22T{12 - hours:02}:00:00.000000Z"),
    },
    optional={
        **dict.fromkeys(("id", "agent", "mount", "code"), NAMES),
        "decision": st.sampled_from(["allow", "deny", "hold"]),
        "actions": st.lists(st.sampled_from(["a:read", "a:b", "b:read", "ab:read", "a", ""]), max_size=2),
        "rows": st.integers(0, 3),
    },
)


@given(FILTERS, DOCUMENTS)
def test_the_index_finds_every_record_that_is_meant(text: str, document: dict[str, JsonValue]) -> None:
    wanted = parse(text, moment)
    found = condition(wanted, "main.")
    if found is None or not meets(wanted, document):
        return
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(f"CREATE TABLE facts (seq, {', '.join(Facts._fields)})")
        connection.execute("CREATE TABLE accesses (action, seq)")
        facts = (document["seq"], *facts_of(document))
        connection.execute(f"INSERT INTO facts VALUES ({', '.join('?' * len(facts))})", facts)
        for action in actions_of(document):
            connection.execute("INSERT INTO accesses VALUES (?, ?)", (action, document["seq"]))
        rows = connection.execute(f"SELECT 1 FROM facts f WHERE {found.text}", found.values).fetchall()
    assert rows, (text, json.dumps(document))


@given(FILTERS)
def test_nothing_is_refused_that_the_grammar_makes(text: str) -> None:
    assert parse(text, moment) != All(())
