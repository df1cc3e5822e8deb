"""The tools, prompts and documents of a scope: which of them exist for a session, and under which grants.

Pure. A tool that is not mapped, not accepted, or that no grant reaches does not exist.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from bailiwick.decide.files import RESTRICTED, of_files, shows_restricted
from bailiwick.decide.ground import covers
from bailiwick.decide.observing import Observing, is_observing
from bailiwick.model.files import FilesMount
from bailiwick.model.http import ToolMount
from bailiwick.model.label import Level, level_of, levels
from bailiwick.model.lock import Lock
from bailiwick.model.matcher import Bound, Matcher
from bailiwick.model.policy import Grant, Narrowing, Policy
from bailiwick.model.scope import CallGrant, ToolScope
from bailiwick.model.tool import LockedTool, PythonMount, Tool, ToolResource

_open_levels: tuple[Level, ...] = levels[: levels.index("confidential")]


def tool_scopes(
    policy: Policy,
    lock: Lock,
    grants: Sequence[Grant],
    narrowings: Sequence[Mapping[str, Narrowing]],
    observing: Observing,
) -> tuple[dict[str, ToolScope], dict[str, Grant]]:
    """Return the tools, by the names that agents see, in the order of the policy; and their grants, by id."""
    found: dict[str, ToolScope] = {}
    known = {grant.id: grant for grant in grants}
    for mount in policy.tool_mounts.values():
        left = (*narrowings, *observing.boundaries(mount.name))
        for tool in mount.offered:
            given, resource = grants, mount.resources.get(tool.action.resource)
            if observing.on(mount.name) and resource is not None:
                watched = observing.calls(resource, loosened=_loosened(policy, "restricted", tool))
                given = (*grants, watched)
                known[watched.id] = watched
            scope = _scope(policy, lock, mount, tool, given) if _left(tool, left) else None
            if scope is not None:
                found[mount.shown(tool)] = scope
    calling = {each.grant for tool in found.values() for each in (*tool.allows, *tool.denies)}
    return found, {name: grant for name, grant in known.items() if name in calling}


def _file_scope(
    policy: Policy,
    mount: FilesMount,
    tool: Tool,
    resource: ToolResource,
    locked: LockedTool,
    allows: Sequence[CallGrant],
    denies: Sequence[CallGrant],
) -> ToolScope:
    held = list(_held(policy, tool, resource, allows))
    bounds = {name: policy.gates[name].args for name in held if name in policy.gates and policy.gates[name].args}
    given = tuple(of_files(grant, denies=False) for grant in allows)
    opens = tool.action.verb in ("read", "move") and any(shows_restricted(grant) for grant in given)
    if opens and not _loosened(policy, "restricted", tool):
        held.append("restricted")
        bounds["restricted"] = RESTRICTED
    return ToolScope(
        mount.name,
        tool,
        resource,
        locked,
        given,
        tuple(of_files(grant, denies=True) for grant in denies),
        tuple(dict.fromkeys(held)),
        bounds,
    )


def _left(tool: Tool, narrowings: Iterable[Mapping[str, Narrowing]]) -> bool:
    """Return whether task and opener leave the tool's action. One that narrows rows or fields leaves nothing."""
    for each in narrowings:
        narrow = each.get(tool.action.resource)
        if narrow is None or narrow.rows or narrow.fields is not None:
            return False
        if narrow.verbs is not None and tool.action.verb not in narrow.verbs:
            return False
    return True


