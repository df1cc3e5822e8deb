"""Implication between matchers and filters: does one admit only what the other admits too?

For comparing policies, never for enforcing them. None means that it cannot be decided here.
"""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime
from decimal import Decimal

from bailiwick.match.evaluate import all_of, any_of, compare, holds
from bailiwick.model.matcher import Anything, Bound, Empty, Equal, Every, Glob, Matcher, Not, OneOf, Prefix, Within
from bailiwick.model.scope import RowFilter
from bailiwick.model.value import Operand, Ref, Scalar

_SOME_MOMENT = datetime(2000, 1, 1, tzinfo=UTC)


def implies(narrow: Matcher, wide: Matcher) -> bool | None:
    """Return whether every value that `narrow` matches is matched by `wide`."""
    if narrow == wide or isinstance(wide, Anything) or narrow == OneOf(()):
        return True
    if isinstance(wide, Every):
        return all_of(implies(narrow, part) for part in wide.parts) if wide.parts else None
    if isinstance(narrow, Every):
        return True if any(implies(part, wide) for part in narrow.parts) else None
    operands = _operands(narrow)
    if operands is not None:
        return all_of(_operand_within(operand, wide) for operand in operands)
    match narrow, wide:
        case Anything(), _:
            return False
        case Bound(), Bound():
            return _bound_within(narrow, wide)
        case Within(short), Within(long):
            return short <= long
        case Prefix(str() as longer), Prefix(str() as shorter):
            return longer.startswith(shorter)
        case Bound() | Within(), Empty(False):
            return True
        case Prefix(str() as start), Empty(False):
            return start != "" or None
        case Not(inner), Not(other):
            return _excluded_within(inner, other)
        case _:
            return None


def filter_implies(narrow: RowFilter, wide: RowFilter) -> bool | None:
    """Return whether every row that `narrow` admits is admitted by `wide`."""
    parts: list[bool | None] = []
    for column, matcher in wide.conditions:
        mine = [implies(each, matcher) for name, each in narrow.conditions if name == column]
        # an undecided predicate, or a conjunction of several conditions, could still imply it
        single = len(mine) < 2 and narrow.sql is None
        found = any_of(mine)
        parts.append(found if found or single else None)
    if wide.sql is not None:
        same = narrow.sql is not None and narrow.sql.split() == wide.sql.split()
        parts.append(True if same else (False if narrow == RowFilter() else None))
    return all_of(parts)


def _operands(matcher: Matcher) -> tuple[Operand, ...] | None:
    if isinstance(matcher, Equal):
        return (matcher.operand,)
    return matcher.operands if isinstance(matcher, OneOf) else None


def _operand_within(operand: Operand, wide: Matcher) -> bool | None:
    """Return whether a value equal to the operand is matched by `wide`."""
    if isinstance(operand, Ref):
        others = wide.operands if isinstance(wide, OneOf) else ()
        return True if operand in others else None
    if _depends(wide):
        known = isinstance(wide, OneOf) and any(_same(operand, other) for other in wide.operands)
        return True if known else None
    found = holds(wide, operand, lambda _: None, _SOME_MOMENT)
    if found and isinstance(operand, str) and isinstance(wide, Not) and not _apart(operand, wide.inner):
        return None
    return found


def _apart(value: str, inner: Matcher) -> bool:
    """Return whether a text is surely none of those that are excluded, whatever a column takes for equal.

    A column may be `citext` or have a nondeterministic collation: then `a` also matches `A`, or `à`."""
    operands = _operands(inner)
    if operands is not None:
        return all(_letters(value) != _letters(each) for each in operands if isinstance(each, str)) and _is_plain(value)
    if isinstance(inner, Prefix) and isinstance(inner.operand, str):
        return not _letters(value).startswith(_letters(inner.operand)) and _is_plain(value)
    return not isinstance(inner, Glob | Not | Every)


def _letters(value: str) -> str:
    """Return what of a text the coarsest collations compare by: no case, accents, signs, and no leading zeros."""
    plain = unicodedata.normalize("NFKD", value).casefold()
    return "".join(each for each in plain if each.isalnum()).lstrip("0")


def _is_plain(value: str) -> bool:
    """Whether it is known which letters are the same: of letters beyond ASCII a collation decides (`ø` is an `o`)."""
    return _letters(value).isascii()


def _same(left: Operand, right: Operand) -> bool:
    return not isinstance(left, Ref) and not isinstance(right, Ref) and compare(left, right) == 0


def _depends(matcher: Matcher) -> bool:
    """Return whether the matcher depends on the session or the clock."""
    match matcher:
        case Equal(operand) | Prefix(operand):
            return isinstance(operand, Ref)
        case OneOf(operands):
            return any(isinstance(operand, Ref) for operand in operands)
        case Bound(low, high, over, under):
            return any(isinstance(operand, Ref) for operand in (low, high, over, under))
        case Not(inner):
            return _depends(inner)
        case Every(parts):
            return any(_depends(part) for part in parts)
        case Within():
            return True
        case _:
            return False


def _bound_within(narrow: Bound, wide: Bound) -> bool | None:
    results: list[bool | None] = []
    for limit, closed, mine in (
        (wide.min, True, ((narrow.min, True), (narrow.over, False))),
        (wide.over, False, ((narrow.min, True), (narrow.over, False))),
    ):
        if limit is not None:
            results.append(any_of(_beyond(end, end_closed, limit, closed, 1) for end, end_closed in mine))
    for limit, closed, mine in (
        (wide.max, True, ((narrow.max, True), (narrow.under, False))),
        (wide.under, False, ((narrow.max, True), (narrow.under, False))),
    ):
        if limit is not None:
            results.append(any_of(_beyond(end, end_closed, limit, closed, -1) for end, end_closed in mine))
    return all_of(results) if results else None


def _beyond(end: Operand | None, end_closed: bool, limit: Operand, closed: bool, side: int) -> bool | None:
    """Return whether everything beyond `end` (to the side: 1 above, -1 below) is beyond `limit`."""
    if end is None:
        return False
    if isinstance(end, Ref) or isinstance(limit, Ref):
        order = 0 if end == limit else None
    else:
        order = None if isinstance(end, str) else compare(end, limit)
    if order is None:
        return None
    return order == side or (order == 0 and (closed or not end_closed))


def _excluded_within(inner: Matcher, other: Matcher) -> bool | None:
    """Return whether what is known not to match `inner` is known not to match `other`.

    Decided for plain values of one type only: elsewhere one of them can be unknown where the other is not.
    """
    first, second = _operands(inner), _operands(other)
    if first is None or second is None:
        return None
    mine = [each for each in first if not isinstance(each, Ref)]
    theirs = [each for each in second if not isinstance(each, Ref)]
    if len(mine) < len(first) or len(theirs) < len(second) or len({_kind(each) for each in (*mine, *theirs)}) > 1:
        return None
    return all(any(_same(each, excluded) for excluded in mine) for each in theirs)


def _kind(value: Scalar) -> str:
    number = isinstance(value, int | Decimal) and not isinstance(value, bool)
    return "number" if number else type(value).__name__
