"""What is observed of sessions in observe mode: who looks at their values, and what their records carry of it.

Does no I/O. Where nothing is observed nothing here is called."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from bailiwick.decide.ground import labels_of
from bailiwick.decide.seen import Observer, seen_type, typed
from bailiwick.gateway.call import Call
from bailiwick.match.masks import Digest
from bailiwick.model.label import level_of, levels
from bailiwick.model.observation import Condition, Held, Seen, TableUse, ToolUse
from bailiwick.model.observation_record import USED, used_json
from bailiwick.model.record import JsonValue
from bailiwick.model.scope import Scope
from bailiwick.model.session import Session
from bailiwick.sql.usage import Operand, Parameter, UsedTable

_open_levels = levels[: levels.index("confidential")]
_most_sessions = 1000


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


class Observers:
    """The observers of the sessions of a front."""

    def __init__(self, digest: Digest) -> None:
        self._digest = digest
        self._kept: OrderedDict[str, Observer] = OrderedDict()

    def of(self, session: Session) -> Observer:
        """Return who looks at the values of a session."""
        found = self._kept.get(session.id)
        if found is None:
            found = self._kept[session.id] = Observer(session, self._digest)
            if len(self._kept) > _most_sessions:
                self._kept.popitem(last=False)
        return found


def is_clear(scope: Scope, resource: str, field: str) -> bool:
    """Return whether values of a field of a table may stand in records in clear: it is below `confidential`."""
    known = scope.resources.get(resource)
    return known is not None and level_of(labels_of(known.resource, field)) in _open_levels


def path_is_clear(labels: Mapping[str, frozenset[str]], path: str) -> bool:
    """Return whether what stands at a path of a result may: neither it, nor what it is in or has in it, is labelled
    `confidential` or higher."""
    closed = (at for at, marks in labels.items() if level_of(marks) not in _open_levels)
    return not any(at == "*" or f"{path}.".startswith(f"{at}.") or f"{at}.".startswith(f"{path}.") for at in closed)


def observed(call: Call, observer: Observer, tables: Iterable[TableUse] = (), tool: ToolUse | None = None) -> Call:
    """Return the call with what it used, for its records. The first of an observer has the session's values too."""
    detail: dict[str, JsonValue] = {**(call.detail or {}), USED: used_json(tuple(tables), tool, observer.first())}
    return replace(call, detail=detail)
