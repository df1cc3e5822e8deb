"""What a statement used, once its parameters are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from struct import error as MalformedError  # noqa: N812  # it is an exception
from struct import unpack

from bailiwick.decide.seen import Observer, seen_type, typed
from bailiwick.gateway.call import Call
from bailiwick.gateway.enforce import LiveSession
from bailiwick.gateway.observing import Observers, is_clear, observed
from bailiwick.match.masks import Digest
from bailiwick.model.observation import Condition, Held, Seen, TableUse
from bailiwick.model.scope import Scope
from bailiwick.mounts.postgres import codec
from bailiwick.mounts.postgres.prepared import Portal, Prepared, Values
from bailiwick.mounts.postgres.told import binary_text, each_value
from bailiwick.mounts.postgres.values import MaskPads
from bailiwick.sql.usage import Operand, Parameter, UsedTable

_TEXT_OIDS = frozenset({18, 19, 25, 705, 1042, 1043})
_most_items = 100


def digest_of(pads: MaskPads) -> Digest:
    """Return the keyed digest of texts under the mask key."""

    def digest(text: str) -> str:
        return sha256(pads.outer + sha256(pads.inner + text.encode("utf-8", "replace")).digest()).hexdigest()

    return digest


def bound(raw: bytes, pos: int, types: bytes) -> Values:
    """Return the agent's parameters of a Bind; `types` are those that were declared, as on the wire."""
    formats, count, own, _ = codec.read_bind_tail(raw, pos)
    oids = [codec.int32_at(types, place)[0] & 0xFFFFFFFF for place in range(2, len(types) - 3, 4)]
    oids += [0] * (count - len(oids))
    binary = [formats[place : place + 2] == b"\0\1" for place in range(0, len(formats), 2)]
    binary = binary * count if len(binary) == 1 else [*binary, *([False] * (count - len(binary)))]

    def reader(value: bytes | None, oid: int, *, is_binary: bool) -> Callable[[str], object]:
        return lambda column: _value(value, oid, column, is_binary=is_binary)

    found = zip(each_value(own, count), oids, binary, strict=False)
    return {number: reader(value, oid, is_binary=form) for number, (value, oid, form) in enumerate(found, 1)}


def _value(value: bytes | None, oid: int, column: str, *, is_binary: bool) -> object:
    if value is None:
        return None
    try:
        text = binary_text(value, oid, {column}) if is_binary else value.decode()
    except (MalformedError, UnicodeDecodeError, ValueError, OverflowError):
        text = None
    return _Unread(value) if text is None else typed(text, seen_type(column))


class _Unread:
    """A value in a binary format that is not known here."""

    def __init__(self, value: bytes) -> None:
        self.value = value


def observed_call(prepared: Prepared, portal: Portal, live: LiveSession, observers: Observers) -> Call:
    """Return the call of an execution with what it uses."""
    observer = observers.of(live.session)
    uses = tuple(_used(each, portal.given, live.scope, observer) for each in prepared.plan.used or ())
    return observed(prepared.call, observer, uses)


def _used(used: UsedTable, values: Values, scope: Scope, observer: Observer) -> TableUse:
    types = dict(used.types)

    def seen(field: str, operands: Sequence[Operand]) -> tuple[Seen, ...]:
        clear = is_clear(scope, used.resource, field)
        return tuple(_seen(each, types.get(field, ""), values, observer, clear=clear) for each in operands)

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
    if read is None:
        return Seen("unknown")
    if operand.listed:
        return _listed(read(f"{column}[]"), column, observer, clear=clear)
    found = read(column)
    return Seen("unknown") if isinstance(found, _Unread) else observer.seen(found, clear=clear)


def _listed(found: object, column: str, observer: Observer, *, clear: bool) -> Seen:
    """Return a list as it is seen: one in text format without quotes, or in binary format of one dimension."""
    if isinstance(found, _Unread):
        elements = _elements(found.value, column)
    elif isinstance(found, str) and found.startswith("{") and not set(found) & set('"\\'):
        elements = [typed(each, seen_type(column)) for each in found[1:-1].split(",")] if found != "{}" else []
    else:
        elements = None
    if elements is None or any(isinstance(each, _Unread) for each in elements):
        return Seen("list", whole=False)
    return observer.seen(elements, clear=clear)


def _elements(value: bytes, column: str) -> list[object] | None:
    try:
        dimensions, _, oid = unpack(">iiI", value[:12])
        if dimensions == 0:
            return []
        count: int = unpack(">i", value[12:16])[0]
        if dimensions != 1 or not 0 <= count <= _most_items:
            return None
        return [_value(each, oid, column, is_binary=True) for each in each_value(value[20:], count)]
    except (MalformedError, IndexError):
        return None
