"""A small support desk as a policy, built from the model: what the decision tests stand on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from bailiwick.model.action import Action
from bailiwick.model.lock import Lock, LockedColumn, LockedTable
from bailiwick.model.matcher import Equal
from bailiwick.model.policy import (
    Agent,
    ElevationRule,
    Gate,
    Grant,
    Mount,
    Narrowing,
    Policy,
    Resource,
    Role,
    SecretRef,
    Task,
)
from bailiwick.model.session import Session, User
from bailiwick.model.value import Ref

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
CUSTOMER = Equal(Ref(("customer_id",)))


def table(name: str, /, **columns: str) -> LockedTable:
    """Return an accepted table."""
    return LockedTable("public", name, "r", tuple(LockedColumn(key, kind) for key, kind in columns.items()))


CUSTOMERS = table("customers", customer_id="integer", tenant_id="integer", name="text", email="text", ssn="text")
TICKETS = table(
    "tickets", ticket_id="integer", tenant_id="integer", customer_id="integer", status="text", priority="integer"
)
LOCK = Lock({"crm": {("public", each.name): each for each in (CUSTOMERS, TICKETS)}})

RESOURCES = {
    "customers": Resource(
        "customers",
        "crm",
        "public",
        "customers",
        ("customer_id",),
        "tenant_id",
        {"ssn": frozenset({"restricted"}), "email": frozenset({"confidential", "pii"})},
        {"contact": ("name", "email")},
    ),
    "tickets": Resource("tickets", "crm", "public", "tickets", ("ticket_id",), "tenant_id"),
    "unaccepted": Resource("unaccepted", "crm", "public", "unaccepted"),
}


def allow(action: str, **more: object) -> Grant:
    """Return an allow; its id is its action unless `id` says otherwise."""
    return _grant("allow", action, more)


def deny(action: str, **more: object) -> Grant:
    """Return a deny; its id is `no-` and its action unless `id` says otherwise."""
    return _grant("deny", action, more)


def _grant(effect: str, action: str, more: Mapping[str, object]) -> Grant:
    parts = action.split(":")
    name = action if effect == "allow" else f"no-{action}"
    grant = Grant(name, "allow", Action(parts[0], parts[1], parts[2] if len(parts) > 2 else None), "support", "why")
    return replace(grant, **{"effect": effect, **more})


def policy(
    *grants: Grant,
    only: Mapping[str, Narrowing] | None = None,
    gates: tuple[Gate, ...] = (),
    roles: tuple[Role, ...] = (),
    agent_roles: tuple[str, ...] = ("support",),
    elevations: tuple[ElevationRule, ...] = (),
    resources: Mapping[str, Resource] = RESOURCES,
    sql: bool = False,
) -> Policy:
    """Return a policy whose role `support` has the grants."""
    mine = Role("support", (), grants)
    return Policy(
        "v1",
        {"crm": Mount("crm", "postgres", SecretRef("${CRM_URL}"), resources, sql)},
        {each.name: each for each in (mine, *roles)},
        {"bot": Agent("bot", "support-platform", "answers tickets", agent_roles)},
        {"handle": Task("handle", ("bot",), None, {}, only), "others": Task("others", ("other",), None, {}, None)},
        {gate.name: gate for gate in gates},
        {rule.name: rule for rule in elevations},
    )


def session(
    task: str | None = None,
    *,
    user: User | None = None,
    agent: str = "bot",
    asked: Mapping[str, Narrowing] | None = None,
    customer: int = 7,
) -> Session:
    """Return an open session."""
    until = NOW + timedelta(minutes=30)
    return Session("s1", agent, user, task, {"customer_id": customer}, 1, NOW, until, None, asked=asked)
