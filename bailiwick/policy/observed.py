"""Where a policy observes, and that it may do so in staging only."""

from __future__ import annotations

from collections.abc import Iterator

from bailiwick.match.in_words import listed
from bailiwick.model.policy import Observe, Policy
from bailiwick.policy.problem import Problem
from bailiwick.policy.where import Path, where

_REMEDY = "remove it; or write `environment: staging` in gateway.yaml, a variable alone does not do"


def observed(policy: Policy) -> Iterator[tuple[Path, str, Observe]]:
    """Yield where observe mode is switched on, and for what."""
    for agent in policy.agents.values():
        if agent.observe is not None:
            yield ("agents", agent.name, "observe"), f"agent `{agent.name}`", agent.observe
    for name, observe in policy.observe.items():
        yield ("mounts", name, "observe"), f"mount `{name}`", observe


def staging_only(policy: Policy) -> tuple[Problem, ...]:
    """Return one problem for each use of observe mode: what a gateway that is not in staging refuses."""
    return tuple(
        Problem(where(policy, path), "staging_only", f"`observe` of {what} is for staging only", _REMEDY)
        for path, what, _ in observed(policy)
    )


def observed_in_words(policy: Policy) -> tuple[str, ...]:
    """Return what is observed, one line each."""
    return tuple(f"{what} is observed: {_reach(observe)} is let through" for _, what, observe in observed(policy))


def _reach(observe: Observe) -> str:
    if observe.boundary is None:
        return "everything that was accepted"
    return f"what was accepted of {listed(sorted(observe.boundary))}" if observe.boundary else "nothing"
