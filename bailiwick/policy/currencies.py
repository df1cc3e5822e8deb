"""Money of a policy: what has a price and what limits it must be of one currency, since nothing converts it."""

from __future__ import annotations

from collections.abc import Iterator

from bailiwick.model.policy import Limit, Policy
from bailiwick.model.position import Position
from bailiwick.policy.problem import Report


def check_currencies(report: Report, policy: Policy) -> None:
    """Report what is in another currency than the first that is named."""
    first = ""
    for position, unit, what in sorted(_named(policy)):
        first = first or unit
        if unit != first:
            message = f"{what} is in {unit}, and other money of the policy in {first}"
            report.error(position, "mixed_currencies", message, f"write it in {first}: nothing is converted")


def _named(policy: Policy) -> Iterator[tuple[Position, str, str]]:
    for mount in policy.tool_mounts.values():
        yield from _of(mount.limits, mount.position, f"`cost` in `limits` of mount `{mount.name}`")
        for tool in mount.offered:
            if tool.cost is not None:
                yield tool.position, tool.cost.unit, f"`cost` of {tool.kind} `{tool.name}`"
    for role in policy.roles.values():
        yield from _of(role.limits, role.position, f"`cost` in `limits` of role `{role.name}`")
        for grant in role.grants:
            yield from _of(grant.limits, grant.position, f"`cost` in `limits` of `{grant.action}`")
    for agent in policy.agents.values():
        yield from _of(agent.limits, agent.position, f"`cost` in `limits` of agent `{agent.name}`")
        if agent.session.cost is not None:
            yield agent.position, agent.session.cost.unit, f"`cost` in `session` of agent `{agent.name}`"


def _of(limits: tuple[Limit, ...], position: Position, what: str) -> Iterator[tuple[Position, str, str]]:
    for limit in limits:
        if limit.name == "cost":
            yield position, limit.unit, what
