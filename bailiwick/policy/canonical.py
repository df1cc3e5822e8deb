"""The canonical rendering of model values: what the policy's version and the grants' ids are hashes of.

Two values that mean the same render the same, whatever file, order of keys, formatting or comments they came from.
A member that has its default is left out, so that a new kind of member does not change old versions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import cache
from hashlib import sha256
from typing import cast

_IGNORED = frozenset({"position", "positions", "version", "lapsed"})
"""Members that say where something stands, not what it means."""
_encoder = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def digest(value: object, without: frozenset[str] = frozenset()) -> str:
    """Return the SHA-256 (hex) of the canonical rendering; members named in `without` of the value are left out."""
    rendered = _render(value, without)
    return sha256(_encoder.encode(rendered).encode("ascii")).hexdigest()


@cache
def _members(kind: type) -> tuple[tuple[str, object], ...]:
    """Return name and default of the members that count; `MISSING` where there is none."""
    found: list[tuple[str, object]] = []
    for member in fields(kind):
        if member.name in _IGNORED:
            continue
        default: object = member.default
        if member.default_factory is not MISSING:
            default = member.default_factory()
        found.append((member.name, default))
    return tuple(found)


def _render(value: object, without: frozenset[str] = frozenset()) -> object:
    """Return a value of JSON in which things of different types never look alike."""
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, (int, Decimal)):
        return {"#": _number(Decimal(value))}
    if isinstance(value, tuple):
        return [_render(item) for item in cast("tuple[object, ...]", value)]
    if isinstance(value, dict):
        return {"=": {str(key): _render(item) for key, item in cast("dict[object, object]", value).items()}}
    if is_dataclass(value):
        return _render_members(value, without)
    return _render_other(value)


def _render_members(value: object, without: frozenset[str]) -> object:
    kind = type(value)
    rendered: dict[str, object] = {"@": kind.__name__}
    for name, default in _members(kind):
        member: object = getattr(value, name)
        if member is default or name in without or (type(member) is type(default) and member == default):
            continue
        rendered[name] = _render(member)
    return rendered


def _render_other(value: object) -> object:
    if isinstance(value, Mapping):
        return {"=": {str(key): _render(item) for key, item in cast("Mapping[object, object]", value).items()}}
    if isinstance(value, frozenset):
        items = [_render(item) for item in cast("frozenset[object]", value)]
        return {"*": sorted(items, key=lambda item: json.dumps(item, sort_keys=True))}
    if isinstance(value, (datetime, date, time)):
        return {type(value).__name__: value.isoformat()}
    if isinstance(value, timedelta):
        return {"seconds": str(value.total_seconds())}
    raise TypeError(f"no canonical form for {type(value).__name__}")


def _number(value: Decimal) -> str:
    if value == 0:
        return "0"
    sign, digits, exponent = value.as_tuple()
    text = "".join(map(str, digits))
    short = text.rstrip("0")
    return f"{'-' if sign else ''}{short}e{int(exponent) + len(text) - len(short)}"
