"""Matchers, values and spans in words that somebody reads who decides, and agents in denials."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime, timedelta

from bailiwick.model.matcher import Anything, Bound, Empty, Equal, Every, Glob, Matcher, Not, OneOf, Prefix, Within
from bailiwick.model.value import Operand, Ref

_units = (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1))
_plain_text = re.compile(r"[^\W\d_][\w .@/-]{0,39}")
_not_text = frozenset({"true", "false", "null", "any", "anything", "empty"})


def matcher_in_words(name: str, matcher: Matcher) -> str:
    """Return a condition on a named value, e.g. `status is open or closed`."""
    match matcher:
        case Anything():
            return f"{name} is anything"
        case Equal(operand):
            return f"{name} is {operand_in_words(operand)}"
        case OneOf(operands):
            return (
                f"{name} is {listed([operand_in_words(each) for each in operands], 'or')}"
                if operands
                else f"{name} never fits"
            )
        case Bound():
            return f"{name} is {_bound_in_words(matcher)}"
        case Within(span):
            return f"{name} is within the last {duration_in_words(span)}"
        case Prefix(operand):
            return f"{name} starts with {operand_in_words(operand)}"
        case Glob(pattern):
            return f"{name} looks like `{pattern}`"
        case Empty(expected):
            return f"{name} is {'empty' if expected else 'not empty'}"
        case Not(Equal(operand)):
            return f"{name} is not {operand_in_words(operand)}"
        case Not(OneOf(operands)):
            return f"{name} is none of {listed([operand_in_words(each) for each in operands])}"
        case Not(inner):
            return f"not ({matcher_in_words(name, inner)})"
        case Every(parts):
            return " and ".join(matcher_in_words(name, part) for part in parts) or f"{name} never fits"


def operand_in_words(operand: Operand) -> str:
    """Return a value, or where it comes from."""
    if isinstance(operand, Ref):
        of_user = len(operand.path) > 1 and operand.path[0] == "user"
        return f"the user's {'.'.join(operand.path[1:])}" if of_user else f"the session's {'.'.join(operand.path)}"
    if isinstance(operand, bool):
        return "true" if operand else "false"
    if isinstance(operand, datetime | date):
        return operand.isoformat()
    if isinstance(operand, str):
        return operand if _plain_text.fullmatch(operand) and operand not in _not_text else repr(operand)
    return str(operand)


def duration_in_words(span: timedelta) -> str:
    """Return a duration in its largest whole unit."""
    seconds = int(span.total_seconds())
    for unit, size in _units:
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size} {unit}{'' if seconds == size else 's'}"
    return f"{span.total_seconds():g} seconds"


def listed(names: Sequence[str], last: str = "and") -> str:
    """Return names as a list in a sentence."""
    return f"{', '.join(names[:-1])} {last} {names[-1]}" if len(names) > 1 else "".join(names)


def _bound_in_words(bound: Bound) -> str:
    ends = (("at least", bound.min), ("more than", bound.over), ("at most", bound.max), ("less than", bound.under))
    return " and ".join(f"{word} {operand_in_words(end)}" for word, end in ends if end is not None) or "impossible"
