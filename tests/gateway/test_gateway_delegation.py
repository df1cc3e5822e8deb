"""Delegated and narrowed sessions, and those that agents open themselves. Each refusal with its twin."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from gateway_rig import Rig, make_rig, wanted

from bailiwick.gateway.sessions.live import Live
from bailiwick.gateway.sessions.opening import Opened, Wanted
from bailiwick.model.decision import Denial
from bailiwick.model.session import User

document = """
bailiwick: 1
mounts:
  crm:
    kind: postgres
    url: ${CRM_URL}
    resources:
      tickets: {table: public.tickets, key: ticket_id, tenant: tenant_id}
      customers: {table: public.customers, key: customer_id, tenant: tenant_id}
roles:
  support:
    grants:
      - {allow: tickets:read, reason: answers them, rows: {ticket_id: $ticket_id}}
      - {allow: customers:read, reason: names them, fields: [customer_id], rows: {customer_id: $customer_id}}
  reader:
    grants:
      - {allow: tickets:read, reason: reads them all}
      - {allow: customers:delete, reason: cleans up}
  teller:
    grants:
      - {allow: tickets:read, reason: statistics, aggregate: {min_group: 5}}
agents:
  desk-bot: {owner: support, purpose: answers tickets, roles: [support], session: {ttl: 30m, idle: 5m}}
  reader-bot: {owner: support, purpose: reads tickets, roles: [reader]}
  teller-bot: {owner: support, purpose: counts tickets, roles: [teller]}
tasks:
  handle:
    agents: [desk-bot]
    users: {groups: [support]}
    context: {ticket_id: integer, customer_id: {type: integer, from: tickets, by: ticket_id}}
  mine:
    agents: [desk-bot]
    context:
      ticket_id: {type: integer, claim: current_ticket}
      customer_id: {type: integer, from: tickets, by: ticket_id}
  look:
    agents: [reader-bot]
    context: {ticket_id: integer}
  other:
    agents: [reader-bot]
    context: {invoice_id: integer}
