"""Sessions: whether one may be opened, and whether it may still do anything."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from bailiwick.decide.denials import quoted
from bailiwick.model.decision import Denial
from bailiwick.model.policy import ContextRule, Hours, Policy, SessionRules, Task
from bailiwick.model.session import Session, User
from bailiwick.model.value import Scalar, ValueType

longest_text = 4096
_deepest_chain = 8


@dataclass(frozen=True, slots=True)
class Opening:
    """A session that may be opened, once `derived` are looked up (see `derived_value`)."""

    context: Mapping[str, Scalar]
    """What was brought, typed."""
    derived: Mapping[str, ContextRule]
    """What the gateway looks up (`from … by …`), in the order of the policy."""
    tenant: Scalar | None
    """None also while a context value `tenant` is to be looked up: it then becomes the tenant."""
    ttl: timedelta
    idle: timedelta | None


def check_opening(
    policy: Policy,
    agent: str,
    task: str | None,
    user: User | None,
    context: Mapping[str, Scalar],
    tenant: Scalar | None,
    *,
    ttl: timedelta | None,
    longest: timedelta,
    now: datetime,
    own: bool = False,
) -> Opening | Denial:
    """Check everything about opening a session that needs no database.

    Texts are parsed as their declared types. `ttl` None means as long as the agent's rules and `longest` let it.
    `own`: the agent opens it itself. Then `user` and `tenant` are those of a verified token, and no value is believed.
    """
    rules = _rules_for(policy, agent, task, user, ttl, now)
    if isinstance(rules, Denial):
        return rules
    template = policy.tasks.get(task) if task is not None else None
    declared: Mapping[str, ContextRule] = template.context if template is not None else {}
    if own:
        unvouched = _unvouched(declared, context)
        if unvouched is not None:
            return unvouched
    vouched = tenant is not None and "tenant" in declared and declared["tenant"].claim is None
    given = {"tenant": tenant, **context} if vouched and tenant is not None else context
    values = _context(declared, given, user)
    if isinstance(values, Denial):
        return values
    brought = values.get("tenant")
    if brought is not None and tenant is not None and tenant not in (brought, given.get("tenant", brought)):
        return Denial("context_missing", "tenant is given twice and differs", remedy="give it once")
    derived = {name: rule for name, rule in declared.items() if rule.source is not None}
    ends = min(each for each in (ttl, rules.ttl, longest) if each is not None)
    return Opening(values, derived, tenant if brought is None else brought, ends, rules.idle)


def check_delegation(
    policy: Policy,
    agent: str,
    task: str | None,
    parent: Session,
    *,
    ttl: timedelta | None,
    longest: timedelta,
    now: datetime,
) -> Opening | Denial:
    """Check the opening of a session that `parent` delegates to an agent: with its person, tenant and values, whole."""
    rules = _rules_for(policy, agent, task, parent.user, ttl, now)
    if isinstance(rules, Denial):
        return rules
    if len(parent.chain) + 1 >= _deepest_chain:
        remedy = "let an agent further up delegate it"
        return Denial("limit_exceeded", f"a chain has at most {_deepest_chain} agents", remedy=remedy)
    template = policy.tasks.get(task) if task is not None else None
    for name, rule in template.context.items() if template is not None else ():
        value = parent.tenant if name == "tenant" else parent.context.get(name)
        if value is None or parse_value(rule.type, value) is None:
            message = f"context value {quoted(name)} of task {quoted(task or '')} is not one of the session's"
            return Denial("context_missing", message, remedy="delegate from a session of a task that has it")
    ends = min(each for each in (ttl, rules.ttl, longest, parent.expires_at - now) if each is not None)
    return Opening(parent.context, {}, parent.tenant, ends, rules.idle)


def derived_value(name: str, rule: ContextRule, value: object) -> Scalar | Denial:
    """Type a looked-up context value; a Denial when there is none or it has another type."""
    parsed = parse_value(rule.type, value)
    if parsed is None:
        source = f"{quoted(rule.source or '')} by {quoted(rule.by or '')}"
        remedy = "check the values that the session was opened with"
        return Denial("context_missing", f"context value {quoted(name)} was not found in {source}", remedy=remedy)
    return parsed


def within_hours(hours: Hours, now: datetime) -> bool:
    """Return whether the moment is inside the weekly window. An unknown zone or an empty window: never."""
    try:
        local = now.astimezone(ZoneInfo(hours.zone))
    except (ZoneInfoNotFoundError, ValueError):
        return False
    return local.weekday() in hours.days and hours.start <= local.time() < hours.end


def blocked(session: Session, now: datetime, last_active: datetime, rules: SessionRules) -> Denial | None:
    """Return why the session may do nothing now, None if it may."""
    if session.state == "REVOKED":
        return Denial("session_revoked", "the session was revoked", remedy="ask for a new session")
    if session.state == "CLOSED":
        return Denial("session_closed", "the session is closed", remedy="open a new session")
    if session.state == "EXPIRED" or now >= session.expires_at:
        return Denial("session_expired", "the session has expired", remedy="open a new session")
    if session.idle is not None and now - last_active > session.idle:
        return Denial("session_idle", "the session was idle for too long", remedy="open a new session")
    if rules.hours is not None and not within_hours(rules.hours, now):
        return _out_of_hours(rules.hours)
    return None


def parse_value(kind: ValueType, given: object) -> Scalar | None:
    """Return the value as its declared type; None if it is none of that type. Nothing else is coerced."""
    if isinstance(given, str):
        return _parsers[kind](given) if len(given) <= longest_text and "\x00" not in given else None
    if kind == "boolean" or isinstance(given, bool):
        return given if kind == "boolean" and isinstance(given, bool) else None
    if kind == "integer":
        return given if isinstance(given, int) and _fits(given) else None
    if kind == "number":
        number = Decimal(given) if isinstance(given, int) else given
        return number if isinstance(number, Decimal) and number.is_finite() else None
    if kind == "uuid":
        return str(given) if isinstance(given, UUID) else None
    if kind == "timestamp":
        aware = isinstance(given, datetime) and given.tzinfo is not None
        return given.astimezone(UTC) if isinstance(given, datetime) and aware else None
    if kind == "date":
        return given if isinstance(given, date) and not isinstance(given, datetime) else None
    return None


def _rules_for(
    policy: Policy, agent: str, task: str | None, user: User | None, ttl: timedelta | None, now: datetime
) -> SessionRules | Denial:
    """Return the rules of an agent that may do the task for the person now."""
    known = policy.agents.get(agent)
    if known is None:
        return Denial("agent_mismatch", f"agent {quoted(agent)} is not registered", remedy="register it in the policy")
    refused = _refused_task(agent, task, policy.tasks.get(task) if task is not None else None, user)
    if refused is not None:
        return refused
    rules = known.session
    if rules.hours is not None and not within_hours(rules.hours, now):
        return _out_of_hours(rules.hours)
    if ttl is not None and ttl <= timedelta(0):
        return Denial("context_missing", "the session's ttl is not positive", remedy="give one such as 30m")
    return rules


def _unvouched(declared: Mapping[str, ContextRule], given: Mapping[str, Scalar]) -> Denial | None:
    """Return why an agent cannot open such a session by itself: a value would be nobody's but its own."""
    brought = [name for name, rule in declared.items() if rule.source is None and rule.claim is None]
    for name in (*given, *(name for name in brought if name != "tenant")):
        message = f"context value {quoted(name)} cannot be brought by the agent itself"
        remedy = "have the session opened by a service that may, or take the value from a `claim` in the policy"
        return Denial("context_missing", message, remedy=remedy)
    return None


