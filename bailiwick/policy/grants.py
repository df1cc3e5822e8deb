"""Roles and their grants: YAML → `model.policy.Role`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Literal

from bailiwick.errors import PolicyError
from bailiwick.model.action import Action
from bailiwick.model.mask import Mask
from bailiwick.model.policy import DEFAULT_GROUPINGS, Grant, Limit, Preview, Role
from bailiwick.model.position import Position
from bailiwick.policy.canonical import digest
from bailiwick.policy.document import Block, Entry, Listing, Node
from bailiwick.policy.expect import block, choice, columns, count, flag, listed, names, required, text, wrong
from bailiwick.policy.files import file_masks
from bailiwick.policy.matchers import arguments, masks, matchers, sql
from bailiwick.policy.problem import Report, near, quoted
from bailiwick.policy.reading import ActionUse, Reading
from bailiwick.policy.values import action, grant_limits, limits

role_keys = ("inherits", "grants", "limits")
_SHARED = ("id", "reason", "rows", "sql", "when", "fields", "args", "items")
_ALLOW_ONLY = ("mask", "set", "limits", "through", "preview", "aggregate", "override")
grant_keys = ("allow", "deny", *_SHARED, *_ALLOW_ONLY)
_VERBS_OF: Mapping[str, tuple[str, ...]] = {
    "mask": ("read", "*"),
    "aggregate": ("read", "*"),
    "set": ("update", "create", "*"),
    "through": ("update", "create", "delete", "*"),
    "preview": ("update", "create", "delete", "*"),
    "fields": ("read", "update", "create", "*"),
}
"""Keys that mean something for some verbs of data only."""
_OF_DATA = ("rows", "sql", "set", "through", "preview", "aggregate")
_OF_TOOLS = ("args", "items")


def role(reading: Reading, entry: Entry) -> Role | None:
    """Return one role with its own grants."""
    report, what = reading.report, f"role {quoted(entry.key)}"
    found = block(report, entry.value, what, role_keys)
    if found is None:
        return None
    inherits = found.get("inherits")
    parents = names(report, inherits.value, f"`inherits` of {what}") if inherits else ()
    if inherits:
        reading.roles.extend(listed(inherits.value))
    own = found.get("limits")
    return Role(
        name=entry.key,
        inherits=parents,
        grants=_grants(reading, found, entry.key),
        limits=limits(report, own.value, f"`limits` of {what}") if own else (),
        position=entry.position,
    )


def _grants(reading: Reading, found: Block, role_name: str) -> tuple[Grant, ...]:
    entry = found.get("grants")
    if entry is None:
        return ()
    if not isinstance(entry.value, Listing):
        wrong(reading.report, entry.value, f"`grants` of role {quoted(role_name)}", "a list")
        return ()
    read = [_grant(reading, item, role_name) for item in entry.value.items]
    return tuple(grant for grant in read if grant is not None)


def _grant(reading: Reading, node: Node, role_name: str) -> Grant | None:
    report = reading.report
    found = block(report, node, "a grant", grant_keys)
    if found is None:
        return None
    head = _effect(report, found)
    if head is None:
        return None
    effect, at = head
    granted = action(report, at.value, f"`{at.key}`")
    if granted is None:
        return None
    reading.actions.append(ActionUse(granted, at.value.position, f"`{at.key}`"))
    _check_keys(reading, found, effect, granted)
    grant = _with_rest(reading, found, _body(reading, found, effect, granted, role_name))
    _check_fields(reading, found, grant)
    if grant.override:
        reading.overrides.append((role_name, granted, _position(found, "override")))
    content = digest(grant, frozenset({"id", "role"}))
    identified = replace(grant, id=grant.id or f"{role_name}/{granted}/{content[:10]}")
    reading.digests[identified.id] = content
    return identified


def _position(found: Block, key: str) -> Position:
    entry = found.get(key)
    return entry.position if entry else found.position


def _effect(report: Report, found: Block) -> tuple[Literal["allow", "deny"], Entry] | None:
    allow, deny = found.get("allow"), found.get("deny")
    if allow and deny:
        report.error(deny.position, "allow_and_deny", "a grant has `allow` and `deny`", "write two grants")
        return None
    if allow:
        return "allow", allow
    if deny:
        return "deny", deny
    report.error(found.position, "missing_key", "a grant has neither `allow` nor `deny`", "add `allow: resource:verb`")
    return None


def _check_keys(reading: Reading, found: Block, effect: str, granted: Action) -> None:
    """Report keys that have no meaning beside this effect, resource or verb, and an allow without a reason."""
    report = reading.report
    of_tools, of_data = granted.resource in reading.tool_resources, granted.resource in reading.known
    of_files = granted.resource in reading.file_resources
    if effect == "allow":
        required(report, found, "reason", f"the allow of {quoted(str(granted))}")
    for entry in found.entries.values():
        if effect == "deny" and entry.key in _ALLOW_ONLY:
            report.error(entry.position, "misplaced_key", f"`{entry.key}` has no meaning in a deny", "remove it")
        elif of_files and _is_beside_files(entry.key, granted):
            message = f"`{entry.key}` of {quoted(str(granted))} has no meaning for files"
            report.error(entry.position, "misplaced_key", message, "use `args: {path: …}`, and `mask` of a `read`")
        elif (of_tools and entry.key in _OF_DATA) or (of_data and entry.key in _OF_TOOLS):
            message = f"`{entry.key}` has no meaning for {'tools' if of_tools else 'tables'}"
            hint = "use `args` and `items`" if of_tools else "use `rows`"
            report.error(entry.position, "misplaced_key", message, f"{hint}, or remove it")
        elif not of_tools and entry.key in _VERBS_OF and granted.verb not in _VERBS_OF[entry.key]:
            verbs = " and ".join(f"`{verb}`" for verb in _VERBS_OF[entry.key] if verb != "*")
            message = f"`{entry.key}` has no meaning for `{granted.verb}`, only for {verbs}"
            report.error(entry.position, "misplaced_key", message, "remove it")


def _is_beside_files(key: str, granted: Action) -> bool:
    """Return whether a key of a grant on files has no meaning."""
    return key in ("fields", "items") or (key == "mask" and granted.verb not in ("read", "*"))


def _body(reading: Reading, found: Block, effect: Literal["allow", "deny"], granted: Action, role_name: str) -> Grant:
    """Return the grant with its scope: rows, fields, masks and what may be written."""
    report, get = reading.report, found.get
    rows, args, written, items = get("rows"), get("args"), get("set"), get("items")
    fields, mask, predicate = get("fields"), get("mask"), get("sql")
    return Grant(
        id="",
        effect=effect,
        action=granted,
        role=role_name,
        rows=matchers(reading, rows.value, "`rows`") if rows else {},
        sql=sql(reading, predicate, "`sql`", granted.resource) if predicate else None,
        fields=columns(report, fields.value, "`fields`") if fields else None,
        mask=_masks(reading, mask, granted) if mask else {},
        set=matchers(reading, written.value, "`set`") if written else {},
        args=arguments(reading, args.value, "`args`") if args else None,
        items=matchers(reading, items.value, "`items`") if items else {},
        position=found.position,
    )


def _masks(reading: Reading, entry: Entry, granted: Action) -> dict[str, Mask]:
    if granted.resource in reading.file_resources:
        return file_masks(reading.report, entry.value)
    return masks(reading, entry.value, granted.resource)


def _with_rest(reading: Reading, found: Block, grant: Grant) -> Grant:
    """Return the grant with its reason, condition, limits and way of execution."""
    report, get = reading.report, found.get
    given, reason, when = get("id"), get("reason"), get("when")
    bounds, through, override = get("limits"), get("through"), get("override")
    smallest, groupings = _aggregate(report, found)
    paths: dict[str, Literal["direct", "queue"]] = {"direct": "direct", "queue": "queue"}
    previews: dict[str, Preview] = {"rows": "rows", "count": "count", "off": "off"}
    preview = get("preview")
    return replace(
        grant,
        id=(text(report, given.value, "`id`") or "") if given else "",
        reason=(text(report, reason.value, "`reason`") or "") if reason else "",
        when=_condition(report, when.value, grant.action, reading) if when else None,
        limits=_grant_limits(report, bounds, grant, reading.tool_resources, reading.batched) if bounds else (),
        through=(choice(report, through.value, "`through`", paths) or "direct") if through else "direct",
        preview=(choice(report, preview.value, "`preview`", previews) or "rows") if preview else "rows",
        aggregate=smallest,
        groupings=groupings,
        override=bool(flag(report, override.value, "`override`")) if override else False,
    )


def _grant_limits(
    report: Report, entry: Entry, grant: Grant, tools: Collection[str], batched: Collection[str]
) -> tuple[Limit, ...]:
    found = limits(report, entry.value, "`limits`", grant_limits)
    verb = grant.action.verb
    if grant.action.resource in tools:
        for item in found:
            if item.name == "batch" and grant.action.resource not in batched:
                message = "`batch` counts rows that are written; it has no meaning for tools"
                report.error(entry.position, "misplaced_key", message, "remove it")
        return found
    if verb == "read" and any(item.name == "batch" for item in found):
        message = "`batch` counts the rows that one statement writes; it has no meaning for `read`"
        report.error(entry.position, "misplaced_key", message, "use `rows: 1000`")
    if verb in ("update", "create", "delete") and any(item.name == "rows" and item.per is None for item in found):
        message = f"`rows` without a period counts the rows that one statement returns; it has no meaning for `{verb}`"
        report.error(entry.position, "misplaced_key", message, "use `batch` for the rows that it writes")
    return found


def _condition(report: Report, node: Node, granted: Action, reading: Reading) -> str | None:
    found = text(report, node, "`when`")
    if found is None:
        return None
    tools = granted.resource in reading.tool_resources
    from bailiwick.match.condition import compile_condition  # most policies have no condition

    try:
        if "args" in compile_condition(found).uses and not tools:
            message = "`when` looks at `args`, which only calls of tools have"
            report.error(node.position, "bad_condition", message, "use `session` or `resource`")
    except PolicyError as error:
        report.error(node.position, "bad_condition", f"`when`: {error.message}", error.remedy)
    return found


def _aggregate(report: Report, found: Block) -> tuple[int | None, int]:
    """Return the smallest group that may be told, and how many groupings a session has."""
    entry = found.get("aggregate")
    inner = block(report, entry.value, "`aggregate`", ("min_group", "groupings")) if entry else None
    if inner is None:
        return None, DEFAULT_GROUPINGS
    size, most = required(report, inner, "min_group", "`aggregate`"), inner.get("groupings")
    groupings = count(report, most.value, "`groupings`") if most else None
    return (count(report, size.value, "`min_group`") if size else None), groupings or DEFAULT_GROUPINGS


def _check_fields(reading: Reading, found: Block, grant: Grant) -> None:
    """Report fields named in two ways, or masked and set without being granted."""
    report = reading.report
    part, at = grant.action.field, _position(found, grant.effect)
    tools = grant.action.resource in reading.tool_resources
    if part is not None and tools:
        message = f"{quoted(str(grant.action))}: a tool's action has no third part"
        report.error(at, "bad_action", message, f"write `{grant.action.resource}:{grant.action.verb}`")
        return
    if tools and any(mask.name == "sql" for mask in grant.mask.values()):
        message = "a mask in SQL has no meaning for tools"
        report.error(_position(found, "mask"), "misplaced_key", message, "use another mask")
    if part is not None and grant.action.verb in ("read", "delete", "*"):
        hint = f"write `{grant.action.resource}:{grant.action.verb}`" + (
            f" with `fields: [{part}]`" if grant.action.verb == "read" else ""
        )
        report.error(at, "bad_action", f"{quoted(str(grant.action))}: only `update` and `create` name a field", hint)
    if part is not None and grant.fields is not None and grant.action.verb in ("update", "create"):
        message = f"the field is named by the action {quoted(str(grant.action))} and by `fields`"
        report.error(_position(found, "fields"), "field_named_twice", message, "name it in one of the two")
    named = grant.fields if part is None else (part,)
    if named is None:
        return
    resource = reading.known.get(grant.action.resource)
    groups: Mapping[str, tuple[str, ...]] = resource.groups if resource else {}
    granted = tuple(dict.fromkeys(field for name in named for field in groups.get(name, (name,))))
    for key in ("mask", "set"):
        entry = found.get(key)
        for item in entry.value.entries.values() if entry and isinstance(entry.value, Block) else ():
            if item.key not in granted and not (tools and item.key.startswith(tuple(f"{name}." for name in granted))):
                _not_granted(report, item, key, granted)


def _not_granted(report: Report, entry: Entry, key: str, granted: tuple[str, ...]) -> None:
    message = f"`{key}` names {quoted(entry.key)}, which the same grant does not name in its action or `fields`"
    report.error(entry.position, "unknown_field", message, near(entry.key, granted) or "name it there, or remove it")
