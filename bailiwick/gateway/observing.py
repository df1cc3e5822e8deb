"""What is observed of sessions in observe mode: who looks at their values, and what their records carry of it.

Does no I/O. Where nothing is observed nothing here is called."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from bailiwick.decide.ground import labels_of
from bailiwick.decide.seen import Observer, seen_type, typed
from bailiwick.gateway.call import Call
from bailiwick.match.masks import Digest
from bailiwick.model.label import level_of, levels
from bailiwick.model.observation import Condition, Held, Seen, TableUse, ToolUse
from bailiwick.model.observation_json import Object, held_json
from bailiwick.model.observation_record import USED, used_json
from bailiwick.model.record import JsonValue
from bailiwick.model.scope import Scope
from bailiwick.model.session import Session
from bailiwick.sql.usage import Operand, Parameter, Statement, UsedTable

open_levels = levels[: levels.index("confidential")]
"""Levels of what may stand in records in clear."""
_most_rows, _most_held = 100, 5
"""Of a result, what is looked at: rows, and different values of a column that are kept."""


Values = Mapping[int, Callable[[str], object]]
"""Number of a parameter → its value, as a column of that type would read it; `UNREAD` where that cannot be told."""
Clear = Callable[[str, str], bool]
"""(resource, field) → whether its values may be told in clear."""


class _Unread:
    """A value that cannot be read."""


UNREAD = _Unread()


def table_uses(used: Iterable[UsedTable], values: Values, clear: Clear, observer: Observer) -> tuple[TableUse, ...]:
    """Return what a statement uses of its tables, with these values."""
    return tuple(_table_use(each, values, clear, observer) for each in used)


def _table_use(used: UsedTable, values: Values, clear: Clear, observer: Observer) -> TableUse:
    types = dict(used.types)

    def seen(field: str, operands: Sequence[Operand]) -> tuple[Seen, ...]:
        shown = clear(used.resource, field)
        return tuple(_seen(each, types.get(field, ""), values, observer, clear=shown) for each in operands)

    conditions = (Condition(each.field, each.comparison, seen(each.field, each.operands)) for each in used.conditions)
    sets = (Held(each.field, seen(each.field, each.operands), each.whole) for each in used.sets)
    return TableUse(
        used.resource,
        used.verb,
        ".".join(used.place),
        used.read,
        used.filtered,
        used.joined,
        used.counted,
        used.compared,
        used.written,
        used.reach,
        tuple(conditions),
        used.links,
        (),
        tuple(sets),
    )


def _seen(operand: Operand, column: str, values: Values, observer: Observer, *, clear: bool) -> Seen:
    if not isinstance(operand, Parameter):
        written = None if operand.type == "null" else typed(operand.text, seen_type(column) if column else operand.type)
        return observer.seen(written, clear=clear, constant=True)
    read = values.get(operand.number)
    found = UNREAD if read is None else read(f"{column}[]" if operand.listed else column)
    if found is UNREAD:
        return Seen("list", whole=False) if operand.listed else Seen("unknown")
    return observer.seen(found, clear=clear)


def elements_of(text: str, column: str) -> object:
    """Return the elements of an array in text format, where none of them is quoted; else `UNREAD`."""
    if not text.startswith("{") or set(text) & set('"\\') or text.count("{") > 1:
        return UNREAD
    return [typed(each, seen_type(column)) for each in text[1:-1].split(",")] if text != "{}" else []


class Results:
    """Looks at the rows of one result: what its columns held, and where values that come again later are from."""

    def __init__(self, used: Statement, clear: Clear, observer: Observer) -> None:
        self._used = used
        self._observer = observer
        self._clear = [each is not None and clear(used.tables[each.use].resource, each.field) for each in used.shown]
        self._held: list[list[Seen] | None] = [[] for _ in used.shown]
        """Different values of each column; None: too many."""
        self.looked = 0
        """Rows that were looked at."""

    @property
    def types(self) -> tuple[str | None, ...]:
        """Types of the columns that can be looked at; None: this one tells nothing."""
        return tuple(None if each is None else each.type for each in self._used.shown)

    @property
    def full(self) -> bool:
        """Whether more rows would not be looked at."""
        return self.looked >= _most_rows

    def row(self, values: Sequence[object]) -> None:
        """Look at one row: all of its columns, `UNREAD` for those that cannot be read."""
        if self.full or len(values) != len(self._used.shown):
            return
        self.looked += 1
        for place, (shown, value) in enumerate(zip(self._used.shown, values, strict=True)):
            if shown is not None:
                self._value(place, f"{self._used.tables[shown.use].resource}.{shown.field}", value)

    def _value(self, place: int, where: str, value: object) -> None:
        held, clear = self._held[place], self._clear[place]
        if value is UNREAD:
            self._held[place] = None
            return
        if held is not None:
            seen = self._observer.seen(value, clear=clear)
            if seen not in held:
                held.append(seen)
            if len(held) > _most_held:
                self._held[place] = None
        self._observer.told(where, value, clear=clear)

    def added(self, call: Call, rows: int | None, *, whole: bool) -> Call:
        """Return the call with what its rows held. `whole`: these were all of them."""
        detail = call.detail or {}
        used = detail.get(USED)
        told = used.get("tables") if isinstance(used, dict) else None
        if not isinstance(used, dict) or not isinstance(told, list):
            return call
        tables = [dict(each) if isinstance(each, dict) else {} for each in told]
        for place, shown in enumerate(self._used.shown):
            held = self._held[place]
            if shown is not None and held and whole and self.looked == rows and shown.use < len(tables):
                holds: JsonValue = tables[shown.use].setdefault("holds", [])
                if isinstance(holds, list):
                    holds.append(held_json(Held(shown.field, tuple(held))))
        for place, use in enumerate(self._used.tables[: len(tables)]):
            if use.counts and rows is not None:
                tables[place]["rows"] = rows
        changed: Object = {**used, "tables": [*tables]}
        return replace(call, detail={**detail, USED: changed})


class Observed(Protocol):
    """A session that is observed."""

    observer: Observer | None

    @property
    def session(self) -> Session: ...


def observer_of(live: Observed, digest: Digest) -> Observer:
    """Return who looks at the values of a session: one for all mounts, so that what came from one of them is known
    when it goes to another. `digest`: under the same key from all of them."""
    if live.observer is None:
        live.observer = Observer(live.session, digest)
    return live.observer


def is_clear(scope: Scope, resource: str, field: str) -> bool:
    """Return whether values of a field of a table may stand in records in clear: it is below `confidential`."""
    known = scope.resources.get(resource)
    return known is not None and level_of(labels_of(known.resource, field)) in open_levels


def path_is_clear(labels: Mapping[str, frozenset[str]], path: str) -> bool:
    """Return whether what stands at a path of a result may: neither it, nor what it is in or has in it, is labelled
    `confidential` or higher."""
    closed = (at for at, marks in labels.items() if level_of(marks) not in open_levels)
    return not any(at == "*" or f"{path}.".startswith(f"{at}.") or f"{at}.".startswith(f"{path}.") for at in closed)


def observed(call: Call, observer: Observer, tables: Iterable[TableUse] = (), tool: ToolUse | None = None) -> Call:
    """Return the call with what it used, for its records. The first of an observer has the session's values too."""
    detail: dict[str, JsonValue] = {**(call.detail or {}), USED: used_json(tuple(tables), tool, observer.first())}
    return replace(call, detail=detail)
