"""Delegated sessions: the scope of a sub-agent within the scope of the session that delegates to it.

What both admit is left: of each pair of grants their common rows, fields and arguments. Where it is not certain what
both admit (two different masks of one field, conditions about who calls), nothing is left. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from bailiwick.decide.canonical import canonical, digest
from bailiwick.decide.gates import together
from bailiwick.decide.queue import least_preview
from bailiwick.model.mask import Mask
from bailiwick.model.matcher import Anything, Every, Matcher
from bailiwick.model.policy import Grant, Policy
from bailiwick.model.scope import CallGrant, ReadGrant, ResourceScope, RowFilter, Scope, ToolScope, WriteGrant
from bailiwick.model.tool import EVERY_ARGUMENT

_most_pairs = 64
"""Grants of one resource and verb in a delegated scope; a filter that would be longer gives nothing."""
T = TypeVar("T")


def within(policy: Policy, child: Scope, parent: Scope) -> Scope:
    """Return what a session of `child` may do that was delegated by one of `parent`.

    INVARIANT: every row, field, write and call that it admits is admitted by both. Relations that may only be
    aggregated are left out: a session could else ask for more groupings than it may by delegating to itself.
    """
    grants = {**child.grants, **parent.grants}
    resources = {
        name: found
        for name, each in child.resources.items()
        if name in parent.resources
        and _is_rewritten(policy, each)
        and (found := _resource(each, parent.resources[name], grants)) is not None
    }
    alike = (child.agent, child.task) == (parent.agent, parent.task)
    tools = {
        name: found
        for name, each in child.tools.items()
        if name in parent.tools and (found := _tool(each, parent.tools[name], grants, alike=alike)) is not None
    }
    identity = digest("within", child.id, parent.id)
    watched = child.observed | parent.observed
    return Scope(identity, child.agent, resources, grants, child.task, child.passed, tools, watched)


def without_aggregates(scope: Scope) -> Scope:
    """Return the scope without what may only be aggregated: an agent that opens sessions itself could open one for
    every grouping."""
    kept = {name: each for name, each in scope.resources.items() if each.aggregate is None}
    if len(kept) == len(scope.resources):
        return scope
    return replace(scope, id=digest("row by row", scope.id), resources=kept)


def _is_rewritten(policy: Policy, resource: ResourceScope) -> bool:
    """Return whether the rewriting alone enforces the scope: compiled roles know nothing of delegation."""
    mount = policy.mounts.get(resource.resource.mount)
    return mount is not None and mount.enforce == "rewrite"


def _resource(child: ResourceScope, parent: ResourceScope, grants: dict[str, Grant]) -> ResourceScope | None:
    if child.aggregate is not None or parent.aggregate is not None:
        return None
    found = ResourceScope(
        child.resource,
        _reads(child.reads, parent.reads, grants),
        _writes(child.updates, parent.updates, grants),
        _writes(child.creates, parent.creates, grants),
        _writes(child.deletes, parent.deletes, grants, whole=True),
        _both(child.denied_rows, parent.denied_rows),
        {key: together(parent.held.get(key, ""), child.held.get(key, "")) for key in {**parent.held, **child.held}},
    )
    return found if found.reads or found.updates or found.creates or found.deletes else None


def _reads(
    children: Sequence[ReadGrant], parents: Sequence[ReadGrant], grants: dict[str, Grant]
) -> tuple[ReadGrant, ...]:
    found: list[ReadGrant] = []
    for child in children:
        inside = next((each for each in parents if _covers_read(each, child)), None)
        if inside is not None:
            found.append(child)
            continue
        for parent in parents:
            fields = _shown(child.fields, parent.fields)
            if fields:
                found.append(ReadGrant(_named(child.grant, parent.grant, grants), _rows(child, parent), fields))
    return tuple(found) if len(found) <= _most_pairs else ()


def _shown(child: Mapping[str, Mask | None], parent: Mapping[str, Mask | None]) -> dict[str, Mask | None]:
    """Return the fields that both show; of two different masks nobody knows which one hides more."""
    shown: dict[str, Mask | None] = {}
    for name, mask in child.items():
        if name in parent and (mask is None or parent[name] is None or mask == parent[name]):
            shown[name] = parent[name] if mask is None else mask
    return shown


def _writes(
    children: Sequence[WriteGrant], parents: Sequence[WriteGrant], grants: dict[str, Grant], *, whole: bool = False
) -> tuple[WriteGrant, ...]:
    """`whole`: the verb is about whole rows, and names no fields."""
    found: list[WriteGrant] = []
    for child in children:
        if any(canonical(child) == canonical(each) for each in parents):
            found.append(child)
            continue
        for parent in parents:
            fields = child.fields & parent.fields
            if not fields and not whole:
                continue
            written = {
                name: _all_of(matcher for matcher in (child.set.get(name), parent.set.get(name)) if matcher is not None)
                for name in fields
                if name in child.set or name in parent.set
            }
            sizes = [each for each in (child.batch, parent.batch) if each is not None]
            name = _named(child.grant, parent.grant, grants)
            found.append(WriteGrant(name, _rows(child, parent), fields, written, min(sizes, default=None)))
    return tuple(found) if len(found) <= _most_pairs else ()


def _covers_read(parent: ReadGrant, child: ReadGrant) -> bool:
    """Return whether the parent's share plainly has all of the child's: the same grant, under fewer conditions."""
    return (
        parent.grant == child.grant
        and parent.filter.sql in (None, child.filter.sql)
        and {canonical(each) for each in parent.filter.conditions}
        <= {canonical(each) for each in child.filter.conditions}
        and all(name in parent.fields and parent.fields[name] == mask for name, mask in child.fields.items())
    )


def _rows(child: ReadGrant | WriteGrant, parent: ReadGrant | WriteGrant) -> RowFilter:
    conditions = _both(child.filter.conditions, parent.filter.conditions)
    first, second = child.filter.sql, parent.filter.sql
    if first is None or second is None or first == second:
        return RowFilter(conditions, second if first is None else first)
    return RowFilter(conditions, f"({first}\n) AND ({second}\n)")


def _both(first: Iterable[T], second: Iterable[T]) -> tuple[T, ...]:
    """Return the elements of both, each once."""
    return tuple({canonical(each): each for each in (*first, *second)}.values())


def _all_of(found: Iterable[Matcher]) -> Matcher:
    parts = tuple(each for each in _both(found, ()) if not isinstance(each, Anything))
    if not parts:
        return Anything()
    return parts[0] if len(parts) == 1 else Every(parts)


def _named(child: str, parent: str, grants: dict[str, Grant]) -> str:
    """Return the id of a pair, which stands in the ledger; as a grant it has the limits of both."""
    if child == parent:
        return child
    name = f"{child} within {parent}"
    first, second = grants.get(child), grants.get(parent)
    if name not in grants and first is not None and second is not None:
        queued = first.through == "queue" or second.through == "queue"
        grants[name] = replace(
            first,
            id=name,
            limits=(*first.limits, *second.limits),
            pair=(child, parent),
            through="queue" if queued else "direct",
            preview=least_preview(each.preview for each in (first, second) if each.through == "queue") or "rows",
        )
    return name


def _tool(child: ToolScope, parent: ToolScope, grants: dict[str, Grant], *, alike: bool) -> ToolScope | None:
    """`alike`: conditions see the same agent and task in both sessions."""
    if (child.mount, child.tool.key) != (parent.mount, parent.tool.key):
        return None
    allows: list[CallGrant] = []
    for one in child.allows:
        for other in parent.allows:
            pair = _call(one, other, grants, alike=alike)
            if pair is not None:
                allows.append(pair)
    if not allows or len(allows) > _most_pairs:
        return None
    against = parent.denies if alike else tuple(replace(each, when=None) for each in parent.denies)
    if any(not (deny.args or deny.items or deny.hidden or deny.when) for deny in against):
        return None  # it denies every call
    held = tuple(dict.fromkeys((*child.held, *parent.held)))
    return replace(child, allows=tuple(allows), denies=_both(child.denies, against), held=held)


def _call(child: CallGrant, parent: CallGrant, grants: dict[str, Grant], *, alike: bool) -> CallGrant | None:
    if child.when is not None or parent.when is not None:
        # What it says may be about who calls, which is another one here.
        return child if alike and canonical(child) == canonical(parent) else None
    args = _arguments(child.args, parent.args)
    if args is None:
        return None
    if parent.whole or _view(child) == _view(parent):
        seen = child
    elif child.whole:
        seen = parent
    else:
        return None
    return replace(seen, grant=_named(child.grant, parent.grant, grants), args=args)


def _arguments(child: Mapping[str, Matcher], parent: Mapping[str, Matcher]) -> dict[str, Matcher] | None:
    """Return the arguments that both admit; None when one of them needs what the other refuses."""
    found: dict[str, Matcher] = {}
    for name in dict.fromkeys((*child, *parent)):
        said = [each.get(name, each.get(EVERY_ARGUMENT)) for each in (child, parent)]
        known = [matcher for matcher in said if matcher is not None]
        if len(known) == 2:
            found[name] = _all_of(known)
        elif name != EVERY_ARGUMENT and not isinstance(known[0], Anything):
            return None
    return found


def _view(grant: CallGrant) -> str:
    return canonical((grant.items, grant.fields, grant.masks, grant.hidden))
