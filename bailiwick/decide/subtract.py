"""What `deny` grants take away from one verb of one resource."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from bailiwick.decide.ground import EVERY_ROW, Ground, both, covers, named_fields
from bailiwick.model.matcher import Matcher, Not
from bailiwick.model.policy import Grant
from bailiwick.model.scope import DenyRows, RowFilter, WriteGrant

most_parts = 64


@dataclass(frozen=True, slots=True)
class Subtraction:
    """What is gone of a verb: all of it, some fields, and some rows (or fields of them)."""

    whole: bool = False
    fields: frozenset[str] = frozenset()
    rows: tuple[DenyRows, ...] = ()
    grants: tuple[str, ...] = ()
    """The `deny` grants that took part."""


def subtraction(denies: Iterable[Grant], verb: str, ground: Ground) -> Subtraction:
    """Return what the denies take from a verb.

    A deny whose row filter cannot be evaluated here is one without rows. Deleting has no fields: `deny: r:delete` with
    fields denies it, and `deny: r:*` with fields leaves it alone.
    """
    fields: set[str] = set()
    rows: list[DenyRows] = []
    grants: list[str] = []
    whole = False
    for deny in denies:
        if not covers(deny.action, ground.resource.name, verb):
            continue
        named = named_fields(deny)
        columns = None if named is None else frozenset(ground.expand(named))
        if verb == "delete" and columns is not None:
            if deny.action.verb == "*":
                continue
            columns = None
        if columns is not None and not columns:
            continue
        grants.append(deny.id)
        where = ground.filter(deny.rows, deny.sql)
        if where is not None and where != EVERY_ROW:
            rows.append(DenyRows(deny.id, where, columns))
        elif columns is None:
            whole = True
        else:
            fields |= columns
    return Subtraction(whole, frozenset(fields), tuple(rows), tuple(grants))


def subtract_rows(write: WriteGrant, denied: Iterable[DenyRows]) -> tuple[WriteGrant, ...]:
    """Return grants that together admit what `write` admits outside of the denied rows.

    Outside means: some condition of the deny is known to be false there, hence one grant for each of them. Beyond
    `most_parts` grants nothing is left of the write: too much to check counts against the agent.
    """
    parts = (write,)
    for deny in denied:
        parts = tuple(part for whole in parts for part in _without(whole, deny))
        if len(parts) > most_parts:
            return ()
    return parts


def _without(write: WriteGrant, deny: DenyRows) -> tuple[WriteGrant, ...]:
    if deny.fields is not None and not write.fields & deny.fields:
        return (write,)
    opposites = [RowFilter(((column, Not(matcher)),)) for column, matcher in deny.filter.conditions]
    if deny.filter.sql is not None:
        opposites.append(RowFilter((), f"NOT ({deny.filter.sql}\n)"))
    parts = tuple(replace(write, filter=both(write.filter, opposite)) for opposite in opposites)
    rest = frozenset[str]() if deny.fields is None else write.fields - deny.fields
    return (*parts, replace(write, fields=rest, set=_of(write, rest))) if rest else parts


def _of(write: WriteGrant, fields: frozenset[str]) -> dict[str, Matcher]:
    return {name: matcher for name, matcher in write.set.items() if name in fields}