def _refused_task(agent: str, name: str | None, task: Task | None, user: User | None) -> Denial | None:
    if name is None:
        return None
    if task is None or agent not in task.agents:
        message = f"task {quoted(name)} is not one of agent {quoted(agent)}"
        return Denial("action_not_granted", message, remedy="name a task whose `agents` has it")
    if task.users is None:
        return None
    if user is None:
        return Denial("action_not_granted", f"task {quoted(name)} needs a user", remedy="say for whom it is done")
    if user.id in task.users.ids or user.groups & task.users.groups:
        return None
    message = f"task {quoted(name)} may not be done for {quoted(user.id)}"
    return Denial("action_not_granted", message, remedy="its `users` name for whom it may be done")


def _context(
    declared: Mapping[str, ContextRule], given: Mapping[str, Scalar], user: User | None
) -> dict[str, Scalar] | Denial:
    values: dict[str, Scalar] = {}
    for name in given:
        if name not in declared:
            named = (each for each, rule in declared.items() if rule.source is None and rule.claim is None)
            known = ", ".join(map(quoted, named))
            remedy = f"the task takes {known}" if known else "leave it out"
            return Denial("context_missing", f"context value {quoted(name)} is not declared", remedy=remedy)
    for name, rule in declared.items():
        if rule.source is not None:
            if name in given:
                message = f"context value {quoted(name)} is looked up, not believed"
                return Denial("context_missing", message, remedy="leave it out")
            continue
        if rule.claim is not None:
            claimed = _claimed(name, rule, rule.claim, given, user)
            if isinstance(claimed, Denial):
                return claimed
            values[name] = claimed
            continue
        if name not in given:
            remedy = f"set {quoted(name)}, of type {rule.type}"
            return Denial("context_missing", f"context value {quoted(name)} is missing", remedy=remedy)
        value = parse_value(rule.type, given[name])
        if value is None:
            message = f"context value {quoted(name)} is not of type {rule.type}"
            return Denial("context_missing", message, remedy=f"write it as {_examples[rule.type]}")
        values[name] = value
    return values


