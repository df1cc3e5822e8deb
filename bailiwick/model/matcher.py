"""Matchers: the one way in which a policy constrains values (rows, args, set, items).

They are data. `bailiwick.match` evaluates them over values and compiles them to SQL.
A comparison with NULL, a missing value or a wrong type is *unknown*: false in an allow, true in a deny or a gate.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from bailiwick.model.value import Operand


@dataclass(frozen=True, slots=True)
class Equal:
    """The value equals the operand. YAML: a scalar or `$name`."""

    operand: Operand


@dataclass(frozen=True, slots=True)
class OneOf:
    """The value equals one of the operands. YAML: a list. An empty list matches nothing.

    An operand that is a Ref may hold a list (e.g. `$user.regions`); its elements are then the operands.
    """

    operands: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Anything:
    """Any value, also none. YAML: `any`."""


@dataclass(frozen=True, slots=True)
class Bound:
    """`{min: a}` (>=), `{max: b}` (<=), `{over: a}` (>), `{under: b}` (<): those given must all hold."""

    min: Operand | None = None
    max: Operand | None = None
    over: Operand | None = None
    under: Operand | None = None


@dataclass(frozen=True, slots=True)
class Within:
    """A moment in the last `span` before the gateway's now, and not after it. YAML: `{within: 90d}`."""

    span: timedelta


@dataclass(frozen=True, slots=True)
class Prefix:
    """A string that starts with the operand, case-sensitively. YAML: `{prefix: abc}`."""

    operand: Operand


@dataclass(frozen=True, slots=True)
class Glob:
    """The whole string matches a pattern of literal characters, `*` (any run) and `?` (one). YAML: `{glob: "a*"}`."""

    pattern: str


@dataclass(frozen=True, slots=True)
class Not:
    """The inner matcher is known to be false. Unknown stays unknown. YAML: `{not: …}`."""

    inner: Matcher


@dataclass(frozen=True, slots=True)
class Empty:
    """`{empty: true}`: NULL or the empty string/list; `{empty: false}`: present and not empty. Never unknown."""

    expected: bool


@dataclass(frozen=True, slots=True)
class Every:
    """All of several conditions written in one mapping, e.g. `{min: 1, not: 5}`."""

    parts: tuple[Matcher, ...]


Matcher = Equal | OneOf | Anything | Bound | Within | Prefix | Glob | Not | Empty | Every
