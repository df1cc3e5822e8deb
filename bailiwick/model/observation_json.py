"""Observations as JSON: what stands in a record's `detail["used"]`, and on each line of a file of observations.

What is as it is by default is left out. Reading is strict: an unknown key or version, or a wrong type, is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import TypeVar, cast

from bailiwick.errors import ObservationError
from bailiwick.model.observation import (
    NOWHERE_KNOWN,
    Argument,
    Condition,
    Held,
    Link,
    Observation,
    Origin,
    Seen,
    TableUse,
    ToolUse,
    comparisons,
    origin_kinds,
    reaches,
    seeings,
    seen_types,
)
from bailiwick.model.record import JsonValue
from bailiwick.model.value import Scalar

VERSION = 1
_EXACT = 2**53
"""Beyond it JSON's readers lose digits: such an integer is written as text."""

_FAR = 300
"""Digits before or behind the point of a number."""
Object = dict[str, JsonValue]
T = TypeVar("T")


def to_json(seen: Observation) -> Object:
    """Return an observation as JSON."""
    return _full(
        ("v", VERSION),
        ("agent", seen.agent),
        ("session", seen.session),
        ("at", _moment(seen.at)),
        ("user", seen.user),
        ("task", seen.task),
        ("mount", seen.mount),
        ("record", seen.record),
        ("values", {name: seen_json(value) for name, value in seen.values.items()}),
        ("tables", [_table_json(use) for use in seen.tables]),
        ("tool", None if seen.tool is None else _tool_json(seen.tool)),
        ("more", [_tool_json(each) for each in seen.more]),
        ("statement", seen.statement),
        ("rows", seen.rows),
        ("bytes", seen.bytes),
        ("duration_us", seen.duration_us),
        ("cost", None if seen.cost is None else str(seen.cost)),
        ("decision", seen.decision),
        ("code", seen.code),
    )


def from_json(found: object) -> Observation:
    """Return the observation that JSON stands for; ObservationError where it is none."""
    each = _object(found, _OBSERVATION, "an observation")
    if each.get("v") != VERSION:
        raise _wrong(f"version `{each.get('v')}`", f"this program reads version {VERSION}")
    tool = each.get("tool")
    return Observation(  # most lines have few of these: what is not there is not looked for twice
        agent=_text(each, "agent", ""),
        session=_text(each, "session", ""),
        at=_read_moment(_text(each, "at")),
        user=_text(each, "user", "") if "user" in each else "",
        task=_text(each, "task", "") if "task" in each else "",
        mount=_text(each, "mount", ""),
        record=_text(each, "record", "") if "record" in each else "",
        values={name: read_seen(value) for name, value in _mapping(each, "values").items()},
        tables=_each(each, "tables", _read_table),
        tool=None if tool is None else _read_tool(tool),
        more=_each(each, "more", _read_tool) if "more" in each else (),
        statement=_text(each, "statement", "") if "statement" in each else "",
        rows=_count(each, "rows") if "rows" in each else None,
        bytes=_count(each, "bytes") if "bytes" in each else None,
        duration_us=_count(each, "duration_us") if "duration_us" in each else None,
        cost=_decimal(each, "cost") if "cost" in each else None,
        decision=_one_of(each, "decision", seeings, "") if "decision" in each else "",
        code=_text(each, "code", "") if "code" in each else "",
    )


def seen_json(seen: Seen) -> Object:
    """Return a value as JSON."""
    found = _full(
        ("type", seen.type),
        ("digest", seen.digest),
        ("shape", seen.shape),
        ("items", [seen_json(item) for item in seen.items]),
        ("whole", None if seen.whole else False),
        ("from", seen.origin.kind if seen.origin.kind != "unknown" else ""),
        ("from_name", seen.origin.name),
    )
    if seen.value is not None:  # empty text is a value
        found["value"] = _scalar_json(seen.value)
    return found


def read_seen(found: object) -> Seen:
    """Return the value that JSON stands for."""
    plain = cast("Object", found)
    if type(found) is dict and len(plain) == 2:  # the usual case, in a third of the time
        kind, value = plain.get("type"), plain.get("value")
        if kind == "string" and type(value) is str:
            return Seen("string", value)
        if kind == "integer" and type(value) is int:
            return Seen("integer", value)
    each = _object(plain, _SEEN, "a value")
    kind = _one_of(each, "type", seen_types)
    origin = NOWHERE_KNOWN
    if "from" in each or "from_name" in each:
        origin = Origin(_one_of(each, "from", origin_kinds, "unknown"), _text(each, "from_name", ""))
    if "value" not in each and "items" not in each and "whole" not in each:  # a digest, or its type alone
        return Seen(kind, None, _text(each, "digest", ""), _text(each, "shape", ""), (), True, origin)
    return Seen(
        type=kind,
        value=None if each.get("value") is None else _read_scalar(kind, each["value"]),
        digest=_text(each, "digest", ""),
        shape=_text(each, "shape", ""),
        items=_each(each, "items", read_seen),
        whole=_flag(each, "whole"),
        origin=origin,
    )


