"""The lines of a review: what the agents of an owner may do, with the evidence, and what is recommended. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from bailiwick.decide.ground import Ground, covers, ground_of, labels_of
from bailiwick.decide.roles import grants_of
from bailiwick.match.in_words import listed
from bailiwick.model.label import level_of, levels
from bailiwick.model.lock import Lock
from bailiwick.model.policy import Grant, Policy, Resource
from bailiwick.model.position import Position
from bailiwick.model.review import Line, Plain, Review, Use, Verdict
from bailiwick.policy.canonical import digest
from bailiwick.review.usage import Tally, Usage, together

ENOUGH = 20
"""Uses below which the fields of a grant are not narrowed to those that were used."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of the use of grants."""

    usage: Usage
    unused_since: datetime
    """What was used last before then counts as unused."""
    known: Mapping[tuple[str, str], datetime]
    """(agent, grant or elevation) → since when the agent has it, as far as that is known."""
    begins: datetime
    """Where the ledger begins."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What lines are made of."""

    policy: Policy
    lock: Lock
    agents: tuple[str, ...]
    evidence: Evidence
    before: Review | None


def lines_of(looked: Looked) -> tuple[Line, ...]:
    """Return all lines, numbered."""
    found: list[Line] = []
    last = {line.subject: line.content for line in looked.before.lines} if looked.before else None
    blocks = (*_grants(looked), *_gates(looked), *_elevations(looked))
    for number, block in enumerate(blocks, 1):
        for place, line in enumerate(block):
            name = f"{number}.{place}" if place else str(number)
            found.append(_since(replace(line, id=name), last))
    return tuple(found)


def _since(line: Line, last: Mapping[str, str] | None) -> Line:
    if last is None:
        return line
    was = last.get(line.subject)
    return replace(line, since="new" if was is None else "same" if was == line.content else "changed")


def held_by(policy: Policy, agent: str) -> tuple[Grant, ...]:
    """Return the allows that an agent has by its roles, whether they are turned off at the moment or not."""
    known = policy.agents.get(agent)
    own = grants_of(policy, known.roles) if known is not None else ()
    return tuple(grant for grant in own if grant.effect == "allow")


# --- grants and their fields ---


def _grants(looked: Looked) -> Iterator[list[Line]]:
    policy = looked.policy
    holders: dict[str, list[str]] = {}
    grants: dict[str, Grant] = {}
    for agent in policy.agents:
        for grant in held_by(policy, agent):
            grants[grant.id] = grant
            holders.setdefault(grant.id, []).append(agent)
    for name, grant in grants.items():
        mine = tuple(agent for agent in holders[name] if agent in looked.agents)
        if mine:
            others = tuple(agent for agent in holders[name] if agent not in looked.agents)
            yield [*_grant(looked, grant, mine, others)]


def _grant(looked: Looked, grant: Grant, mine: tuple[str, ...], others: tuple[str, ...]) -> Iterator[Line]:
    evidence, everybody = looked.evidence, (*mine, *others)
    use = together(evidence.usage.grants[agent, grant.id] for agent in everybody)
    ran = evidence.usage.days(everybody, evidence.unused_since)
    judged = _Judged(looked, grant, everybody, use, ran)
    verdict, why, narrow = judged.grant()
    at, content = _place(grant.position), digest(grant)
    line = Line(
        "", "grant", grant.id, mine, others, grant_in_words(grant), content, use, ran, verdict, why, narrow, position=at
    )
    yield line
    for name in grant.fields or ():
        used = judged.field(name)
        recommend, because = judged.of_field(name, used)
        told = f"field `{name}` of {grant.action}"
        yield replace(
            line,
            kind="field",
            subject=f"{grant.id} {name}",
            text=told,
            use=used,
            recommend=recommend,
            why=because,
            narrow={},
        )
    for name, level in judged.clear():
        used = judged.field(name)
        idle = judged.idle(used)
        because = (
            "it was not used: mask it, or take it out"
            if idle
            else "is it needed in clear, or only counted, joined and compared? Then a mask would do"
        )
        yield replace(
            line,
            kind="mask",
            subject=f"{grant.id} {name} in clear",
            text=f"`{name}` ({level}) of {grant.action} in clear",
            use=used,
            recommend="narrow" if idle and judged.certain else "ask",
            why=because,
            narrow={"mask": {name: "full"}},
        )


