"""Scalars as policies and sessions know them, and references to session values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Literal

type_names: tuple[str, ...] = ("integer", "number", "string", "boolean", "uuid", "date", "timestamp")
ValueType = Literal["integer", "number", "string", "boolean", "uuid", "date", "timestamp"]

Scalar = str | int | Decimal | bool | date | datetime
"""A value. Fractions are Decimal, never float; `bool` is never an `int` here; moments are aware UTC datetimes."""


@dataclass(frozen=True, slots=True)
class Ref:
    """`$name` or `$user.claim.path` in a policy: a session value, bound at execution and never spliced as text."""

    path: tuple[str, ...]

    def __str__(self) -> str:
        return "$" + ".".join(self.path)


Operand = Scalar | Ref
