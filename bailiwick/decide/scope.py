"""The effective scope of a session: its agent's grants, less denies, within task and narrowing.

Pure. Everything that is missing, unknown or not accepted makes the scope smaller, never larger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from bailiwick.decide.canonical import digest
from bailiwick.decide.delegation import within, without_aggregates
from bailiwick.decide.gates import held_by, open_fields
from bailiwick.decide.ground import Ground, both, covers, ground_of, named_fields
from bailiwick.decide.observing import Observing, is_observing
from bailiwick.decide.roles import grants_of, lent_roles, standing
from bailiwick.decide.subtract import Subtraction, subtract_rows, subtraction
from bailiwick.decide.tools import tool_scopes
from bailiwick.errors import PolicyError
from bailiwick.match.condition import CelInput, compile_condition
from bailiwick.model.lock import Lock
from bailiwick.model.policy import Grant, Narrowing, Policy, Resource
from bailiwick.model.scope import (
    AggregateReads,
    DenyRows,
    ReadGrant,
    ResourceScope,
    RowFilter,
    Scope,
    ToolScope,
    WriteGrant,
)
from bailiwick.model.session import Session

WriteVerb = Literal["update", "create", "delete"]


def effective_scope(policy: Policy, lock: Lock, session: Session) -> Scope:
    """Return what the session may do. An unknown agent or task, or a task of other agents, may do nothing.

    `when` is evaluated here, over this session; which grants passed it is part of the scope's id. Of tools
    it is evaluated for each call. Grants with `args` or `items` give nothing on tables. Equal ids mean equal scopes.
    """
    values = session_values(session)

    def holds(grant: Grant, resource: Resource) -> bool:
        return _applies(grant, values, resource)

    found = scope_where(policy, lock, session.agent, session.task, session.asked, holds, session.elevated)
    if session.own:
        found = without_aggregates(found)
    return found if session.parent is None else within(policy, found, effective_scope(policy, lock, session.parent))


def scope_where(
    policy: Policy,
    lock: Lock,
    agent_name: str,
    task: str | None,
    asked: Mapping[str, Narrowing] | None,
    holds: Callable[[Grant, Resource], bool],
    elevated: Sequence[str] = (),
) -> Scope:
    """Return the scope of an agent's sessions in which `holds` says what comes of `when`; see `effective_scope`.

    `elevated` names elevations in force. Of mounts with `enforce: both` they give nothing: compiled roles know none.
    """
    agent = policy.agents.get(agent_name)
    narrowings = _narrowings(policy, agent_name, task, asked)
    resources: dict[str, ResourceScope] = {}
    taking_part: dict[str, Grant] = {}
    passed: list[str] = []
    tools: dict[str, ToolScope] = {}
    observing = Observing.of(policy, agent_name)
    if agent is not None and narrowings is not None:
        own = standing(policy, agent_name, grants_of(policy, agent.roles))
        lent = lent_roles(policy, agent_name, elevated)
        every = _together(own, grants_of(policy, lent)) if lent else own
        grants = _Index(every)
        native = _Index(own) if lent else grants
        tools, calling = tool_scopes(policy, lock, every, narrowings, observing)
        taking_part |= calling
        for mount in policy.mounts.values():
            if asked is not None and mount.enforce == "both":
                continue  # its compiled roles know nothing of what an opener asks for
            here = (*narrowings, *observing.boundaries(mount.name))
            observed = observing.on(mount.name) and mount.enforce != "both"  # its compiled roles know nothing of it
            for resource in mount.resources.values():
                ground = ground_of(mount, resource, lock)
                narrow = [each.get(resource.name) for each in here]
                if ground is None or any(each is None for each in narrow):
                    continue
                known = native if mount.enforce == "both" else grants
                applying = [grant for grant in known.of(resource.name) if holds(grant, resource)]
                passed += [f"{grant.id}@{resource.name}" for grant in applying if grant.when is not None]
                if observed:
                    applying.append(observing.table(ground, open_fields(policy, ground)))
                found = _build(policy, ground, applying, [each for each in narrow if each is not None])
                if found is not None and found.aggregate is not None and asked and asked[resource.name].rows:
                    found = None  # two sessions that leave out different rows would tell of the rows between
                taking_part |= _taking_part(applying, found)
                if found is not None:
                    resources[resource.name] = found
    parts = (policy.version, lock, agent_name, task, sorted(passed), asked)
    lapsed = sorted(policy.lapsed.get(agent_name, ()))
    more = (sorted(elevated), lapsed) if lapsed else (sorted(elevated),) if elevated else ()
    identity = digest(*parts, *more)
    watched = frozenset(name for name in policy.every_mount if observing.on(name))
    return Scope(identity, agent_name, resources, taking_part, task, tuple(sorted(passed)), tools, watched)


def _together(own: Sequence[Grant], lent: Sequence[Grant]) -> tuple[Grant, ...]:
    """Return an agent's own grants and those of its elevations, none twice."""
    found = {grant.id: grant for grant in own}
    for grant in lent:
        found.setdefault(grant.id, grant)
    return tuple(found.values())


