"""Conditions (`when:`): CEL over `session`, `resource` and, for tools, `args`; three-valued at evaluation.

Owns the bounds that keep a condition cheap and the process alive. Never decides what an unknown means: the caller does
(it counts against the agent).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import lru_cache
from types import ModuleType
from typing import TYPE_CHECKING

from bailiwick.errors import PolicyError

if TYPE_CHECKING:
    from cel import Program

CelInput = str | int | float | bool | date | Decimal | Sequence["CelInput"] | Mapping[str, "CelInput"] | None
"""What a condition may look at. None, and numbers that CEL cannot hold exactly, count as missing."""
CelValue = str | int | float | bool | datetime | list["CelValue"] | dict[str, "CelValue"]

longest = 4096
"""Bytes of a condition's text."""
most_operators = 256
deepest = 32
names: tuple[str, ...] = ("session", "resource", "args")

_macros = frozenset({"all", "exists", "exists_one", "map", "filter"})
_functions = frozenset(
    {"bytes", "contains", "double", "duration", "endsWith", "has", "int", "matches", "max", "min", "size", "startsWith"}
    | {"string", "timestamp", "type", "uint", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getFullYear"}
    | {"getHours", "getMilliseconds", "getMinutes", "getMonth", "getSeconds"}
)
_types = frozenset(
    {"bool", "bytes", "double", "int", "list", "map", "null_type", "string", "timestamp", "type", "uint"}
)
_token = re.compile(
    r"""(?P<blank>\s+|//[^\n]*)
    | (?P<raw>(?:[rR][bB]?|[bB][rR])(?:'{3}.*?'{3}|"{3}.*?"{3}|'[^'\n]*'|"[^"\n]*"))
    | (?P<text>[bB]?(?:'{3}(?:[^\\]|\\.)*?'{3}|"{3}(?:[^\\]|\\.)*?"{3}|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"))
    | (?P<number>\d[\w.]*)
    | (?P<name>[A-Za-z_]\w*)
    | (?P<operator>&&|\|\||[=!<>]=|[-+*/%<>!?])
    | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Condition:
    """A compiled condition. Safe to keep and to share between threads."""

    text: str
    uses: tuple[str, ...]
    """Those of `names` that it reads."""
    _program: Program

    def evaluate(
        self,
        session: Mapping[str, CelInput],
        resource: Mapping[str, CelInput],
        args: Mapping[str, CelInput] | None = None,
    ) -> bool | None:
        """Return the truth of the condition; None when it fails in any way or yields something else than a bool."""
        given = {"session": session, "resource": resource, "args": args}
        if args is None and "args" in self.uses:
            return None
        try:
            result: object = self._program.execute({name: _mapping(given[name] or {}) for name in self.uses})
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError):
            return None
        return result if isinstance(result, bool) else None


@lru_cache(maxsize=2048)
def compile_condition(text: str) -> Condition:
    """Compile CEL, or raise PolicyError: not CEL, beyond the bounds, or naming what a condition cannot see."""
    if len(text.encode("utf-8", "surrogatepass")) > longest:
        raise PolicyError(f"the condition is longer than {longest} bytes", remedy="split the grant, or use matchers")
    pieces = tuple(_tokens(text))
    bound = _check_size(pieces)
    # Most commands need no CEL. Its package imports an interactive shell of its own, which costs a second at start-up
    # and is never used here, so an empty module stands in for it.
    sys.modules.setdefault("cel.cli", ModuleType("cel.cli"))
    import cel

    try:
        program = cel.compile(text)
    except ValueError as error:
        raise PolicyError(f"`{_short(text)}` is not CEL: {_first_line(error)}") from error
    free = [name for name in program.variables() if name not in bound and name not in _types]
    for name in free:
        if name not in names:
            raise PolicyError(f"`{name}` is unknown in a condition", remedy="use `session`, `resource` or `args`")
    for name in program.functions():
        if name.isidentifier() and not name.startswith("_") and name not in _functions:
            raise PolicyError(f"`{name}()` is not a function of conditions")
    return Condition(text, tuple(name for name in names if name in free), program)


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    for found in _token.finditer(text):
        kind = found.lastgroup or "other"
        if kind != "blank":
            yield kind, found.group()


def _check_size(pieces: Sequence[tuple[str, str]]) -> frozenset[str]:
    """Refuse long chains, deep nesting and a comprehension inside another; return the names comprehensions bind."""
    operators = 0
    open_brackets: list[bool] = []  # True: the brackets of a comprehension
    bound: set[str] = set()
    for place, (kind, piece) in enumerate(pieces):
        operators += kind == "operator" or piece == "in"
        if kind != "other":
            continue
        if piece in ")]}" and open_brackets:
            open_brackets.pop()
        elif piece in "([{":
            macro = piece == "(" and place >= 2 and pieces[place - 2][1] == "." and pieces[place - 1][1] in _macros
            if macro and any(open_brackets):
                raise PolicyError("a comprehension inside another one is not allowed in a condition")
            if macro and place + 1 < len(pieces):
                bound.add(pieces[place + 1][1])
            open_brackets.append(macro)
            if len(open_brackets) > deepest:
                raise PolicyError(f"the condition nests deeper than {deepest} brackets")
    if operators > most_operators:
        raise PolicyError(f"the condition has more than {most_operators} operators", remedy="use a list and `in`")
    return frozenset(bound)


def _mapping(given: Mapping[str, CelInput]) -> dict[str, CelValue]:
    converted = ((key, _value(value)) for key, value in given.items())
    return {key: value for key, value in converted if value is not None}


def _value(value: CelInput) -> CelValue | None:
    """Return what CEL gets: exact values only, the rest is missing."""
    if isinstance(value, bool | str | float | datetime):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else None
    if isinstance(value, Decimal):
        return _decimal(value)
    if isinstance(value, date):
        return datetime.combine(value, time(), UTC)
    if isinstance(value, Mapping):
        return _mapping(value)
    if value is None:
        return None
    items = [_value(item) for item in value]
    return None if any(item is None for item in items) else [item for item in items if item is not None]


def _decimal(value: Decimal) -> int | float | None:
    if not value.is_finite() or abs(value.adjusted()) > 300:
        return None
    if value == value.to_integral_value():
        return _whole(int(value))
    shown = float(value)
    return shown if Decimal(repr(shown)) == value else None


def _whole(value: int) -> int | None:
    return value if -(2**63) <= value < 2**63 else None


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else line[:57] + "..."


def _first_line(error: ValueError) -> str:
    text = str(error)
    found = re.search(r"ERROR: <input>:(\d+):(\d+): ([^\n]*)", text)
    return f"{found[3]} (line {found[1]}, column {found[2]})" if found else text.splitlines()[0][:200]
