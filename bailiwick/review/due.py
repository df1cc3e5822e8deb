"""When reviews are due, and what is turned off where none was made in time. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bailiwick.decide.ground import labels_of
from bailiwick.model.label import level_of
from bailiwick.model.policy import Agent, Grant, Policy, ReviewRule
from bailiwick.model.review import Review
from bailiwick.review.lines import held_by

SOON = timedelta(days=7)
"""How long before the deadline people are told."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How an agent's review stands."""

    agent: str
    owner: str
    every: timedelta
    restricted: bool
    """Whether the agent reaches restricted fields."""
    due_at: datetime
    last: Review | None
    """The last one that was closed."""
    open: Review | None
    overdue: bool
    off: tuple[str, ...]
    """Ids of the grants that are turned off."""
    waiting: tuple[str, ...]
    """Lines that were revoked or narrowed by the last review, and that the policy still has."""


def standings(
    policy: Policy, reviews: Sequence[Review], since: Mapping[str, datetime], now: datetime
) -> tuple[Standing, ...]:
    """Return how the reviews of all agents stand; nothing where the policy asks for none.

    `reviews`: the newest first. `since`: agent → since when it is known; an agent that is not in it is known from now.
    """
    rule = policy.review
    if rule is None:
        return ()
    return tuple(
        _standing(policy, rule, agent, reviews, since.get(agent.name, now), now) for agent in policy.agents.values()
    )


def _standing(
    policy: Policy, rule: ReviewRule, agent: Agent, reviews: Sequence[Review], since: datetime, now: datetime
) -> Standing:
    mine = [each for each in reviews if agent.name in each.agents]
    last = max((each for each in mine if each.closed_at), key=lambda each: each.closed_at or since, default=None)
    current = next((each for each in mine if each.state == "OPEN"), None)
    held = held_by(policy, agent.name)
    restricted = any(_restricted(policy, grant) for grant in held)
    every = min(rule.every, rule.restricted) if restricted and rule.restricted is not None else rule.every
    begins = last.closed_at if last is not None and last.closed_at is not None else since
    due = begins + every
    overdue = now >= due
    off = _off(held, current) if overdue and rule.overdue == "revoke" else ()
    return Standing(
        agent.name, agent.owner, every, restricted, due, last, current, overdue, off, _waiting(policy, last)
    )


def _off(held: Sequence[Grant], current: Review | None) -> tuple[str, ...]:
    """Return the grants on which nobody has decided that they stay."""
    stay: set[str] = set()
    for line in current.lines if current is not None else ():
        if current is not None and line.kind == "grant" and current.verdict(line) in ("keep", "narrow"):
            stay.add(line.subject)
    return tuple(grant.id for grant in held if grant.id not in stay)


def _waiting(policy: Policy, last: Review | None) -> tuple[str, ...]:
    """Return the ids of the lines about grants, decided to go, that the policy still has."""
    if last is None:
        return ()
    there = {grant.id for role in policy.roles.values() for grant in role.grants}
    return tuple(
        line.id
        for line in last.lines
        if line.kind == "grant" and last.verdict(line) in ("revoke", "narrow") and line.subject in there
    )


def _restricted(policy: Policy, grant: Grant) -> bool:
    return any(level_of(labels) == "restricted" for labels in _reached(policy, grant))


def _reached(policy: Policy, grant: Grant) -> Iterator[frozenset[str]]:
    """Yield the labels of what a grant names. What it does not name is below confidential, but in results of tools."""
    wild = grant.action.resource == "*"
    named = grant.fields if grant.action.field is None else (grant.action.field,)
    for mount in policy.mounts.values():
        for resource in mount.resources.values():
            if wild or resource.name == grant.action.resource:
                for name in named or ():
                    yield from (labels_of(resource, column) for column in resource.groups.get(name, (name,)))
    for tools in policy.tool_mounts.values():
        for found in tools.resources.values():
            if wild or found.name == grant.action.resource:
                yield from found.labels.values()


def lapsed(found: Sequence[Standing]) -> dict[str, frozenset[str]]:
    """Return agent → the grants that are turned off."""
    return {each.agent: frozenset(each.off) for each in found if each.off}
