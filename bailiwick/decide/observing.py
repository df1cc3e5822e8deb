"""Observe mode: the grants that a session is given where everything that was accepted is let through. Pure.

They are grants like any other, so that denies, tasks, tenants, masks, gates and ceilings hold for them as for all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bailiwick.decide.ground import Ground
from bailiwick.model.action import Action
from bailiwick.model.label import level_of
from bailiwick.model.mask import Mask
from bailiwick.model.matcher import Anything
from bailiwick.model.policy import Grant, Narrowing, Observe, Policy
from bailiwick.model.tool import EVERY_ARGUMENT, ToolResource

OBSERVE = "observe:"
"""What the ids of these grants begin with; no grant of a policy may."""
_REASON = "observe mode lets everything through"
_HIDDEN = Mask("hash")
"""How restricted fields are shown: reading them in clear is a gate's, and as a hash they can be joined and counted."""


@dataclass(frozen=True, slots=True)
class Observing:
    """What is observed of the sessions of one agent."""

    agent: Observe | None
    mounts: Mapping[str, Observe]

    @staticmethod
    def of(policy: Policy, agent: str) -> Observing:
        """Return what a policy says of an agent; one that it does not know is not observed."""
        known = policy.agents.get(agent)
        if known is None or not (known.observe or policy.observe):
            return _nothing
        return Observing(known.observe, policy.observe)

    def on(self, mount: str) -> bool:
        """Return whether sessions are observed on a mount."""
        return self.agent is not None or mount in self.mounts

    def boundaries(self, mount: str) -> tuple[Mapping[str, Narrowing], ...]:
        """Return what resources of a mount are narrowed by: nothing is reached beyond them, by no grant."""
        modes = (self.agent, self.mounts.get(mount))
        return tuple(mode.boundary for mode in modes if mode is not None and mode.boundary is not None)

    def table(self, ground: Ground, loosened: frozenset[str]) -> Grant:
        """Return the grant for a resource that is a table. `loosened`: restricted fields that no gate holds."""
        hidden = {name: _HIDDEN for name in ground.columns if ground.restricted(name) and name not in loosened}
        return _grant(ground.resource.name, fields=ground.columns, mask=hidden)

    def calls(self, resource: ToolResource, *, loosened: bool) -> Grant:
        """Return the grant for a resource that tools act on. `loosened`: no gate holds its restricted fields."""
        closed = {path for path, marks in resource.labels.items() if path != "*" and level_of(marks) == "restricted"}
        hidden = {} if loosened else dict.fromkeys(sorted(closed), _HIDDEN)
        return _grant(resource.name, args={EVERY_ARGUMENT: Anything()}, mask=hidden)


_nothing = Observing(None, {})


def is_observing(grant: Grant) -> bool:
    """Return whether a grant is one of observe mode."""
    return grant.id.startswith(OBSERVE)


def _grant(
    resource: str,
    fields: tuple[str, ...] | None = None,
    args: Mapping[str, Anything] | None = None,
    mask: Mapping[str, Mask] | None = None,
) -> Grant:
    return Grant(
        OBSERVE + resource,
        "allow",
        Action(resource, "*"),
        role="",
        reason=_REASON,
        fields=fields,
        args=args,
        mask=mask or {},
    )