def grant_in_words(grant: Grant) -> str:
    """Return a grant in a few words."""
    fields = f" of {listed(grant.fields)}" if grant.fields else ""
    return f"{grant.action}{fields}, by role {grant.role}: {grant.reason}"


def _place(position: Position) -> str:
    return f"{position.file}:{position.line}" if position.line else ""


@dataclass(frozen=True, slots=True)
class _Judged:
    """What the evidence says of one grant."""

    looked: Looked
    grant_: Grant
    agents: tuple[str, ...]
    use: Use
    ran: int

    @property
    def resource(self) -> Resource | None:
        """The table that it is about, if it is about one."""
        return self.looked.policy.resource(self.grant_.action.resource)

    @property
    def certain(self) -> bool:
        """Whether the evidence reaches back far enough for its absence to say something."""
        return _certain(self.looked.evidence, self.agents, self.grant_.id) and self.ran > 0

    def idle(self, use: Use) -> bool:
        """Return whether something counts as unused."""
        return use.last is None or use.last < self.looked.evidence.unused_since

    def grant(self) -> tuple[Verdict, str, Mapping[str, Plain]]:
        """Return what is recommended of the grant, why, and how it is narrowed."""
        grant = self.grant_
        if self.idle(self.use):
            verdict, why = _unused(self.looked, self.agents, grant.id, self.ran)
            if verdict == "revoke" and grant.override:
                return "ask", f"{why}; it replaces what its role inherits, which would come back", {}
            return verdict, why, {}
        used = _used(self.use)
        if "*" in (grant.action.resource, grant.action.verb):
            return "ask", f"{used}; it covers more than is named: was all of it meant?", {}
        left = self._fields_left()
        if left:
            return "narrow", f"{used}; other fields were not", {"fields": left}
        return "keep", used, {}

    def field(self, name: str) -> Use:
        """Return the use of a field, or of any column of a group of fields."""
        resource, usage = self.resource, self.looked.evidence.usage
        columns = resource.groups.get(name, (name,)) if resource is not None else (name,)
        of = self.grant_.action.resource
        tallies: list[Tally] = []
        for agent in self.agents:
            for column in columns:
                found = usage.fields.get((agent, self.grant_.id, of, column))
                if found is not None:
                    tallies.append(found)
        return together(tallies)

    def of_field(self, name: str, used: Use) -> tuple[Verdict, str]:
        """Return what is recommended of a field that the grant names."""
        if not self.idle(used):
            return "keep", _used(used)
        if name in self._unused():
            since = self.looked.evidence.unused_since.date()
            return "revoke", f"not used since {since}, by {self.use.uses} uses of the grant"
        if self.idle(self.use):
            return "ask", "as the grant itself"
        return "ask", "not used, but the grant was not used often enough to tell, or not for reading"

    def _unused(self) -> tuple[str, ...]:
        """Return the fields that the grant names and need not."""
        left = self._fields_left()
        return tuple(name for name in self.grant_.fields or () if name not in left) if left else ()

    def _fields_left(self) -> tuple[str, ...]:
        """Return the fields that the grant needs; empty where that is not known, or they are all."""
        grant, resource = self.grant_, self.resource
        reads = grant.action.verb == "read" and grant.aggregate is None
        if not reads or resource is None or not self.certain or self.use.uses < ENOUGH:
            return ()
        ground = self._ground()
        names = grant.fields if grant.fields is not None else ground.plain() if ground is not None else ()
        left = tuple(name for name in names if not self.idle(self.field(name)))
        return left if len(left) < len(names) else ()

    def _ground(self) -> Ground | None:
        resource = self.resource
        mount = self.looked.policy.mounts.get(resource.mount) if resource is not None else None
        return ground_of(mount, resource, self.looked.lock) if mount is not None and resource is not None else None

    def clear(self) -> Iterator[tuple[str, str]]:
        """Yield the confidential and restricted fields that the grant shows in clear, with their level."""
        grant, resource = self.grant_, self.resource
        if resource is None or grant.action.verb not in ("read", "*") or grant.aggregate is not None:
            return
        for name in _columns(resource, grant.fields or ()):
            level = level_of(labels_of(resource, name))
            if levels.index(level) >= levels.index("confidential") and name not in grant.mask:
                yield name, level


