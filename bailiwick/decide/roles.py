"""Roles: which grants an agent has, with inheritance and `override`."""

from __future__ import annotations

from collections.abc import Iterable

from bailiwick.model.policy import Grant, Policy


def grants_of(policy: Policy, roles: Iterable[str]) -> tuple[Grant, ...]:
    """Return the grants of several roles together, inherited ones first, none twice.

    An `override` takes the allows of the same action out of what *its own* role inherited, nothing else: a grant that
    another of the roles brings stays, and so does every deny. Unknown roles bring nothing.
    """
    found: dict[str, Grant] = {}
    for role in roles:
        for grant in _of_role(policy, role, ()):
            found.setdefault(grant.id, grant)
    return tuple(found.values())


def lent_roles(policy: Policy, agent: str, elevated: Iterable[str]) -> tuple[str, ...]:
    """Return the roles that elevations give an agent under a policy; one that it does not know gives nothing."""
    rules = (policy.elevations.get(name) for name in elevated)
    return tuple(dict.fromkeys(rule.role for rule in rules if rule is not None and agent in rule.agents))


def lent_grants(policy: Policy, agent: str, name: str) -> frozenset[str]:
    """Return the ids of the grants that an agent has by an elevation alone."""
    known = policy.agents.get(agent)
    kept = standing(policy, agent, grants_of(policy, known.roles)) if known is not None else ()
    own = {grant.id for grant in kept}
    lent = grants_of(policy, lent_roles(policy, agent, (name,)))
    return frozenset(grant.id for grant in lent if grant.id not in own)


def standing(policy: Policy, agent: str, grants: tuple[Grant, ...]) -> tuple[Grant, ...]:
    """Return those of an agent's own grants that are not turned off for want of a review.

    INVARIANT: only allows are turned off, and what one of them had overridden does not come back.
    """
    lapsed = policy.lapsed.get(agent)
    if not lapsed:
        return grants
    return tuple(grant for grant in grants if grant.effect == "deny" or grant.id not in lapsed)


def _of_role(policy: Policy, name: str, above: tuple[str, ...]) -> tuple[Grant, ...]:
    role = policy.roles.get(name)
    if role is None or name in above:
        return ()
    inherited: dict[str, Grant] = {}
    for parent in role.inherits:
        for grant in _of_role(policy, parent, (*above, name)):
            inherited.setdefault(grant.id, grant)
    replaced = {grant.action for grant in role.grants if grant.override and grant.effect == "allow"}
    kept = [grant for grant in inherited.values() if grant.effect == "deny" or grant.action not in replaced]
    return (*kept, *role.grants)
