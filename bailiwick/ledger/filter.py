"""The filter language of `ledger query`: a text, the tree that it means, and whether a record meets it.

    agent:support-bot decision:deny
    (resource:billing or resource:customers) and not code:session
    action:"tickets:read" rows>1000 at>=2h
    user:*@corp.example duration>=250ms detail.peer:10.*

A test is `field`, an operator and a value. `:` and `=` are the same: equal, one of `a,b`, or with `*` for any text; in
quotes a value stands for itself. `!=` is its opposite. `<`, `<=`, `>`, `>=` compare numbers and moments. Words without
a field are looked for anywhere in the record. Tests side by side must all hold; `or`, `not` and parentheses do what
they say. A member that a record does not have is the empty text, and compares with nothing.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal, NamedTuple, TypeVar, cast

from bailiwick.errors import LedgerError
from bailiwick.ledger.facts import RARE, UNUSUAL
from bailiwick.ledger.words import SQLITE, Words
from bailiwick.model.record import JsonValue

Comparison = Literal["=", "<", "<=", ">", ">="]
Moment = Callable[[str], datetime]
"""Reads a moment as people write it, e.g. `2h` or `2026-11-22`; raises ValueError."""

_MOST_TEXT = 4_000
_MOST_NESTED = 40


class Pattern(NamedTuple):
    """What a text is compared with: itself, or the pieces between the stars."""

    pieces: tuple[str, ...]

    @property
    def exact(self) -> bool:
        """Whether it has no star."""
        return len(self.pieces) == 1

    def meets(self, text: str) -> bool:
        """Return whether a text is meant."""
        return text == self.pieces[0] if self.exact else _compiled(self.pieces).fullmatch(text) is not None


@lru_cache(maxsize=1000)
def _compiled(pieces: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(piece) for piece in pieces), re.DOTALL)


@dataclass(frozen=True, slots=True)
class Texts:
    """A member, or one of a list's, is one of some texts."""

    field: str
    values: tuple[Pattern, ...]


@dataclass(frozen=True, slots=True)
class Number:
    """A member compares with a number."""

    field: str
    comparison: Comparison
    value: float


@dataclass(frozen=True, slots=True)
class When:
    """The moment of a record compares with another."""

    comparison: Comparison
    value: datetime


@dataclass(frozen=True, slots=True)
class Anywhere:
    """The words stand somewhere in the record, whatever their case."""

    words: str


@dataclass(frozen=True, slots=True)
class Not:
    """What it holds does not hold."""

    of: Filter


@dataclass(frozen=True, slots=True)
class All:
    """Everything in it holds; nothing in it holds always."""

    of: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Any:
    """Something in it holds."""

    of: tuple[Filter, ...]


Filter = Texts | Number | When | Anywhere | Not | All | Any

_MEMBERS = (
    *("id", "kind", "agent", "user", "session", "task", "mount", "decision", "code", "message", "statement"),
    *("policy", "refers", "purpose"),
)
_LISTS = {"action": "actions", "grant": "grants", "label": "labels", "chain": "chain"}
_NUMBERS = {"rows": "rows", "bytes": "bytes", "duration": "duration_us", "seq": "seq"}
_SAME = {"person": "user", "actions": "action", "grants": "grant", "labels": "label", "fields": "field"}
names = (*_MEMBERS, *_LISTS, "resource", "field", *_NUMBERS, "at")
"""What a test can be about, beside `detail.…`."""


def parse(text: str, moment: Moment) -> Filter:
    """Return what a text means; an empty one means every record. Raises LedgerError, which says where and why."""
    if len(text) > _MOST_TEXT:
        raise LedgerError(f"a filter has {_MOST_TEXT} characters at most", remedy="save parts of it as searches")
    return _Parser(text, moment).whole()


