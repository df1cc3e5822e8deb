"""Canonical text of the model's values, for hashes that are the same in every process."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import cast


def digest(*values: object) -> str:
    """Return the SHA-256 (hex) of the values' canonical text."""
    return hashlib.sha256("\n".join(canonical(value) for value in values).encode()).hexdigest()


def canonical(value: object) -> str:
    """Return a text that equal values of the model share and unequal ones do not."""
    if is_dataclass(value) and not isinstance(value, type):
        inner = ",".join(f"{field.name}={canonical(getattr(value, field.name))}" for field in fields(value))
        return f"{type(value).__name__}({inner})"
    if isinstance(value, Mapping):
        pairs = cast("Mapping[object, object]", value).items()
        return "{" + ",".join(sorted(f"{canonical(key)}:{canonical(item)}" for key, item in pairs)) + "}"
    if isinstance(value, frozenset | set):
        return "<" + ",".join(sorted(canonical(item) for item in cast("frozenset[object]", value))) + ">"
    if isinstance(value, tuple | list):
        return "[" + ",".join(canonical(item) for item in cast("tuple[object, ...]", value)) + "]"
    return f"{type(value).__name__}:{value!r}"
