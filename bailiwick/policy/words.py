"""Masks, filters and scopes in words that somebody reads who decides, not programs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from bailiwick.match.in_words import duration_in_words, listed, matcher_in_words
from bailiwick.model.lock import Lock, LockedTable
from bailiwick.model.mask import Mask
from bailiwick.model.matcher import Equal, Matcher, OneOf
from bailiwick.model.policy import Grant, Limit
from bailiwick.model.scope import AggregateReads, DenyRows, ReadGrant, ResourceScope, RowFilter, Scope, WriteGrant

_masks: Mapping[str, str] = {
    "full": "hidden",
    "partial": "partly masked",
    "last4": "cut to its last four characters",
    "hash": "as a keyed hash",
    "null": "always empty",
    "year": "cut to its year",
}


def scope_in_words(scope: Scope, lock: Lock | None = None) -> tuple[str, ...]:
    """Return one line for each thing a session may do, e.g. `tickets: reads status; only rows where …`."""
    lines: list[str] = []
    settled = {key: replace(grant, when=None) for key, grant in scope.grants.items()}  # `when` was true, or it is gone
    for name, resource in scope.resources.items():
        table = table_of(resource, lock)
        lines.extend(f"{name}: {line}" for line in resource_in_words(resource, table, settled))
    return tuple(lines)


def table_of(scope: ResourceScope, lock: Lock | None) -> LockedTable | None:
    """Return the accepted table of a resource, if there is a lock."""
    where = scope.resource
    return None if lock is None else lock.table(where.mount, where.schema, where.table)


def resource_in_words(
    scope: ResourceScope, table: LockedTable | None = None, grants: Mapping[str, Grant] | None = None
) -> tuple[str, ...]:
    """Return what may be done with one resource, one line each. `grants` adds conditions and limits."""
    known = grants or {}
    lines = [read_in_words(read, table) + terms_in_words(known.get(read.grant)) for read in scope.reads]
    lines += aggregate_in_words(scope.aggregate, table, known)
    for verb, writes in (("update", scope.updates), ("create", scope.creates), ("delete", scope.deletes)):
        held = scope.held.get(verb)
        gate = f"; needs approval (gate {held})" if held else ""
        lines += [write_in_words(verb, one, table) + terms_in_words(known.get(one.grant)) + gate for one in writes]
    lines += [denied_in_words(deny) for deny in scope.denied_rows]
    lines += _held_in_words(scope.held)
    if scope.resource.tenant is not None:
        lines.append(f"only rows of the session's tenant ({scope.resource.tenant})")
    return tuple(dict.fromkeys(lines))


def read_in_words(read: ReadGrant, table: LockedTable | None = None) -> str:
    """Return one read grant, e.g. `reads customer_id, name; email partly masked; only rows where …`."""
    clear = [name for name, mask in read.fields.items() if mask is None]
    masked = [f"{name} {mask_in_words(mask)}" for name, mask in read.fields.items() if mask is not None]
    said = [f"reads {_columns(clear, table)}"] if clear else []
    if masked:
        said.append(("" if clear else "reads ") + ", ".join(masked))
    return "; ".join([*said, *rows_in_words(read.filter)])


def aggregate_in_words(
    told: AggregateReads | None, table: LockedTable | None = None, grants: Mapping[str, Grant] | None = None
) -> list[str]:
    """Return what may only be aggregated, one line a grant, e.g. `counts, sums and averages of region, salary …`."""
    if told is None:
        return []
    bounds = f"over groups of at least {told.min_group} rows, never a row; {told.groupings} groupings a session"
    known = grants or {}
    return [
        f"counts, sums and averages {read_in_words(read, table).replace('reads ', 'of ', 1)}; {bounds}"
        + terms_in_words(known.get(read.grant))
        for read in told.grants
    ]


def write_in_words(verb: str, write: WriteGrant, table: LockedTable | None = None) -> str:
    """Return one write grant, e.g. `updates status to open, pending or closed; only rows where …`."""
    parts: list[str] = []
    free = [name for name in _ordered(write.fields, table) if name not in write.set]
    bound = [name for name in _ordered(write.fields, table) if name in write.set]
    if verb == "delete":
        parts.append("deletes rows")
    elif verb == "create":
        parts.append(f"creates rows with {_columns([*free, *bound], table)}")
        parts += [f"{_value_in_words(name, write.set[name], 'must be')}" for name in bound]
    else:
        parts += [f"updates {_columns(free, table)}"] if free else []
        parts += [f"updates {_value_in_words(name, write.set[name], 'to')}" for name in bound]
    parts += rows_in_words(write.filter)
    if write.batch is not None:
        parts.append(f"at most {write.batch} row{'' if write.batch == 1 else 's'} at a time")
    return "; ".join(parts)


def denied_in_words(deny: DenyRows) -> str:
    """Return what a deny with rows takes away."""
    what = "never" if deny.fields is None else f"never {listed(sorted(deny.fields))} of"
    return f"{what} rows where {conditions_in_words(deny.filter)}"


def rows_in_words(where: RowFilter) -> list[str]:
    """Return the filter as at most one part of a line; every row needs no words."""
    return [] if where == RowFilter() else [f"only rows where {conditions_in_words(where)}"]


def conditions_in_words(where: RowFilter) -> str:
    """Return the conditions of a filter."""
    said = [matcher_in_words(column, matcher) for column, matcher in where.conditions]
    if where.sql is not None:
        said.append(f"`{' '.join(where.sql.split())}` holds")
    return " and ".join(dict.fromkeys(said)) or "anything"


def terms_in_words(grant: Grant | None) -> str:
    """Return the condition and the limits of a grant, to be appended to its words."""
    if grant is None:
        return ""
    limits = [limit_in_words(limit) for limit in grant.limits if limit.name != "batch"]
    if grant.through == "queue":
        said = {"rows": "a preview of its rows", "count": "a count of its rows", "off": "no preview"}
        limits.append(f"held as a change for people to approve, with {said[grant.preview]}")
    when = [f"when `{' '.join(grant.when.split())}`"] if grant.when is not None else []
    return "".join(f"; {part}" for part in (*when, *limits))


def limit_in_words(limit: Limit) -> str:
    """Return a limit, e.g. `at most 30 actions in 1 minute`, `at most 5 rows at a time`."""
    if limit.name == "timeout":
        return f"at most {duration_in_words(timedelta(seconds=int(limit.amount)))} at a time"
    if limit.per is None and limit.name in ("rows", "bytes", "batch"):
        noun = "byte" if limit.name == "bytes" else "row"
        written = " written" if limit.name == "batch" else ""
        return f"at most {limit.amount} {noun}{'' if limit.amount == 1 else 's'}{written} at a time"
    if limit.name == "concurrent":
        return f"at most {limit.amount} at once"
    unit = f" {limit.unit}" if limit.unit else ""
    per = "" if limit.per is None else f" in {duration_in_words(limit.per)}"
    return f"at most {limit.amount}{unit} {limit.name}{per}".replace("  ", " ")


def mask_in_words(mask: Mask) -> str:
    """Return how a masked field is shown."""
    if mask.name == "round":
        return f"rounded to {mask.arg}"
    if mask.name == "sql":
        return f"shown as `{mask.arg}`"
    return _masks[mask.name]


def _value_in_words(name: str, matcher: Matcher, verb: str) -> str:
    """Return what may be written: `status to open, pending or closed`."""
    said = matcher_in_words(name, matcher)
    plain = isinstance(matcher, Equal | OneOf) and said.startswith(f"{name} is ")
    if plain:
        return f"{name} {verb} {said.removeprefix(f'{name} is ')}"
    return f"{name} where {said}" if verb == "to" else said


def _columns(names: Sequence[str], table: LockedTable | None) -> str:
    every = table is not None and len(table.columns) > 1 and {each.name for each in table.columns} <= set(names)
    return "every column" if every else ", ".join(names)


def _ordered(names: Iterable[str], table: LockedTable | None) -> list[str]:
    place = {} if table is None else {column.name: index for index, column in enumerate(table.columns)}
    return sorted(names, key=lambda name: (place.get(name, 0), name))


def _held_in_words(held: Mapping[str, str]) -> list[str]:
    """Return what a gate holds of single fields (whole verbs are said with the verb; of reading, here)."""
    by_gate: dict[tuple[str, str], list[str]] = {}
    for key, gate in held.items():
        verb, _, field = key.partition(":")
        if field or verb == "read":
            by_gate.setdefault((verb, gate), []).append(field or "anything")
    doing = {"read": "reading", "update": "updating", "create": "creating rows with", "delete": "deleting"}
    return [
        f"{doing[verb]} {listed(fields)}{' in clear' if gate == 'restricted' else ''} needs approval (gate {gate})"
        for (verb, gate), fields in by_gate.items()
    ]