def _scope(policy: Policy, lock: Lock, mount: ToolMount, tool: Tool, grants: Sequence[Grant]) -> ToolScope | None:
    own = isinstance(mount, PythonMount | FilesMount)
    accepted = mount.accepted if own else lock.tools.get(mount.name, {})
    locked = accepted.get(tool.key)
    resource = mount.resources.get(tool.action.resource)
    if locked is None or resource is None:
        return None
    reaching = [grant for grant in grants if covers(grant.action, tool.action.resource, tool.action.verb)]
    denies = [grant for grant in reaching if grant.effect == "deny"]
    allows = tuple(_allowed(grant, resource) for grant in reaching if grant.effect == "allow" and _is_of_tools(grant))
    if not allows or any(_is_total(grant) for grant in denies):
        return None
    against = tuple(_denied(grant) for grant in denies)
    if isinstance(mount, FilesMount):
        return _file_scope(policy, mount, tool, resource, locked, allows, against)
    held = tuple(dict.fromkeys(_held(policy, tool, resource, allows)))
    bounds: dict[str, Mapping[str, Matcher]] = {
        name: policy.gates[name].args for name in held if name in policy.gates and policy.gates[name].args
    }
    if tool.own == "email" and "external" in held:
        bounds["external"] = {"external": Bound(over=0)}  # who is within the organisation is not outside of it
    return ToolScope(mount.name, tool, resource, locked, allows, against, held, bounds)


def _is_of_tools(grant: Grant) -> bool:
    """Return whether an allow says nothing that only tables have: then it means tables alone."""
    of_data = grant.rows or grant.sql is not None or grant.set or grant.aggregate or grant.through != "direct"
    return not of_data and grant.action.field is None and all(mask.name != "sql" for mask in grant.mask.values())


def _is_total(grant: Grant) -> bool:
    """Return whether a deny takes the tool away, whatever is asked. What it says of rows counts against the agent."""
    return grant.when is None and not grant.args and grant.fields is None and not grant.items


def _allowed(grant: Grant, resource: ToolResource) -> CallGrant:
    if is_observing(grant):
        return CallGrant(grant.id, grant.args or {}, masks=grant.mask)
    fields, hidden = grant.fields, frozenset[str]()
    if fields is None:
        closed = frozenset(path for path in resource.labels if path != "*" and not _is_open(resource.labels[path]))
        if _is_open(resource.labels.get("*", frozenset())):
            hidden = closed - grant.mask.keys()
        else:
            plain = [path for path, marks in resource.labels.items() if path != "*" and marks & set(_open_levels)]
            fields = tuple(dict.fromkeys([*plain, *grant.mask]))
    return CallGrant(grant.id, grant.args or {}, grant.when, grant.items, fields, grant.mask, hidden)


def _denied(grant: Grant) -> CallGrant:
    hidden = frozenset(grant.fields or ())
    return CallGrant(grant.id, grant.args or {}, grant.when, grant.items, None, {}, hidden)


def _is_open(labels: frozenset[str]) -> bool:
    return level_of(labels) in _open_levels


def _held(policy: Policy, tool: Tool, resource: ToolResource, allows: Sequence[CallGrant]) -> Iterator[str]:
    """Yield the gates that hold calls of a tool: all of them, or those whose arguments meet the gate's."""
    for effect in sorted(tool.effects):
        if not _loosened(policy, effect, tool):
            yield effect
    if tool.action.verb == "delete" and not _loosened(policy, "delete", tool):
        yield "delete"
    if _shows_restricted(resource, allows) and not _loosened(policy, "restricted", tool):
        yield "restricted"
    for gate in policy.gates.values():
        if gate.on is not None and covers(gate.on, tool.action.resource, tool.action.verb):
            yield gate.name


def _shows_restricted(resource: ToolResource, allows: Sequence[CallGrant]) -> bool:
    restricted = {path for path, marks in resource.labels.items() if level_of(marks) == "restricted"}
    if not restricted:
        return False
    named = {path for grant in allows for path in grant.fields or () if path not in grant.masks}
    return "*" in restricted or any(_meets(path, closed) for path in named for closed in restricted)


def _meets(path: str, other: str) -> bool:
    """Return whether one of the paths is the other, or leads into it."""
    return path == other or path.startswith(other + ".") or other.startswith(path + ".")


def _loosened(policy: Policy, gate: str, tool: Tool) -> bool:
    rule = policy.gates.get(gate)
    if rule is None or not rule.reason:
        return False
    return any(
        covers(action, tool.action.resource, tool.action.verb) and action.field is None for action in rule.loosen
    )
