"""Agents and tasks: YAML → `model.policy.Agent` and `model.policy.Task`."""

from __future__ import annotations

import re
from typing import Literal

from bailiwick.model.action import data_verbs
from bailiwick.model.policy import Agent, ContextRule, Narrowing, Observe, Quarantine, SessionRules, Task, Users
from bailiwick.model.value import ValueType
from bailiwick.policy.document import Block, Entry, Leaf, Node
from bailiwick.policy.expect import (
    Name,
    block,
    choice,
    column,
    columns,
    count,
    flag,
    listed,
    names,
    required,
    several,
    text,
)
from bailiwick.policy.matchers import matchers
from bailiwick.policy.problem import Report, near, quoted
from bailiwick.policy.reading import Reading
from bailiwick.policy.values import duration, hours, limit, limits

agent_keys = ("owner", "purpose", "roles", "session", "limits", "quarantine", "observe")
observe_keys = ("boundary",)
session_keys = ("ttl", "idle", "actions", "cost", "hours", "concurrent")
quarantine_keys = ("denials", "suspend")
_SUSPENDED: dict[str, Literal["session", "agent"]] = {"session": "session", "agent": "agent"}
task_keys = ("agents", "users", "context", "only")
context_keys = ("type", "from", "by", "column", "claim")
narrowing_keys = ("rows", "fields", "verbs")
_CONTEXT = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_RESERVED = frozenset({"user", "now", "session"})
_TYPES: dict[str, ValueType] = {
    "integer": "integer",
    "number": "number",
    "string": "string",
    "boolean": "boolean",
    "uuid": "uuid",
    "date": "date",
    "timestamp": "timestamp",
}


def agent(reading: Reading, entry: Entry) -> Agent | None:
    """Return one agent. It must say who owns it and what it is for."""
    report, what = reading.report, f"agent {quoted(entry.key)}"
    found = block(report, entry.value, what, agent_keys)
    if found is None:
        return None
    owner, purpose = required(report, found, "owner", what), required(report, found, "purpose", what)
    roles, session, own = required(report, found, "roles", what), found.get("session"), found.get("limits")
    quarantine, observed = found.get("quarantine"), found.get("observe")
    if roles:
        reading.roles.extend(listed(roles.value))
    return Agent(
        name=entry.key,
        owner=(text(report, owner.value, f"`owner` of {what}") or "") if owner else "",
        purpose=(text(report, purpose.value, f"`purpose` of {what}") or "") if purpose else "",
        roles=names(report, roles.value, f"`roles` of {what}") if roles else (),
        session=_session(report, session.value, f"`session` of {what}") if session else SessionRules(),
        limits=limits(report, own.value, f"`limits` of {what}") if own else (),
        quarantine=_quarantine(report, quarantine.value, f"`quarantine` of {what}") if quarantine else None,
        observe=observe(reading, observed, what) if observed else None,
        position=entry.position,
    )


def observe(reading: Reading, entry: Entry, what: str) -> Observe | None:
    """Return the observe mode of an agent or a mount: `true`, or what it is bounded by. `false`: there is none."""
    if isinstance(entry.value, Leaf):
        on = flag(reading.report, entry.value, f"`observe` of {what}")
        return Observe(position=entry.position) if on else None
    found = block(reading.report, entry.value, f"`observe` of {what}", observe_keys)
    given = required(reading.report, found, "boundary", f"`observe` of {what}") if found else None
    if given is None:
        return Observe({}, entry.position)  # what it may reach could not be read: nothing
    return Observe(narrowings(reading, given.value, f"`boundary` of {what}", "boundary"), entry.position)


def _quarantine(report: Report, node: Node, what: str) -> Quarantine | None:
    found = block(report, node, what, quarantine_keys)
    given = required(report, found, "denials", what) if found else None
    rate = limit(report, given.value, "denials") if given else None
    whom = found.get("suspend") if found else None
    suspend = choice(report, whom.value, f"`suspend` of {what}", _SUSPENDED) if whom else None
    if rate is None or rate.per is None:
        return None
    return Quarantine(int(rate.amount), rate.per, suspend or "session")


def _session(report: Report, node: Node, what: str) -> SessionRules:
    found = block(report, node, what, session_keys)
    if found is None:
        return SessionRules()
    ttl, idle, actions = found.get("ttl"), found.get("idle"), found.get("actions")
    cost, window, at_once = found.get("cost"), found.get("hours"), found.get("concurrent")
    return SessionRules(
        ttl=duration(report, ttl.value, f"`ttl` of {what}") if ttl else None,
        idle=duration(report, idle.value, f"`idle` of {what}") if idle else None,
        actions=count(report, actions.value, f"`actions` of {what}") if actions else None,
        cost=limit(report, cost.value, "cost") if cost else None,
        concurrent=count(report, at_once.value, f"`concurrent` of {what}") if at_once else None,
        hours=hours(report, window.value, f"`hours` of {what}") if window else None,
    )


def task(reading: Reading, entry: Entry) -> Task | None:
    """Return one task: who may do it for whom, what a session must bring, and what it leaves of the grants."""
    report, what = reading.report, f"task {quoted(entry.key)}"
    found = block(report, entry.value, what, task_keys)
    if found is None:
        return None
    reading.task = entry.key
    agents, users = required(report, found, "agents", what), found.get("users")
    context, only = found.get("context"), found.get("only")
    if agents:
        reading.agents.extend(listed(agents.value))
    read = Task(
        name=entry.key,
        agents=names(report, agents.value, f"`agents` of {what}", least=1) if agents else (),
        users=_users(report, users.value, f"`users` of {what}") if users else None,
        context=_context(reading, context.value, f"`context` of {what}") if context else {},
        only=narrowings(reading, only.value, f"`only` of {what}") if only else None,
        position=entry.position,
    )
    reading.task = None
    return read