class _Index:
    """Grants by the resource that they name, in the order in which they were given."""

    def __init__(self, grants: Sequence[Grant]) -> None:
        self._named: dict[str, list[tuple[int, Grant]]] = {}
        for place, grant in enumerate(grants):
            self._named.setdefault(grant.action.resource, []).append((place, grant))

    def of(self, resource: str) -> list[Grant]:
        """Return the grants that reach the resource."""
        both_ways = self._named.get(resource, []) + self._named.get("*", [])
        return [grant for _, grant in sorted(both_ways, key=lambda pair: pair[0])]


def _narrowings(
    policy: Policy, agent: str, name: str | None, asked: Mapping[str, Narrowing] | None
) -> tuple[Mapping[str, Narrowing], ...] | None:
    found: list[Mapping[str, Narrowing]] = []
    if name is not None:
        task = policy.tasks.get(name)
        if task is None or agent not in task.agents:
            return None
        if task.only is not None:
            found.append(task.only)
    if asked is not None:
        found.append(asked)
    return tuple(found)


def session_values(session: Session) -> dict[str, CelInput]:
    """Return what conditions see as `session`."""
    user: dict[str, CelInput] | None = None
    if session.user is not None:
        known: dict[str, CelInput] = {"id": session.user.id, "groups": tuple(sorted(session.user.groups))}
        user = {**session.user.claims, **known}
    context: dict[str, CelInput] = {**session.context}
    head: dict[str, CelInput] = {"agent": session.agent, "task": session.task, "tenant": session.tenant}
    return {**head, "context": context, "user": user}


def _applies(grant: Grant, session: Mapping[str, CelInput], resource: Resource) -> bool:
    """Evaluate `when`: an allow needs it true, a deny stays unless it is known to be false."""
    if grant.when is None:
        return True
    labels = tuple(sorted(resource.labels.get("*", frozenset())))
    facts: dict[str, CelInput] = {"name": resource.name, "mount": resource.mount, "labels": labels}
    try:
        known = compile_condition(grant.when).evaluate(session, facts)
    except PolicyError:
        known = None
    return known is True if grant.effect == "allow" else known is not False


def _build(
    policy: Policy, ground: Ground, grants: Sequence[Grant], narrow: Sequence[Narrowing]
) -> ResourceScope | None:
    """Return the scope of one resource, None when nothing is left of it."""
    within = _Within.of(ground, narrow)
    if within is None:
        return None
    denies = [grant for grant in grants if grant.effect == "deny"]
    allows = [grant for grant in grants if grant.effect == "allow" and _in_effect(grant)]
    gone = {verb: subtraction(denies, verb, ground) for verb in ("read", "update", "create", "delete")}
    reads = _reads(ground, allows, gone["read"], within)
    denied_rows = gone["read"].rows
    hidden = {deny.grant for deny in denied_rows if deny.fields is None}
    updates = _writes("update", ground, allows, gone["update"], within, hidden)
    creates = _writes("create", ground, allows, gone["create"], within, set())
    deletes = _writes("delete", ground, allows, gone["delete"], within, hidden)
    touched = reads or updates or creates or deletes
    aggregate = None if touched else _aggregate(ground, grants, gone["read"], within)
    if not (reads or updates or creates or deletes or aggregate):
        return None
    told = aggregate.grants if aggregate is not None else ()
    queueing = {grant.id for grant in allows if grant.through == "queue"}
    # A delete to which a queueing grant contributes waits for people anyway, as a held change: no gate is needed.
    held = held_by(
        policy, ground, (*reads, *told), bool(deletes) and not any(each.grant in queueing for each in deletes)
    )
    return ResourceScope(ground.resource, reads, updates, creates, deletes, denied_rows, held, aggregate)


def _in_effect(grant: Grant) -> bool:
    return grant.aggregate is None and not _is_of_tools(grant)


def _is_direct(grant: Grant) -> bool:
    return grant.through == "direct" and not _is_of_tools(grant)


def _is_of_tools(grant: Grant) -> bool:
    """Return whether a grant says what only tools have: then an allow means tools alone."""
    return grant.args is not None or bool(grant.items)


