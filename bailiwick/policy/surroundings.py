"""A policy against what no lock holds of a live database: extensions and collations. What is found are warnings: a
policy of which they are true denies more than it seems to, never less."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bailiwick.model.matcher import Every, Glob, Matcher, Not, Prefix
from bailiwick.model.policy import Mount, Policy
from bailiwick.policy.problem import Problem
from bailiwick.policy.where import Path, where


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What one database has beside its tables."""

    folding: frozenset[tuple[str, str, str]]
    """(schema, table, column) of those whose collation takes different texts for equal."""
    extensions: frozenset[str]
    """Those that are installed."""


def check_surroundings(policy: Policy, found: Mapping[str, Surroundings]) -> tuple[Problem, ...]:
    """Return what is worth knowing; `found` by the names of mounts."""
    problems: list[Problem] = []
    for name, around in found.items():
        mount = policy.mounts[name]
        problems += (_problem(policy, *each) for each in _extensions(mount, around))
    problems += (_problem(policy, *each) for each in _matchers(policy, found))
    return tuple(sorted(problems, key=lambda problem: (problem.position, problem.message)))


def _problem(policy: Policy, path: Path, code: str, message: str, suggestion: str) -> Problem:
    return Problem(where(policy, path), code, message, suggestion, "warning")


def _extensions(mount: Mount, around: Surroundings) -> Iterator[tuple[Path, str, str, str]]:
    path = ("mounts", mount.name, "extensions")
    for name in mount.extensions:
        if name not in around.extensions:
            message = f"extension `{name}` is not installed in the database of mount `{mount.name}`"
            yield path, "unknown_extension", message, f"create it, or leave `{name}` out"


def _matchers(policy: Policy, found: Mapping[str, Surroundings]) -> Iterator[tuple[Path, str, str, str]]:
    rows: list[tuple[str, Mapping[str, Matcher], Path, str]] = []
    for role in policy.roles.values():
        for index, grant in enumerate(role.grants):
            at = ("roles", role.name, "grants", str(index), "rows")
            effect = "takes every row" if grant.effect == "deny" else "admits no row"
            rows.append((grant.action.resource, grant.rows, at, effect))
    for task in policy.tasks.values():
        for name, narrowing in (task.only or {}).items():
            rows.append((name, narrowing.rows, ("tasks", task.name, "only", name, "rows"), "admits no row"))
    for name, matchers, path, effect in rows:
        resource = policy.resource(name)
        around = None if resource is None else found.get(resource.mount)
        if resource is None or around is None:
            continue
        for column, matcher in matchers.items():
            if (resource.schema, resource.table, column) in around.folding and _is_shape(matcher):
                message = f"`{column}` has a nondeterministic collation: start and shape are unknown, so this {effect}"
                yield (*path, column), "unknown_shape", message, "use values, or a column of another collation"


def _is_shape(matcher: Matcher) -> bool:
    match matcher:
        case Prefix() | Glob():
            return True
        case Not(inner):
            return _is_shape(inner)
        case Every(parts):
            return any(_is_shape(part) for part in parts)
        case _:
            return False
