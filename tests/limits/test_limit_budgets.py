"""Which budgets a request is charged to, and what is said of one that is used up."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from bailiwick.decide.budgets import (
    budget_in_words,
    cost_of,
    estimate,
    for_agents,
    money,
    of_session,
    together,
    used_up,
    wants,
)
from bailiwick.decide.decide import DecisionTable
from bailiwick.decide.scope import effective_scope
from bailiwick.model.budget import Budget, Price, millionths
from bailiwick.model.decision import Access, Allow, Request
from bailiwick.model.lock import Lock, LockedColumn, LockedTable
from bailiwick.model.policy import Policy
from bailiwick.model.session import Session
from bailiwick.policy.load import load
from tests.mounts.fakes import MOMENT

POLICY = """
bailiwick: 1
mounts:
  m:
    kind: postgres
    url: ${URL}
    limits: {actions: 1000/min, rows: 5}
    resources:
      a: {table: public.a, key: id}
      b: {table: public.b, key: id}
roles:
  base:
    limits: {bytes: 100/h}
    grants:
      - {id: ra, allow: a:read, reason: r, limits: {rows: 10/min, actions: [3/min, 9/h]}}
  top:
    inherits: [base]
    limits: {actions: 50/day}
    grants:
      - {id: rb, allow: b:read, reason: r}
      - {id: wa, allow: a:update, reason: r, limits: {actions: 2/min, batch: 1}}
  other:
    limits: {actions: 7/day}
    grants: [{id: rb2, allow: b:read, reason: r}]
agents:
  bot: {owner: o, purpose: p, roles: [top], limits: {actions: 20/h, concurrent: 2, batch: 9}, session: {actions: 5}}
  helper: {owner: o, purpose: p, roles: [base], session: {cost: 2 USD}}
