"""The common mistakes of a policy that is formally right. Each has an id, a severity, an explanation and a remedy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from bailiwick.model.label import level_of, levels
from bailiwick.model.lock import Lock, LockedTable
from bailiwick.model.matcher import Anything, Equal, OneOf
from bailiwick.model.policy import Agent, Grant, Policy, Resource
from bailiwick.model.position import Position
from bailiwick.policy.file_mistakes import file_mistakes
from bailiwick.policy.mistakes import (
    GOD_MODE,
    NO_TASK,
    NO_TENANT,
    OPEN_PATH,
    RESTRICTED_IN_CLEAR,
    UNEXPLAINED_LOOSENING,
    UNION_OF_TASKS,
    UNLABELLED_PERSONAL,
    UNLABELLED_SECRET,
    UNLIMITED_WRITE,
    UNREADABLE_WRITE,
    UNUSED_ROLE,
    WILDCARD,
    WRITABLE_FILTER,
    Mistake,
)
from bailiwick.policy.open_paths import openings
from bailiwick.policy.suspects import suspect
from bailiwick.policy.where import Path, where


@dataclass(frozen=True, slots=True)
class Finding:
    """One place where a policy makes a mistake. `message` says what exactly, in one line."""

    mistake: Mistake
    position: Position
    message: str

    def __str__(self) -> str:
        return f"{self.position}: {self.mistake.severity}: {self.mistake.id} {self.message}"


_WRITES = ("update", "create", "delete")
_BOUNDING = ("batch", "actions", "cost", "rows")
"""The limits that bound how much is written; time and bytes do not."""


def lint(policy: Policy, lock: Lock | None = None) -> tuple[Finding, ...]:
    """Return the mistakes of a policy in document order. With a lock also those of its columns."""
    view = _View(policy, lock or Lock({}))
    found = {Finding(mistake, where(policy, path), text) for rule in _RULES for mistake, path, text in rule(view)}
    return tuple(sorted(found, key=lambda item: (item.position, item.mistake.id, item.message)))


_Found = Iterator[tuple[Mistake, Path, str]]


class _View:
    """The policy as the rules need it."""

    def __init__(self, policy: Policy, lock: Lock) -> None:
        self.policy = policy
        self.lock = lock
        self.resources: Mapping[str, Resource] = {
            name: resource for mount in policy.mounts.values() for name, resource in mount.resources.items()
        }
        self.grants: list[tuple[Path, Grant]] = [
            (("roles", role.name, "grants", str(index)), grant)
            for role in policy.roles.values()
            for index, grant in enumerate(role.grants)
        ]
        self.allows = [(path, grant) for path, grant in self.grants if grant.effect == "allow"]

    def table(self, resource: Resource) -> LockedTable | None:
        return self.lock.table(resource.mount, resource.schema, resource.table)

    def reach(self, grant: Grant) -> list[Resource]:
        """Return the resources that a grant is about."""
        if grant.action.resource == "*":
            return list(self.resources.values())
        found = self.resources.get(grant.action.resource)
        return [found] if found else []

    def held_by(self, agent: str) -> list[Grant]:
        """Return the allows that an agent has, inherited ones as well."""
        pending, seen = list(self.policy.agents[agent].roles), set[str]()
        found: list[Grant] = []
        while pending:
            name = pending.pop()
            if name in self.policy.roles and name not in seen:
                seen.add(name)
                found.extend(grant for grant in self.policy.roles[name].grants if grant.effect == "allow")
                pending.extend(self.policy.roles[name].inherits)
        return found


def _covers(grant: Grant, verb: str) -> bool:
    return grant.action.verb in (verb, "*")


def _wildcards(view: _View) -> _Found:
    for path, grant in view.allows:
        shown = f"`{grant.action}` in role `{grant.role}`"
        if grant.action.resource == "*" and grant.action.verb == "*":
            yield GOD_MODE, (*path, "allow"), f"{shown} allows everything"
        elif "*" in (grant.action.resource, grant.action.verb):
            which = "resource" if grant.action.resource == "*" else "verb"
            yield WILDCARD, (*path, "allow"), f"{shown} allows every {which}"


def _unlimited_writes(view: _View) -> _Found:
    for path, grant in view.allows:
        if grant.action.verb not in (*_WRITES, "*") or view.policy.roles[grant.role].limits:
            continue
        if grant.through == "queue" or any(limit.name in _BOUNDING for limit in grant.limits):
            continue
        mounts = [view.policy.mounts.get(resource.mount) for resource in view.reach(grant)]
        if mounts and all(mount and any(limit.name in _BOUNDING[:2] for limit in mount.limits) for mount in mounts):
            continue
        if all(_is_one_row(grant, resource) for resource in view.reach(grant)):
            continue
        agents = [agent for agent in view.policy.agents.values() if grant in view.held_by(agent.name)]
        if not agents or not all(_bounds_writes(agent) for agent in agents):
            yield UNLIMITED_WRITE, (*path, "allow"), f"`{grant.action}` in role `{grant.role}` has no limits"


def _bounds_writes(agent: Agent) -> bool:
    return agent.session.actions is not None or any(limit.name in _BOUNDING for limit in agent.limits)


def _is_one_row(grant: Grant, resource: Resource) -> bool:
    """Return whether the grant's rows fix the whole key of the resource."""
    return bool(resource.key) and all(isinstance(grant.rows.get(name), Equal) for name in resource.key)


