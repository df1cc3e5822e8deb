"""AuthZEN 1.0: requests in the shapes of its specification, decided by the policy and put on record."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest
from identity_rig import CLEARANCE, URL, Desk, make_desk

from bailiwick.control.authzen import AuthZen
from bailiwick.control.callers import Callers
from bailiwick.control.web import Asked

Body = dict[str, object]
OWN = {"ticket_id": 7, "tenant_id": 4, "customer_id": 70}


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    made = await make_desk(tmp_path)
    yield made
    await made.rig.sessions.stop()
    await made.rig.state.close()


async def ask(desk: Desk, body: object, token: str | None = None, path: str = "evaluation") -> tuple[int, Body]:
    """Ask the decision point; as a viewer, unless a token is given."""
    if token is None:
        form = {"grant_type": "client_credentials", "resource": "bailiwick:api"}
        token = str((await desk.post("/oauth/token", "watcher", **form))[1]["access_token"])
    sessions = desk.rig.sessions
    point = AuthZen(Callers(desk.oauth, desk.issuers, sessions, CLEARANCE), sessions, lambda: URL)
    headers = {"content-type": "application/json", "authorization": f"Bearer {token}", "x-request-id": "r-1"}
    asked = Asked("POST", f"/access/v1/{path}", {}, headers, json.dumps(body).encode(), "127.0.0.1:9")
    reply = await (point.evaluation if path == "evaluation" else point.evaluations)(asked)
    if reply.status == 200:
        assert ("x-request-id", "r-1") in reply.headers
    return reply.status, cast("Body", reply.body)


async def a_session(desk: Desk) -> tuple[str, str]:
    """Return a session's id and its token."""
    token = await desk.token()
    claims = desk.rig.tokens.verify(token, None, desk.rig.clock())
    return getattr(claims, "session", ""), token


def question(session: str, resource: Body, action: str = "read", **properties: object) -> Body:
    """Return an evaluation request about a session."""
    subject = {"type": "session", "id": session}
    return {"subject": subject, "action": {"name": action, "properties": properties}, "resource": resource}


async def test_session_may_what_its_policy_grants_and_the_decision_is_on_record(desk: Desk) -> None:
    session, _ = await a_session(desk)
    status, told = await ask(desk, question(session, {"type": "tickets", "id": "7", "properties": OWN}))
    assert (status, told["decision"]) == (200, True)
    record = desk.last()
    assert (record.kind, record.decision, record.session) == ("decision", "allow", session)
    assert record.actions == ("tickets:read",)
    assert cast("Body", told["context"])["record"] == record.id


@pytest.mark.parametrize(
    ("resource", "action", "code"),
    [
        ({"type": "tickets", "properties": {**OWN, "ticket_id": 8}}, "read", "row_out_of_scope"),
        ({"type": "tickets", "properties": {**OWN, "tenant_id": 5}}, "read", "row_out_of_scope"),
        ({"type": "tickets", "properties": {**OWN, "ticket_id": "7"}}, "read", "row_out_of_scope"),
        ({"type": "tickets", "properties": {"ticket_id": 7}}, "read", "row_out_of_scope"),
        ({"type": "tickets", "id": "8", "properties": OWN}, "read", "row_out_of_scope"),
        ({"type": "tickets", "id": "7"}, "read", "row_out_of_scope"),
        ({"type": "tickets"}, "delete", "action_not_granted"),
        ({"type": "tickets"}, "can_read", "action_not_granted"),
        ({"type": "invoices"}, "read", "resource_unknown"),
        ({"type": "tool", "id": "refund"}, "call", "resource_unknown"),
    ],
)
async def test_what_is_not_known_to_be_granted_is_denied(desk: Desk, resource: Body, action: str, code: str) -> None:
    session, _ = await a_session(desk)
    status, told = await ask(desk, question(session, resource, action))
    assert (status, told["decision"]) == (200, False)
    assert cast("Body", told["context"])["code"] == code
    assert desk.last().decision == "deny"


async def test_fields_are_part_of_the_question(desk: Desk) -> None:
    session, _ = await a_session(desk)
    customers: Body = {"type": "customers", "properties": {"customer_id": 71, "tenant_id": 4}}
    assert (await ask(desk, question(session, customers, fields=["customer_id"])))[1]["decision"] is True
    assert (await ask(desk, question(session, customers, fields=["tenant_id"])))[1]["decision"] is False