"""
LOCK = Lock(
    {"m": {("public", n): LockedTable("public", n, "r", (LockedColumn("id", "integer"),), ("id",)) for n in "ab"}}
)


def policy() -> Policy:
    found = load({"p": POLICY})
    assert found.policy is not None, found.problems
    return found.policy


def session(agent: str = "bot", parent: Session | None = None) -> Session:
    chain = () if parent is None else (*parent.chain, parent.agent)
    return Session(f"ses_{agent}", agent, None, None, {}, None, MOMENT, MOMENT, None, chain=chain, parent=parent)


def charged(*accesses: Access, agent: str = "bot", parent: Session | None = None) -> set[str]:
    mine = session(agent, parent)
    table = DecisionTable(policy(), effective_scope(policy(), LOCK, mine))
    decision = table.decide(Request("m", accesses))
    assert isinstance(decision, Allow), decision
    found = for_agents(decision.budgets, mine)
    return {each.key.replace("000000", "") for each in (*found, *of_session(policy(), mine))}


OWN = {"agent:bot:actions:3600", "agent:bot:concurrent", "session:ses_bot:actions"}
MOUNT = {"mount:m:actions:60"}


def test_every_grant_that_contributes_is_charged_with_its_roles_the_mount_the_agent_and_the_session() -> None:
    found = charged(Access("a", "read", ("id",)), Access("b", "read", ("id",)))
    roles = {"role:base:bytes:3600@bot", "role:top:actions:86400@bot"}
    grants = {"grant:ra:rows:60@bot", "grant:ra:actions:60@bot", "grant:ra:actions:3600@bot"}
    assert found == OWN | MOUNT | roles | grants


def test_what_uses_no_resource_is_charged_to_mount_agent_and_session() -> None:
    assert charged() == OWN | MOUNT


def test_rows_of_a_grant_are_of_reads_and_another_role_is_not_charged() -> None:
    found = charged(Access("a", "update", ("id",)))
    assert "grant:wa:actions:60@bot" in found
    assert not any(":rows" in key or key.startswith(("role:other", "role:base")) for key in found)


def test_a_delegated_session_charges_the_budgets_of_those_who_delegated() -> None:
    found = charged(Access("a", "read", ("id",)), agent="helper", parent=session())
    mine = {"session:ses_helper:cost", "grant:ra:rows:60@helper", "role:base:bytes:3600@helper"}
    theirs = {"grant:ra:rows:60@bot", "role:base:bytes:3600@bot", *OWN}
    assert mine | theirs | MOUNT <= found


def test_a_pair_of_grants_charges_both() -> None:
    made = load({"p": POLICY.replace("- {id: ra, allow: a:read,", "- {id: ra, allow: a:read, rows: {id: 1},")}).policy
    assert made is not None
    other = load({"p": POLICY.replace("id: ra,", "id: rz,")}).policy
    assert other is not None
    helper = replace(made.agents["helper"], roles=("z",))
    roles = {**made.roles, "z": replace(other.roles["base"], name="z")}
    mixed = replace(made, roles=roles, agents={**made.agents, "helper": helper})
    child = session("helper", session())
    table = DecisionTable(mixed, effective_scope(mixed, LOCK, child))
    decision = table.decide(Request("m", (Access("a", "read", ("id",)),)))
    assert isinstance(decision, Allow)
    keys = {each.key for each in decision.budgets}
    assert {"grant:ra:actions:60000000", "grant:rz:actions:60000000"} <= keys


def test_a_batch_of_the_agent_holds_beside_that_of_the_grant() -> None:
    table = DecisionTable(policy(), effective_scope(policy(), LOCK, session()))
    decision = table.decide(Request("m", (Access("a", "update", ("id",)),)))
    assert isinstance(decision, Allow)
    assert decision.ceilings is not None
    assert decision.ceilings.batch == 1


def test_a_denial_says_what_is_used_up_and_when_it_will_work() -> None:
    hourly = Budget("k", "actions", 30, 3600_000_000, "agent `bot`")
    told = used_up(hourly, 90_000_001)
    assert (told.message, told.remedy, told.retry_after) == (
        "30 actions in 1 hour of agent `bot` are used up",
        "try again in 91 seconds",
        91,
    )
    total = used_up(Budget("k", "cost", 2_500_000, None, "this session", "USD"), None)
    assert (total.message, total.retry_after) == ("2.5 USD of this session are used up", None)
    assert used_up(Budget("k", "concurrent", 4, None, "agent `bot`"), None).retry_after == 1


def test_budgets_in_words() -> None:
    assert budget_in_words(Budget("k", "rows", 1, 60_000_000, "")) == "1 row in 1 minute"
    assert budget_in_words(Budget("k", "concurrent", 4, None, "")) == "4 calls at once"
    assert budget_in_words(Budget("k", "cost", 10_000, 86400_000_000, "", "EUR")) == "0.01 EUR in 1 day"


@given(st.decimals(0, 10**6, places=9), st.decimals(0, 10**3, places=9), st.integers(0, 1000))
def test_a_cost_is_never_counted_for_less_than_it_is(call: Decimal, row: Decimal, rows: int) -> None:
    counted = cost_of(Price("USD", call, row), rows, None)
    assert 0 <= counted - (call + row * rows) * 10**6 < 1
    assert Decimal(money(counted)) * 10**6 == counted


def test_an_answer_that_had_to_say_its_cost_and_did_not_costs_the_most() -> None:
    price = Price("USD", Decimal("0.1"), path=("cost",), most=Decimal(2))
    assert estimate(price) == millionths(Decimal("2.1"))
    assert cost_of(price, 0, Decimal("0.5")) == millionths(Decimal("0.6"))
    for unreadable in (None, Decimal("NaN"), Decimal(-1)):
        assert cost_of(price, 0, unreadable) == estimate(price)
    assert (estimate(None), cost_of(None, 5, None)) == (None, 0)


def test_what_is_asked_for_in_one_request_counts_as_actions_of_their_own() -> None:
    mine, both = Budget("a", "actions", 9, 60, ""), Budget("b", "actions", 9, 60, "")
    found = {each.budget.key: each.take for each in wants(together([(mine, both), (both,)]))}
    assert found == {"a": 1, "b": 2}
