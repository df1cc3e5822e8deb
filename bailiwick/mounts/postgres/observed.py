"""What a statement used, once its parameters are known."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from hashlib import sha256
from struct import error as MalformedError  # noqa: N812  # it is an exception
from struct import unpack

from bailiwick.decide.seen import Observer, seen_type, typed
from bailiwick.gateway.call import Call
from bailiwick.gateway.enforcer import LiveSession
from bailiwick.gateway.observing import (
    UNREAD,
    Results,
    Values,
    elements_of,
    is_clear,
    observed,
    table_uses,
)
from bailiwick.match.masks import Digest
from bailiwick.mounts.postgres import codec
from bailiwick.mounts.postgres.observed_rows import ObservedRows
from bailiwick.mounts.postgres.prepared import Portal, Prepared
from bailiwick.mounts.postgres.told import binary_text, each_value
from bailiwick.mounts.postgres.values import MaskPads

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
        if column.endswith("[]"):
            return _listed(value, column.removesuffix("[]"), is_binary=is_binary)
        text = binary_text(value, oid, {column}) if is_binary else value.decode()
    except (MalformedError, UnicodeDecodeError, ValueError, OverflowError):
        return UNREAD
    return UNREAD if text is None else typed(text, seen_type(column))


def observed_rows(prepared: Prepared, portal: Portal, live: LiveSession, observer: Observer) -> ObservedRows | None:
    """Return what looks at the rows of an execution; None where they tell nothing."""
    used, scope = prepared.plan.used, live.scope
    if used is None:
        return None
    clear = partial(is_clear, scope)
    return ObservedRows(Results(used, clear, observer), portal.results)


def observed_call(prepared: Prepared, portal: Portal, live: LiveSession, observer: Observer) -> Call:
    """Return the call of an execution with what it uses."""
    scope = live.scope
    uses = table_uses(
        prepared.plan.used.tables if prepared.plan.used is not None else (),
        portal.given,
        lambda resource, field: is_clear(scope, resource, field),
        observer,
    )
    return observed(prepared.call, observer, uses)


def _listed(value: bytes, column: str, *, is_binary: bool) -> object:
    """Return a list: one in text format without quotes, or in binary format of one dimension."""
    if not is_binary:
        return elements_of(value.decode(), column)
    elements = _elements(value, column)
    return UNREAD if elements is None or UNREAD in elements else elements


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