async def test_agent_is_decided_without_a_person_and_so_without_a_tenant(desk: Desk) -> None:
    subject = {"type": "agent", "id": "reader-bot", "properties": {"task": "look"}}
    asked = {"subject": subject, "action": {"name": "read"}, "resource": {"type": "tickets"}}
    assert (await ask(desk, asked))[1]["decision"] is True
    about = {**asked, "resource": {"type": "tickets", "properties": OWN}}
    assert (await ask(desk, about))[1]["decision"] is False
    for other in (
        {"type": "agent", "id": "nobody"},
        {"type": "user", "id": "ada"},
        {**subject, "properties": {"task": "x"}},
    ):
        assert (await ask(desk, {**asked, "subject": other}))[1]["decision"] is False


async def test_agent_asks_about_its_own_session_only(desk: Desk) -> None:
    session, token = await a_session(desk)
    other, _ = await a_session(desk)
    tickets: Body = {"type": "tickets", "properties": OWN}
    assert (await ask(desk, question(session, tickets), token))[1]["decision"] is True
    assert (await ask(desk, question(other, tickets), token))[1]["decision"] is False
    agent = {**question(session, tickets), "subject": {"type": "agent", "id": "reader-bot"}}
    assert (await ask(desk, agent, token))[1]["decision"] is False


async def test_revoked_session_may_nothing(desk: Desk) -> None:
    session, token = await a_session(desk)
    await desk.post("/oauth/revoke", token=token)
    assert (await ask(desk, question(session, {"type": "tickets", "properties": OWN})))[1]["decision"] is False
    assert (await ask(desk, question(session, {"type": "tickets", "properties": OWN}), token))[0] == 401


@pytest.mark.parametrize("known", [True, False])
async def test_refusal_of_a_subject_is_on_record_too(desk: Desk, *, known: bool) -> None:
    session, token = await a_session(desk)
    if known:
        await desk.post("/oauth/revoke", token=token)
    asked = question(session if known else "ses_none", {"type": "tickets", "id": "7", "properties": OWN})
    status, told = await ask(desk, asked)
    assert (status, told["decision"]) == (200, False)
    record, said = desk.last(), cast("Body", told["context"])
    assert (record.kind, record.decision, record.id) == ("decision", "deny", said["record"])
    assert record.actions == ("tickets:read",)
    assert record.code == said["code"] != ""


@pytest.mark.parametrize(
    ("semantic", "decisions"),
    [
        (None, [True, False, True]),
        ("execute_all", [True, False, True]),
        ("deny_on_first_deny", [True, False]),
        ("permit_on_first_permit", [True]),
    ],
)
async def test_batches_share_what_stands_beside_them(desk: Desk, semantic: str | None, decisions: list[bool]) -> None:
    session, _ = await a_session(desk)
    rows = [OWN, {**OWN, "ticket_id": 8}, OWN]
    body: Body = {
        "subject": {"type": "session", "id": session},
        "action": {"name": "read"},
        "context": {"time": "2026-11-22T15:22-07:00"},
        "evaluations": [{"resource": {"type": "tickets", "properties": row}} for row in rows],
    }
    if semantic is not None:
        body["options"] = {"evaluations_semantic": semantic}
    status, told = await ask(desk, body, path="evaluations")
    assert status == 200
    assert [each["decision"] for each in cast("list[Body]", told["evaluations"])] == decisions


async def test_one_wrong_evaluation_denies_itself_alone(desk: Desk) -> None:
    session, _ = await a_session(desk)
    good = question(session, {"type": "tickets", "properties": OWN})
    odd: list[Body] = [good, {**good, "action": cast("Body", {})}, {"resource": 7}]
    body: Body = {"evaluations": odd}
    _, told = await ask(desk, body, path="evaluations")
    first, second, third = cast("list[Body]", told["evaluations"])
    assert (first["decision"], second["decision"], third["decision"]) == (True, False, False)
    assert "error" in cast("Body", second["context"])


async def test_batch_without_evaluations_is_a_single_one(desk: Desk) -> None:
    session, _ = await a_session(desk)
    good = question(session, {"type": "tickets", "properties": OWN})
    assert (await ask(desk, good, path="evaluations"))[1]["decision"] is True


_WRONG = (
    "[]",
    "{}",
    '{"subject": {}}',
    '{"subject": "x", "action": {"name": "read"}, "resource": {"type": "t"}}',
    '{"evaluations": 7}',
    '{"evaluations": [1]}',
    '{"evaluations": [' + ",".join(["{}"] * 101) + "]}",
    '{"evaluations": [{}], "options": {"evaluations_semantic": "any"}}',
)


@pytest.mark.parametrize("text", _WRONG)
async def test_requests_in_another_shape_are_errors(desk: Desk, text: str) -> None:
    assert (await ask(desk, json.loads(text), path="evaluations"))[0] == 400
