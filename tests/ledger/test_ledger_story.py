"""A session's story: each record that matters is told, in order, with what came of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bailiwick.ledger.story import tell
from bailiwick.model.record import JsonValue

WHO: dict[str, JsonValue] = {
    "agent": "bot",
    "user": "grace",
    "session": "ses_1",
    "task": "handle-ticket",
    "policy": "p1",
}


def entry(number: int, kind: str, **more: JsonValue) -> dict[str, JsonValue]:
    return {**WHO, "id": f"rec_{number}", "kind": kind, "at": f"2026-11-22T08:00:{number:02}.000000Z", **more}


SESSION = [
    entry(0, "session.opened", detail={"opener": "ann", "context": ["ticket_id"], "mounts": ["crm"], "parent": ""}),
    entry(1, "call", decision="allow", statement="SET bailiwick.reason = $1"),
    entry(
        2,
        "call",
        decision="allow",
        actions=["tickets:read"],
        fields={"tickets": ["subject", "body"]},
        mount="crm",
        rows=1,
        purpose="answering 4521",
        labels=["untrusted"],
    ),
    entry(
        3, "call", decision="deny", code="field_not_granted", statement="SELECT ssn FROM customers", message="no ssn"
    ),
    entry(
        4, "call", decision="deny", code="field_not_granted", statement="SELECT ssn FROM customers", message="no ssn"
    ),
    entry(5, "intent", decision="allow", actions=["tickets:update", "tickets:read"], mount="crm"),
    entry(6, "outcome", refers="rec_5", rows=3, code="batch_exceeded"),
    entry(
        7,
        "intent",
        decision="hold",
        actions=["notes:delete"],
        statement="DELETE FROM notes",
        detail={"preview": "rows"},
    ),
    entry(8, "outcome", refers="rec_7", rows=2),
    entry(9, "call", decision="hold", actions=["notes:delete"], statement="DELETE FROM notes", message="held as apr_1"),
    entry(10, "approval.verdict", message="agreed", detail={"by": "eve", "step": "approved", "approval": "apr_1"}),
    entry(11, "intent", decision="allow", actions=["notes:delete"], detail={"approval": "apr_1", "elevation": "esc_1"}),
    entry(12, "limit.warned", message="80 % of 10/min"),
    entry(13, "session.closed", detail={"by": "ann", "state": "CLOSED"}, message="done"),
]


def test_a_session_is_told_from_its_opening_to_its_end() -> None:
    story = tell(SESSION)
    assert story.title == "ses_1: bot for grace, task handle-ticket"
    assert [(each.text, each.tone) for each in story.steps] == [
        ("ann opened the session with ticket_id, for crm", "people"),
        ("gave as its reason: “answering 4521”", ""),
        ("read tickets (subject, body) on crm: 1 row", ""),
        ("was denied `SELECT ssn FROM customers`: no ssn (field_not_granted)", "denied"),
        ("updated tickets on crm: 3 rows; but it failed (batch_exceeded)", "changed"),
        ("had `DELETE FROM notes` tried out for those who decide, and undone: 2 rows", "held"),
        ("asked for `DELETE FROM notes`, which is held: held as apr_1", "held"),
        ("eve approved apr_1: “agreed”", "people"),
        ("deleted notes; nobody saw how it ended (approved as apr_1, under the elevation esc_1)", "changed"),
        ("limit was warned: 80 % of 10/min", ""),
        ("the session was closed by ann: done", "people"),
    ]
    assert story.ending == [
        "7 calls: 4 allowed, 2 denied, 1 held.",
        "Read: tickets. Changed or used: notes, tickets.",
        "Of 1 nobody saw how they ended.",
        "Labels of what it touched: untrusted.",
        "Under the policy p1.",
    ]


def test_equal_steps_that_follow_each_other_are_one_and_name_their_records() -> None:
    denied = next(each for each in tell(SESSION).steps if each.tone == "denied")
    assert (denied.times, denied.records) == (2, ("rec_3", "rec_4"))
    changed = next(each for each in tell(SESSION).steps if each.tone == "changed")
    assert changed.records == ("rec_5", "rec_6")


def test_an_unknown_session_has_no_story() -> None:
    assert tell([]).title == "There are no records of this session."


JSON: st.SearchStrategy[JsonValue] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=5,
)
MEMBERS = (
    "id",
    "kind",
    "at",
    "agent",
    "session",
    "decision",
    "actions",
    "fields",
    "detail",
    "rows",
    "labels",
    "policy",
)
KINDS = st.sampled_from(["call", "intent", "outcome", "session.opened", "approval.verdict", "approval.moved", "login"])


@given(st.lists(st.dictionaries(st.sampled_from(MEMBERS), JSON | KINDS, max_size=12), max_size=4))
def test_whatever_records_say_a_story_is_told(records: list[dict[str, JsonValue]]) -> None:
    story = tell(records)
    assert story.ending[0].endswith("held.")
    assert sum(each.times for each in story.steps) <= 2 * len(records)
