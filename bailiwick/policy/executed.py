"""Gates with `mode: execute` against what the gateway can run by itself. What is found are warnings: the agent's own
retry runs the rest, once it is approved."""

from __future__ import annotations

from collections.abc import Iterator

from bailiwick.model.policy import Gate, Policy
from bailiwick.model.tool import Tool
from bailiwick.policy.problem import Problem
from bailiwick.policy.where import where

_SUGGESTION = "the agent makes the same call again once it is approved; leave `mode` out where that is meant"


def left_to_retries(policy: Policy) -> tuple[Problem, ...]:
    """Return a warning for each gate with `mode: execute` that holds what only its caller can run."""
    found: list[Problem] = []
    for gate in policy.gates.values():
        names = sorted(set(_held(policy, gate))) if gate.mode == "execute" else []
        if names:
            message = f"gate `{gate.name}` holds what the gateway cannot run itself: {', '.join(names)}"
            place = where(policy, ("gates", gate.name, "mode"))
            found.append(Problem(place, "left_to_retry", message, _SUGGESTION, "warning"))
    return tuple(found)


def _held(policy: Policy, gate: Gate) -> Iterator[str]:
    for tool, what in _only_by_callers(policy):
        if _holds(gate, tool):
            yield f"{what} (`{tool.action}`)"


def _only_by_callers(policy: Policy) -> Iterator[tuple[Tool, str]]:
    for name, mount in policy.python.items():
        yield from ((tool, f"functions of `{name}`") for tool in mount.offered)
    for name, mount in policy.files.items():
        yield from ((tool, f"files of `{name}`") for tool in mount.tools.values())
    for name, mount in policy.mcp.items():
        yield from ((tool, f"prompts of `{name}`") for tool in mount.prompts.values())
        yield from ((tool, f"documents of `{name}`") for tool in mount.documents.values())


def _holds(gate: Gate, tool: Tool) -> bool:
    """Whether a gate may hold a tool: by its action, its verb, or its effects."""
    if gate.on is None:
        return gate.name == tool.action.verb or gate.name in tool.effects
    return gate.on.resource in ("*", tool.action.resource) and gate.on.verb in ("*", tool.action.verb)