def _table_json(use: TableUse) -> Object:
    return _full(
        ("resource", use.resource),
        ("verb", use.verb),
        ("table", use.table),
        *((role, list[JsonValue](getattr(use, role))) for role in _ROLES),
        ("reach", use.reach if use.reach != "unknown" else ""),
        ("conditions", [_condition_json(each) for each in use.conditions]),
        ("links", [_full(("field", e.field), ("resource", e.resource), ("other", e.other)) for e in use.links]),
        ("holds", [held_json(each) for each in use.holds]),
        ("sets", [held_json(each) for each in use.sets]),
        ("rows", use.rows),
    )


def _condition_json(each: Condition) -> Object:
    values: list[JsonValue] = [seen_json(value) for value in each.values]
    return _full(("field", each.field), ("is", each.comparison), ("values", values))


def held_json(each: Held) -> Object:
    """Return what a column held as JSON."""
    values: list[JsonValue] = [seen_json(value) for value in each.values]
    return _full(("field", each.field), ("values", values), ("whole", None if each.whole else False))


def _tool_json(use: ToolUse) -> Object:
    given: list[JsonValue] = [_full(("name", e.name), ("value", seen_json(e.value))) for e in use.arguments]
    return _full(
        ("name", use.name),
        ("resource", use.resource),
        ("verb", use.verb),
        ("kind", use.kind if use.kind != "tool" else ""),
        ("arguments", given),
        ("read", list[JsonValue](use.read)),
        ("holds", [held_json(each) for each in use.holds]),
        ("effects", list[JsonValue](use.effects)),
    )


_ROLES = ("read", "filtered", "joined", "counted", "compared", "written")
_OBSERVATION = frozenset(
    {"v", "agent", "session", "at", "user", "task", "mount", "record", "values", "tables", "tool", "more"}
    | {"statement", "rows", "bytes", "duration_us", "cost", "decision", "code"}
)
_SEEN = frozenset({"type", "value", "digest", "shape", "items", "whole", "from", "from_name"})
_TABLE = frozenset({"resource", "verb", "table", "reach", "conditions", "links", "holds", "sets", "rows", *_ROLES})
_TOOL = frozenset({"name", "resource", "verb", "kind", "arguments", "read", "holds", "effects"})
_CONDITION = frozenset({"field", "is", "values"})
_LINK = frozenset({"field", "resource", "other"})
_HELD = frozenset({"field", "values", "whole"})
_ARGUMENT = frozenset({"name", "value"})


def _read_table(found: object) -> TableUse:
    each = _object(found, _TABLE, "a use of a table")
    return TableUse(
        resource=_text(each, "resource"),
        verb=_text(each, "verb"),
        table=_text(each, "table", "") if "table" in each else "",
        read=_texts(each, "read") if "read" in each else (),
        filtered=_texts(each, "filtered") if "filtered" in each else (),
        joined=_texts(each, "joined") if "joined" in each else (),
        counted=_texts(each, "counted") if "counted" in each else (),
        compared=_texts(each, "compared") if "compared" in each else (),
        written=_texts(each, "written") if "written" in each else (),
        reach=_one_of(each, "reach", reaches, "unknown") if "reach" in each else "unknown",
        conditions=_each(each, "conditions", _read_condition) if "conditions" in each else (),
        links=_each(each, "links", _read_link) if "links" in each else (),
        holds=_each(each, "holds", _read_held) if "holds" in each else (),
        sets=_each(each, "sets", _read_held) if "sets" in each else (),
        rows=_count(each, "rows") if "rows" in each else None,
    )


def _read_condition(found: object) -> Condition:
    each = _object(found, _CONDITION, "a condition")
    return Condition(_text(each, "field"), _one_of(each, "is", comparisons), _each(each, "values", read_seen))


def _read_link(found: object) -> Link:
    each = _object(found, _LINK, "a link")
    return Link(_text(each, "field"), _text(each, "resource"), _text(each, "other"))


def _read_held(found: object) -> Held:
    each = _object(found, _HELD, "what a column held")
    return Held(_text(each, "field"), _each(each, "values", read_seen), _flag(each, "whole"))