def meets(wanted: Filter, document: Mapping[str, JsonValue]) -> bool:
    """Return whether a decoded record meets a filter."""
    match wanted:
        case Texts(field, values):
            return any(value.meets(text) for text in _texts(document, field) for value in values)
        case Number(field, comparison, value):
            found = document.get(_NUMBERS[field])
            return type(found) in (int, float) and _compares(cast(float, found), comparison, value)
        case When(comparison, value):
            at = document.get("at")
            return isinstance(at, str) and _compares(at, comparison, _written(value))
        case Anywhere(words):
            return any(words.lower() in text.lower() for text in _words(dict(document)))
        case Not(of):
            return not meets(of, document)
        case All(of):
            return all(meets(each, document) for each in of)
        case Any(of):
            return any(meets(each, document) for each in of)


def _texts(document: Mapping[str, JsonValue], field: str) -> Iterator[str]:
    """Yield the texts that a test looks at; at least one, so that an empty one can be asked for."""
    if field.startswith("detail."):
        yield _detail(document, field.split(".")[1:])
    elif field in _LISTS:
        yield from _listed(document.get(_LISTS[field]))
    elif field == "resource":
        yield from {text.partition(":")[0] for text in _listed(document.get("actions"))}
    elif field == "field":
        touched = document.get("fields")
        members = touched if isinstance(touched, dict) else {}
        yield from (f"{name}.{each}" for name, found in members.items() for each in _listed(found) if each)
        yield from (each for found in members.values() for each in _listed(found))
        if not members:
            yield ""
    else:
        found = document.get(field)
        yield found if isinstance(found, str) else ""


def _listed(found: JsonValue) -> list[str]:
    texts = [each for each in found if isinstance(each, str)] if isinstance(found, list) else []
    return texts or [""]


def _words(value: JsonValue) -> Iterator[str]:
    """Yield every text and number of a record."""
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _words(each)
    elif value is not None:
        yield str(value)


def _detail(document: Mapping[str, JsonValue], path: list[str]) -> str:
    found: JsonValue = dict(document).get("detail")
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    if isinstance(found, str):
        return found
    return "" if found is None else json.dumps(found, ensure_ascii=False)


_Value = TypeVar("_Value", float, str)


def _compares(found: _Value, comparison: Comparison, value: _Value) -> bool:
    match comparison:
        case "=":
            return found == value
        case "<":
            return found < value
        case "<=":
            return found <= value
        case ">":
            return found > value
        case ">=":
            return found >= value