def _columns(resource: Resource, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(column for name in names for column in resource.groups.get(name, (name,))))


def _certain(evidence: Evidence, agents: Iterable[str], subject: str) -> bool:
    since = [evidence.known[agent, subject] for agent in agents if (agent, subject) in evidence.known]
    return evidence.begins <= evidence.unused_since and bool(since) and min(since) <= evidence.unused_since


def _unused(looked: Looked, agents: Sequence[str], subject: str, ran: int) -> tuple[Verdict, str]:
    """Return what is recommended of something that was not used, and why."""
    evidence = looked.evidence
    since = evidence.unused_since.date()
    if not _certain(evidence, agents, subject):
        return "ask", f"not used yet, and not known since {since}"
    if not ran:
        return "ask", f"not used since {since}, but no agent that has it ran"
    days = "one day" if ran == 1 else f"{ran} days"
    return "revoke", f"not used since {since}, though agents that have it ran on {days}"


def _used(use: Use) -> str:
    last = use.last.date() if use.last is not None else ""
    times = "once" if use.uses == 1 else f"{use.uses} times"
    return f"used {times}, on {use.days} {'day' if use.days == 1 else 'days'}, last on {last}"


# --- gates that hold less, and elevations ---


def _gates(looked: Looked) -> Iterator[list[Line]]:
    policy, evidence = looked.policy, looked.evidence
    for gate in policy.gates.values():
        for action in gate.loosen:
            having = [
                agent
                for agent in policy.agents
                if any(_meet(grant, action.resource, action.verb) for grant in held_by(policy, agent))
            ]
            mine = tuple(agent for agent in having if agent in looked.agents)
            if not mine:
                continue
            used = together(
                tally
                for (agent, done), tally in evidence.usage.actions.items()
                if agent in having and covers(action, *done.split(":")[:2])
            )
            ran = evidence.usage.days(having, evidence.unused_since)
            subject = f"gate {gate.name} {action}"
            idle = used.last is None or used.last < evidence.unused_since
            verdict, why = _unused(looked, having, subject, ran) if idle else ("keep", _used(used))
            text = f"the gate `{gate.name}` does not hold {action}: {gate.reason}"
            others = tuple(agent for agent in having if agent not in mine)
            content = digest((action, gate.reason))
            at = _place(gate.position)
            yield [Line("", "gate", subject, mine, others, text, content, used, ran, verdict, why, position=at)]


def _meet(grant: Grant, resource: str, verb: str) -> bool:
    """Return whether a grant and an action, either of which may have wildcards, have something in common."""
    return covers(grant.action, resource, verb) or (
        (resource == "*" or grant.action.resource in ("*", resource)) and verb in ("*", grant.action.verb)
    )


def _elevations(looked: Looked) -> Iterator[list[Line]]:
    policy, evidence = looked.policy, looked.evidence
    for rule in policy.elevations.values():
        mine = tuple(agent for agent in rule.agents if agent in looked.agents)
        for agent in mine:
            used = together([evidence.usage.elevations[agent, rule.name]])
            ran = evidence.usage.days((agent,), evidence.unused_since)
            subject = f"elevation {rule.name} {agent}"
            idle = used.last is None or used.last < evidence.unused_since
            verdict, why = _unused(looked, (agent,), subject, ran) if idle else ("keep", _used(used))
            hours = rule.max.total_seconds() / 3600
            text = f"elevation `{rule.name}` to role {rule.role}, for {hours:g} h at most, by {listed(rule.approvers)}"
            content, at = digest(replace(rule, agents=())), _place(rule.position)
            yield [Line("", "elevation", subject, (agent,), (), text, content, used, ran, verdict, why, position=at)]


def subjects(policy: Policy, agent: str) -> Iterator[str]:
    """Yield all of an agent's that is reviewed by itself: grants, loosened gates, elevations."""
    held = held_by(policy, agent)
    yield from (grant.id for grant in held)
    for gate in policy.gates.values():
        for action in gate.loosen:
            if any(_meet(grant, action.resource, action.verb) for grant in held):
                yield f"gate {gate.name} {action}"
    yield from (f"elevation {rule.name} {agent}" for rule in policy.elevations.values() if agent in rule.agents)
