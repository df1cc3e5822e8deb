"""Elevations: who may ask for what, who may grant it, that it ends whatever happens, and that each use is marked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from gateway_rig import Hand, Rig, lock, make_rig, policy_of, text, wanted
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bailiwick.decide.approvals import Approve, Refuse
from bailiwick.errors import LedgerError, SessionError
from bailiwick.gateway.approvals.desk import ApprovalDesk
from bailiwick.gateway.approvals.notices import approval_notice
from bailiwick.gateway.call import Call, Outcome
from bailiwick.gateway.elevations.desk import ElevationDesk
from bailiwick.gateway.elevations.elevations import Elevations
from bailiwick.gateway.policies.force import Force
from bailiwick.gateway.refusal import RefusedError
from bailiwick.gateway.sessions.live import LAPSED, Live
from bailiwick.gateway.sessions.opening import Opened
from bailiwick.gateway.wire import Fields
from bailiwick.model.approval import Approval, Reviewer
from bailiwick.model.decision import Access, Allow, Denial, Request
from bailiwick.model.elevation import Elevation
from bailiwick.model.session import User
from bailiwick.mounts.tool_path import Done, ToolPath

document = (
    text.replace(", hours: Mon-Fri 07:00-19:00 Europe/Berlin", "")
    .replace("ttl: 30m, idle: 5m", "ttl: 12h")
    .replace("only: {tickets: {}}", "only: {tickets: {}, customers: {}}")
    .replace(
        "agents:\n  support-bot",
        """  escalation:
    grants:
      - {allow: tickets:read, id: all-tickets, reason: full access while an escalation is open}
      - {allow: customers:read, id: customers, reason: calls people}
agents:
  support-bot""",
    )
    + """
  look: {agents: [support-bot], only: {tickets: {}}}
elevations:
  escalation: {role: escalation, for: [support-bot], max: 4h, approvers: [leads]}
  nightly: {role: escalation, for: [night-bot], max: 1h, approvers: [leads]}
approvers:
  leads: {users: [lea, lou, ada]}