def _aggregate(ground: Ground, grants: Sequence[Grant], gone: Subtraction, within: _Within) -> AggregateReads | None:
    """Return what may only be aggregated: the strictest bounds of its grants hold for all of them together."""
    allows = [grant for grant in grants if grant.effect == "allow" and grant.aggregate and _is_direct(grant)]
    reads = _reads(ground, allows, gone, within)
    taking_part = [grant for grant in allows if any(read.grant == grant.id for read in reads)]
    if not taking_part:
        return None
    smallest = max(grant.aggregate or 0 for grant in taking_part)
    return AggregateReads(reads, smallest, min(grant.groupings for grant in taking_part))


@dataclass(frozen=True, slots=True)
class _Within:
    """Several narrowings together, on one resource."""

    filter: RowFilter
    fields: frozenset[str]
    verbs: frozenset[str] | None

    @staticmethod
    def of(ground: Ground, narrow: Iterable[Narrowing]) -> _Within | None:
        """Return what they leave; None when one filters by a column that was not accepted."""
        where, fields, verbs = RowFilter(), frozenset(ground.columns), None
        for each in narrow:
            rows = ground.filter(each.rows)
            if rows is None:
                return None
            where = both(where, rows)
            if each.fields is not None:
                fields &= frozenset(ground.expand(each.fields))
            if each.verbs is not None:
                verbs = frozenset(each.verbs) if verbs is None else verbs & frozenset(each.verbs)
        return _Within(where, fields, verbs)

    def admits(self, verb: str) -> bool:
        """Return whether the verb is left."""
        return self.verbs is None or verb in self.verbs


def _reads(ground: Ground, allows: Sequence[Grant], gone: Subtraction, within: _Within) -> tuple[ReadGrant, ...]:
    if gone.whole or not within.admits("read"):
        return ()
    found: list[ReadGrant] = []
    for grant, where, names in _candidates("read", ground, allows, gone, within):
        masks = {name: grant.mask.get(name) for name in names}
        shown = {name: mask for name, mask in masks.items() if mask is None or mask.name != "sql" or ground.sql}
        if shown:
            found.append(ReadGrant(grant.id, where, shown))
    return tuple(found)


def _writes(
    verb: WriteVerb,
    ground: Ground,
    allows: Sequence[Grant],
    gone: Subtraction,
    within: _Within,
    hidden: set[str],
) -> tuple[WriteGrant, ...]:
    """`hidden`: deny grants whose rows the read scope, which every update and delete is within, leaves out already."""
    if gone.whole or not within.admits(verb):
        return ()
    denied: list[DenyRows] = [deny for deny in gone.rows if deny.grant not in hidden]
    found: list[WriteGrant] = []
    for grant, where, names in _candidates(verb, ground, allows, gone, within):
        fields = frozenset[str]() if verb == "delete" else frozenset(names)
        if fields or verb == "delete":
            values = {name: matcher for name, matcher in grant.set.items() if name in fields}
            found += subtract_rows(WriteGrant(grant.id, where, fields, values, _batch(grant)), denied)
    return tuple(found)


def _candidates(
    verb: str, ground: Ground, allows: Sequence[Grant], gone: Subtraction, within: _Within
) -> Iterable[tuple[Grant, RowFilter, tuple[str, ...]]]:
    """Yield the allows of a verb, each with its filter and the fields that are left of it, in the lock's order."""
    for grant in allows:
        if not covers(grant.action, ground.resource.name, verb):
            continue
        where = ground.filter(grant.rows, grant.sql)
        if where is None:
            continue
        named = named_fields(grant)
        if verb == "delete" and named is not None and not is_observing(grant):
            continue  # a row is deleted whole: a grant of some fields does not reach that
        names = ground.plain() if named is None else ground.expand(named)
        left = tuple(name for name in names if name in within.fields and name not in gone.fields)
        yield grant, both(where, within.filter), left


def _batch(grant: Grant) -> int | None:
    return next((int(limit.amount) for limit in grant.limits if limit.name == "batch"), None)


def _taking_part(applying: Sequence[Grant], found: ResourceScope | None) -> dict[str, Grant]:
    """Return the grants that shaped the scope: the allows that are in it, and the denies against an allow."""
    if all(grant.effect == "deny" for grant in applying):
        return {}
    used: set[str] = set()
    if found is not None:
        writes = found.updates + found.creates + found.deletes
        used = {grant.grant for grant in found.reads} | {grant.grant for grant in writes}
        used |= {grant.grant for grant in found.aggregate.grants} if found.aggregate else set()
    return {grant.id: grant for grant in applying if grant.effect == "deny" or grant.id in used}