"""


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    made = await make_rig(tmp_path, document)
    yield made
    await made.sessions.stop()
    await made.state.close()


def desk(**changes: object) -> Wanted:
    return wanted(**{"agent": "desk-bot", "task": "handle", **changes})


def delegated(parent: Live, **changes: object) -> Wanted:
    good: dict[str, object] = {"agent": "reader-bot", "task": "look", "parent": parent}
    return Wanted(**{**good, **changes})  # pyright: ignore[reportArgumentType]  # fields by name, in tests only


async def opened(rig: Rig, asked: Wanted) -> Opened:
    found = await rig.opener.open(asked)
    assert isinstance(found, Opened), found
    return found


async def refused(rig: Rig, asked: Wanted) -> Denial:
    found = await rig.opener.open(asked)
    assert isinstance(found, Denial), found
    assert rig.ledger.records[-1].kind == "session.refused"
    return found


async def test_delegated_session_has_what_both_have_and_nothing_more(rig: Rig) -> None:
    parent = (await opened(rig, desk())).live
    child = await opened(rig, delegated(parent))
    assert set(child.live.scope.resources) == {"tickets"}  # reading customers is not the reader's, deleting not ours
    (read,) = child.live.scope.resources["tickets"].reads
    assert [name for name, _ in read.filter.conditions] == ["ticket_id"]
    alone = (await opened(rig, Wanted("reader-bot", "look", values={"ticket_id": "7"}, tenant="4"))).live
    assert set(alone.scope.resources) == {"tickets", "customers"}
    assert alone.scope.resources["tickets"].reads[0].filter.conditions == ()


async def test_delegated_session_carries_person_tenant_values_and_chain(rig: Rig) -> None:
    parent = (await opened(rig, desk())).live
    child = await opened(rig, delegated(parent))
    session = child.live.session
    assert session.user == parent.session.user
    assert (session.tenant, session.context, session.chain) == (4, parent.session.context, ("desk-bot",))
    claims = rig.tokens.verify(child.token, "crm", rig.clock())
    assert getattr(claims, "chain", None) == ("desk-bot", "reader-bot")
    assert rig.ledger.records[-1].chain == ("desk-bot",)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"task": "other"}, "is not one of the session's"),
        ({"values": {"ticket_id": "8"}}, "has the values of its parent"),
        ({"user": User("eve")}, "has the values of its parent"),
        ({"tenant": "5"}, "has the values of its parent"),
        ({"agent": "nobody"}, "is not registered"),
        ({"task": "handle"}, "is not one of agent"),
        ({"mounts": ("erp",)}, "there is no mount"),
        ({"asked": "[1]"}, "what is asked for"),
    ],
)
async def test_delegation_that_brings_or_needs_more_is_refused(rig: Rig, changes: dict[str, object], says: str) -> None:
    parent = (await opened(rig, desk())).live
    assert says in (await refused(rig, delegated(parent, **changes))).message
    await opened(rig, delegated(parent))


async def test_delegated_session_ends_with_its_parent_and_outlives_it_not_a_moment(rig: Rig) -> None:
    parent = await opened(rig, desk())
    child = await opened(rig, delegated(parent.live, ttl=timedelta(hours=5)))
    assert child.live.session.expires_at == parent.live.session.expires_at
    grandchild = await opened(rig, delegated(child.live))
    cuts: list[Denial] = []
    await rig.gateway.connect("crm", "reader-bot", grandchild.token, "here", cuts.append)
    await rig.sessions.end(parent.live.session.id, "REVOKED", "revoked", "test")
    await rig.tick()
    assert [cut.code for cut in cuts] == ["session_closed"]
    for each in (child, grandchild):
        denied = await rig.gateway.connect("crm", "reader-bot", each.token, "here", cuts.append)
        assert isinstance(denied, Denial)
        assert (await rig.sessions.find(each.live.session.id)).session.state == "CLOSED"
    assert isinstance(await rig.opener.open(delegated(parent.live)), Denial)


async def test_parent_outlives_its_sub_agent_and_is_not_idle_while_that_works(rig: Rig) -> None:
    parent = await opened(rig, desk())
    child = await opened(rig, delegated(parent.live))
    for _ in range(3):
        rig.clock.move(minutes=4)
        assert child.live.blocked() is None
    assert parent.live.blocked() is None
    await rig.sessions.end(child.live.session.id, "CLOSED", "closed", "test")
    assert parent.live.blocked() is None
    assert not parent.live.children
    rig.clock.move(minutes=6)
    assert getattr(parent.live.blocked(), "code", "") == "session_idle"


async def test_after_a_restart_a_delegated_session_is_still_within_its_parent(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    first = await make_rig(tmp_path, document, key=key)
    parent = await opened(first, desk())
    child = await opened(first, delegated(parent.live, asked='{"tickets": {"rows": {"ticket_id": 7}}}'))
    lost = await opened(first, delegated(parent.live))
    scope = child.live.scope
    await first.state.end(lost.live.session.id, "CLOSED", "closed", first.clock())
    await first.sessions.stop()
    await first.state.close()
    second = await make_rig(tmp_path, document, first.clock, key)
    again = second.sessions.registry.get(child.live.session.id)
    assert again is not None
    assert again.scope == scope
    await second.sessions.end(parent.live.session.id, "CLOSED", "closed", "test")
    assert again.ended is not None
    await second.sessions.stop()
    await second.state.close()


async def test_delegated_session_whose_parent_ended_meanwhile_does_not_come_back(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    first = await make_rig(tmp_path, document, key=key)
    parent = await opened(first, desk())
    child = await opened(first, delegated(parent.live))
    await first.sessions.stop()
    await first.state.end(parent.live.session.id, "REVOKED", "revoked", first.clock())
    await first.state.close()
    second = await make_rig(tmp_path, document, first.clock, key)
    assert (await second.sessions.find(child.live.session.id)).session.state == "CLOSED"
    await second.sessions.stop()
    await second.state.close()


async def test_what_is_asked_for_narrows_and_never_widens(rig: Rig) -> None:
    narrow = await opened(rig, desk(asked='{"tickets": {"fields": ["ticket_id"], "verbs": ["read"]}, "invoices": {}}'))
    assert set(narrow.live.scope.resources) == {"tickets"}
    assert narrow.live.scope.resources["tickets"].readable() == ("ticket_id",)
    whole = await opened(rig, desk())
    assert set(whole.live.scope.resources) == {"tickets", "customers"}
    assert (await opened(rig, desk(asked="{}"))).live.scope.resources == {}


@pytest.mark.parametrize("asked", ["", "[]", "7", "{", '{"tickets": 7}', '{"tickets": {"row": {}}}', '{"a":' * 50])
async def test_what_is_asked_for_in_no_known_words_is_refused(rig: Rig, asked: str) -> None:
    assert (await refused(rig, desk(asked=asked))).code == "value_not_granted"


async def test_an_agent_that_opens_for_itself_brings_no_values(rig: Rig) -> None:
    bot: dict[str, object] = {"own": True, "values": {}, "tenant": "4"}
    assert "cannot be brought by the agent" in (await refused(rig, desk(**bot))).message
    assert "cannot be brought" in (await refused(rig, desk(**{**bot, "values": {"ticket_id": "7"}}))).message
    user = User("ada", frozenset({"support"}), {"current_ticket": "7"})
    mine = await opened(rig, desk(**bot, task="mine", user=user))
    assert mine.live.session.context == {"ticket_id": 7, "customer_id": 70}
    assert mine.live.session.own


@pytest.mark.parametrize("claims", [{}, {"current_ticket": "x"}, {"current_ticket": ("7", "8")}])
async def test_claim_that_is_missing_or_of_another_type_opens_nothing(
    rig: Rig, claims: dict[str, str | tuple[str, ...]]
) -> None:
    user = User("ada", frozenset({"support"}), claims)
    assert "claim" in (await refused(rig, desk(task="mine", user=user, values={}))).message


async def test_claim_bound_value_is_not_believed_of_the_opener_either(rig: Rig) -> None:
    user = User("ada", frozenset({"support"}), {"current_ticket": "7"})
    assert "not what the opener says" in (await refused(rig, desk(task="mine", user=user))).message
    await opened(rig, desk(task="mine", user=user, values={}))


async def test_aggregates_are_for_sessions_that_somebody_else_opened(rig: Rig) -> None:
    teller = Wanted("teller-bot", tenant="4")
    assert (await opened(rig, teller)).live.scope.resources["tickets"].aggregate is not None
    own = await opened(rig, Wanted("teller-bot", tenant="4", own=True))
    assert own.live.scope.resources == {}
    narrowed = await opened(rig, Wanted("teller-bot", tenant="4", asked='{"tickets": {"rows": {"ticket_id": 7}}}'))
    assert narrowed.live.scope.resources == {}
    parent = await opened(rig, teller)
    child = await opened(rig, Wanted("teller-bot", parent=parent.live))
    assert child.live.scope.resources == {}


async def test_delegation_does_not_multiply_without_end(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bailiwick.gateway.sessions.opening._most_delegated", 3)
    monkeypatch.setattr("bailiwick.gateway.sessions.opening._most_own", 3)
    parent = (await opened(rig, desk())).live
    child = (await opened(rig, delegated(parent))).live
    await opened(rig, delegated(child))
    last = await opened(rig, delegated(child))
    for each in (parent, child, last.live):
        assert "at most 3" in (await refused(rig, delegated(each))).message
    await rig.sessions.end(last.live.session.id, "CLOSED", "closed", "test")
    await opened(rig, delegated(parent))
    own = (await opened(rig, Wanted("reader-bot", tenant="4", own=True))).live
    for _ in range(2):
        await opened(rig, Wanted("reader-bot", parent=own))
    assert "has 3 sessions" in (await refused(rig, Wanted("reader-bot", parent=own))).message
    assert "has 3 sessions" in (await refused(rig, Wanted("reader-bot", tenant="4", own=True))).message
    await opened(rig, Wanted("reader-bot", tenant="4"))


async def test_policy_that_takes_from_the_parent_takes_from_the_sub_agent(rig: Rig) -> None:
    from gateway_rig import lock, policy_of

    from bailiwick.gateway.policies.force import Force

    parent = await opened(rig, desk())
    child = await opened(rig, delegated(parent.live))
    less = document.replace("      - {allow: tickets:read, reason: answers them, rows: {ticket_id: $ticket_id}}\n", "")
    rig.sessions.reload(Force(policy_of(less), lock))
    assert child.live.ended is None
    assert child.live.scope.resources == {}
    rig.sessions.reload(Force(policy_of(document.replace("agents: [desk-bot]", "agents: [reader-bot]")), lock))
    assert child.live.ended is not None