def _claimed(
    name: str, rule: ContextRule, claim: str, given: Mapping[str, Scalar], user: User | None
) -> Scalar | Denial:
    """Return the value of the person's claim."""
    if name in given:
        message = f"context value {quoted(name)} is a claim of the person's, not what the opener says"
        return Denial("context_missing", message, remedy="leave it out")
    found = None if user is None else user.id if claim == "id" else user.claims.get(claim)
    value = None if found is None or isinstance(found, tuple) else parse_value(rule.type, found)
    if value is None:
        message = f"context value {quoted(name)} needs the person's claim {quoted(claim)}, of type {rule.type}"
        return Denial("context_missing", message, remedy="open the session with a token of a person who has it")
    return value


def _out_of_hours(hours: Hours) -> Denial:
    days = ", ".join(_days[day] for day in sorted(hours.days))
    window = f"{days} {hours.start:%H:%M}-{hours.end:%H:%M} {hours.zone}"
    return Denial("out_of_hours", "the agent works in its hours only", window, "come back then")


def _integer(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[+-]?[0-9]{1,19}", text) and _fits(int(text)) else None


def _number(text: str) -> Decimal | None:
    return Decimal(text) if re.fullmatch(r"[+-]?[0-9]{1,100}(\.[0-9]{1,100})?", text) else None


def _string(text: str) -> str:
    return text


def _boolean(text: str) -> bool | None:
    return {"true": True, "false": False}.get(text)


def _uuid(text: str) -> str | None:
    found = re.fullmatch(r"[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}", text)
    return text.lower() if found else None


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text) else None
    except ValueError:
        return None


def _timestamp(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def _fits(value: int) -> bool:
    return -(2**63) <= value < 2**63


_days = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_parsers: Mapping[ValueType, Callable[[str], Scalar | None]] = {
    "integer": _integer,
    "number": _number,
    "string": _string,
    "boolean": _boolean,
    "uuid": _uuid,
    "date": _date,
    "timestamp": _timestamp,
}
_examples: Mapping[ValueType, str] = {
    "integer": "`42`",
    "number": "`12.50`",
    "string": "text",
    "boolean": "`true` or `false`",
    "uuid": "`8-4-4-4-12` hexadecimal digits",
    "date": "`2026-01-31`",
    "timestamp": "`2026-01-31T12:00:00+00:00`",
}
