"""The one path: what is recorded of calls, and that every failure denies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest
from gateway_rig import Listed, Rig, make_rig
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.gateway.call import Call, Outcome
from bailiwick.gateway.enforcer import LiveSession
from bailiwick.gateway.recorder import Durable
from bailiwick.gateway.sessions.live import Live
from bailiwick.gateway.ulid import Ulids
from bailiwick.ledger.encode import Stamped
from bailiwick.model.decision import Access, Allow, Decision, Denial, Deny, Hold, Request
from bailiwick.model.record import Record


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    made = await make_rig(tmp_path)
    yield made
    await made.sessions.stop()
    await made.state.close()


@pytest.fixture
async def live(rig: Rig) -> Live:
    return await rig.connected(await rig.opened(), [])


read = Request("crm", (Access("tickets", "read", ("ticket_id", "tenant_id")),), "to answer")
write = Request("crm", (Access("tickets", "update", ("ticket_id",)),))


def call_of(decision: Decision, request: Request = read) -> Call:
    return Call("crm", "select ticket_id from tickets where ticket_id = $1", request, decision)


async def test_decisions_follow_the_scope(rig: Rig, live: Live) -> None:
    allowed = rig.gateway.decide(live, read)
    assert isinstance(allowed, Allow)
    assert len(allowed.grants) == 1
    denied = rig.gateway.decide(live, write)
    assert isinstance(denied, Deny)
    assert denied.denial.code == "action_not_granted"


async def test_read_in_one_record_says_who_what_why_and_how_much(rig: Rig, live: Live) -> None:
    decision = rig.gateway.decide(live, read)
    answers: list[bool] = []
    made = rig.gateway.call(live, call_of(decision), Outcome(rows=1, bytes=20, duration_us=300), answers.append)
    record = rig.ledger.records[-1]
    assert answers == [True]
    assert (record.id, record.kind, record.decision, record.code) == (made, "call", "allow", "")
    assert (record.agent, record.user, record.task) == ("support-bot", "ada", "handle-ticket")
    assert (record.session, record.policy) == (live.session.id, live.policy)
    assert (record.actions, record.fields) == (("tickets:read",), {"tickets": ("tenant_id", "ticket_id")})
    assert (record.rows, record.bytes, record.duration_us, record.purpose) == (1, 20, 300, "to answer")
    assert record.statement.startswith("select")


async def test_denial_and_hold_are_recorded_with_code_and_message(rig: Rig, live: Live) -> None:
    denial = Denial("needs_approval", "reading it needs an approval")
    rig.gateway.call(live, call_of(Hold("restricted", denial)), Outcome(), lambda _: None)
    rig.gateway.call(live, call_of(Deny(denial, ("g1",))), Outcome(), lambda _: None)
    hold, deny = rig.ledger.records[-2:]
    assert (hold.decision, hold.code, hold.message) == ("hold", "needs_approval", "reading it needs an approval")
    assert (deny.decision, deny.code, deny.grants) == ("deny", "needs_approval", ("g1",))


async def test_intent_is_followed_by_an_outcome_that_names_it(rig: Rig, live: Live) -> None:
    call = call_of(rig.gateway.decide(live, read))
    intent = rig.gateway.intend(live, call, lambda _: None)
    rig.gateway.settle(live, intent, call, Outcome("40001", rows=0), lambda _: None)
    first, second = rig.ledger.records[-2:]
    assert (first.kind, first.id, first.refers) == ("intent", intent, "")
    assert (second.kind, second.refers, second.code, second.statement) == ("outcome", intent, "40001", "")
    assert second.actions == ("tickets:read",)


@pytest.mark.parametrize(
    "decision", [Deny(Denial("action_not_granted", "no")), Hold("g", Denial("needs_approval", "no"))]
)
async def test_what_is_not_allowed_can_have_no_intent(rig: Rig, live: Live, decision: Decision) -> None:
    answers: list[bool] = []
    rig.gateway.intend(live, call_of(decision), answers.append)
    await asyncio.sleep(0)
    assert answers == [False]
    assert "intent" not in rig.ledger.kinds()


async def test_ended_session_can_have_no_intent_but_the_outcome_of_what_ran_is_recorded(rig: Rig, live: Live) -> None:
    call = call_of(rig.gateway.decide(live, read))
    intent = rig.gateway.intend(live, call, lambda _: None)
    await rig.sessions.end(live.session.id, "REVOKED", "revoked", "cli")
    answers: list[bool] = []
    rig.gateway.intend(live, call, answers.append)
    await asyncio.sleep(0)
    assert answers == [False]
    rig.gateway.settle(live, intent, call, Outcome("session_revoked"), answers.append)
    assert answers == [False, True]
    assert rig.ledger.records[-1].refers == intent


async def test_ledger_that_is_lost_denies_everything_and_recovers(rig: Rig, live: Live) -> None:
    opened = await rig.opened()
    rig.ledger.broken = True
    answers: list[bool] = []
    rig.gateway.intend(live, call_of(Allow(())), answers.append)
    assert answers == [False]
    refused = await rig.gateway.connect("crm", "support-bot", opened.token, "p", lambda _: None)
    assert isinstance(refused, Denial)
    assert refused.code == "ledger_unavailable"
    rig.ledger.broken = False
    assert isinstance(await rig.gateway.connect("crm", "support-bot", opened.token, "p", lambda _: None), Live)


class Exploding(Listed):
    """A ledger that fails in a way that nobody foresaw."""

    def append(self, record: Record | Stamped, durable: Durable) -> None:
        raise RuntimeError(f"canary-5521 {record} {durable}")


async def test_unforeseen_failure_denies_and_keeps_values_out_of_the_log(
    rig: Rig, live: Live, caplog: pytest.LogCaptureFixture
) -> None:
    opened = await rig.opened()
    rig.gateway._recorder.ledger = Exploding()  # pyright: ignore[reportPrivateUsage]  # a failure no peer can cause
    answers: list[bool] = []
    rig.gateway.call(live, call_of(Allow(())), Outcome(), answers.append)
    rig.gateway.intend(live, call_of(Allow(())), answers.append)
    await asyncio.sleep(0)
    assert answers == [False, False]
    refused = await rig.gateway.connect("crm", "support-bot", opened.token, "p", lambda _: None)
    assert isinstance(refused, Denial)
    assert refused.code == "internal_error"
    broken = rig.gateway.decide(cast("LiveSession", object()), read)
    assert isinstance(broken, Deny)
    assert broken.denial.code == "internal_error"
    assert "RuntimeError" in caplog.text
    assert "canary-5521" not in caplog.text


async def test_connection_that_ends_is_recorded_and_no_longer_cut(rig: Rig) -> None:
    cuts: list[Denial] = []
    opened = await rig.opened()
    live = await rig.connected(opened, cuts)
    rig.gateway.disconnect(live, cuts.append, "client closed")
    assert rig.ledger.records[-1].kind == "connection.closed"
    assert rig.ledger.records[-1].mount == "crm"
    assert rig.ledger.records[-1].detail == {"reason": "client closed", "peer": "127.0.0.1:5"}
    await rig.sessions.end(live.session.id, "REVOKED", "revoked", "cli")
    assert cuts == []


async def test_one_call_used_often_is_told_alike_and_two_calls_are_not_mixed_up(rig: Rig, live: Live) -> None:
    once, other = call_of(Allow(("a",))), call_of(Allow(("b",)), write)
    for call in (once, other, once):
        rig.gateway.call(live, call, Outcome(), lambda _: None)
    assert [record.grants for record in rig.ledger.records[-3:]] == [("a",), ("b",), ("a",)]
    assert [record.actions for record in rig.ledger.records[-2:]] == [("tickets:update",), ("tickets:read",)]


@given(st.lists(st.integers(0, 2**40), min_size=2, max_size=50))
def test_ulids_rise_also_when_the_clock_goes_back(times: list[int]) -> None:
    clock = iter(times)
    ulids = Ulids(lambda: next(clock) * 1_000_000)
    made = [ulids.new() for _ in times]
    assert made == sorted(set(made))
    assert {len(each) for each in made} == {26}


def test_ulids_of_one_millisecond_do_not_run_out() -> None:
    ulids = Ulids(lambda: 1, lambda bits: (1 << bits) - 1)
    ulids._tail = 0  # pyright: ignore[reportPrivateUsage]  # nearer to the end than a test can count
    made = [ulids.new()]
    ulids._tail = (1 << 40) - 2  # pyright: ignore[reportPrivateUsage]  # likewise
    made += [ulids.new(), ulids.new(), ulids.new()]
    assert made == sorted(set(made))
