"""What a policy may say but nothing enforces yet: `serve` refuses it, so that no key is ever silently ignored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bailiwick.model.policy import Engine, Grant, Policy
from bailiwick.policy.problem import Problem
from bailiwick.policy.where import Path, where

built_engines: frozenset[Engine] = frozenset({"sqlite", "duckdb", "mariadb"})
unproven_engines: Mapping[Engine | None, str] = {
    "trino": "its SQL is generated and tested, but no server has proven it"
}
_REMEDY = "remove it until a later version enforces it"


def unsupported(policy: Policy) -> tuple[Problem, ...]:
    """Return one problem for each use of a key that has no effect yet; empty: the policy can be served."""
    found = [
        Problem(where(policy, path), "not_enforced_yet", f"{what} is not enforced yet", _REMEDY)
        for path, what in (
            *_of_mounts(policy),
            *_of_tools(policy),
            *_of_roles(policy),
            *_of_rules(policy),
        )
    ]
    return tuple(sorted(found, key=lambda problem: (problem.position, problem.message)))


def _of_mounts(policy: Policy) -> Iterator[tuple[Path, str]]:
    for mount in policy.mounts.values():
        if mount.kind == "sql" and mount.engine not in built_engines:
            unproven = f" ({unproven_engines[mount.engine]})" if mount.engine in unproven_engines else ""
            yield ("mounts", mount.name, "engine"), f"engine `{mount.engine}` of mount `{mount.name}`{unproven}"


def _beyond_postgres(policy: Policy, grant: Grant) -> Iterator[str]:
    """Yield the keys of a grant that have no effect on a mount of kind `sql`, where the grant is about one."""
    for mount in policy.mounts.values():
        named = grant.action.resource in mount.resources or grant.action.resource == "*"
        if mount.kind == "sql" and named and grant.effect == "allow":
            if grant.aggregate is not None:
                yield "aggregate"
            return


def _of_roles(policy: Policy) -> Iterator[tuple[Path, str]]:
    for role in policy.roles.values():
        at = ("roles", role.name)
        for index, grant in enumerate(role.grants):
            if any(limit.name == "cost" for limit in grant.limits) and policy.resource(grant.action.resource):
                yield (*at, "grants", str(index), "limits", "cost"), f"`cost` of the grant `{grant.id}` on a table"
            for key in _beyond_postgres(policy, grant):
                yield (*at, "grants", str(index), key), f"`{key}` of the grant `{grant.id}` beyond PostgreSQL"


def _of_tools(policy: Policy) -> Iterator[tuple[Path, str]]:
    for mount in policy.tool_mounts.values():
        for tool in mount.offered:
            section = "functions" if mount.name in policy.python else f"{tool.kind}s"
            at = ("mounts", mount.name, section, tool.name)
            if tool.target:
                yield (*at, "target"), f"`target` of tool `{tool.name}`"


def _of_rules(policy: Policy) -> Iterator[tuple[Path, str]]:
    for name in policy.flows:
        yield ("flows", name), f"flow `{name}`"
