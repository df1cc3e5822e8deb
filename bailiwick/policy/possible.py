"""The most that an agent may do, before anybody opened a session: what the matrix shows and the diff compares."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from bailiwick.decide.ground import named_fields
from bailiwick.decide.roles import grants_of, lent_roles, standing
from bailiwick.decide.scope import effective_scope
from bailiwick.model.lock import Lock, LockedColumn, LockedTable
from bailiwick.model.policy import Grant, Policy, Resource
from bailiwick.model.scope import Scope
from bailiwick.model.session import Session
from bailiwick.model.tool import LockedTool
from bailiwick.policy.locked_tools import locked_routes, locked_tool

OTHERS = "every other column"
_START = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Possible:
    """The scope of an agent (in a task) if every `when` of an allow were true and of a deny false.

    What those conditions are is kept beside it.
    """

    agent: str
    task: str | None
    scope: Scope
    grants: Mapping[str, Grant]
    """The agent's grants as they stand in the policy, by id."""

    def conditional_denies(self, resource: str) -> tuple[Grant, ...]:
        """Return the denies that take more away where their `when` is not known to be false."""
        return tuple(
            grant
            for grant in self.grants.values()
            if grant.effect == "deny" and grant.when is not None and grant.action.resource in ("*", resource)
        )


def possible(policy: Policy, lock: Lock, agent: str, task: str | None = None, elevated: Sequence[str] = ()) -> Possible:
    """Return the most that an agent may do, with these elevations; nothing for an unknown agent or task."""
    session = Session("", agent, None, task, {}, None, _START, _START, None, elevated=tuple(sorted(elevated)))
    known = policy.agents.get(agent)
    own = standing(policy, agent, grants_of(policy, known.roles)) if known else ()
    grants = (*own, *grants_of(policy, lent_roles(policy, agent, elevated)))
    scope = effective_scope(_unconditional(policy), lock, session)
    return Possible(agent, task, scope, {grant.id: grant for grant in grants})


def _unconditional(policy: Policy) -> Policy:
    """Return the policy with every allow free of its condition and without the conditional denies."""
    roles = {
        name: replace(
            role,
            grants=tuple(
                replace(grant, when=None) for grant in role.grants if grant.effect == "allow" or grant.when is None
            ),
        )
        for name, role in policy.roles.items()
    }
    return replace(policy, roles=roles)


def lock_of_names(policy: Policy, *others: Policy) -> Lock:
    """Return a lock for want of a real one: the columns that the policies name, and one for all that they do not.

    `OTHERS` is unlabelled unless the resource itself is labelled: a grant that reaches unnamed columns reaches it.
    """
    mounts = {
        mount.name: {
            (resource.schema, resource.table): LockedTable(
                resource.schema,
                resource.table,
                "r",
                tuple(LockedColumn(name, "") for name in (*_named_everywhere(resource, (policy, *others)), OTHERS)),
                resource.key,
            )
            for resource in mount.resources.values()
        }
        for mount in policy.mounts.values()
    }
    return Lock(mounts, tools_of_names(policy, *others))


def tools_of_names(*policies: Policy) -> dict[str, dict[str, LockedTool]]:
    """Return the first policy's tools for want of what was accepted: with the arguments that the policies name."""
    grants = [grant for policy in policies for role in policy.roles.values() for grant in role.grants]
    named: dict[str, object] = {name: {} for grant in grants for name in grant.args or ()}
    schema = {"inputSchema": {"properties": named}}
    return (
        {
            mount.name: {tool.key: locked_tool(tool.key, schema) for tool in mount.offered}
            for mount in policies[0].mcp.values()
        }
        | {
            name: locked_routes(mount)
            | {tool.key: locked_tool(tool.key, schema) for tool in mount.offered if tool.kind == "field"}
            for name, mount in policies[0].http.items()
        }
        | {
            mount.name: {tool.key: locked_tool(tool.key, schema) for tool in mount.offered}
            for mount in policies[0].email.values()
        }
    )


def _named_everywhere(resource: Resource, policies: Iterable[Policy]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for policy in policies:
        same = policy.resource(resource.name)
        if same is not None:
            found.update(dict.fromkeys(_named_columns(policy, same)))
    return tuple(found)


def _named_columns(policy: Policy, resource: Resource) -> tuple[str, ...]:
    found: dict[str, None] = dict.fromkeys(resource.key)
    found.update(dict.fromkeys([resource.tenant] if resource.tenant else []))
    found.update(dict.fromkeys(name for name in resource.labels if name != "*"))
    found.update(dict.fromkeys(name for names in resource.groups.values() for name in names))
    for role in policy.roles.values():
        for grant in role.grants:
            if grant.action.resource == resource.name:
                named = _expanded(resource, named_fields(grant) or ())
                found.update(dict.fromkeys([*named, *grant.rows, *grant.set, *grant.mask]))
    for task in policy.tasks.values():
        narrowing = (task.only or {}).get(resource.name)
        if narrowing is not None:
            found.update(dict.fromkeys([*_expanded(resource, narrowing.fields or ()), *narrowing.rows]))
    return tuple(found)


def _expanded(resource: Resource, names: Iterable[str]) -> list[str]:
    return [column for name in names for column in resource.groups.get(name, (name,))]
