"""Canonical text of the model's values, for hashes that are the same in every process."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import cast


def digest(*values: object) -> str:
    """Return the SHA-256 (hex) of the values' canonical text."""
    return hashlib.sha256("\n".join(canonical(value) for value in values).encode()).hexdigest()


@cache
def _members(kind: type) -> tuple[str, ...] | None:
    return tuple(field.name for field in fields(kind)) if is_dataclass(kind) else None


def canonical(value: object) -> str:
    """Return a text that equal values of the model share and unequal ones do not."""
    if type(value) in (str, bool, int):
        return f"{type(value).__name__}:{value!r}"
    names = _members(type(value))
    if names is not None:
        inner = ",".join([f"{name}={canonical(getattr(value, name))}" for name in names])
        return f"{type(value).__name__}({inner})"
    if isinstance(value, Mapping):
        pairs = cast("Mapping[object, object]", value).items()
        return "{" + ",".join(sorted(f"{canonical(key)}:{canonical(item)}" for key, item in pairs)) + "}"
    if isinstance(value, frozenset | set):
        return "<" + ",".join(sorted(canonical(item) for item in cast("frozenset[object]", value))) + ">"
    if isinstance(value, tuple | list):
        return "[" + ",".join(canonical(item) for item in cast("tuple[object, ...]", value)) + "]"
    return f"{type(value).__name__}:{value!r}"
