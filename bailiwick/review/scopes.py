"""The scope that a policy gives a session of which the ledger tells, where no value of the session is known. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bailiwick.decide.delegation import within, without_aggregates
from bailiwick.decide.scope import scope_where
from bailiwick.model.lock import Lock
from bailiwick.model.policy import Grant, Narrowing, Policy, Resource
from bailiwick.model.scope import Scope
from bailiwick.review.asked import Terms

Holds = Callable[[Grant, Resource], bool]
Known = Mapping[tuple[str, str, str], bool]
"""(text of a `when`, resource, effect) → whether it counted as true, for those of which it is known."""


def known_conditions(policy: Policy | None, lock: Lock, terms: Terms) -> Known:
    """Return which conditions held in a session; `policy` is the one of its opening, None when it is not kept."""
    found: dict[tuple[str, str, str], bool] = {}
    if policy is None or terms.policy != policy.version:
        return found

    def held(grant: Grant, resource: Resource) -> bool:
        passed = f"{grant.id}@{resource.name}" in terms.passed
        if grant.when is not None:
            found[grant.when, resource.name, grant.effect] = passed
        return passed

    _scope(policy, lock, terms, held)
    return found


def scopes_of(policy: Policy, lock: Lock, terms: Terms, known: Known) -> tuple[Scope, ...]:
    """Return the scope of a session; two where conditions are not known: none of them holds, or all."""
    open_ones: list[str] = []

    def scope(supposing: bool) -> Scope:
        def holds(grant: Grant, resource: Resource) -> bool:
            if grant.when is None:
                return True
            key = (grant.when, resource.name, grant.effect)
            if key not in known:
                open_ones.append(grant.when)
            return known.get(key, supposing)

        return _scope(policy, lock, terms, holds)

    first = scope(supposing=False)
    return (first, scope(supposing=True)) if open_ones else (first,)


def _scope(policy: Policy, lock: Lock, terms: Terms, holds: Holds) -> Scope:
    asked = {name: Narrowing() for name in terms.asked} if terms.asked else None
    found = scope_where(policy, lock, terms.agent, terms.task, asked, holds, terms.elevated)
    if terms.own:
        found = without_aggregates(found)
    return found if terms.parent is None else within(policy, found, _scope(policy, lock, terms.parent, holds))
