"""What a reviewer sees of an approval: what would run, and each row before and after. Values in, values out.

INVARIANT: a value of a field above somebody's clearance is in nothing that is made here for them; and whoever does not
see all of a request is told so, and does not approve it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from bailiwick.gateway.wire import Json
from bailiwick.model.label import Level, level_of, levels
from bailiwick.model.policy import Policy

MASKED = "•••"
Told = Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Field:
    """A value before and after; None: NULL, or there is none."""

    name: str
    before: str | None
    after: str | None
    changed: bool
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


def review(found: Told, policy: Policy, clearance: Level) -> Review:
    """Return a request, as the desk tells it in full, for somebody of a clearance."""
    whole = _seen(frozenset(cast("list[str]", found["labels"])), clearance)
    label = _labels(policy, cast("list[str]", found["actions"]))

    def visible(name: str) -> bool:
        labels = label(name)
        return whole if labels is None else _seen(labels, clearance)

    rows = tuple(_row(each, visible) for each in cast("Sequence[Told]", found["shown"]))
    text = str(found.get("statement", found.get("name", "")))
    arguments = _arguments(found) if whole else tuple(Argument(each.name, MASKED) for each in _arguments(found))
    hidden = not whole or any(field.masked for row in rows for field in row.fields)
    return Review(text if whole or found["kind"] != "statement" else MASKED, arguments, rows, hidden)


def _seen(labels: frozenset[str], clearance: Level) -> bool:
    return levels.index(level_of(labels)) <= levels.index(clearance)


def _labels(policy: Policy, actions: Sequence[str]) -> Callable[[str], frozenset[str] | None]:
    """Return what tells the labels of a field of the resources that actions name; None where no resource has it."""
    names = dict.fromkeys(action.partition(":")[0] for action in actions)
    resources = [found for name in names if (found := policy.resource(name)) is not None]

    def labels(field: str) -> frozenset[str] | None:
        found = {label for each in resources for label in each.labels.get(field, ())}
        return frozenset(found) if any(field in each.labels for each in resources) else None

    return labels


def _row(found: Told, visible: Callable[[str], bool]) -> Row:
    before = cast("Mapping[str, str | None] | None", found["before"])
    after = cast("Mapping[str, str | None] | None", found["after"])
    names = list(before or {})
    names += [name for name in after or {} if name not in names]
    fields: list[Field] = []
    for name in names:
        old, new = (before or {}).get(name), (after or {}).get(name)
        changed = before is None or after is None or old != new
        if visible(name):
            fields.append(Field(name, old, new, changed, masked=False))
        else:
            fields.append(Field(name, MASKED if before else None, MASKED if after else None, changed, masked=True))
    if before is None or after is None:
        kind, listed = ("created" if before is None else "deleted"), fields
    else:
        listed = [each for each in fields if each.changed]
        kind = "changed" if listed else "same"
    key = ", ".join(MASKED if not visible("") else str(each) for each in cast("list[Json]", found["key"]))
    return Row(key, kind, tuple(listed), len(fields) - len(listed))


def _arguments(found: Told) -> tuple[Argument, ...]:
    if "statement" in found:
        given = found["parameters"]
        values = given.get("values") if isinstance(given, dict) else None
        listed = values if isinstance(values, list) else []
        return tuple(Argument(f"${place}", _json(value)) for place, value in enumerate(listed, 1))
    given = found.get("arguments")
    return tuple(Argument(name, _json(value)) for name, value in given.items()) if isinstance(given, dict) else ()


def _json(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False)


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