def _loosenings(view: _View) -> _Found:
    for gate in view.policy.gates.values():
        at = ("gates", gate.name)
        if gate.loosen and len(gate.reason.split()) < 2:
            yield (
                UNEXPLAINED_LOOSENING,
                (*at, "reason"),
                f"gate `{gate.name}` is loosened for the reason `{gate.reason}`",
            )
        for action in gate.loosen:
            if action.resource == "*":
                yield WILDCARD, (*at, "loosen"), f"gate `{gate.name}` is loosened for every resource (`{action}`)"


def _agents(view: _View) -> _Found:
    for agent in view.policy.agents.values():
        tasks = [task for task in view.policy.tasks.values() if agent.name in task.agents]
        if not tasks:
            yield NO_TASK, ("agents", agent.name), f"agent `{agent.name}` has no task"
        loose = [task.name for task in tasks if task.only is None]
        if len(tasks) > 1 and loose:
            names = ", ".join(f"`{name}`" for name in loose)
            message = f"agent `{agent.name}` does {len(tasks)} tasks, and {names} narrows nothing"
            yield UNION_OF_TASKS, ("agents", agent.name), message
        elif len(tasks) > 1:
            yield from _unrelated(view, agent.name)


def _unrelated(view: _View, agent: str) -> _Found:
    """Report an agent two of whose tasks have no resource in common: they are work for two agents."""
    tasks = [task for task in view.policy.tasks.values() if agent in task.agents and task.only]
    for index, first in enumerate(tasks):
        for second in tasks[index + 1 :]:
            if not set(first.only or ()) & set(second.only or ()):
                message = f"agent `{agent}` does `{first.name}` and `{second.name}`, which share no resource"
                yield UNION_OF_TASKS, ("agents", agent), message


def _columns(view: _View) -> _Found:
    for resource in view.resources.values():
        table = view.table(resource)
        path: Path = ("mounts", resource.mount, "resources", resource.name)
        for column in table.columns if table else ():
            labels = resource.labels.get(column.name, frozenset()) | resource.labels.get("*", frozenset())
            kind = None if labels.intersection(levels) or "pii" in labels else suspect(column.name)
            if kind is not None:
                mistake = UNLABELLED_SECRET if kind == "secret" else UNLABELLED_PERSONAL
                word = "a secret" if kind == "secret" else "personal data"
                yield mistake, (*path, "labels"), f"column `{column.name}` of `{resource.name}` looks like {word}"