def _users(report: Report, node: Node, what: str) -> Users:
    found = block(report, node, what, ("ids", "groups"))
    if found is None:
        return Users()
    ids, groups = found.get("ids"), found.get("groups")
    return Users(
        ids=frozenset(several(report, ids.value, f"`ids` of {what}", text)) if ids else frozenset(),
        groups=frozenset(several(report, groups.value, f"`groups` of {what}", text)) if groups else frozenset(),
    )


def _context(reading: Reading, node: Node, what: str) -> dict[str, ContextRule]:
    found = block(reading.report, node, what)
    read: dict[str, ContextRule] = {}
    for entry in found.entries.values() if found else ():
        if not _CONTEXT.fullmatch(entry.key) or entry.key in _RESERVED:
            message = f"{quoted(entry.key)} cannot be the name of a context value"
            reading.report.error(entry.position, "bad_name", message, "letters, digits and `_`; not `user` or `now`")
            continue
        rule = _rule(reading, entry)
        if rule is not None:
            read[entry.key] = rule
    if found:
        _check_derivation(reading.report, found, read)
    return read


def _rule(reading: Reading, entry: Entry) -> ContextRule | None:
    """Return the rule of one context value. What cannot be read counts as a string: its name still resolves."""
    report, what = reading.report, f"context value {quoted(entry.key)}"
    if isinstance(entry.value, Leaf):
        return ContextRule(choice(report, entry.value, f"the type of {what}", _TYPES) or "string")
    found = block(report, entry.value, what, context_keys)
    if found is None:
        return ContextRule("string")
    kind = required(report, found, "type", what)
    source, by, of = found.get("from"), found.get("by"), found.get("column")
    if (source is None) != (by is None):
        given, missing = ("from", "by") if source else ("by", "from")
        report.error(found.position, "missing_key", f"{what} has `{given}` but no `{missing}`", f"add `{missing}:`")
    if of and not source:
        report.error(of.position, "misplaced_key", f"`column` of {what} has no meaning without `from`", "remove it")
    claim = found.get("claim")
    if claim and source:
        report.error(claim.position, "misplaced_key", f"{what} has both `claim` and `from`", "keep one of them")
    if source:
        reading.resources.extend(listed(source.value))
    return ContextRule(
        type=(choice(report, kind.value, f"the type of {what}", _TYPES) or "string") if kind else "string",
        source=text(report, source.value, f"`from` of {what}") if source else None,
        by=text(report, by.value, f"`by` of {what}") if by else None,
        column=_column(report, of, what),
        claim=_claim(report, claim, what) if claim else None,
    )


def _claim(report: Report, entry: Entry, what: str) -> str | None:
    found = text(report, entry.value, f"`claim` of {what}")
    if found is not None and not _CONTEXT.fullmatch(found):
        report.error(entry.position, "bad_name", f"{quoted(found)} cannot be a claim", "letters, digits and `_`")
        return None
    return found


def _column(report: Report, entry: Entry | None, what: str) -> str | None:
    found = column(report, entry.value, f"`column` of {what}") if entry else None
    return found.text if found else None


def _check_derivation(report: Report, found: Block, rules: dict[str, ContextRule]) -> None:
    """Report a `by` that is no value of this task, and values that are looked up by one another in a circle."""
    for name, rule in rules.items():
        if rule.by is None:
            continue
        entry = found.entries[name]
        if rule.by not in rules:
            message = f"`by` of {quoted(name)} names {quoted(rule.by)}, which is no context value of this task"
            report.error(entry.position, "unknown_context", message, near(rule.by, rules))
        seen, at = {name}, rule.by
        while at in rules and at not in seen:
            seen.add(at)
            at = rules[at].by or ""
        if at == name:
            message = f"{quoted(name)} is looked up by itself"
            report.error(entry.position, "context_cycle", message, "one value must be brought by the opener")


def narrowings(reading: Reading, node: Node, what: str, key: str = "only") -> dict[str, Narrowing]:
    """Return what `only`, or another such `key`, leaves of each resource that it names."""
    found = block(reading.report, node, what)
    read: dict[str, Narrowing] = {}
    for entry in found.entries.values() if found else ():
        reading.resources.append(Name(entry.key, entry.position))
        read[entry.key] = _narrowing(reading, entry, key)
    return read


def _narrowing(reading: Reading, entry: Entry, key: str) -> Narrowing:
    report, what = reading.report, f"{quoted(entry.key)} in `{key}`"
    found = block(report, entry.value, what, narrowing_keys)
    if found is None:
        return Narrowing()
    rows, fields, verbs = found.get("rows"), found.get("fields"), found.get("verbs")
    known = {verb: verb for verb in reading.tool_verbs.get(entry.key, data_verbs)}
    return Narrowing(
        rows=matchers(reading, rows.value, f"`rows` of {what}") if rows else {},
        fields=columns(report, fields.value, f"`fields` of {what}") if fields else None,
        verbs=several(report, verbs.value, f"`verbs` of {what}", lambda r, n, w: choice(r, n, w, known), least=1)
        if verbs
        else None,
    )
