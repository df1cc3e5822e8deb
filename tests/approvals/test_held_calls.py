"""Calls that gates hold, end to end: they wait, run once as approved, are changed or denied, and nothing else."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from base64 import urlsafe_b64decode
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from bailiwick.errors import BailiwickError
from bailiwick.gateway.wire import Json
from bailiwick.guard import ApprovalPendingError, DeniedError, Guard
from tests.approvals.conftest import Desk
from tests.http.conftest import Reply
from tests.support.gateway import PROGRAM
from tests.support.mcp_client import McpClient

pytestmark = pytest.mark.xdist_group("approvals")


def pending(reply: Reply) -> str:
    assert (reply.status, reply.headers["content-type"]) == (202, "application/json"), reply
    assert reply.json["state"] == "pending"
    assert reply.headers["location"] == f"/-/approvals/{reply.json['approval']}"
    return str(reply.json["approval"])


def test_a_small_refund_passes_and_a_large_one_waits_and_runs_once(desk: Desk) -> None:
    session = desk.session()
    assert desk.post(session.token, 50, note="small").status == 201
    approval = pending(desk.post(session.token, 51, note="large"))
    assert pending(desk.post(session.token, 51, note="large")) == approval
    assert desk.refunds("large") == []
    shown = desk.shown(approval)
    assert (shown["agent"], shown["user"], shown["purpose"]) == ("bot", "ada", "a customer asked")
    assert shown["arguments"] == {"body.amount": 51, "body.customer_id": 501, "body.note": "large"}
    assert (shown["gates"], shown["approvers"], shown["message"]) == (["large-refund"], ["finance"], "over fifty")
    desk.approve(approval)
    assert desk.http(session.token, "GET", f"/-/approvals/{approval}").json["state"] == "approved"
    done = desk.post(session.token, 51, note="large")
    assert (done.status, done.headers["bailiwick-approval"]) == (201, approval)
    assert desk.shown(approval)["state"] == "EXECUTED"
    assert pending(desk.post(session.token, 51, note="large")) != approval  # a new request
    assert desk.refunds("large") == [51]


def test_the_ledger_tells_the_story(desk: Desk) -> None:
    session = desk.session()
    approval = pending(desk.post(session.token, 60, note="story"))
    desk.approve(approval)
    assert desk.post(session.token, 60, note="story").status == 201
    told = [each for each in desk.records(session.id) if approval in str(each)]
    kinds = [(each["kind"], cast("dict[str, str]", each["detail"]).get("step", "")) for each in told]
    assert kinds == [
        ("call", ""),
        ("approval.verdict", "approved"),
        ("approval.moved", "begun"),
        ("intent", ""),
        ("outcome", ""),
        ("approval.moved", "executed"),
    ]
    assert cast("dict[str, str]", told[1]["detail"])["by"].startswith("local:")
    assert "story" not in str(told)  # no argument in clear but what the policy bounds


def test_a_client_that_waits_gets_the_result(desk: Desk) -> None:
    session = desk.session()
    thread = desk.once_held(session.id, desk.approve)
    reply = desk.post(session.token, 70, wait=100, note="waited")
    thread.join(60)
    assert (reply.status, desk.refunds("waited")) == (201, [70])


def test_a_denial_and_its_reason_reach_the_agent_and_stand(desk: Desk) -> None:
    session = desk.session()
    thread = desk.once_held(session.id, lambda found: desk.deny(found, "not this one"))
    for wait in (100, None):
        reply = desk.post(session.token, 71, wait=wait, note="denied")
        assert (reply.status, reply.code) == (403, "approval_denied")
        assert "not this one" in str(reply.json["detail"])
    thread.join(60)
    pending(desk.post(session.token, 72, note="denied"))  # another amount is another request
    assert desk.refunds("denied") == []


def test_what_a_reviewer_changed_runs_as_changed_and_says_so(desk: Desk) -> None:
    session = desk.session()
    approval = pending(desk.post(session.token, 400, note="changed"))
    before = desk.shown(approval)
    changed = desk.ask("approval.modify", approval=approval, digest=before["digest"], set={"body.amount": 45})
    after = cast("dict[str, Json]", changed["approval"])
    assert (after["state"], cast("dict[str, Json]", after["arguments"])["body.amount"]) == ("PENDING", 45)
    with pytest.raises(BailiwickError, match="not what it was"):
        desk.ask("approval.approve", approval=approval, digest=before["digest"])
    desk.approve(approval)
    done = desk.post(session.token, 400, note="changed")
    assert (done.status, done.headers["bailiwick-approval"]) == (201, f"{approval}; modified")
    assert desk.refunds("changed") == [45]


def test_a_change_cannot_widen_what_the_session_may(desk: Desk) -> None:
    session = desk.session()
    approval = pending(desk.post(session.token, 400, note="wider"))
    digest = desk.shown(approval)["digest"]
    for wanted in ({"body.customer_id": 502}, {"body.other": 1}):
        with pytest.raises(BailiwickError, match=r"not granted|not an argument"):
            desk.ask("approval.modify", approval=approval, digest=digest, set=cast("Json", wanted))
    assert desk.shown(approval)["digest"] == digest


def test_nobody_uses_the_approval_of_another_session_or_for_something_else(desk: Desk) -> None:
    mine, other = desk.session(), desk.session("bo")
    approval = pending(desk.post(mine.token, 80, note="stolen"))
    desk.approve(approval)
    assert pending(desk.post(other.token, 80, note="stolen")) != approval
    assert pending(desk.post(mine.token, 81, note="stolen")) != approval
    assert desk.http(other.token, "GET", f"/-/approvals/{approval}").status == 404
    assert desk.http(mine.token, "GET", "/-/approvals/apr_none").status == 404
    assert desk.refunds("stolen") == []
    assert desk.post(mine.token, 80, note="stolen").status == 201


def test_many_retries_of_an_approved_call_run_it_once(desk: Desk) -> None:
    session = desk.session()
    approval = pending(desk.post(session.token, 90, note="raced"))
    desk.approve(approval)
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(desk.post, session.token, 90, note="raced") for _ in range(8)]
        replies = [each.result() for each in asked]
    assert [each.status for each in replies].count(201) == 1
    assert desk.refunds("raced") == [90]


def test_of_two_verdicts_at_once_one_counts(desk: Desk) -> None:
    session = desk.session()
    approval = pending(desk.post(session.token, 91, note="two"))
    digest = desk.shown(approval)["digest"]

    def decide(number: int) -> str:
        try:
            if number % 2:
                desk.ask("approval.approve", approval=approval, digest=digest)
            else:
                desk.ask("approval.deny", approval=approval, reason="no")
        except BailiwickError as error:
            return error.code
        return "done"

    with ThreadPoolExecutor(6) as pool:
        said = list(pool.map(decide, range(6)))
    assert sorted(said) == ["approval_closed"] * 5 + ["done"]


def test_an_approval_ends_with_its_session(desk: Desk) -> None:
    session = desk.session()
    approval = pending(desk.post(session.token, 92, note="over"))
    desk.approve(approval)
    desk.gateway.revoke(session)
    assert desk.shown(approval)["state"] == "WITHDRAWN"
    assert desk.post(session.token, 92, note="over").status == 401
    with pytest.raises(BailiwickError, match="ended with its session"):
        desk.approve(approval)
    assert desk.refunds("over") == []


def test_who_asks_does_not_approve_and_a_program_neither(desk: Desk) -> None:
    me = str(desk.ask("status") and cast("dict[str, Json]", _opened_by(desk))["by"])
    session = desk.session(me)
    approval = pending(desk.post(session.token, 93, note="own"))
    with pytest.raises(BailiwickError, match="whoever asks"):
        desk.approve(approval)
    refused = [each for each in desk.records(session.id) if each["kind"] == "approval.refused"]
    assert [each["code"] for each in refused] == ["approval_not_yours"]


def _opened_by(desk: Desk) -> Json:
    """Return who this process is for the gateway, as a suspension says it."""
    desk.ask("agent.suspend", agent="bot", reason="tests")
    try:
        return cast("list[Json]", desk.ask("suspension.list")["suspensions"])[0]
    finally:
        desk.ask("agent.resume", agent="bot")


def test_a_tool_waits_tells_how_it_stands_and_runs(desk: Desk) -> None:
    client = desk.mcp()
    assert "approval_status" in client.tools()
    arguments: dict[str, object] = {"customer_id": 501, "amount": 120, "currency": "EUR"}
    held = client.call("refund", **arguments)
    assert held.code == "needs_approval"
    status = cast("dict[str, object]", held.data["approval_status"])
    approval = str(status["approval"])
    assert (status["state"], status["gates"]) == ("pending", ["large-payback"])
    desk.ask("approval.ask", approval=approval, text="which invoice?")
    assert client.call("approval_status", approval=approval).data["question"] == "which invoice?"
    answered = client.call("approval_status", approval=approval, answer="number 7")
    assert "question" not in answered.data
    history = cast("list[dict[str, str]]", desk.shown(approval)["history"])
    assert [(each["kind"], each["text"]) for each in history[1:]] == [
        ("asked", "which invoice?"),
        ("answered", "number 7"),
    ]
    desk.approve(approval)
    assert client.call("approval_status", approval=approval, wait=60).data["state"] == "approved"
    assert client.call("refund", **arguments).code == ""
    assert [each["amount"] for each in desk.calls("refund")].count(120) == 1
    assert client.call("approval_status", approval=approval).data["state"] == "executed"
    assert client.call("approval_status", approval="apr_0").code == "approval_unknown"
    assert client.call("approval_status").data == {"waiting": []}


def test_a_client_of_the_modern_revision_comes_again_with_a_sealed_state(desk: Desk) -> None:
    client, other = desk.mcp(), desk.mcp()
    arguments: dict[str, Json] = {"customer_id": 501, "amount": 122, "currency": "EUR"}
    asked: dict[str, Json] = {"name": "refund", "arguments": arguments}
    held = client.modern("tools/call", asked).result
    assert held["resultType"] == "input_required"
    assert "inputRequests" not in held
    state = str(held["requestState"])
    status = cast("dict[str, dict[str, str]]", held["_meta"])["bailiwick/approval_status"]
    again: dict[str, Json] = {**asked, "requestState": state}
    flipped = "A" if state[20] != "A" else "B"
    changed: dict[str, Json] = {**again, "arguments": {**arguments, "amount": 121}}
    forged: dict[str, Json] = {**again, "requestState": state[:20] + flipped + state[21:]}
    desk.approve(status["approval"])
    for whose, params in (
        (other, again),  # another session's
        (client, changed),
        (client, forged),
        (client, {**again, "requestState": "held."}),
        (client, {**again, "requestState": "held.!"}),
    ):
        assert "no request that waits" in str(whose.modern("tools/call", params).error["message"])
    assert [each["amount"] for each in desk.calls("refund")].count(122) == 0
    done = client.modern("tools/call", again).result
    assert (done["resultType"], done.get("isError") is True) == ("complete", False)
    waiting = len(cast("list[Json]", desk.ask("approval.list")["approvals"]))
    assert "is over" in str(client.modern("tools/call", again).error["message"])  # a replay is no new request
    assert [each["amount"] for each in desk.calls("refund")].count(122) == 1
    assert len(cast("list[Json]", desk.ask("approval.list")["approvals"])) == waiting
    impatient = client.modern("tools/call", {**asked, "arguments": {**arguments, "amount": 123}}).result
    told = cast("dict[str, dict[str, str]]", impatient["_meta"])["bailiwick/approval_status"]
    desk.ask("approval.deny", approval=told["approval"], reason="not this one")
    refused: dict[str, Json] = {"name": "refund", "arguments": {**arguments, "amount": 123}}
    answer = client.modern("tools/call", {**refused, "requestState": str(impatient["requestState"])}).result
    assert (answer["isError"], "not this one" in json.dumps(answer)) == (True, True)


async def test_the_official_client_goes_on_waiting_by_itself(desk: Desk) -> None:
    session = desk.session()
    thread = desk.once_held(session.id, desk.approve)
    headers = {"Authorization": f"Bearer {session.token}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=120) as http,
        Client(streamable_http_client(f"http://127.0.0.1:{desk.gateway.mcp_port}/mcp", http_client=http)) as client,
    ):
        done = await client.call_tool("refund", {"customer_id": 501, "amount": 124, "currency": "EUR"})
    thread.join(60)
    assert done.is_error is not True
    assert [each["amount"] for each in desk.calls("refund")].count(124) == 1


def test_a_client_that_listens_is_told_of_progress_while_it_waits(desk: Desk) -> None:
    client = desk.mcp()
    session = _session_of(client)
    arguments = {"customer_id": 501, "amount": 121, "currency": "EUR"}
    params = {"name": "refund", "arguments": arguments, "_meta": {"progressToken": 5, "bailiwick/wait": 100}}
    thread = desk.once_held(session, desk.approve)
    with client.streaming({"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": params}) as messages:
        told = list(messages)
    thread.join(60)
    first = cast("dict[str, object]", told[0]["params"])
    assert (told[0]["method"], first["message"]) == ("notifications/progress", "waits for an approval")
    steps = [cast("dict[str, float]", each["params"])["progress"] for each in told[:-1]]
    assert steps == sorted(set(steps))
    assert cast("dict[str, object]", told[-1]["result"]).get("isError") is not True


def test_a_changed_tool_call_says_what_ran(desk: Desk) -> None:
    client = desk.mcp()
    held = client.call("refund", customer_id=501, amount=300, currency="EUR")
    approval = str(cast("dict[str, object]", held.data["approval_status"])["approval"])
    desk.ask("approval.modify", approval=approval, digest=desk.shown(approval)["digest"], set={"amount": 30})
    desk.approve(approval)
    done = client.call("refund", customer_id=501, amount=300, currency="EUR")
    assert done.code == ""
    assert "a reviewer changed this call" in done.text
    assert '"amount": 30' in done.text
    assert 300 not in [each["amount"] for each in desk.calls("refund")]


def _session_of(client: McpClient) -> str:
    part = client.token.split(".")[1]
    return str(json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))["sid"])


def test_a_function_waits_and_is_executed_as_approved(desk: Desk) -> None:
    sent: list[tuple[str, object]] = []

    def transfer(to: str, amount: float) -> str:
        sent.append((to, amount))
        return "sent"

    with Guard(desk.gateway.policy, gateway="beside", environ=desk.gateway.environ) as guard:
        guarded = guard.function(transfer)
        with guard.use(desk.session().token):
            assert guarded("shop", 50) == "sent"
            with pytest.raises(ApprovalPendingError) as held:
                guarded("shop", 51)
            approval = held.value.approval
            desk.ask("approval.modify", approval=approval, digest=desk.shown(approval)["digest"], set={"amount": 49})
            desk.approve(approval)
            assert guarded("shop", 51) == "sent"
            assert sent == [("shop", 50), ("shop", 49)]
            with pytest.raises(ApprovalPendingError):
                guarded("shop", 51)


def test_a_function_that_is_patient_hears_the_verdict(desk: Desk) -> None:
    def transfer(to: str, amount: float) -> str:
        return f"{to}: {amount}"

    with Guard(desk.gateway.policy, gateway="beside", environ=desk.gateway.environ, patience=100) as guard:
        guarded = guard.function(transfer)
        for verdict in (True, False):
            session = desk.session()

            def decide(found: str, verdict: bool = verdict) -> None:
                if verdict:
                    desk.approve(found)
                else:
                    desk.deny(found, "too much")

            thread = desk.once_held(session.id, decide)
            with guard.use(session.token):
                if verdict:
                    assert guarded("shop", 52) == "shop: 52"
                else:
                    with pytest.raises(DeniedError, match="too much"):
                        guarded("shop", 52)
            thread.join(60)


def test_what_an_agent_writes_does_nothing_to_a_terminal(desk: Desk) -> None:
    session = desk.session()
    note = "\x1b]0;owned\x07\x1b[2J\u202eevil\r\n[red]x[/red]"
    approval = pending(desk.post(session.token, 94, note=note))
    shown = desk.gateway.say("approvals", "show", approval)
    assert shown.returncode == 0, shown.stderr
    assert not any(each in shown.stdout for each in ("\x1b", "\x07", "\u202e", "\r"))
    assert "\\x1b" in shown.stdout or "\\u001b" in shown.stdout
    assert "[red]x[/red]" in shown.stdout


def test_the_command_line_lists_approves_denies_and_modifies(desk: Desk) -> None:
    session = desk.session()
    one, two = (pending(desk.post(session.token, amount, note="cli")) for amount in (95, 96))

    def run(*words: str) -> str:
        return desk.gateway.say("approvals", *words).stdout

    assert one in run("list")
    assert one in run("list", "--mine", "--json")
    assert '"body.amount": 44' in run("modify", one, "--set", "body.amount=44", "--json")
    assert "APPROVED" in run("approve", one)
    assert "DENIED" in run("deny", two, "--reason", "no")
    assert two in run("list", "--all")
    assert desk.post(session.token, 95, note="cli").status == 201
    assert desk.refunds("cli") == [44]


def test_holding_is_an_action_and_asking_again_for_the_same_is_none(desk: Desk) -> None:
    miser, scrooge = (desk.gateway.open_session(each) for each in ("miser", "scrooge"))
    assert [desk.post(scrooge.token, 5, note="twin").status for _ in range(3)] == [201, 201, 429]
    held = pending(desk.post(miser.token, 99, note="counted"))
    assert pending(desk.post(miser.token, 99, note="counted")) == held
    assert desk.post(miser.token, 5, note="counted").status == 201
    refused = desk.post(miser.token, 98, note="counted")
    assert (refused.status, refused.code) == (429, "limit_exceeded")
    assert desk.refunds("counted") == [5]


def test_watch_tells_of_what_begins_to_wait_and_of_how_it_ended(desk: Desk) -> None:
    session = desk.session()
    first = pending(desk.post(session.token, 97, note="watch"))
    watching = subprocess.Popen(
        [PROGRAM, "approvals", "watch"],
        cwd=desk.gateway.folder,
        env=desk.gateway.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert watching.stdout is not None
        lines = iter(watching.stdout.readline, "")
        assert any(f"{first} PENDING bot: refunds:create (gate large-refund)" in line for line in lines)
        second = pending(desk.post(session.token, 98, note="watch"))
        assert any(f"{second} PENDING" in line for line in lines)
        desk.deny(second, "no")
        assert any(f"{second} DENIED" in line for line in lines)
    finally:
        watching.kill()
        watching.wait(30)


def test_a_session_that_waits_is_not_flooded_and_its_requests_are_bounded(desk: Desk) -> None:
    session = desk.session()
    for number in range(20):
        pending(desk.post(session.token, 1000 + number, note="flood"))
    refused = desk.post(session.token, 2000, note="flood")
    assert (refused.status, refused.code) == (429, "limit_exceeded")
    pending(desk.post(session.token, 1003, note="flood"))
    desk.gateway.revoke(session)
    deadline = time.monotonic() + 60
    while desk.waiting(session.id):
        assert time.monotonic() < deadline
        threading.Event().wait(0.05)


# --- mode: execute: the gateway runs it itself ---


def test_the_gateway_runs_what_was_approved_and_hands_the_answer_over_once(desk: Desk) -> None:
    session, other = desk.session(), desk.session("bo")
    approval = pending(desk.post(session.token, 11, note="night 1"))
    place = f"/-/approvals/{approval}"
    assert desk.http(session.token, "GET", place).json["mode"] == "execute"
    assert "mode       execute" in desk.gateway.say("approvals", "show", approval).stdout
    desk.approve(approval)
    assert desk.once_over(approval)["state"] == "EXECUTED"
    assert desk.refunds("night 1") == [11]
    told = desk.http(session.token, "GET", place).json
    result = cast("dict[str, Json]", told["result"])
    assert (told["state"], result["status"]) == ("executed", 201)
    assert desk.http(other.token, "GET", place).status == 404
    handed = desk.post(session.token, 11, note="night 1")
    assert (handed.status, handed.headers["bailiwick-approval"]) == (201, approval)
    assert handed.body.decode() == result["body"]
    assert pending(desk.post(session.token, 11, note="night 1")) != approval  # a new request
    assert desk.refunds("night 1") == [11]
    steps = [cast("dict[str, str]", each["detail"]).get("step") for each in desk.records(session.id)]
    wanted = ["approved", "begun", "executed", "delivered", "delivered"]
    assert [each for each in steps if each] == wanted


def test_who_waits_gets_what_the_gateway_did_as_it_was_changed(desk: Desk) -> None:
    session = desk.session()

    def changed(approval: str) -> None:
        digest = desk.shown(approval)["digest"]
        desk.ask("approval.modify", approval=approval, digest=digest, set={"body.amount": 7})
        desk.approve(approval)

    thread = desk.once_held(session.id, changed)
    reply = desk.post(session.token, 12, wait=100, note="night 2")
    thread.join(60)
    assert (reply.status, reply.headers["bailiwick-approval"].endswith("; modified")) == (201, True)
    assert desk.refunds("night 2") == [7]


def test_what_was_approved_outlives_its_session_and_a_later_one_of_the_same_hears_of_it(desk: Desk) -> None:
    session = desk.session()
    approval = pending(desk.post(session.token, 13, note="night 3"))
    desk.gateway.say("session", "close", session.id)
    assert desk.post(session.token, 13, note="night 3").status == 401
    desk.approve(approval)
    assert desk.once_over(approval)["state"] == "EXECUTED"
    assert desk.refunds("night 3") == [13]
    place = f"/-/approvals/{approval}"
    told = desk.http(desk.session().token, "GET", place).json
    assert cast("dict[str, Json]", told["result"])["status"] == 201
    assert desk.http(desk.session("bo").token, "GET", place).status == 404
    others = desk.gateway.open_session("bot", task="work", user="ada", tenant="acorn", values={"customer_id": "502"})
    assert desk.http(others.token, "GET", place).status == 404
    assert desk.http(session.token, "GET", place).status == 401


def test_a_revoked_session_and_a_suspended_agent_take_with_them_what_would_have_run(desk: Desk) -> None:
    revoked, stopped = desk.session(), desk.session()
    one = pending(desk.post(revoked.token, 14, note="night 4"))
    desk.gateway.revoke(revoked)
    assert desk.once_over(one)["state"] == "WITHDRAWN"
    two = pending(desk.post(stopped.token, 15, note="night 4"))
    assert desk.gateway.say("agent", "suspend", "bot", "--reason", "looks odd").returncode == 0
    try:
        desk.approve(two)
        assert desk.once_over(two)["state"] == "WITHDRAWN"
    finally:
        assert desk.gateway.say("agent", "resume", "bot").returncode == 0
    assert desk.refunds("night 4") == []


def test_a_tool_is_run_by_the_gateway_and_its_result_told(desk: Desk) -> None:
    client = desk.mcp()
    first = client.call("echo", text="night watch")
    approval = cast("dict[str, str]", first.data["approval_status"])["approval"]
    desk.approve(approval)
    assert desk.once_over(approval)["state"] == "EXECUTED"
    assert [each["text"] for each in desk.calls("echo")] == ["night watch"]
    told = client.call("approval_status", approval=approval).data
    result = cast("dict[str, Json]", told["result"])
    handed = client.call("echo", text="night watch")
    assert (handed.code, handed.text) == ("", cast("list[dict[str, str]]", result["content"])[0]["text"])
    assert len(desk.calls("echo")) == 1
    assert client.call("echo", text="night watch").code == "needs_approval"
    assert client.call("echo", text="day").code == ""
