"""Deciding in the console: what a reviewer sees, who may decide, and that it is what they saw."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
from console_world import World

from bailiwick.console.reviewing import MASKED, changes, review
from bailiwick.gateway.approvals.sight import seen
from bailiwick.gateway.wire import Json
from bailiwick.model.approval import Approval, ChangedRow, Previewed, Requester, Reviewer, Subject, Terms
from bailiwick.policy.load import load

pytestmark = pytest.mark.xdist_group("console")
EVIL = "<script>alert('canary')</script>"


def state(world: World, approval: str) -> str:
    found = world.gateway.admin.ask("approval.show", {"approval": approval})["approval"]
    return str(cast("Mapping[str, Json]", found)["state"])


def test_reviewer_sees_the_difference_and_denies_with_a_reason(world: World) -> None:
    session = world.gateway.open_session("desk-bot", user="grace", groups=("support",))
    note = f"new {EVIL}".replace("'", "''")
    approval = world.held(session, f"UPDATE items SET note = '{note}' WHERE id IN (3, 4)", EVIL)
    browser = world.browser("ann")
    assert approval in browser.once("/console/approvals").text
    page = browser.once(f"/console/approvals/{approval}")
    assert page.status == 200
    assert EVIL not in page.text
    assert "<del>note 3</del>" in page.text
    assert "<ins>new &lt;script&gt;" in page.text
    assert "2 rows would change" in page.text
    place = f"/console/approvals/{approval}/decide"
    for refused in (
        {},
        {"verdict": "approve", "digest": "0" * 64},
        {"verdict": "deny", "reason": ""},
        {"verdict": "x"},
    ):
        assert browser.once(place, {"csrf": page.token, **refused}).status in (400, 409)
    assert state(world, approval) == "PENDING"
    denied = {"csrf": page.token, "verdict": "deny", "reason": "not like this"}
    assert world.browser("eve").once(place, denied).status == 403  # an auditor looks and does not decide
    assert browser.once(place, denied).status == 303
    assert state(world, approval) == "DENIED"
    after = browser.once(f"/console/approvals/{approval}")
    assert "not like this" in after.text
    assert 'value="approve"' not in after.text
    assert approval in browser.once("/console/approvals?which=past").text


def test_approval_is_of_what_was_shown_and_never_by_the_person_behind_it(world: World) -> None:
    session = world.gateway.open_session("desk-bot", user="ann", groups=("support",))
    approval = world.held(session, "DELETE FROM items WHERE id = 7")
    place, own, other = f"/console/approvals/{approval}/decide", world.browser("ann"), world.browser("root")
    page = other.once(f"/console/approvals/{approval}")
    assert "<del>mail7@x.example</del>" in page.text
    digest = page.text.partition('name="digest" value="')[2].partition('"')[0]
    mine = own.once(f"/console/approvals/{approval}")
    assert 'value="approve"' not in mine.text
    assert own.once(place, {"csrf": mine.token, "verdict": "approve", "digest": digest}).status == 409
    assert state(world, approval) == "PENDING"
    assert other.once(place, {"csrf": page.token, "verdict": "approve", "digest": digest}).status == 303
    assert state(world, approval) == "APPROVED"
    history = other.once("/console/ledger?kind=console.action").text
    assert "approval.decide" in history


def test_queue_is_paged_and_live(world: World) -> None:
    session = world.gateway.open_session("desk-bot", user="grace", groups=("support",))
    for number in range(10, 13):
        world.held(session, f"DELETE FROM items WHERE id = {number}")
    browser = world.browser("ann")
    page = browser.once("/console/approvals?which=waiting")
    assert page.text.count("data-row") >= 3
    assert "/console/approvals/live?which=waiting" in page.text
    assert browser.once("/console/approvals?which=waiting&from=100000").status == 200
    assert world.browser("vic").once("/console/approvals").status == 403


POLICY = load(
    {
        "policy.yaml": """
bailiwick: 1
mounts:
  m:
    kind: postgres
    url: ${X}
    resources: {items: {table: items, labels: {ssn: restricted, mail: confidential}}}
"""
    }
).policy


def told() -> dict[str, Json]:
    return {
        "kind": "statement",
        "statement": "UPDATE items SET …",
        "parameters": {"values": ["canary-ssn"]},
    }


def approval(*labels: str, after: Mapping[str, str | None] | None, key: str = "1") -> Approval:
    row = ChangedRow((key,), {"id": "1", "ssn": "canary-ssn", "mail": "m"}, after)
    content = json.dumps({"values": ["canary-ssn"]})
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return Approval(
        "apr_1",
        Subject("statement", "m", "UPDATE items SET …", content, "digest"),
        Requester("ses_1", "bot"),
        Terms((), timedelta(hours=1), timedelta(hours=1)),
        "policy",
        ("items:update",),
        (),
        "canary",
        now,
        now,
        labels=labels,
        previewed=Previewed(1, (row,), "keys"),
    )


def test_values_above_a_reviewers_clearance_are_masked() -> None:
    assert POLICY is not None
    made = approval("restricted", after={"id": "1", "ssn": "x", "mail": "n"})
    low = review(seen(made, POLICY, Reviewer("ann", clearance="confidential")))
    assert low.hidden
    assert "canary" not in repr(low)
    fields = {field.name: (field.before, field.after) for field in low.rows[0].fields}
    assert fields == {"ssn": (MASKED, MASKED), "mail": (MASKED, MASKED)}  # a mail may be set to what an ssn is
    high = review(seen(made, POLICY, Reviewer("ann", clearance="restricted")))
    assert not high.hidden
    assert "canary-ssn" in repr(high)
    part = review(seen(approval(after=None), POLICY, Reviewer("ann", clearance="internal")))
    assert (part.hidden, part.arguments[0].value) == (True, '"canary-ssn"')
    assert (part.rows[0].kind, part.rows[0].key) == ("deleted", "1")
    assert {field.name: field.before for field in part.rows[0].fields} == {"id": "1", "ssn": MASKED, "mail": MASKED}
    assert review(seen(made, POLICY, Reviewer("ann"))).hidden  # of whom nothing is known


def test_form_changes_only_what_differs() -> None:
    call: dict[str, Json] = {
        "kind": "call",
        "name": "refund",
        "arguments": {"amount": 900, "note": "x", "to": {"a": 1}},
    }
    form = {"arg.amount": "40", "arg.note": '"x"', "arg.to": json.dumps({"a": 1}), "arg.other": "1"}
    assert changes(call, form) == {"amount": 40}
    assert changes(call, {"arg.note": "plain words"}) == {"note": "plain words"}
    assert changes(told(), {"statement": "UPDATE items SET …", "arg.$1": '"canary-ssn"'}) == {}
    assert changes(told(), {"statement": "DELETE", "arg.$1": "null"}) == {"statement": "DELETE", "$1": None}
