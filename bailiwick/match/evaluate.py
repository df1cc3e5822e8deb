"""Matchers over values, in Kleene's three-valued logic. The twin of the SQL that is compiled from them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import cast
from uuid import UUID

from bailiwick.match.glob import glob_matches
from bailiwick.model.matcher import Anything, Bound, Empty, Equal, Every, Glob, Matcher, Not, OneOf, Prefix, Within
from bailiwick.model.session import Claim
from bailiwick.model.value import Operand, Ref, Scalar

Resolve = Callable[[Ref], Claim | None]
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII)


def holds(matcher: Matcher, value: object, resolve: Resolve, now: datetime) -> bool | None:
    """Return whether the value matches; None (unknown) for NULL, a wrong type or a missing session value.

    `now` is aware. The caller decides what unknown means: false in an allow, true in a deny.
    """
    match matcher:
        case Anything():
            return True
        case Empty(expected):
            return _is_empty(value) == expected
        case Not(inner):
            known = holds(inner, value, resolve, now)
            return None if known is None else not known
        case Every(parts):
            # INVARIANT: no condition at all is unknown, so that it never opens anything.
            return all_of(holds(part, value, resolve, now) for part in parts) if parts else None
        case Equal(operand):
            return _equal(value, _resolved(operand, resolve))
        case OneOf(operands):
            return _one_of(operands, value, resolve)
        case Bound():
            return _bounded(matcher, value, resolve)
        case Within(span):
            return _within(span, value, now)
        case Prefix(operand):
            start = _resolved(operand, resolve)
            return value.startswith(start) if isinstance(value, str) and isinstance(start, str) else None
        case Glob(pattern):
            return glob_matches(pattern, value) if isinstance(value, str) else None


def checker(matcher: Matcher, resolve: Resolve, now: datetime) -> Callable[[object], bool | None]:
    """Return `holds` for one matcher and many values."""
    expected = _resolved(matcher.operand, resolve) if isinstance(matcher, Equal) else None
    kind = type(expected)
    if kind is not int and kind is not str:
        return lambda value: holds(matcher, value, resolve, now)
    # The usual case: `_equal` with what does not change taken out of it.
    return lambda value: value == expected if type(value) is kind else _equal(value, expected)


def all_of(parts: Iterable[bool | None]) -> bool | None:
    """Kleene's conjunction: False if one is False, else unknown if one is unknown; True of nothing."""
    unknown = False
    for part in parts:
        if part is False:
            return False
        unknown = unknown or part is None
    return None if unknown else True


def any_of(parts: Iterable[bool | None]) -> bool | None:
    """Kleene's disjunction: True if one is True, else unknown if one is unknown; False of nothing."""
    unknown = False
    for part in parts:
        if part is True:
            return True
        unknown = unknown or part is None
    return None if unknown else False


def compare(left: object, right: object) -> int | None:
    """Return -1, 0 or 1; None when the two cannot be compared. Numbers exactly, strings by code point.

    A date compared with a moment is its midnight in UTC. A bool equals a bool and has no order with anything.
    """
    if isinstance(left, UUID) != isinstance(right, UUID):
        left, right = _as_uuid(left), _as_uuid(right)
    first, second = comparable(left), comparable(right)
    if isinstance(first, bool) or isinstance(second, bool):
        return 0 if isinstance(first, bool) and isinstance(second, bool) and first == second else None
    if isinstance(first, int | Decimal) and isinstance(second, int | Decimal):
        return (first > second) - (first < second)
    if isinstance(first, str) and isinstance(second, str):
        return (first > second) - (first < second)
    if isinstance(first, date) and isinstance(second, date):
        if isinstance(first, datetime) or isinstance(second, datetime):
            first, second = _moment(first), _moment(second)
            if first is None or second is None:
                return None
        return (first > second) - (first < second)
    return None


def _as_uuid(value: object) -> UUID | None:
    try:
        return value if isinstance(value, UUID) else UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None


def comparable(value: object) -> Scalar | None:
    """Return the exact scalar that a value stands for, None if it is none (NaN, a naive moment, a list, …)."""
    if isinstance(value, float):
        value = Decimal(repr(value))
    if isinstance(value, Decimal):
        return None if value.is_nan() else value
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime):
        return value if value.tzinfo is not None else None
    return value if isinstance(value, str | int | date) else None


def _equal(value: object, operand: object) -> bool | None:
    if type(value) is type(operand) and isinstance(value, int | str):  # the usual case, in a third of the time
        return value == operand
    order = compare(value, operand)
    return None if order is None else order == 0


def _one_of(operands: Sequence[Operand], value: object, resolve: Resolve) -> bool | None:
    if value is None:
        return None
    candidates: list[object] = []
    for operand in operands:
        found = _resolved(operand, resolve)
        candidates.extend(found) if isinstance(found, tuple) else candidates.append(found)
    return any_of(_equal(value, candidate) for candidate in candidates)


def _bounded(bound: Bound, value: object, resolve: Resolve) -> bool | None:
    results: list[bool | None] = []
    for operand, admitted in ((bound.min, (0, 1)), (bound.max, (-1, 0)), (bound.over, (1,)), (bound.under, (-1,))):
        if operand is not None:
            resolved = _resolved(operand, resolve)
            ordered = not isinstance(value, bool) and not isinstance(resolved, bool)
            order = compare(value, resolved) if ordered else None
            results.append(None if order is None else order in admitted)
    return all_of(results) if results else None


def _within(span: timedelta, value: object, now: datetime) -> bool | None:
    moment = _moment(value) if isinstance(value, date) else _read_moment(value)
    return None if moment is None else timedelta(0) <= now - moment <= span


def _moment(value: date) -> datetime | None:
    if isinstance(value, datetime):
        return value if value.tzinfo is not None else None
    return datetime.combine(value, time(), UTC)


def _read_moment(value: object) -> datetime | None:
    """Return the moment that a text is, as JSON has them: date, time and offset, or nobody knows which moment it is."""
    if not isinstance(value, str) or not _MOMENT.fullmatch(value):
        return None
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None


def _resolved(operand: Operand, resolve: Resolve) -> Claim | None:
    return resolve(operand) if isinstance(operand, Ref) else operand


def _is_empty(value: object) -> bool:
    if value is None or value == "":
        return True
    return isinstance(value, list | tuple | dict) and not cast("Sequence[object]", value)