def _written(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


class Condition(NamedTuple):
    """A condition of SQL over the index `f` of a ledger, and the values that it binds."""

    text: str
    values: tuple[str | int | float, ...]


class _Tables(NamedTuple):
    prefix: str
    words: Words


_INDEXED = frozenset(("id", "kind", "agent", "user", "session", "task", "mount", "decision", "code", "refers"))


_USUAL = {"kind": (("call", "intent", "outcome"), RARE), "decision": (("", "allow"), UNUSUAL)}


def condition(wanted: Filter, tables: str, words: Words = SQLITE) -> Condition | None:
    """Return what every record that meets a filter also meets, for the index to find them by; None: nothing is known.

    `tables` stands before the names of the index's tables, in the dialect of `words`.
    """
    return _above(wanted, _Tables(tables, words))


def _above(wanted: Filter, tables: _Tables) -> Condition | None:
    """Return a condition that holds wherever the filter does."""
    match wanted:
        case Not(of):
            inner = _below(of, tables)
            return None if inner is None else Condition(f"NOT {inner.text}", inner.values)
        case All(of):
            found = [each for each in (_above(one, tables) for one in of) if each is not None]
            return _joined(found, " AND ") if found else None
        case Any(of):
            every = [_above(one, tables) for one in of]
            known = [each for each in every if each is not None]
            return _joined(known, " OR ") if known and len(known) == len(every) else None
        case _:
            return _exact(wanted, tables)


def _below(wanted: Filter, tables: _Tables) -> Condition | None:
    """Return a condition that holds only where the filter does; None: none is known."""
    match wanted:
        case Not(of):
            inner = _above(of, tables)
            return None if inner is None else Condition(f"NOT {inner.text}", inner.values)
        case All(of):
            every = [_below(one, tables) for one in of]
            known = [each for each in every if each is not None]
            return _joined(known, " AND ") if known and len(known) == len(every) else None
        case Any(of):
            found = [each for each in (_below(one, tables) for one in of) if each is not None]
            return _joined(found, " OR ") if found else None
        case _:
            return _exact(wanted, tables)


def _joined(conditions: list[Condition], word: str) -> Condition:
    values = tuple(value for each in conditions for value in each.values)
    return Condition("(" + word.join(each.text for each in conditions) + ")", values)


def _exact(wanted: Filter, tables: _Tables) -> Condition | None:
    """Return the same test over the index, where it is one that the index can answer."""
    match wanted:
        case Texts(field, values) if field in _INDEXED:
            found = _joined([_column(f'f."{field}"', value, tables.words) for value in values], " OR ")
            usual = _USUAL.get(field)
            if usual is None or any(not value.exact or value.pieces[0] in usual[0] for value in values):
                return found
            return Condition(f"({found.text} AND f.{usual[1]})", found.values)
        case Texts("action", values) if all(value.exact and value.pieces[0] for value in values):
            return _acting(" OR ".join("action = ?" for _ in values), tuple(v.pieces[0] for v in values), tables)
        case Texts("resource", values) if all(value.exact and value.pieces[0] for value in values):
            # `;` follows `:` in ASCII, so this range is every action of the resource, and an index serves it.
            ranges = " OR ".join("action = ? OR action >= ? AND action < ?" for _ in values)
            bounds = tuple(bound for v in values for bound in (v.pieces[0], v.pieces[0] + ":", v.pieces[0] + ";"))
            return _acting(ranges, bounds, tables)
        case When(comparison, value):
            return Condition(f"f.at {comparison} ?", (_written(value),))
        case Number("seq", comparison, value) if abs(value) < 2**53 and value == int(value):
            return Condition(f"f.seq {comparison} ?", (int(value),))
        case _:
            return None


def _acting(test: str, values: tuple[str, ...], tables: _Tables) -> Condition:
    return Condition(f"f.seq IN (SELECT seq FROM {tables.prefix}accesses WHERE {test})", values)  # noqa: S608 -- names of our own


def _column(name: str, value: Pattern, words: Words) -> Condition:
    if value.exact:
        return Condition(f"{name} = ?", (value.pieces[0],))
    comparison, text = words.like(value.pieces)
    return Condition(f"{name} {comparison}", (text,))


_LEXEME = re.compile(
    r"""\s*(?:(?P<bracket>[()])
      |(?P<test>[A-Za-z_][A-Za-z0-9_.-]*)(?P<operator>:|!=|<=|>=|=|<|>)
      |(?P<quoted>"(?:[^"\\]|\\.)*")
      |(?P<word>[^\s()"]+))""",
    re.VERBOSE,
)
_VALUE = re.compile(r'"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<word>[^\s()",]+)|(?P<none>(?=\s|\)|$))')


class _Parser:
    """One text, read from left to right."""

    def __init__(self, text: str, moment: Moment) -> None:
        self._text = text
        self._moment = moment
        self._place = 0
        self._depth = 0

    def whole(self) -> Filter:
        found = self._any()
        if self._rest():
            raise self._wrong("a `)` has no `(`")
        return found

    def _rest(self) -> str:
        return self._text[self._place :].lstrip()

    def _at_word(self, word: str) -> bool:
        found = re.match(rf"\s*{word}(?=[\s(]|$)", self._text[self._place :], re.IGNORECASE)
        if found is None:
            return False
        self._place += found.end()
        return True

    def _any(self) -> Filter:
        found = [self._all()]
        while self._at_word("or"):
            found.append(self._all())
        if len(found) > 1 and All(()) in found:
            raise self._wrong("nothing stands beside an `or`")
        return found[0] if len(found) == 1 else Any(tuple(found))

    def _all(self) -> Filter:
        found: list[Filter] = []
        while (rest := self._rest()) and not rest.startswith(")") and not re.match(r"or(?=[\s(]|$)", rest, re.I):
            if self._at_word("and"):
                continue
            found.append(self._one())
        return found[0] if len(found) == 1 else All(tuple(found))

    def _one(self) -> Filter:
        self._depth += 1
        if self._depth > _MOST_NESTED:
            raise self._wrong("it is nested too deeply")
        try:
            if self._at_word("not"):
                if not self._rest():
                    raise self._wrong("nothing stands behind a `not`")
                return Not(self._one())
            return self._term()
        finally:
            self._depth -= 1

    def _term(self) -> Filter:
        found = _LEXEME.match(self._text, self._place)
        if found is None:
            raise self._wrong('a `"` is not closed')
        if found["bracket"] == ")":
            raise self._wrong("nothing stands before the `)`")
        begin, self._place = self._place, found.end()
        if found["bracket"]:
            inner = self._any()
            if not self._rest().startswith(")"):
                raise self._wrong("a `(` is not closed")
            self._place = self._text.index(")", self._place) + 1
            return inner
        if found["test"]:
            return self._test(found["test"], found["operator"], begin)
        return Anywhere(_unquoted(found["quoted"][1:-1]) if found["quoted"] else found["word"])

    def _test(self, field: str, operator: str, begin: int) -> Filter:
        name = _SAME.get(field.lower(), field if field.startswith("detail.") else field.lower())
        if name not in names and not (name.startswith("detail.") and all(name.split("."))):
            near = difflib.get_close_matches(name, [*names, *_SAME], 1)
            self._place = begin
            raise self._wrong(
                f"`{field}` is not a member of records",
                f"did you mean `{near[0]}`?" if near else f"there are {', '.join(names)} and `detail.NAME`",
            )
        values = [self._value()]
        while self._text.startswith(",", self._place):
            self._place += 1
            values.append(self._value())
        comparison: Comparison = cast("Comparison", "=" if operator in (":", "!=") else operator)
        made = [self._compared(name, comparison, value, quoted) for value, quoted in values]
        if comparison != "=" and len(made) > 1:
            raise self._wrong(f"`{operator}` compares with one value")
        if all(isinstance(each, Texts) for each in made):
            found: Filter = Texts(name, tuple(value for each in made for value in cast("Texts", each).values))
        else:
            found = made[0] if len(made) == 1 else Any(tuple(made))
        return Not(found) if operator == "!=" else found

    def _value(self) -> tuple[str, bool]:
        found = _VALUE.match(self._text, self._place)
        if found is None:
            raise self._wrong("a value is missing, or its quotes are not closed")
        self._place = found.end()
        if found["quoted"] is not None:
            return _unquoted(found["quoted"]), True
        return found["word"] or "", False

    def _compared(self, name: str, comparison: Comparison, value: str, quoted: bool) -> Filter:
        if name == "at":
            try:
                return When(comparison, self._moment(value))
            except (ValueError, OverflowError):
                raise self._wrong(
                    f"`{value}` is no time", "write `2026-11-22T08:00:00Z`, `2026-11-22` or `2h`"
                ) from None
        if name in _NUMBERS:
            return Number(name, comparison, self._number(name, value))
        if comparison != "=":
            raise self._wrong(f"`{name}` is a text: it is compared by `:` and `!=`")
        return Texts(name, (Pattern((value,) if quoted else _pieces(value)),))

    def _number(self, name: str, value: str) -> float:
        units = {"us": 1, "ms": 1_000, "s": 1_000_000, "min": 60_000_000} if name == "duration" else {"": 1}
        if name == "bytes":
            units |= {"KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
        found = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,6})?)([A-Za-z]*)", value)
        if found is None or found[2] not in units:
            known = ", ".join(f"`5{unit}`" for unit in units)
            raise self._wrong(f"`{value}` is no {name}", f"write a number as in {known}")
        number = float(found[1]) * units[found[2]]
        return int(number) if number.is_integer() else number

    def _wrong(self, message: str, remedy: str = "") -> LedgerError:
        at = len(self._text) - len(self._rest())
        return LedgerError(f"the filter is not understood at character {at + 1}: {message}", remedy=remedy)


def _pieces(value: str) -> tuple[str, ...]:
    pieces = value.split("*")
    return (pieces[0], *(piece for piece in pieces[1:-1] if piece), pieces[-1]) if len(pieces) > 1 else (value,)


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)
