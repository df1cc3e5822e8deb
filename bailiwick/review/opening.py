"""Opening a review: from the policy, the lock and what the ledger tells to what people decide on. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from bailiwick.decide.ground import covers, ground_of
from bailiwick.model.lock import Lock
from bailiwick.model.policy import Grant, Policy, ReviewRule
from bailiwick.model.review import News, Review, Run
from bailiwick.review.lines import Evidence, Looked, held_by, lines_of
from bailiwick.review.usage import Usage

_most_denied = 20


@dataclass(frozen=True, slots=True)
class Asked:
    """A review that somebody opens."""

    id: str
    owner: str
    agents: tuple[str, ...]
    by: str
    at: datetime
    due_at: datetime
    since: datetime


def period(rule: ReviewRule, now: datetime) -> datetime:
    """Return where the period of a review begins: so that what counts as unused can be told."""
    return now - max(rule.every, rule.unused_after)


def opened(
    asked: Asked,
    policy: Policy,
    lock: Lock,
    usage: Usage,
    known: Mapping[tuple[str, str], datetime],
    begins: datetime,
    before: Review | None,
) -> Review:
    """Return the review. `known`: since when agents have what they have; `begins`: where the ledger does."""
    rule = policy.review
    unused = asked.since if rule is None else asked.at - rule.unused_after
    looked = Looked(policy, lock, asked.agents, Evidence(usage, unused, known, begins), before)
    lines = lines_of(looked)
    there = {line.subject for line in lines}
    reach = dict(_reach(policy, lock))
    return Review(
        id=asked.id,
        owner=asked.owner,
        agents=asked.agents,
        opened_at=asked.at,
        opened_by=asked.by,
        due_at=asked.due_at,
        since=asked.since,
        policy=policy.version,
        lines=lines,
        runs=tuple(_run(usage, agent) for agent in asked.agents),
        news=tuple(_news(policy, asked.agents, reach, before)),
        gone=tuple(line.text for line in before.lines if line.subject not in there) if before is not None else (),
        reach=tuple(reach),
    )


def _run(usage: Usage, agent: str) -> Run:
    calls = usage.calls.get((agent,))
    denied = sorted(
        ((code, action, count) for (whose, code, action), count in usage.denied.items() if whose == agent),
        key=lambda each: (-each[2], each[0], each[1]),
    )
    return Run(
        agent, 0 if calls is None else len(calls.days), 0 if calls is None else calls.uses, tuple(denied[:_most_denied])
    )


@dataclass(frozen=True, slots=True)
class _Thing:
    """A column, or a tool, of the lock."""

    resource: str
    verb: str
    """Empty: any."""
    plain: bool
    """Whether a grant that names no fields reaches it."""


def _reach(policy: Policy, lock: Lock) -> Iterator[tuple[str, _Thing]]:
    """Yield everything that the policy maps and the lock has, by a name of its own."""
    for mount in policy.mounts.values():
        for resource in mount.resources.values():
            ground = ground_of(mount, resource, lock)
            if ground is not None:
                plain = frozenset(ground.plain())
                yield from (
                    (f"{resource.name}.{name}", _Thing(resource.name, "", name in plain)) for name in ground.columns
                )
    for tools in policy.tool_mounts.values():
        for tool in tools.offered:
            yield f"{tool.action.resource}: {tool.key}", _Thing(tool.action.resource, tool.action.verb, plain=True)


def _news(policy: Policy, agents: Sequence[str], reach: Mapping[str, _Thing], before: Review | None) -> Iterator[News]:
    for what, thing in reach.items():
        if before is not None and what not in before.reach:
            yield News(
                what, tuple(agent for agent in agents if any(_unnamed(g, thing) for g in held_by(policy, agent)))
            )


def _unnamed(grant: Grant, thing: _Thing) -> bool:
    """Return whether a grant reaches something that it does not name."""
    if thing.verb:
        return covers(grant.action, thing.resource, thing.verb)
    reached = grant.action.resource in ("*", thing.resource) and grant.action.verb != "delete"
    return reached and grant.fields is None and grant.action.field is None and thing.plain