"""
)
LEA, ADA, EVE = (Reviewer(name, means="oidc", clearance="internal") for name in ("lea", "ada", "eve"))
HOUR = timedelta(hours=1)


@dataclass
class Desk:
    """A gateway, and its elevations without their clockwork."""

    rig: Rig
    elevations: Elevations

    @property
    def approvals(self) -> object:
        return self.rig.gateway.approvals

    async def asked(self, live: Live, name: str = "escalation", span: timedelta = HOUR) -> Approval:
        found = await self.elevations.ask(live, name, span, "ticket 7 is stuck")
        assert isinstance(found, Approval), found
        return found

    async def approved(self, approval: Approval, by: Reviewer = LEA) -> Approval | Denial:
        found = await self.rig.gateway.approvals.decide(approval.id, Approve(by, approval.subject.digest))
        await self.elevations.grant_approved()
        return found

    async def granted(self, live: Live, span: timedelta = HOUR) -> Elevation:
        approval = await self.asked(live, span=span)
        assert isinstance(await self.approved(approval), Approval)
        found = self.rig.sessions.elevated.get(approval.id)
        assert found is not None
        return found

    async def state(self, approval: Approval) -> str:
        return (await self.rig.gateway.approvals.find(approval.id)).state


def desk_of(rig: Rig) -> Desk:
    return Desk(rig, rig.gateway.elevations)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    made = await make_rig(tmp_path, document)
    yield desk_of(made)
    await made.sessions.stop()
    await made.state.close()


def can_read(live: Live, resource: str) -> bool:
    """Return whether a session reads a resource now, as a mount asks it."""
    assert live.blocked() is None
    scope = live.scope.resources.get(resource)
    return scope is not None and bool(scope.reads)


def reads_all(live: Live) -> bool:
    """Return whether a session reads every ticket now."""
    assert live.blocked() is None
    return any(not read.filter.conditions for read in live.scope.resources["tickets"].reads)


async def test_elevation_is_asked_for_granted_used_and_ends_by_itself(desk: Desk) -> None:
    live = (await desk.rig.opened()).live
    assert not can_read(live, "customers")
    approval = await desk.asked(live)
    assert approval.expires_at > desk.rig.clock()
    assert not can_read(live, "customers")
    assert isinstance(await desk.approved(approval), Approval)
    assert (can_read(live, "customers"), reads_all(live)) == (True, True)
    assert await desk.state(approval) == "EXECUTED"
    desk.rig.clock.now += HOUR - timedelta(microseconds=1)
    assert can_read(live, "customers")
    desk.rig.clock.now += timedelta(microseconds=1)
    assert (can_read(live, "customers"), reads_all(live)) == (False, False)
    await desk.elevations.end_what_is_over()
    kinds = [record.kind for record in desk.rig.ledger.records if record.kind.startswith("elevation")]
    assert kinds == ["elevation.granted", "elevation.ended"]
    assert desk.rig.ledger.records[-1].detail["how"] == "expired"


async def test_each_use_is_marked_in_the_ledger_and_nothing_else_is(desk: Desk) -> None:
    live = await desk.rig.connected(await desk.rig.opened(), [])

    def recorded(*grants: str) -> object:
        call = Call("crm", "SELECT", Request("crm", (Access("tickets", "read"),)), Allow(grants), {"x": 1})
        for _ in range(3):  # the third is stamped from a form
            desk.rig.gateway.call(live, call, Outcome("", 1, 1, 1), lambda _: None)
        last = desk.rig.ledger.records[-3:]
        assert len({str(each.detail) for each in last}) == 1
        return last[0].detail.get("elevation")

    own = next(iter(live.scope.grants))
    assert recorded(own) is None
    elevation = await desk.granted(live)
    assert recorded(own) is None
    assert recorded(own, "all-tickets") == [elevation.id]
    desk.rig.clock.now += HOUR
    assert recorded(own) is None


async def test_elevation_reaches_its_session_alone_and_no_sub_agent(desk: Desk) -> None:
    mine, other = (await desk.rig.opened()).live, (await desk.rig.opened()).live
    below = await desk.rig.opener.open(
        wanted(agent="night-bot", task=None, parent=mine, user=None, tenant=None, values={})
    )
    assert isinstance(below, Opened)
    await desk.granted(mine)
    assert [can_read(each, "customers") for each in (mine, other, below.live)] == [True, False, False]
    later = await desk.rig.opener.open(
        wanted(agent="night-bot", task=None, parent=mine, user=None, tenant=None, values={})
    )
    assert isinstance(later, Opened)
    assert not can_read(later.live, "customers")


async def test_elevation_is_within_the_task_and_what_was_asked_for(desk: Desk) -> None:
    narrow = (await desk.rig.opened(task="look", values={})).live
    asked = (await desk.rig.opened(asked='{"tickets": {}}')).live
    for live in (narrow, asked):
        await desk.granted(live)
        assert (reads_all(live), can_read(live, "customers")) == (True, False)


async def test_elevation_of_the_agent_is_for_all_its_sessions_also_later_ones(desk: Desk) -> None:
    before = (await desk.rig.opened()).live
    other = (await desk.rig.opened(agent="night-bot", task=None, values={})).live
    asked = await desk.elevations.ask_for("support-bot", "", "escalation", HOUR, "an incident", EVE)
    assert isinstance(asked, Approval)
    refused = await desk.approved(asked, EVE)
    assert isinstance(refused, Denial)
    assert isinstance(await desk.approved(asked), Approval)
    after = (await desk.rig.opened()).live
    assert [can_read(each, "customers") for each in (before, after, other)] == [True, True, False]
    await desk.elevations.revoke(asked.id, "lou", "over")
    assert [can_read(each, "customers") for each in (before, after)] == [False, False]


@pytest.mark.parametrize(
    ("name", "span", "reason", "code"),
    [
        ("escalation", timedelta(hours=4, seconds=1), "x", "elevation_too_long"),
        ("escalation", timedelta(0), "x", "elevation_too_long"),
        ("escalation", -HOUR, "x", "elevation_too_long"),
        ("nightly", HOUR, "x", "elevation_unknown"),
        ("support", HOUR, "x", "elevation_unknown"),
        ("", HOUR, "x", "elevation_unknown"),
        ("escalation", HOUR, "  ", "elevation_unknown"),
        ("escalation", HOUR, "x" * 1001, "elevation_unknown"),
    ],
)
async def test_what_cannot_be_granted_cannot_be_asked_for(
    desk: Desk, name: str, span: timedelta, reason: str, code: str
) -> None:
    live = (await desk.rig.opened()).live
    refused = await desk.elevations.ask(live, name, span, reason)
    assert isinstance(refused, Denial)
    assert refused.code == code
    assert "nightly" not in refused.allowed + refused.remedy
    assert desk.rig.ledger.records[-1].kind == "elevation.refused"
    assert isinstance(await desk.elevations.ask(live, "escalation", timedelta(hours=4), "x"), Approval)


async def test_it_is_in_force_once_whoever_approved_it_is_answered(desk: Desk) -> None:
    live = (await desk.rig.opened()).live
    approval = await desk.asked(live)
    approve = ApprovalDesk(desk.rig.gateway.approvals).answers()["approval.approve"]
    desk.rig.ledger.broken = True
    with pytest.raises(LedgerError):
        await approve(Fields({"approval": approval.id, "digest": approval.subject.digest}), LEA)
    assert not can_read(live, "customers")
    desk.rig.ledger.broken = False
    await approve(Fields({"approval": approval.id, "digest": approval.subject.digest}), LEA)
    assert can_read(live, "customers")


async def test_nobody_grants_it_who_asks_or_is_not_asked(desk: Desk) -> None:
    opened = await desk.rig.opened(user=User("ada", frozenset({"support"})))
    approval = await desk.asked(opened.live)
    for by in (ADA, Reviewer("ADA ", means="oidc"), EVE, Reviewer("client x", frozenset({"leads"}), means="client")):
        refused = await desk.approved(approval, by)
        assert isinstance(refused, Denial)
        assert refused.code == "approval_not_yours"
    wrong = await desk.rig.gateway.approvals.decide(approval.id, Approve(LEA, "0" * 64))
    assert isinstance(wrong, Denial)
    await desk.elevations.grant_approved()
    assert not can_read(opened.live, "customers")
    assert isinstance(await desk.approved(approval), Approval)
    assert can_read(opened.live, "customers")


async def test_person_who_asked_for_a_session_does_not_approve_it(desk: Desk) -> None:
    live = (await desk.rig.opened()).live
    asked = await desk.elevations.ask_for("", live.session.id, "escalation", HOUR, "stuck", LEA)
    assert isinstance(asked, Approval)
    assert isinstance(await desk.approved(asked), Denial)
    assert isinstance(await desk.approved(asked, Reviewer("lou", means="oidc", clearance="internal")), Approval)
    assert can_read(live, "customers")
    with pytest.raises(SessionError, match="is not open"):
        await desk.elevations.ask_for("", "ses_x", "escalation", HOUR, "stuck", LEA)


async def test_the_same_request_is_the_same_approval_and_people_are_not_flooded(desk: Desk) -> None:
    live = (await desk.rig.opened()).live
    first = await desk.asked(live)
    assert (await desk.asked(live)).id == first.id
    for minutes in range(1, 5):
        await desk.asked(live, span=timedelta(minutes=minutes))
    full = await desk.elevations.ask(live, "escalation", timedelta(minutes=9), "x")
    assert isinstance(full, Denial)
    assert full.code == "limit_exceeded"
    found: Approval | Denial = full
    for minutes in range(10, 30):
        for each in await desk.elevations.waiting(everything=False):
            await desk.rig.gateway.approvals.decide(each.id, Refuse(LEA, "no"))
        found = await desk.elevations.ask(live, "escalation", timedelta(minutes=minutes), "x")
    assert isinstance(found, Denial)
    assert "within an hour" in found.message
    desk.rig.clock.now += HOUR
    await desk.asked(live)


async def test_denied_expired_and_withdrawn_requests_give_nothing(desk: Desk) -> None:
    denied, late, gone = [(await desk.rig.opened()).live for _ in range(3)]
    asked = [await desk.asked(live) for live in (denied, late, gone)]
    await desk.rig.gateway.approvals.decide(asked[0].id, Refuse(LEA, "no"))
    assert isinstance(await desk.approved(asked[0]), Denial)
    await desk.rig.sessions.end(gone.session.id, "CLOSED", "closed", "cli")
    assert isinstance(await desk.approved(asked[2]), Denial)
    desk.rig.clock.now += timedelta(hours=24)
    assert isinstance(await desk.approved(asked[1]), Denial)
    assert list(desk.rig.sessions.elevated) == []


async def test_what_was_granted_is_over_once_and_for_all(desk: Desk) -> None:
    live = (await desk.rig.opened()).live
    elevation = await desk.granted(live)
    approval = await desk.rig.gateway.approvals.find(elevation.id)
    await desk.elevations.revoke(elevation.id, "lou", "enough")
    assert not can_read(live, "customers")
    assert isinstance(await desk.approved(approval), Denial)
    with pytest.raises(SessionError, match="is in force"):
        await desk.elevations.revoke(elevation.id, "lou", "enough")
    desk.rig.sessions.elevated.add(elevation)  # whoever gives it back: it stays over
    desk.rig.sessions.refit_all()
    assert (await desk.elevations.store.over())[0][1] == "revoked"


async def test_clock_that_goes_back_gives_nothing_back(desk: Desk) -> None:
    live = (await desk.rig.opened()).live
    await desk.granted(live)
    desk.rig.clock.now += HOUR
    assert not can_read(live, "customers")
    desk.rig.clock.now -= timedelta(minutes=30)
    desk.rig.sessions.refit_all()
    assert not can_read(live, "customers")
    await desk.elevations.end_what_is_over()
    assert (await desk.elevations.store.over())[0][1] == "expired"


async def test_it_ends_with_its_session_and_survives_a_restart_otherwise(desk: Desk, tmp_path: Path) -> None:
    kept, closed = (await desk.rig.opened()).live, (await desk.rig.opened()).live
    for live in (kept, closed):
        await desk.granted(live)
    await desk.rig.sessions.end(closed.session.id, "CLOSED", "closed", "cli")
    await desk.elevations.end_what_is_over()
    assert (await desk.elevations.store.over())[0][1] == "session"
    await desk.rig.sessions.stop()
    again = await make_rig(tmp_path, document, desk.rig.clock)
    restarted = desk_of(again)
    await restarted.elevations.start()
    await restarted.elevations.stop()
    live = again.sessions.registry.get(kept.session.id)
    assert live is not None
    assert can_read(live, "customers")
    again.clock.now += HOUR
    assert not can_read(live, "customers")
    await again.sessions.stop()
    await again.state.close()


async def test_what_was_not_wholly_granted_when_the_gateway_died_is_not_in_force(desk: Desk, tmp_path: Path) -> None:
    live = (await desk.rig.opened()).live
    approval = await desk.asked(live)
    now = desk.rig.clock()
    stray = Elevation(approval.id, "escalation", "support-bot", live.session.id, now, now + HOUR, ("lea",), "x")
    await desk.elevations.store.insert(stray)
    await desk.rig.sessions.stop()
    again = await make_rig(tmp_path, document, desk.rig.clock)
    restarted = desk_of(again)
    await restarted.elevations.start()
    await restarted.elevations.stop()
    found = again.sessions.registry.get(live.session.id)
    assert found is not None
    assert not can_read(found, "customers")
    assert (await restarted.elevations.store.over())[0][1] == "interrupted"
    await again.sessions.stop()
    await again.state.close()


async def test_policy_decides_what_an_elevation_still_gives(desk: Desk) -> None:
    live = (await desk.rig.opened()).live
    await desk.granted(live, timedelta(hours=3))

    def under(changed: str) -> None:
        desk.rig.sessions.reload(Force(policy_of(changed), lock))

    under(document.replace("max: 4h", "max: 2h"))
    desk.rig.clock.now += timedelta(hours=2) - timedelta(seconds=1)
    assert can_read(live, "customers")
    desk.rig.clock.now += timedelta(seconds=1)
    assert not can_read(live, "customers")
    other = (await desk.rig.opened()).live
    await desk.granted(other)
    under(document.replace("for: [support-bot]", "for: [night-bot]"))
    assert not can_read(other, "customers")


async def test_what_was_approved_under_another_policy_is_not_granted(desk: Desk) -> None:
    live = (await desk.rig.opened()).live
    approval = await desk.asked(live)
    desk.rig.sessions.reload(Force(policy_of(document.replace("calls people", "calls them")), lock))
    await desk.approved(approval)
    assert await desk.state(approval) == "FAILED"
    assert not can_read(live, "customers")


async def test_nothing_is_granted_that_cannot_be_recorded_and_a_failed_end_is_an_end(desk: Desk) -> None:
    live = (await desk.rig.opened()).live
    approval = await desk.asked(live)
    assert isinstance(
        await desk.rig.gateway.approvals.decide(approval.id, Approve(LEA, approval.subject.digest)), Approval
    )
    desk.rig.ledger.broken = True
    with pytest.raises(LedgerError):
        await desk.elevations.grant_approved()
    assert not can_read(live, "customers")
    desk.rig.ledger.broken = False
    await desk.elevations.grant_approved()
    assert can_read(live, "customers")
    desk.rig.ledger.broken = True
    with pytest.raises(LedgerError):
        await desk.elevations.revoke(approval.id, "lou", "enough")
    assert not can_read(live, "customers")
    desk.rig.ledger.broken = False
    await desk.elevations.end_what_is_over()
    assert len(await desk.elevations.store.over()) == 1


async def test_intent_decided_before_the_end_has_no_effect_after_it(desk: Desk) -> None:
    live = await desk.rig.connected(await desk.rig.opened(), [])
    own = next(iter(live.scope.grants))
    await desk.granted(live)

    async def intended(*grants: str) -> bool:
        fate: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        call = Call("crm", "UPDATE", Request("crm", (Access("tickets", "update"),)), Allow(grants))
        desk.rig.gateway.intend(live, call, fate.set_result)
        return await fate

    assert await intended("all-tickets")
    desk.rig.clock.now += HOUR
    assert not await intended(own, "all-tickets")
    told = desk.rig.ledger.records[-1]
    assert (told.kind, told.decision, told.code, told.grants) == ("call", "deny", "elevation_ended", ())
    assert live.withheld("crm", (own, "all-tickets")) is LAPSED
    assert await intended(own)
    assert live.withheld("crm", (own,)) is None


async def test_agent_is_told_that_the_elevation_has_ended_and_not_that_the_ledger_fails(desk: Desk) -> None:
    live = await desk.rig.connected(await desk.rig.opened(), [])
    await desk.granted(live)
    call = Call("crm", "close", Request("crm", (Access("tickets", "update"),)), Allow(("all-tickets",)))
    done = 0

    async def execute() -> Done[str]:
        nonlocal done
        done += 1
        return Done("closed")

    path = ToolPath(desk.rig.gateway, live)
    assert (await path.run(call, execute, intends=True)).denial is None
    desk.rig.clock.now += HOUR
    late = await path.run(call, execute, intends=True)
    assert late.denial is LAPSED
    assert done == 1


async def test_suspended_session_is_granted_nothing_until_it_goes_on(desk: Desk) -> None:
    live = (await desk.rig.opened()).live
    approval = await desk.asked(live)
    await desk.rig.sessions.suspensions.suspend_agent("support-bot", "odd", "ann")
    assert isinstance(await desk.elevations.ask(live, "escalation", HOUR, "x"), Denial)
    await desk.approved(approval)
    assert desk.rig.sessions.elevated.get(approval.id) is None
    await desk.rig.sessions.suspensions.resume("agent", "support-bot", "ann")
    await desk.elevations.grant_approved()
    assert can_read(live, "customers")


async def test_desk_tells_an_agent_of_its_own_requests_alone(desk: Desk) -> None:
    mine, other = (await desk.rig.opened()).live, (await desk.rig.opened()).live
    told = ElevationDesk(desk.elevations)
    asked = await told.ask(Fields({"elevation": "escalation", "duration": "1h", "reason": "stuck"}), mine)
    found = asked["elevation"]
    assert isinstance(found, dict)
    number = found["id"]
    assert (await told.stands(Fields({"elevation": number}), mine))["elevation"] == found
    for live, name in ((other, number), (mine, "apr_x")):
        with pytest.raises(RefusedError, match="no such request"):
            await told.stands(Fields({"elevation": name}), live)
    listed = await told.answers()["elevation.list"](Fields({}), LEA)
    assert listed["waiting"] == [found]
    approval = await desk.rig.gateway.approvals.find(str(number))
    notice = approval_notice(approval)
    assert notice is not None
    assert (notice.kind, notice.link) == ("elevation", f"/console/approvals/{number}")
    await desk.approved(approval)
    shown = (await told.stands(Fields({"elevation": number}), mine))["elevation"]
    assert isinstance(shown, dict)
    assert shown["state"] == "IN FORCE"


class Machine(RuleBasedStateMachine):
    """Requests, verdicts, time, revocations and ends of sessions in any order: power is there only while it may be."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder: Path | None = None

    @initialize()
    def begin(self) -> None:
        from tempfile import mkdtemp

        self.folder = Path(mkdtemp(prefix="bwelev"))
        self.desk = desk_of(self.runner.run(make_rig(self.folder, document, Hand())))
        self.runner.run(self.desk.rig.sessions.stop())  # its clockwork; time is ours here
        self.live = self.runner.run(self.desk.rig.opened()).live
        self.asked: list[Approval] = []
        self.approved: dict[str, datetime] = {}
        self.span: dict[str, timedelta] = {}
        self.revoked: set[str] = set()
        self.closed = False
        self.latest = self.desk.rig.clock()

    def teardown(self) -> None:
        import shutil

        if self.folder is not None:
            self.runner.run(self.desk.rig.state.close())
            shutil.rmtree(self.folder, ignore_errors=True)
        self.runner.close()

    @precondition(lambda self: len(self.asked) < 4)
    @rule(minutes=st.integers(1, 240))
    def ask(self, minutes: int) -> None:
        found = self.runner.run(
            self.desk.elevations.ask(self.live, "escalation", timedelta(minutes=minutes), "because")
        )
        assert isinstance(found, Denial) is self.closed
        if isinstance(found, Approval) and found.id not in self.span:
            self.asked.append(found)
            self.span[found.id] = timedelta(minutes=minutes)

    @precondition(lambda self: self.asked)
    @rule(data=st.data(), by=st.sampled_from([LEA, ADA, EVE]))
    def approve(self, data: st.DataObject, by: Reviewer) -> None:
        approval = data.draw(st.sampled_from(self.asked))
        found = self.runner.run(
            self.desk.rig.gateway.approvals.decide(approval.id, Approve(by, approval.subject.digest))
        )
        if isinstance(found, Approval):
            assert by is LEA
            assert not self.closed

    @rule()
    def grant(self) -> None:
        before = {each.id for each in self.desk.rig.sessions.elevated}
        self.runner.run(self.desk.elevations.grant_approved())
        for each in self.desk.rig.sessions.elevated:
            if each.id not in before:
                assert each.id not in self.approved, "granted twice"
                assert not self.closed
                self.approved[each.id] = self.desk.rig.clock() + self.span[each.id]

    @precondition(lambda self: self.asked)
    @rule(data=st.data())
    def revoke(self, data: st.DataObject) -> None:
        approval = data.draw(st.sampled_from(self.asked))
        try:
            self.runner.run(self.desk.elevations.revoke(approval.id, "lou", ""))
        except SessionError:
            return
        self.revoked.add(approval.id)

    @rule(minutes=st.integers(-30, 180))
    def time_passes(self, minutes: int) -> None:
        self.desk.rig.clock.now += timedelta(minutes=minutes)
        self.latest = max(self.latest, self.desk.rig.clock())
        self.live.blocked()  # somebody looks

    @rule()
    def sweep(self) -> None:
        self.runner.run(self.desk.elevations.end_what_is_over())

    @precondition(lambda self: not self.closed)
    @rule()
    def close(self) -> None:
        if self.live.due(self.desk.rig.clock()) is None:
            self.runner.run(self.desk.rig.sessions.end(self.live.session.id, "CLOSED", "closed", "cli"))
        else:
            self.desk.rig.sessions.cut_what_is_over()
            self.runner.run(self.desk.rig.sessions.store_endings())
        self.closed = True

    @invariant()
    def power_is_there_only_while_it_may_be(self) -> None:
        if self.folder is None:
            return
        self.closed = self.closed or self.live.due(self.desk.rig.clock()) is not None
        if self.live.blocked() is not None:
            return
        scope = self.live.scope.resources.get("customers")
        may = any(
            end > self.desk.rig.clock() and end > self.latest and each not in self.revoked
            for each, end in self.approved.items()
        )
        if scope is not None and scope.reads:
            assert may
            assert not self.closed
        elif may and not self.closed:
            raise AssertionError("it was granted, is not over, and gives nothing")


Machine.TestCase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
TestPowerEndsWhateverHappens = Machine.TestCase
