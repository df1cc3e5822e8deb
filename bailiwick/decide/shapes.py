"""Every shape that the scopes of a policy can take: what can be compiled before there is a session."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from bailiwick.decide.ground import covers
from bailiwick.decide.roles import grants_of
from bailiwick.decide.scope import scope_where
from bailiwick.errors import PolicyError
from bailiwick.model.action import data_verbs
from bailiwick.model.lock import Lock
from bailiwick.model.policy import Agent, Grant, Policy, Resource
from bailiwick.model.scope import Scope

most_conditions = 6
"""Grants with `when` that one agent may have: each doubles its shapes."""


def shapes(policy: Policy, lock: Lock, mount: str) -> tuple[Scope, ...]:
    """Return the scope of each agent, in each task and in none, for every outcome of its `when` conditions; only those
    that reach something of the mount. Raises PolicyError when an agent's conditions make too many."""
    found: list[Scope] = []
    for agent in policy.agents.values():
        tasks = [None, *(task.name for task in policy.tasks.values() if agent.name in task.agents)]
        for passed in _outcomes(policy, agent, mount):

            def holds(grant: Grant, resource: Resource, passed: frozenset[str] = passed) -> bool:
                return grant.when is None or f"{grant.id}@{resource.name}" in passed

            scopes = (scope_where(policy, lock, agent.name, task, None, holds) for task in tasks)
            found += [scope for scope in scopes if any(s.resource.mount == mount for s in scope.resources.values())]
    return tuple(found)


def _outcomes(policy: Policy, agent: Agent, mount: str) -> Iterator[frozenset[str]]:
    """Yield each set of conditional grants (of this mount's resources) that may hold together."""
    conditional = [
        f"{grant.id}@{resource.name}"
        for grant in grants_of(policy, agent.roles)
        for resource in policy.mounts[mount].resources.values()
        if grant.when is not None and any(covers(grant.action, resource.name, verb) for verb in data_verbs)
    ]
    if len(conditional) > most_conditions:
        raise PolicyError(
            f"agent `{agent.name}` has {len(conditional)} conditional grants on `{mount}`: too many to compile",
            remedy=f"use `when` on at most {most_conditions}, or tasks in its place",
        )
    for count in range(len(conditional) + 1):
        yield from (frozenset(chosen) for chosen in combinations(conditional, count))