def _read_tool(found: object) -> ToolUse:
    each = _object(found, _TOOL, "a use of a tool")
    return ToolUse(
        name=_text(each, "name"),
        resource=_text(each, "resource", "") if "resource" in each else "",
        verb=_text(each, "verb", "") if "verb" in each else "",
        kind=_text(each, "kind", "") or "tool" if "kind" in each else "tool",
        arguments=_each(each, "arguments", _read_argument),
        read=_texts(each, "read") if "read" in each else (),
        holds=_each(each, "holds", _read_held) if "holds" in each else (),
        effects=_texts(each, "effects") if "effects" in each else (),
    )


def _read_argument(found: object) -> Argument:
    each = _object(found, _ARGUMENT, "an argument")
    return Argument(_text(each, "name"), read_seen(each.get("value")))


def _full(*members: tuple[str, object]) -> Object:
    """Return the members that say something: None, empty text, empty lists and mappings are left out."""
    return {name: cast(JsonValue, value) for name, value in members if value or value is False or value == 0}


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()


def _read_moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise _wrong(f"moment `{text}`") from error
    if found.tzinfo is None:
        raise _wrong(f"moment `{text}`", "it has no time zone")
    return found if found.tzinfo is UTC else found.astimezone(UTC)


def _scalar_json(value: Scalar) -> JsonValue:
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if -_EXACT < value < _EXACT else str(value)
    if isinstance(value, datetime):
        return _moment(value)
    return value.isoformat() if isinstance(value, date) else str(value)


def _read_scalar(kind: str, found: JsonValue) -> Scalar:
    if kind == "boolean" and isinstance(found, bool):
        return found
    if kind == "integer" and isinstance(found, int) and not isinstance(found, bool):
        return found
    if isinstance(found, str):
        try:
            return _of_text(kind, found)
        except (ValueError, InvalidOperation) as error:
            raise _wrong(f"{kind} `{found[:80]}`") from error
    raise _wrong(f"value of type `{kind}`")


def _of_text(kind: str, found: str) -> Scalar:
    match kind:
        case "string" | "uuid":
            return found
        case "integer":
            return int(found)
        case "number":
            number = Decimal(found)
            if not number.is_finite() or abs(number.adjusted()) > _FAR:
                raise ValueError(found)
            return number
        case "date":
            return date.fromisoformat(found)
        case "timestamp":
            return _read_moment(found)
        case _:
            raise ValueError(found)


def _object(found: object, known: frozenset[str], what: str) -> Mapping[str, JsonValue]:
    if not isinstance(found, dict):
        raise _wrong(what, "it is no object")
    each = cast("dict[str, JsonValue]", found)
    if not known.issuperset(each):
        unknown = min(str(name) for name in each if name not in known)
        raise _wrong(what, f"unknown key `{unknown[:80]}`")
    return each


def _text(each: Mapping[str, JsonValue], name: str, default: str | None = None) -> str:
    value = each.get(name, default)
    if not isinstance(value, str):
        raise _wrong(f"`{name}`", "it is no text")
    return value


def _texts(each: Mapping[str, JsonValue], name: str) -> tuple[str, ...]:
    value = each.get(name)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _wrong(f"`{name}`", "it is no list of texts")
    return tuple(cast("list[str]", value))


def _each(each: Mapping[str, JsonValue], name: str, read: Callable[[object], T]) -> tuple[T, ...]:
    value = each.get(name)
    if value is None:
        return ()
    if not isinstance(value, list):
        raise _wrong(f"`{name}`", "it is no list")
    return tuple([read(item) for item in value])


def _mapping(each: Mapping[str, JsonValue], name: str) -> Mapping[str, JsonValue]:
    value = each.get(name, {})
    if not isinstance(value, dict):
        raise _wrong(f"`{name}`", "it is no object")
    return value


def _count(each: Mapping[str, JsonValue], name: str) -> int | None:
    value = each.get(name)
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    raise _wrong(f"`{name}`", "it is no count")


def _decimal(each: Mapping[str, JsonValue], name: str) -> Decimal | None:
    if each.get(name) is None:
        return None
    return cast(Decimal, _read_scalar("number", each[name]))


def _flag(each: Mapping[str, JsonValue], name: str) -> bool:
    value = each.get(name, True)
    if not isinstance(value, bool):
        raise _wrong(f"`{name}`", "it is neither true nor false")
    return value


def _one_of(each: Mapping[str, JsonValue], name: str, known: Iterable[T], default: T | None = None) -> T:
    value = each.get(name, default)
    for one in known:
        if value == one:
            return one
    raise _wrong(f"`{name}`", f"`{str(value)[:80]}` is none of {', '.join(str(one) for one in known if one)}")


def _wrong(what: str, why: str = "it cannot be read") -> ObservationError:
    return ObservationError(f"{what} in an observation: {why}", remedy="write it as docs/learn.md says")
