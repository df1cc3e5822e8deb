"""Suspensions: what they stop at once, what they leave alone, that they last, and that only people lift them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest
from gateway_rig import Rig, make_rig, text, wanted

from bailiwick.errors import BailiwickError, LedgerError, SessionError
from bailiwick.gateway.call import Call
from bailiwick.gateway.sessions.opening import Opened
from bailiwick.gateway.sessions.suspending import suspending
from bailiwick.gateway.wire import Fields, Json
from bailiwick.model.approval import Reviewer
from bailiwick.model.decision import Access, Allow, Denial, Request
from bailiwick.model.suspension import SuspensionKind

WHY = "it sent odd queries: CANARY-reason"
document = text.replace(", hours: Mon-Fri 07:00-19:00 Europe/Berlin", "").replace(
    "[support-bot]", "[support-bot, night-bot]"
)
kinds: list[tuple[SuspensionKind, str]] = [
    ("everything", "everything_suspended"),
    ("agent", "agent_suspended"),
    ("session", "session_suspended"),
    ("mount", "mount_closed"),
]


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    made = await make_rig(tmp_path, document)
    yield made
    await made.sessions.stop()
    await made.state.close()


def name_of(kind: SuspensionKind, opened: Opened) -> str:
    return {"everything": "", "agent": "support-bot", "session": opened.live.session.id, "mount": "crm"}[kind]


async def ask(rig: Rig, do: str, **fields: Json) -> dict[str, Json]:
    return dict(await suspending(rig.sessions)[do](Fields(fields), Reviewer("local:root", means="local")))


async def refusal(rig: Rig, opened: Opened) -> str:
    """Return the code with which a new connection of a session is refused; empty when it is not."""
    found = await rig.gateway.connect("crm", opened.live.session.agent, opened.token, "p", lambda _: None)
    return found.code if isinstance(found, Denial) else ""


@pytest.mark.parametrize(("kind", "code"), kinds)
async def test_what_is_suspended_is_cut_and_refused_until_it_is_resumed(
    rig: Rig, kind: SuspensionKind, code: str
) -> None:
    opened = await rig.opened()
    cuts: list[Denial] = []
    live = await rig.connected(opened, cuts)
    suspensions = rig.sessions.suspensions
    assert await suspensions.suspend(kind, name_of(kind, opened), WHY, "local:root") == 1
    await asyncio.sleep(0)
    assert [cut.code for cut in cuts] == [code]
    blocked = live.blocked("crm")
    assert blocked is not None
    assert (blocked.code, "CANARY" in repr(blocked)) == (code, False)
    assert await refusal(rig, opened) == code
    assert [(each.kind, each.reason, each.by) for each in suspensions.list()] == [(kind, WHY, "local:root")]
    await suspensions.resume(kind, name_of(kind, opened), "local:root")
    assert live.blocked("crm") is None
    assert await refusal(rig, opened) == ""
    made, lifted = [each for each in rig.ledger.records if each.detail.get("reason") == WHY]
    assert (made.detail["by"], lifted.detail["by"]) == ("local:root", "local:root")
    assert made.kind in ("everything.suspended", "agent.suspended", "session.suspended", "mount.closed")
    assert lifted.kind in ("everything.resumed", "agent.resumed", "session.resumed", "mount.opened")


async def test_only_what_is_named_is_stopped(rig: Rig) -> None:
    mine, other = await rig.opened(), await rig.opened(agent="night-bot")
    cuts: list[Denial] = []
    bystander = await rig.connected(other, cuts)
    await rig.sessions.suspensions.suspend_agent("support-bot", WHY, "limits")
    await rig.sessions.suspensions.suspend_session(mine.live.session.id, WHY, "limits")
    await rig.sessions.suspensions.suspend("mount", "erp", WHY, "limits")
    await asyncio.sleep(0)
    assert (cuts, bystander.blocked("crm"), await refusal(rig, other)) == ([], None, "")


@pytest.mark.parametrize(("kind", "code"), [each for each in kinds if each[0] in ("everything", "agent")])
async def test_no_session_is_opened_for_what_is_suspended(rig: Rig, kind: SuspensionKind, code: str) -> None:
    await rig.sessions.suspensions.suspend(kind, "support-bot" if kind == "agent" else "", WHY, "ann")
    refused = await rig.opener.open(wanted())
    assert isinstance(refused, Denial)
    assert refused.code == code
    assert rig.ledger.records[-1].kind == "session.refused"
    twin = await rig.opener.open(wanted(agent="night-bot"))
    assert isinstance(twin, Opened) is (kind == "agent")


async def test_sub_agents_stop_with_who_delegated_to_them_and_with_their_own_suspension(rig: Rig) -> None:
    top = await rig.opened()
    below = await rig.opener.open(wanted(agent="night-bot", parent=top.live, user=None, tenant=None, values={}))
    assert isinstance(below, Opened)
    cuts: list[Denial] = []
    live = await rig.connected(below, cuts)
    stops: list[tuple[SuspensionKind, str]] = [("agent", "support-bot"), ("session", top.live.session.id)]
    for kind, name in stops:
        await rig.sessions.suspensions.suspend(kind, name, WHY, "ann")
        assert live.blocked() is not None
        await rig.sessions.suspensions.resume(kind, name, "ann")
        assert live.blocked() is None
    await asyncio.sleep(0)
    assert [cut.code for cut in cuts] == ["agent_suspended"]  # the one connection was cut by the first
    await rig.sessions.suspensions.suspend_agent("support-bot", WHY, "ann")
    again = await rig.opener.open(wanted(agent="night-bot", parent=top.live, user=None, tenant=None, values={}))
    assert isinstance(again, Denial)
    await rig.sessions.suspensions.resume("agent", "support-bot", "ann")
    await rig.sessions.suspensions.suspend_agent("night-bot", WHY, "ann")
    assert (live.blocked() is None, top.live.blocked()) == (False, None)


async def test_suspensions_survive_a_restart(rig: Rig, tmp_path: Path) -> None:
    opened = await rig.opened()
    for kind, _ in kinds:
        await rig.sessions.suspensions.suspend(kind, name_of(kind, opened), WHY, "ann")
    await rig.sessions.stop()
    again = await make_rig(tmp_path, document, rig.clock)
    live = again.sessions.registry.get(opened.live.session.id)
    assert live is not None
    for kind, code in kinds:
        blocked = live.blocked("crm")
        assert blocked is not None
        assert blocked.code == code
        await again.sessions.suspensions.resume(kind, name_of(kind, opened), "ann")
    assert live.blocked("crm") is None
    await again.sessions.stop()
    once_more = await make_rig(tmp_path, document, rig.clock)
    assert once_more.sessions.suspensions.list() == []
    for each in (again, once_more):
        await each.state.close()


async def test_intent_that_was_decided_before_the_suspension_has_no_effect_after_it(rig: Rig) -> None:
    live = await rig.connected(await rig.opened(), [])
    call = Call("crm", "UPDATE tickets", Request("crm", (Access("tickets", "read"),)), Allow(("g",)))

    async def intended() -> bool:
        fate: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        rig.gateway.intend(live, call, fate.set_result)
        return await fate

    assert await intended()
    for kind in ("mount", "agent"):
        name = "crm" if kind == "mount" else "support-bot"
        await rig.sessions.suspensions.suspend(kind, name, WHY, "ann")
        assert not await intended()
        await rig.sessions.suspensions.resume(kind, name, "ann")
        assert await intended()


async def test_suspension_holds_although_it_could_not_be_recorded_and_no_resumption_does(rig: Rig) -> None:
    opened = await rig.opened()
    rig.ledger.broken = True
    with pytest.raises(LedgerError):
        await rig.sessions.suspensions.suspend_agent("support-bot", WHY, "ann")
    assert opened.live.blocked() is not None
    with pytest.raises(LedgerError):
        await rig.sessions.suspensions.resume("agent", "support-bot", "ann")
    assert opened.live.blocked() is not None
    rig.ledger.broken = False
    await rig.sessions.suspensions.resume("agent", "support-bot", "ann")
    assert opened.live.blocked() is None


@pytest.mark.parametrize("reason", ["", "  ", "two\nlines", "\x1b[2Jgone", "x" * 501])
async def test_a_reason_is_one_printable_line(rig: Rig, reason: str) -> None:
    with pytest.raises(SessionError, match="reason"):
        await rig.sessions.suspensions.suspend_agent("support-bot", reason, "ann")
    assert rig.sessions.suspensions.list() == []


async def test_desk_knows_what_can_be_suspended_and_tells_what_is(rig: Rig) -> None:
    opened = await rig.opened()
    for do, fields in (
        ("agent.suspend", {"agent": "suport-bot"}),
        ("mount.close", {"mount": "cmr"}),
        ("session.suspend", {"session": "ses_x"}),
    ):
        with pytest.raises(SessionError, match="there is no"):
            await ask(rig, do, reason=WHY, **fields)
    with pytest.raises(BailiwickError, match="`reason` is missing"):
        await ask(rig, "everything.suspend")
    for do in ("agent.resume", "mount.open", "session.resume"):
        with pytest.raises(SessionError, match="is not"):
            await ask(rig, do, **{do.split(".")[0]: "crm"})
    with pytest.raises(SessionError, match="everything is not suspended"):
        await ask(rig, "everything.resume")
    assert await ask(rig, "agent.suspend", agent="support-bot", reason=WHY) == {
        "kind": "agent",
        "name": "support-bot",
        "sessions": 1,
    }
    assert opened.live.blocked() is not None
    told = cast("list[dict[str, Json]]", (await ask(rig, "suspension.list"))["suspensions"])
    assert [(each["kind"], each["reason"], each["by"]) for each in told] == [("agent", WHY, "local:root")]
    await ask(rig, "agent.resume", agent="support-bot")
    assert opened.live.blocked() is None
