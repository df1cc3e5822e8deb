"""Which gate holds what of a resource. Built in: `delete`, and `restricted` (reading such a field in clear)."""

from __future__ import annotations

from collections.abc import Sequence

from bailiwick.decide.ground import Ground, covers
from bailiwick.model.action import data_verbs
from bailiwick.model.policy import Policy
from bailiwick.model.scope import ReadGrant


def held_by(policy: Policy, ground: Ground, reads: Sequence[ReadGrant], deletes: bool) -> dict[str, str]:
    """Return `verb` or `verb:field` → the gate that holds it.

    A restricted field that every grant masks is not held. Gates of the policy's own hold their whole action, whatever
    their arguments say: what a statement writes is not known before it runs, and unknown counts against the agent.
    Where several hold the same, all of them do (`gates_in`).
    """
    held: dict[str, str] = {}
    name = ground.resource.name
    if deletes and not _loosened(policy, "delete", ground, "delete", None):
        held["delete"] = "delete"
    clear = {field for grant in reads for field, mask in grant.fields.items() if mask is None}
    for field in ground.columns:
        if field in clear and ground.restricted(field) and not _loosened(policy, "restricted", ground, "read", field):
            held[f"read:{field}"] = "restricted"
    for gate in policy.gates.values():
        for verb in data_verbs:
            if gate.on is not None and covers(gate.on, name, verb):
                keys = (
                    [verb] if gate.on.field is None else [f"{verb}:{each}" for each in ground.expand([gate.on.field])]
                )
                for key in keys:
                    held[key] = together(held.get(key, ""), gate.name)
    return held


def open_fields(policy: Policy, ground: Ground) -> frozenset[str]:
    """Return the restricted fields that the policy lets be read in clear, for a stated reason."""
    closed = (name for name in ground.columns if ground.restricted(name))
    return frozenset(name for name in closed if _loosened(policy, "restricted", ground, "read", name))


_BETWEEN = ", "


def together(first: str, second: str) -> str:
    """Return two values of `ResourceScope.held` as one: both hold it."""
    return _BETWEEN.join(dict.fromkeys((*gates_in(first), *gates_in(second))))


def gates_in(held: str) -> tuple[str, ...]:
    """Return the names of the gates that a value of `ResourceScope.held` stands for."""
    return tuple(held.split(_BETWEEN)) if held else ()


def _loosened(policy: Policy, gate: str, ground: Ground, verb: str, field: str | None) -> bool:
    """Return whether the policy takes the action out of a built-in gate, for a stated reason."""
    rule = policy.gates.get(gate)
    if rule is None or not rule.reason:
        return False
    return any(
        covers(action, ground.resource.name, verb)
        and (action.field is None or (field is not None and field in ground.expand([action.field])))
        for action in rule.loosen
    )
