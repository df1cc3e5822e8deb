"""An approval as a page shows it: what would run, and each row before and after. Values in, values out.

The desk tells somebody no more than their clearance lets them see; nothing is hidden here that it did not hide.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from bailiwick.gateway.wire import Json
from bailiwick.ledger.clearance import HIDDEN

MASKED = "•••"
Told = Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Field:
    """A value before and after; None: NULL, or there is none."""

    name: str
    before: str | None
    after: str | None
    masked: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a preview."""

    key: str
    kind: str
    """`changed`, `created`, `deleted` or `same`."""
    fields: tuple[Field, ...]
    unchanged: int
    """How many fields stay as they are, which are not listed."""


@dataclass(frozen=True, slots=True)
class Argument:
    """A parameter of a statement, or an argument of a call."""

    name: str
    value: str
    """As JSON."""


@dataclass(frozen=True, slots=True)
class Review:
    """A request as a reviewer sees it."""

    text: str
    arguments: tuple[Argument, ...]
    rows: tuple[Row, ...]
    hidden: bool
    """Whether something of it is above the reviewer's clearance."""


def review(found: Told) -> Review:
    """Return a request as a page shows it, from what the desk tells somebody of it."""
    rows = tuple(_row(each) for each in cast("Sequence[Told]", found["shown"]))
    text = str(found.get("statement", found.get("name", "")))
    return Review(_masked(text), _arguments(found), rows, bool(found["hidden"]))


def _row(found: Told) -> Row:
    before = cast("Mapping[str, str | None] | None", found["before"])
    after = cast("Mapping[str, str | None] | None", found["after"])
    changed, hidden = cast("list[str]", found["changed"]), cast("list[str]", found["hidden"])

    def value(side: Mapping[str, str | None] | None, name: str) -> str | None:
        if name in hidden:
            return None if side is None else MASKED
        return (side or {}).get(name)

    names: list[str] = [*(before or {})]
    names += [name for name in after or {} if name not in names]
    listed = [name for name in names if name in changed]
    fields = tuple(Field(name, value(before, name), value(after, name), masked=name in hidden) for name in listed)
    kind = "created" if before is None else "deleted" if after is None else "changed" if listed else "same"
    key = ", ".join(_masked(str(each)) for each in cast("list[Json]", found["key"]))
    return Row(key, kind, fields, len(names) - len(fields))


def _masked(text: str) -> str:
    return MASKED if text == HIDDEN else text


def _arguments(found: Told) -> tuple[Argument, ...]:
    if "statement" in found:
        given = found["parameters"]
        values = given.get("values") if isinstance(given, dict) else None
        listed = values if isinstance(values, list) else []
        return tuple(Argument(f"${place}", _json(value)) for place, value in enumerate(listed, 1))
    given = found.get("arguments")
    return tuple(Argument(name, _json(value)) for name, value in given.items()) if isinstance(given, dict) else ()


def _json(value: Json) -> str:
    return MASKED if value == HIDDEN else json.dumps(value, ensure_ascii=False)


def changes(found: Told, form: Mapping[str, str]) -> dict[str, Json]:
    """Return what a form changes: the statement, and arguments whose text differs. What is no JSON is text."""
    wanted: dict[str, Json] = {}
    statement = form.get("statement", "").strip()
    if "statement" in found and statement and statement != str(found["statement"]).strip():
        wanted["statement"] = statement
    for argument in _arguments(found):
        given = form.get(f"arg.{argument.name}")
        if given is not None and given.strip() != argument.value:
            wanted[argument.name] = _value(given.strip())
    return wanted


def _value(text: str) -> Json:
    try:
        return cast("Json", json.loads(text))
    except (ValueError, RecursionError):
        return text
