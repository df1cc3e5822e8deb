"""The capability matrix: agents by resources, each cell the effective scope. Rendered from the policy, never kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bailiwick.match.in_words import listed
from bailiwick.model.action import data_verbs
from bailiwick.model.http import ToolMount
from bailiwick.model.lock import Lock
from bailiwick.model.policy import Grant, Policy
from bailiwick.model.scope import ResourceScope, RowFilter
from bailiwick.policy.email_words import verb_in_words
from bailiwick.policy.in_short import NOTHING, data_in_short, verbs_in_short
from bailiwick.policy.limits_in_words import agent_limits_in_words, mount_limits_in_words
from bailiwick.policy.observed import observed_in_words
from bailiwick.policy.possible import Possible, lock_of_names, possible
from bailiwick.policy.tool_words import tool_in_words
from bailiwick.policy.words import conditions_in_words, resource_in_words, table_of, terms_in_words

NO_LOCK = (
    "without a lock only the columns that the policy names are known; they are taken to exist. "
    "Run `bailiwick accept` for the whole picture"
)


@dataclass(frozen=True, slots=True)
class Cell:
    """What one agent may do with one resource, at most."""

    agent: str
    resource: str
    verbs: tuple[str, ...]
    """In the order aggregate, read, create, update, delete; empty: nothing."""
    words: tuple[str, ...]
    scope: ResourceScope | None
    short: str = NOTHING
    """The same in a few words, for a table of agents by resources."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """Cells by agent, then resource, both in the policy's order, and what to know about all of them."""

    task: str | None
    agents: tuple[str, ...]
    resources: tuple[str, ...]
    cells: tuple[Cell, ...]
    notes: tuple[str, ...]


def matrix(
    policy: Policy,
    lock: Lock | None,
    *,
    agent: str | None = None,
    task: str | None = None,
    resource: str | None = None,
    elevated: Mapping[str, Sequence[str]] | None = None,
) -> Matrix:
    """Return the matrix, narrowed to one agent, task or resource where given.

    With a task only its agents are in it. Names that the policy does not know give an empty matrix. Without a lock the
    columns that the policy names are taken to exist, and a note says so. `elevated`: agent → elevations in force.
    """
    template = policy.tasks.get(task) if task is not None else None
    agents = [name for name in policy.agents if agent in (None, name)]
    if task is not None:
        agents = [name for name in agents if template is not None and name in template.agents]
    names = [name for mount in policy.mounts.values() for name in mount.resources if resource in (None, name)]
    acted_on = [name for mount in policy.tool_mounts.values() for name in mount.resources if resource in (None, name)]
    known = lock if lock is not None else lock_of_names(policy)
    cells: list[Cell] = []
    for each in agents:
        most = possible(policy, known, each, task, (elevated or {}).get(each, ()))
        cells += [_cell(policy, most, name, known, complete=lock is not None) for name in names]
        cells += [_tool_cell(policy, most, name) for name in acted_on]
    notes = (*observed_in_words(policy), *(() if lock is not None else (NO_LOCK,)))
    return Matrix(task, tuple(agents), (*names, *acted_on), tuple(cells), notes)


def _cell(policy: Policy, most: Possible, resource: str, lock: Lock, *, complete: bool) -> Cell:
    scope = most.scope.resources.get(resource)
    if scope is None:
        return Cell(most.agent, resource, (), (), None)
    table = table_of(scope, lock) if complete else None
    words = list(resource_in_words(scope, table, most.grants))
    words += [_denied(grant) for grant in most.conditional_denies(resource)]
    mount = policy.mounts.get(scope.resource.mount)
    words += mount_limits_in_words(mount.limits if mount else (), "statement")
    words += agent_limits_in_words(policy, most.agent)
    verbs = verbs_of(scope)
    return Cell(most.agent, resource, verbs, tuple(words), scope, data_in_short(scope, table, verbs))


def _tool_cell(policy: Policy, most: Possible, resource: str) -> Cell:
    tools = {name: each for name, each in most.scope.tools.items() if each.resource.name == resource}
    words = [line for name, each in tools.items() for line in tool_in_words(name, each, most.grants)]
    if tools:
        words += [_denied(grant) for grant in most.conditional_denies(resource)]
        mount = policy.tool_mounts.get(next(iter(tools.values())).mount)
        words += mount_limits_in_words(mount.limits if mount else (), "call")
        words += agent_limits_in_words(policy, most.agent)
        words += [f"its server relays {kind}: {reason}" for kind, reason in _relayed(policy, mount)]
    verbs = tuple(dict.fromkeys(verb_in_words(each) for each in tools.values()))
    if any(resource in files.resources for files in policy.files.values()):
        verbs = file_verbs_in_words([each.tool.action.verb for each in tools.values()])
    return Cell(most.agent, resource, verbs, tuple(dict.fromkeys(words)), None, verbs_in_short(verbs))


def file_verbs_in_words(verbs: Sequence[str]) -> tuple[str, ...]:
    """Return what may be done with files in few words: `read` with lists, `write` where both new and changed."""
    has = set(verbs)
    if "read" in has:
        has.discard("list")
    if {"create", "update"} <= has:
        has = {"write", *has} - {"create", "update"}
    return tuple(verb for verb in ("list", "read", "write", "create", "update", "delete", "move") if verb in has)


def _relayed(policy: Policy, mount: ToolMount | None) -> Sequence[tuple[str, str]]:
    """Return what the server of a mount may say to, and ask of, an agent's client, and why."""
    server = policy.mcp.get(mount.name) if mount is not None else None
    return tuple(server.relay.items()) if server is not None else ()


def verbs_of(scope: ResourceScope) -> tuple[str, ...]:
    """Return the verbs that a scope has."""
    has = {"read": scope.reads, "create": scope.creates, "update": scope.updates, "delete": scope.deletes}
    told = ("aggregate",) if scope.aggregate is not None else ()
    return (*told, *(verb for verb in data_verbs if has[verb]))


def _denied(grant: Grant) -> str:
    """Return a deny that depends on the session in words."""
    what = "anything" if grant.action.verb == "*" else grant.action.verb
    part = grant.fields if grant.action.field is None else (grant.action.field,)
    fields = f" of {listed(part)}" if part else ""
    where = RowFilter(tuple(grant.rows.items()), grant.sql)
    rows = f" where {conditions_in_words(where)}" if where != RowFilter() else ""
    return f"never {what}{fields}{rows}{terms_in_words(grant)}"