def _restricted(view: _View) -> _Found:
    for path, grant in view.allows:
        for resource in view.reach(grant) if _covers(grant, "read") else ():
            for field in _members(resource, grant.fields or ()):
                labels = resource.labels.get(field, frozenset())
                if not labels.intersection(levels):
                    labels |= resource.labels.get("*", frozenset())
                if level_of(labels) == "restricted" and field not in grant.mask:
                    message = f"`{field}` of `{resource.name}` is restricted, and role `{grant.role}` shows it in clear"
                    yield RESTRICTED_IN_CLEAR, (*path, "fields"), message


def _members(resource: Resource, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(field for name in names for field in resource.groups.get(name, (name,)))


def _tenants(view: _View) -> _Found:
    for mount in view.policy.mounts.values():
        if any(resource.tenant for resource in mount.resources.values()):
            for resource in mount.resources.values():
                if resource.tenant is None:
                    path = ("mounts", mount.name, "resources", resource.name)
                    yield (
                        NO_TENANT,
                        path,
                        f"resource `{resource.name}` has no tenant, but others of `{mount.name}` have",
                    )


def _writable_filters(view: _View) -> _Found:
    for agent in view.policy.agents:
        grants = view.held_by(agent)
        for path, grant in view.allows:
            for resource in view.reach(grant) if grant in grants else ():
                for column in grant.rows:
                    writers = [g for g in grants if _writes(view, g, resource, column)]
                    if writers and not isinstance(grant.rows[column], Anything):
                        message = (
                            f"`{grant.action}` filters `{resource.name}` by `{column}`,"
                            f" which agent `{agent}` may write by `{writers[0].action}`"
                        )
                        yield WRITABLE_FILTER, (*path, "rows", column), message


def _writes(view: _View, grant: Grant, resource: Resource, column: str) -> bool:
    """Return whether a grant lets the agent put a value of its own choice into a column."""
    if not _covers(grant, "update") or resource not in view.reach(grant):
        return False
    named = (grant.action.field,) if grant.action.field else grant.fields
    if named is not None and column not in _members(resource, named):
        return False
    if named is None and level_of(resource.labels.get(column, frozenset())) in ("confidential", "restricted"):
        return False
    fixed = grant.set.get(column)
    return fixed is None or isinstance(fixed, (Anything, OneOf))


def _unreadable_writes(view: _View) -> _Found:
    for agent in view.policy.agents:
        grants = view.held_by(agent)
        for path, grant in view.allows:
            if grant not in grants or grant.action.verb not in ("update", "delete") or grant.action.resource == "*":
                continue
            if not any(_covers(g, "read") and g.action.resource in (grant.action.resource, "*") for g in grants):
                message = f"agent `{agent}` has `{grant.action}` but reads nothing of `{grant.action.resource}`"
                yield UNREADABLE_WRITE, (*path, "allow"), message


def _unused_roles(view: _View) -> _Found:
    used = {name for agent in view.policy.agents.values() for name in agent.roles}
    used |= {name for role in view.policy.roles.values() for name in role.inherits}
    used |= {rule.role for rule in view.policy.elevations.values()}
    for name in view.policy.roles:
        if name not in used:
            yield UNUSED_ROLE, ("roles", name), f"no agent, role or elevation uses role `{name}`"


def _open_paths(view: _View) -> _Found:
    for path, grant in view.grants:
        for name, said in openings(grant.args or {}, deny=grant.effect == "deny"):
            yield OPEN_PATH, (*path, "args", name), f"argument `{name}` of `{grant.action}`: {said}"


def _files(view: _View) -> _Found:
    return file_mistakes(view.policy)


_RULES: tuple[Callable[[_View], _Found], ...] = (
    _wildcards,
    _unlimited_writes,
    _loosenings,
    _agents,
    _columns,
    _restricted,
    _tenants,
    _writable_filters,
    _unreadable_writes,
    _unused_roles,
    _open_paths,
    _files,
)
