"""Lining rows up with the session: which columns of the rows that a statement touched were a session value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bailiwick.learn.keys import keys_of
from bailiwick.model.observation import Seen, TableUse

_NOTHING = frozenset[str]()
Names = dict[str, frozenset[str]]
"""Column → the session values that it was, in every row."""


def names_of_rows(uses: Sequence[TableUse], by_key: Mapping[str, frozenset[str]]) -> tuple[Names, ...]:
    """Return for each use which columns were a session value in all of its rows; also what a join says of it.

    A column is one by a condition on it, by what its rows held, or by its equality with such a column of another
    table: `messages.ticket_id = tickets.ticket_id AND tickets.ticket_id = <the session's>`.
    """
    found = tuple(_of_use(use, by_key) for use in uses)
    if len(uses) < 2:
        return found
    of: dict[str, list[Names]] = {}
    for use, names in zip(uses, found, strict=True):
        of.setdefault(use.resource, []).append(names)
    changed = True
    while changed:
        changed = False
        for use, names in zip(uses, found, strict=True):
            for link in use.links:
                others = of.get(link.resource, [])
                if len(others) != 1:  # of a table that is joined with itself nobody knows which one it is
                    continue
                changed |= _share(names, link.field, others[0], link.other)
    return found


def _share(names: Names, field: str, others: Names, other: str) -> bool:
    here, there = names.get(field, _NOTHING), others.get(other, _NOTHING)
    both = here | there
    if both == here == there:
        return False
    names[field] = others[other] = both
    return True


def _of_use(use: TableUse, by_key: Mapping[str, frozenset[str]]) -> Names:
    found: Names = {}
    if not by_key:
        return found
    for condition in use.conditions:
        if condition.comparison in ("equal", "one_of") and condition.values:
            _add(found, condition.field, _all_of(condition.values, by_key))
    for held in use.holds:
        if held.whole and held.values:
            _add(found, held.field, _all_of(held.values, by_key))
    return found


def _add(found: Names, field: str, names: frozenset[str]) -> None:
    if names:
        found[field] = found.get(field, _NOTHING) | names


def _all_of(values: Sequence[Seen], by_key: Mapping[str, frozenset[str]]) -> frozenset[str]:
    each = [_NOTHING.union(*[by_key.get(key, _NOTHING) for key in keys_of(value)]) for value in values]
    return each[0].intersection(*each[1:]) if each else _NOTHING
