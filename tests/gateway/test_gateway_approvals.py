"""Approvals as a gateway keeps them: on record before they count, over in time, whatever races with whatever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from gateway_rig import Rig, make_rig

from bailiwick.decide.approvals import Approve, Delegate, Refuse
from bailiwick.errors import LedgerError
from bailiwick.gateway.approvals.approvals import Approvals
from bailiwick.gateway.approvals.notices import approval_notice
from bailiwick.gateway.approvals.records import requester_of
from bailiwick.gateway.sessions.live import Live
from bailiwick.model.approval import Approval, Need, Reviewer, Step, Subject, Terms
from bailiwick.model.decision import Denial
from bailiwick.model.record import Record

HOUR = timedelta(hours=1)
FAY = Reviewer("fay@corp", frozenset({"finance"}), clearance="internal")
BOB = Reviewer("bob@corp", frozenset({"board"}), clearance="internal")


@pytest_asyncio.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    made = await make_rig(tmp_path)
    yield made
    await made.sessions.stop()
    await made.state.close()


async def held(rig: Rig, live: Live, mode: str = "wait") -> Approval:
    """Keep something that waits, as the gateway does."""
    approvals, now = rig.gateway.approvals, rig.clock()
    needs = (Need("g", ("finance",), 1, HOUR * 2, ("board",)),)
    terms = Terms(
        needs,
        4 * HOUR,
        HOUR,
        None,
        "execute" if mode == "execute" else "wait",
    )
    made = Approval(
        approvals.new_id(),
        Subject("elevation", "", "escalation", "{}", "d0"),
        requester_of(live.session),
        terms,
        live.policy,
        (),
        (),
        "CANARY reason",
        now,
        now + terms.expires,
        steps=(Step("held", now, "agent", digest="d0"),),
    )
    await approvals.open(made)
    return made


def code(found: Approval | Denial) -> str:
    return found.code if isinstance(found, Denial) else found.state


async def test_a_verdict_that_cannot_be_recorded_does_not_count(rig: Rig) -> None:
    live = (await rig.opened()).live
    approval = await held(rig, live)
    rig.ledger.broken = True
    with pytest.raises(LedgerError):
        await rig.gateway.approvals.decide(approval.id, Approve(FAY, "d0"))
    rig.ledger.broken = False
    assert (await rig.gateway.approvals.find(approval.id)).state == "PENDING"
    assert code(await rig.gateway.approvals.begin(live, approval.id, "d0")) == "approval_closed"
    assert code(await rig.gateway.approvals.decide(approval.id, Approve(FAY, "d0"))) == "APPROVED"
    verdict = rig.ledger.records[-1]
    assert (verdict.kind, verdict.detail["by"], verdict.session) == ("approval.verdict", "fay@corp", live.session.id)


async def test_what_cannot_be_recorded_is_not_held(rig: Rig) -> None:
    live = (await rig.opened()).live
    rig.ledger.broken = True
    with pytest.raises(LedgerError):
        await held(rig, live)
    rig.ledger.broken = False
    assert await rig.gateway.approvals.list(everything=True) == []


@pytest.mark.parametrize("moment", ["storing", "recording"])
async def test_whoever_holds_and_is_cancelled_leaves_no_approval_without_its_record(rig: Rig, moment: str) -> None:
    live = (await rig.opened()).live
    reached, go_on = asyncio.Event(), asyncio.Event()
    approvals, recorder = rig.gateway.approvals, rig.sessions.recorder
    store, keep = approvals.store.insert, recorder.keep

    async def slow_store(approval: Approval) -> None:
        await store(approval)
        reached.set()
        await go_on.wait()

    async def slow_keep(record: Record) -> None:
        reached.set()
        await go_on.wait()
        await keep(record)

    with pytest.MonkeyPatch.context() as patch:
        if moment == "storing":
            patch.setattr(approvals.store, "insert", slow_store)
        else:
            patch.setattr(recorder, "keep", slow_keep)
        holding = asyncio.create_task(held(rig, live))
        await reached.wait()
        holding.cancel()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await holding
    found = await approvals.list(everything=True)
    told = [record.detail["approval"] for record in rig.ledger.records if record.kind == "approval.held"]
    assert [each.id for each in found] == told
    assert len(told) == 1


@pytest.mark.parametrize("late", [False, True])
async def test_expiry_wins_over_whatever_comes_at_its_moment(rig: Rig, late: bool) -> None:
    live = (await rig.opened(agent="night-bot", task=None, ttl=timedelta(hours=12), values={})).live
    approval = await held(rig, live)
    rig.clock.now = approval.expires_at if late else approval.expires_at - timedelta(microseconds=1)
    found = await asyncio.gather(*(rig.gateway.approvals.decide(approval.id, Approve(FAY, "d0")) for _ in range(4)))
    said = sorted(code(each) for each in found)
    assert said == (["approval_expired"] * 4 if late else ["APPROVED", *["approval_closed"] * 3])
    again = await rig.gateway.approvals.begin(live, approval.id, "d0")
    assert code(again) == ("approval_expired" if late else "RUNNING")


async def test_two_gateways_over_one_store_make_one_verdict(rig: Rig) -> None:
    live = (await rig.opened()).live
    approval = await held(rig, live)
    other = Approvals(rig.sessions, rig.sessions.recorder, rig.clock)
    both = await asyncio.gather(
        rig.gateway.approvals.decide(approval.id, Approve(FAY, "d0")), other.decide(approval.id, Refuse(FAY, "no"))
    )
    states = {each.state for each in both if isinstance(each, Approval)}
    assert len(states) == 1
    assert (await other.find(approval.id)).state in states


async def test_it_is_begun_once_however_many_ask(rig: Rig) -> None:
    live = (await rig.opened()).live
    approval = await held(rig, live)
    await rig.gateway.approvals.decide(approval.id, Approve(FAY, "d0"))
    other = Approvals(rig.sessions, rig.sessions.recorder, rig.clock)
    asked = [each.begin(live, approval.id, "d0") for each in (rig.gateway.approvals, other) for _ in range(4)]
    assert [code(each) for each in await asyncio.gather(*asked)].count("RUNNING") == 1


async def test_revocation_wins_over_an_approval(rig: Rig) -> None:
    live = (await rig.opened()).live
    for mode in ("wait", "execute"):
        approval = await held(rig, live, mode)
        await rig.gateway.approvals.decide(approval.id, Approve(FAY, "d0"))
    await rig.sessions.end(live.session.id, "REVOKED", "revoked", "ops")
    assert code(await rig.gateway.approvals.begin(live, approval.id, "d0")) == "session_revoked"
    states = {each.state for each in await rig.gateway.approvals.list(everything=True)}
    assert "WITHDRAWN" in states


async def test_a_session_that_waits_does_not_become_idle_and_then_does(rig: Rig) -> None:
    opened = await rig.opened()
    approval = await held(rig, opened.live)
    for _ in range(2):
        rig.clock.move(minutes=4)
        await rig.tick()
        assert opened.live.ended is None
    await rig.gateway.approvals.decide(approval.id, Refuse(FAY, "no"))
    rig.clock.move(minutes=4)
    await rig.tick()
    assert opened.live.ended is None
    rig.clock.move(minutes=2)
    await rig.tick()
    assert opened.live.ended is not None


async def test_what_was_running_when_the_gateway_stopped_has_failed(rig: Rig) -> None:
    live = (await rig.opened()).live
    approval = await held(rig, live)
    waiting = await held(rig, live)
    await rig.gateway.approvals.decide(approval.id, Approve(FAY, "d0"))
    await rig.gateway.approvals.begin(live, approval.id, "d0")
    again = Approvals(rig.sessions, rig.sessions.recorder, rig.clock)
    await again.start()
    await again.stop()
    assert [(await again.find(each.id)).state for each in (approval, waiting)] == ["FAILED", "PENDING"]
    assert live.holding == 1


async def test_the_store_keeps_everything(rig: Rig) -> None:
    live = (await rig.opened()).live
    approval = await held(rig, live)
    await rig.gateway.approvals.decide(approval.id, Delegate(FAY, ("board",), "yours"))
    decided = await rig.gateway.approvals.decide(approval.id, Approve(BOB, "d0", "fine"))
    assert await rig.gateway.approvals.find(approval.id) == decided


async def test_who_waits_hears_of_the_verdict(rig: Rig) -> None:
    live = (await rig.opened()).live
    approval = await held(rig, live)
    waiting = asyncio.ensure_future(rig.gateway.approvals.wait(approval.id, 60))
    watching = asyncio.ensure_future(rig.gateway.approvals.news(rig.gateway.approvals.changes, 60))
    await asyncio.sleep(0)
    await rig.gateway.approvals.decide(approval.id, Refuse(FAY, "no"))
    assert (await asyncio.wait_for(waiting, 60)).state == "DENIED"
    assert await asyncio.wait_for(watching, 60) == rig.gateway.approvals.changes


async def test_notices_tell_neither_arguments_nor_reasons(rig: Rig) -> None:
    live = (await rig.opened()).live
    told: list[Approval] = []
    rig.gateway.approvals.listeners.append(told.append)
    approval = await held(rig, live)
    await rig.gateway.approvals.decide(approval.id, Approve(FAY, "d0", "CANARY words"))
    notices = [approval_notice(each) for each in told]
    assert [each is None for each in notices] == [False, False]
    assert "CANARY" not in str(notices)
    assert approval.id in str(notices[0])
    assert notices[0] != notices[1]


async def test_a_notice_names_no_statement_even_where_no_action_is_known(rig: Rig) -> None:
    approval = await held(rig, (await rig.opened()).live)
    for kind, named in (("statement", "a statement"), ("call", "refund")):
        text = "UPDATE t SET x = 'CANARY'" if kind == "statement" else "refund"
        subject = Subject("statement" if kind == "statement" else "call", "crm", text, "{}", "d0")
        notice = approval_notice(replace(approval, subject=subject))
        assert notice is not None
        assert "CANARY" not in repr(notice)
        assert notice.title.endswith(named)
