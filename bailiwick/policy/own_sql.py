"""SQL that the policy's author wrote (`sql:` predicates and masks), as statements that a database can check.

Each stands alone over its table: what resolves there means the same where an agent's query stands around it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bailiwick.decide.ground import covers
from bailiwick.errors import PolicyError
from bailiwick.model.policy import Grant, Mount, Policy, Resource
from bailiwick.policy.problem import Problem
from bailiwick.sql.parameters import Parameters
from bailiwick.sql.predicates import own_sql
from bailiwick.sql.quote import ident
from bailiwick.sql.scoped import INNER


def statements(policy: Policy, mount: Mount) -> tuple[Mapping[str, Grant], tuple[Problem, ...]]:
    """Return statement → the grant it comes from, and a problem for each piece that is not one expression."""
    found: dict[str, Grant] = {}
    problems: list[Problem] = []
    for role in policy.roles.values():
        for grant in role.grants:
            for resource in mount.resources.values():
                if not covers(grant.action, resource.name, grant.action.verb):
                    continue
                try:
                    found.update((statement, grant) for statement in _statements(grant, resource))
                except PolicyError as error:
                    problems.append(Problem(grant.position, "sql", error.message, error.remedy))
    return found, tuple(problems)


def _statements(grant: Grant, resource: Resource) -> Iterator[str]:
    source = f"{ident(resource.schema)}.{ident(resource.table)} AS {INNER}"
    if grant.sql is not None:
        yield f"SELECT 1 FROM {source} WHERE ({own_sql(grant.sql, Parameters(1))})"  # noqa: S608  # checked, not run
    for mask in grant.mask.values():
        if mask.name == "sql" and mask.arg is not None:
            yield f"SELECT ({own_sql(mask.arg, Parameters(1))}) FROM {source}"  # noqa: S608  # checked, not run
