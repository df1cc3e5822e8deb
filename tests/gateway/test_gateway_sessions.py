"""Sessions: who may open one, what ends it, and that the end reaches its connections. Each refusal with its twin."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from gateway_rig import Hand, Rig, lock, make_rig, monday, policy_of, text, wanted

from bailiwick.errors import LedgerError, SessionError
from bailiwick.gateway.desk import Desk
from bailiwick.gateway.policies.force import Force
from bailiwick.gateway.policies.reload import Reloader
from bailiwick.gateway.sessions.live import Live
from bailiwick.gateway.sessions.opening import Opened
from bailiwick.gateway.sessions.tokens import Tokens
from bailiwick.gateway.state import StoredSession
from bailiwick.gateway.wire import Fields, Json
from bailiwick.ledger.clearance import HIDDEN
from bailiwick.model.approval import Reviewer
from bailiwick.model.decision import Denial
from bailiwick.model.label import Level
from bailiwick.model.session import User


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    made = await make_rig(tmp_path)
    yield made
    await made.sessions.stop()
    await made.state.close()


async def test_opened_session_has_typed_and_looked_up_values_and_is_recorded_first(rig: Rig) -> None:
    opened = await rig.opened()
    session = opened.live.session
    assert session.context == {"ticket_id": 7, "customer_id": 70}
    assert (session.tenant, session.idle) == (4, timedelta(minutes=5))
    assert session.expires_at - session.opened_at == timedelta(minutes=30)
    assert opened.mounts == ("crm",)
    assert rig.ledger.kinds() == ["session.opened"]
    assert rig.ledger.records[0].session == session.id
    stored = await rig.state.find(session.id)
    assert stored is not None
    assert stored.session == session


async def test_session_lasts_as_asked_but_no_longer_than_policy_and_gateway_let_it(rig: Rig) -> None:
    short = await rig.opened(ttl=timedelta(minutes=10))
    assert short.live.session.expires_at - rig.clock() == timedelta(minutes=10)
    long = await rig.opened(ttl=timedelta(hours=3))
    assert long.live.session.expires_at - rig.clock() == timedelta(minutes=30)
    default = await rig.opened(agent="night-bot", task=None, values={})
    assert default.live.session.expires_at - rig.clock() == timedelta(minutes=20)
    longest = await rig.opened(agent="night-bot", task=None, values={}, ttl=timedelta(days=3))
    assert longest.live.session.expires_at - rig.clock() == timedelta(hours=12)


@pytest.mark.parametrize(
    ("changes", "code", "says"),
    [
        ({"agent": "nobody"}, "agent_mismatch", "`nobody`"),
        ({"task": "refund"}, "action_not_granted", "`refund`"),
        ({"agent": "night-bot"}, "action_not_granted", "`handle-ticket`"),
        ({"user": None}, "action_not_granted", "needs a user"),
        ({"user": User("eve", frozenset({"sales"}))}, "action_not_granted", "`eve`"),
        ({"values": {}}, "context_missing", "`ticket_id` is missing"),
        ({"values": {"ticket_id": "seven"}}, "context_missing", "not of type integer"),
        ({"values": {"ticket_id": "7", "customer_id": "71"}}, "context_missing", "looked up, not believed"),
        ({"values": {"ticket_id": "7", "color": "red"}}, "context_missing", "`color` is not declared"),
        ({"values": {"ticket_id": "9"}}, "context_missing", "was not found"),
        ({"values": {"ticket_id": "8"}}, "context_missing", "was not found"),
        ({"tenant": None}, "context_missing", "was not found"),
        ({"tenant": "four"}, "context_missing", "tenant is not a number"),
        ({"mounts": ["erp"]}, "resource_unknown", "`erp`"),
    ],
)
async def test_wrong_opening_is_refused_and_recorded(
    rig: Rig, changes: dict[str, object], code: str, says: str
) -> None:
    refused = await rig.opener.open(wanted(**changes))
    assert isinstance(refused, Denial)
    assert refused.code == code
    assert says in refused.message
    assert refused.remedy
    assert rig.ledger.kinds() == ["session.refused"]
    assert await rig.state.list() == []
    assert isinstance(await rig.opener.open(wanted()), Opened)


async def test_row_of_another_tenant_is_refused_exactly_like_one_that_does_not_exist(rig: Rig) -> None:
    other = await rig.opener.open(wanted(values={"ticket_id": "8"}))
    missing = await rig.opener.open(wanted(values={"ticket_id": "9"}))
    assert other == missing


async def test_tenant_can_be_looked_up_and_holds_for_the_other_lookups(tmp_path: Path) -> None:
    derived = text.replace(
        "customer_id: {type",
        "tenant: {type: integer, from: tickets, by: ticket_id, column: tenant_id}\n      customer_id: {type",
    )
    rig = await make_rig(tmp_path, derived)
    opened = await rig.opened(tenant=None, values={"ticket_id": "8"})
    assert (opened.live.session.tenant, opened.live.session.context["customer_id"]) == (5, 80)
    refused = await rig.opener.open(wanted(tenant="4", values={"ticket_id": "8"}))
    assert isinstance(refused, Denial)
    assert "looked up, not believed" in refused.message
    await rig.state.close()


async def test_a_value_looked_up_in_a_labelled_column_is_hidden_from_those_below(tmp_path: Path) -> None:
    labelled = text.replace("key: ticket_id, tenant", "key: ticket_id, labels: {customer_id: restricted}, tenant")
    rig = await make_rig(tmp_path, labelled)
    session = (await rig.opened(tenant="5", values={"ticket_id": "8"})).live.session
    assert session.context["customer_id"] == 80
    desk = Desk(rig.sessions, rig.opener, cast("Reloader", None), dict)
    for clearance, seen in (("confidential", HIDDEN), ("restricted", "80")):
        by = Reviewer("ann", clearance=cast("Level", clearance))
        listed = cast("list[Json]", (await desk.answer("session.list", Fields({}), by))["sessions"])
        shown = (await desk.answer("session.show", Fields({"session": session.id}), by))["session"]
        for told in (listed[0], shown):
            assert cast("dict[str, Json]", told)["context"] == {"ticket_id": "8", "customer_id": seen}
    await rig.state.close()


async def test_no_session_without_its_record(rig: Rig) -> None:
    rig.ledger.broken = True
    with pytest.raises(LedgerError):
        await rig.opener.open(wanted())
    assert await rig.state.list() == []
    rig.ledger.broken = False
    assert isinstance(await rig.opener.open(wanted()), Opened)


async def test_only_so_many_sessions_are_open_at_once(rig: Rig) -> None:
    first = await rig.opened()
    for _ in range(99):
        rig.sessions.registry.add(
            Live(replace(first.live.session, id=f"s{_}"), first.live.terms, rig.clock, rig.clock())
        )
    refused = await rig.opener.open(wanted())
    assert isinstance(refused, Denial)
    assert refused.code == "limit_exceeded"
    rig.sessions.registry.remove("s0")
    assert isinstance(await rig.opener.open(wanted()), Opened)


async def test_open_session_is_admitted_and_not_blocked(rig: Rig) -> None:
    cuts: list[Denial] = []
    live = await rig.connected(await rig.opened(), cuts)
    assert live.blocked() is None
    await rig.tick()
    assert cuts == []
    assert rig.ledger.kinds() == ["session.opened", "connection.opened"]


@pytest.mark.parametrize(("state", "code"), [("REVOKED", "session_revoked"), ("CLOSED", "session_closed")])
async def test_ended_session_cuts_its_connections_at_once_and_stays_ended(rig: Rig, state: str, code: str) -> None:
    opened, other = await rig.opened(), await rig.opened()
    cuts: list[Denial] = []
    kept: list[Denial] = []
    live, bystander = await rig.connected(opened, cuts), await rig.connected(other, kept)
    await rig.connected(opened, cuts)
    reason = state.lower()
    ending = asyncio.create_task(rig.sessions.end(live.session.id, state, reason, "cli"))  # pyright: ignore[reportArgumentType]  # one of two literals
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [cut.code for cut in cuts] == [code, code]
    await ending
    blocked = live.blocked()
    assert blocked is not None
    assert blocked.code == code
    refused = await rig.gateway.connect("crm", "support-bot", opened.token, "p", cuts.append)
    assert isinstance(refused, Denial)
    assert refused.code == code
    assert rig.ledger.records[-2].kind == "session.closed"
    with pytest.raises(SessionError, match="is not open"):
        await rig.sessions.end(live.session.id, "CLOSED", "closed", "cli")
    assert (kept, bystander.blocked()) == ([], None)


async def test_session_expires_to_the_second_also_where_nothing_happens(rig: Rig) -> None:
    opened = await rig.opened(agent="night-bot", task=None, values={}, ttl=timedelta(minutes=10))
    cuts: list[Denial] = []
    live = await rig.connected(opened, cuts)
    rig.clock.move(minutes=10, microseconds=-1)
    await rig.tick()
    assert (cuts, live.blocked()) == ([], None)
    rig.clock.move(microseconds=1)
    blocked = live.blocked()
    assert blocked is not None
    assert blocked.code == "session_expired"
    await rig.tick()
    assert [cut.code for cut in cuts] == ["session_expired"]
    stored = await rig.state.find(live.session.id)
    assert stored is not None
    assert (stored.session.state, stored.reason) == ("EXPIRED", "expired")
    refused = await rig.gateway.connect("crm", "night-bot", opened.token, "p", cuts.append)
    assert isinstance(refused, Denial)
    assert refused.code == "session_expired"


async def test_idle_session_ends_and_one_in_use_does_not(rig: Rig) -> None:
    idle, used = await rig.opened(), await rig.opened()
    cuts: list[Denial] = []
    kept: list[Denial] = []
    live, busy = await rig.connected(idle, cuts), await rig.connected(used, kept)
    rig.clock.move(minutes=4)
    assert busy.blocked() is None
    rig.clock.move(minutes=1)
    await rig.tick()
    assert ([cut.code for cut in cuts], kept) == (["session_idle"], [])
    assert busy.blocked() is None
    refused = await rig.gateway.connect("crm", "support-bot", idle.token, "p", cuts.append)
    assert isinstance(refused, Denial)
    assert refused.code == "session_idle"
    assert live.ended is not None


async def test_running_statement_keeps_a_session_from_being_idle_until_it_is_over(rig: Rig) -> None:
    live = await rig.connected(await rig.opened(), [])
    live.started()
    rig.clock.move(minutes=6)
    assert live.due(rig.clock()) is None
    live.finished()
    rig.clock.move(minutes=5, microseconds=-1)
    assert live.due(rig.clock()) is None
    rig.clock.move(microseconds=1)
    assert live.due(rig.clock()) is not None


async def test_out_of_hours_cuts_and_blocks_and_in_the_morning_the_session_works_again(tmp_path: Path) -> None:
    night = text.replace("ttl: 30m, idle: 5m", "ttl: 12h").replace("07:00-19:00", "05:00-23:00")
    rig = await make_rig(tmp_path, night, Hand(monday.replace(hour=21)))
    opened = await rig.opened()
    cuts: list[Denial] = []
    live = await rig.connected(opened, cuts)
    rig.clock.move(minutes=59, seconds=59)
    await rig.tick()
    assert (cuts, live.blocked()) == ([], None)
    rig.clock.move(seconds=1)  # 22:00 UTC is 23:00 in Berlin in November
    blocked = live.blocked()
    assert blocked is not None
    assert blocked.code == "out_of_hours"
    await rig.tick()
    assert [cut.code for cut in cuts] == ["out_of_hours"]
    refused = await rig.opener.open(wanted())
    assert isinstance(refused, Denial)
    assert refused.code == "out_of_hours"
    late = await rig.gateway.connect("crm", "support-bot", opened.token, "p", cuts.append)
    assert isinstance(late, Denial)
    assert late.code == "out_of_hours"
    rig.clock.move(hours=6)
    assert (await rig.connected(opened, cuts)).blocked() is None
    await rig.state.close()


async def test_sessions_survive_a_restart_and_ended_ones_do_not(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    before = await make_rig(tmp_path, key=key)
    opened, revoked, idle = await before.opened(), await before.opened(), await before.opened()
    before.clock.move(minutes=3)
    assert opened.live.blocked() is None
    await before.sessions.end(revoked.live.session.id, "REVOKED", "revoked", "cli")
    await before.sessions.stop()
    await before.state.close()
    before.clock.move(minutes=3)
    after = await make_rig(tmp_path, clock=before.clock, key=key)
    assert (await after.connected(opened, [])).session == opened.live.session
    for token, code in ((revoked.token, "session_revoked"), (idle.token, "session_idle")):
        refused = await after.gateway.connect("crm", "support-bot", token, "p", lambda _: None)
        assert isinstance(refused, Denial)
        assert refused.code == code
    assert "session.closed" in after.ledger.kinds()
    await after.state.close()


async def test_list_and_find_tell_the_state_of_this_moment(rig: Rig) -> None:
    opened = await rig.opened()
    rig.clock.move(hours=1)
    assert (await rig.sessions.find(opened.live.session.id)).session.state == "EXPIRED"
    await rig.tick()
    assert await rig.sessions.list(open_only=True) == []
    assert len(await rig.sessions.list(open_only=False)) == 1
    with pytest.raises(SessionError, match="there is no session `ses_x`"):
        await rig.sessions.find("ses_x")


async def test_connection_that_fails_at_being_cut_takes_no_other_with_it(rig: Rig) -> None:
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, problem: reported.append(problem["exception"]))

    def fail(why: Denial) -> None:
        raise OSError(why.code)

    opened = await rig.opened()
    cuts: list[Denial] = []
    assert isinstance(await rig.gateway.connect("crm", "support-bot", opened.token, "p", fail), Live)
    await rig.connected(opened, cuts)
    await rig.sessions.end(opened.live.session.id, "REVOKED", "revoked", "cli")
    assert [cut.code for cut in cuts] == ["session_revoked"]
    assert len(reported) == 1


async def test_end_whose_record_fails_still_ends(rig: Rig) -> None:
    cuts: list[Denial] = []
    live = await rig.connected(await rig.opened(), cuts)
    rig.ledger.broken = True
    with pytest.raises(LedgerError):
        await rig.sessions.end(live.session.id, "REVOKED", "revoked", "cli")
    assert len(cuts) == 1
    assert live.blocked() is not None
    stored = await rig.state.find(live.session.id)
    assert stored is not None
    assert stored.session.state == "REVOKED"


@pytest.mark.parametrize(
    ("old", "new", "survives"),
    [
        ("answers them", "answers all of them", True),
        ("  support-bot:\n", "  other-bot:\n", False),
        ("  handle-ticket:\n", "  other-task:\n", False),
        ("agents: [support-bot]", "agents: [night-bot]", False),
        ("groups: [support]", "groups: [sales]", False),
    ],
)
async def test_reload_keeps_what_the_policy_still_knows_and_cuts_the_rest(
    rig: Rig, old: str, new: str, survives: bool
) -> None:
    opened = await rig.opened()
    cuts: list[Denial] = []
    live = await rig.connected(opened, cuts)
    changed = text.replace(old, new)
    if "other-bot" in new:
        changed = changed.replace("agents: [support-bot]", "agents: [other-bot]")
    policy = policy_of(changed)
    rig.sessions.reload(Force(policy, lock))
    await asyncio.sleep(0)
    assert (cuts == [], live.blocked() is None) == (survives, survives)
    assert not survives or live.policy == policy.version
    await rig.tick()
    stored = await rig.state.find(live.session.id)
    assert stored is not None
    assert stored.session.state == ("OPEN" if survives else "REVOKED")


async def test_reload_swaps_the_scope_and_the_idle_time_of_open_connections(rig: Rig) -> None:
    live = await rig.connected(await rig.opened(), [])
    before = live.scope.id
    narrower = text.replace("{ticket_id: $ticket_id}", "{ticket_id: 1}").replace("idle: 5m", "idle: 1m")
    rig.sessions.reload(Force(policy_of(narrower), lock))
    assert live.scope.id != before
    rig.clock.move(minutes=1)
    assert live.blocked() is not None


async def test_sessions_of_one_shape_share_one_scope(rig: Rig) -> None:
    first, second = await rig.opened(), await rig.opened(user=User("bob", frozenset({"support"})))
    assert first.live.scope is second.live.scope


async def test_clockwork_cuts_an_idle_connection_within_a_second_of_its_expiry(rig: Rig) -> None:
    cut = asyncio.Event()
    opened = await rig.opened()
    found = await rig.gateway.connect("crm", "support-bot", opened.token, "p", lambda _: cut.set())
    assert isinstance(found, Live)
    rig.clock.move(minutes=30)
    await asyncio.wait_for(cut.wait(), 1)


async def test_token_of_another_agent_user_or_gateway_is_refused_and_the_right_one_is_not(rig: Rig) -> None:
    opened = await rig.opened()
    session = opened.live.session
    stored = await rig.state.find(session.id)
    assert stored is not None

    async def code(token: str, agent: str = "support-bot", mount: str = "crm") -> str:
        found = await rig.gateway.connect(mount, agent, token, "p", lambda _: None)
        return found.code if isinstance(found, Denial) else ""

    assert await code(opened.token) == ""
    assert await code(opened.token, agent="night-bot") == "agent_mismatch"
    assert await code(opened.token, mount="erp") == "session_unknown"
    assert await code(rig.tokens.issue(session, "another", ["crm"])) == "session_unknown"
    assert await code(rig.tokens.issue(session, stored.jti, ["erp"]), mount="erp") == "session_unknown"
    assert await code(rig.tokens.issue(replace(session, user=User("eve")), stored.jti, ["crm"])) == "session_unknown"
    assert await code(rig.tokens.issue(replace(session, id="ses_x"), stored.jti, ["crm"])) == "session_unknown"
    stranger = Tokens(Ed25519PrivateKey.generate(), "bailiwick")
    assert await code(stranger.issue(session, stored.jti, ["crm"])) == "session_unknown"
    refusals = [record for record in rig.ledger.records if record.kind == "connection.refused"]
    assert len(refusals) == 7
    assert all(record.code and record.detail["reason"] for record in refusals)
    assert not any(opened.token in repr(record) for record in rig.ledger.records)


async def test_a_session_that_ends_while_its_token_is_looked_up_is_said_to_have_ended(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, other = await rig.opened(), await rig.opened()
    find = rig.state.find

    async def found_and_ended(session_id: str) -> StoredSession | None:
        stored = await find(session_id)
        monkeypatch.setattr(rig.state, "find", find)
        await rig.sessions.end(opened.live.session.id, "REVOKED", "over", "tests")
        return stored

    monkeypatch.setattr(rig.state, "find", found_and_ended)
    refused = await rig.gateway.connect("crm", "support-bot", opened.token, "p", lambda _: None)
    assert isinstance(refused, Denial)
    assert refused.code == "session_revoked"
    assert isinstance(await rig.gateway.connect("crm", "support-bot", other.token, "p", lambda _: None), Live)
