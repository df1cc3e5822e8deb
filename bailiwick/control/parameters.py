"""The parameters of an operation: read from a request, each by its kind, and described in OpenAPI's words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import cast

from bailiwick.control.operations import Field, Kind, Operation
from bailiwick.control.web import Asked, Json, Reply, json_object, problem
from bailiwick.gateway.wire import Json as WireJson

_most_records = 1000
_most_values = 50
_longest_text = 4096
_longest_words = 2000
longest_query = 500
_longest_file = 192 * 1024


def given(operation: Operation, asked: Asked) -> dict[str, WireJson] | Reply:
    """Return the parameters of a request, or what is wrong with them; each is checked again by whoever takes it."""
    known = {field.name: field for field in operation.fields}
    found: dict[str, WireJson] = {}
    if operation.method == "GET":
        for name, text in asked.query.items():
            field = known.get(name)
            value = None if field is None else _from_query(field, text)
            if value is None:
                return problem(400, "protocol", "a parameter of the query is not known, or of another kind")
            found[name] = value
    elif asked.body:
        if asked.media != "application/json":
            return problem(415, "protocol", "the body is to be `application/json`")
        body = json_object(asked)
        if body is None or asked.query:
            return problem(400, "protocol", "the body is not an object of JSON, or there is a query too")
        found.update(cast("dict[str, WireJson]", body))
    elif asked.query:
        return problem(400, "protocol", "there is no query here")
    unknown = [name for name in found if name not in known]
    if unknown:
        return problem(400, "protocol", "a field is not known", ", ".join(known) or "there is none")
    missing = [name for name, field in known.items() if field.needed and found.get(name) is None]
    wrong = missing or [name for name, value in found.items() if not _fits(known[name], value)]
    if wrong:
        return problem(400, "protocol", f"`{wrong[0]}` is missing, or of another kind", known[wrong[0]].says)
    if operation.of:
        found[operation.of] = asked.part
    return found


def _fits(field: Field, value: WireJson) -> bool:
    """Return whether a value is of a field's kind, as it is described."""
    match field.kind:
        case "flag":
            return isinstance(value, bool)
        case "number" | "count":
            return isinstance(value, int) and not isinstance(value, bool) and value >= 0
        case "texts":
            return isinstance(value, list) and len(value) <= _most_values and all(map(_is_text, value))
        case "object":
            return isinstance(value, dict) and len(value) <= _most_values
        case "named" | "claims" | "files":
            if not isinstance(value, dict) or len(value) > _most_values:
                return False
            longest = _longest_file if field.kind == "files" else _longest_text
            many = field.kind == "claims"
            return all(
                _is_text(each, longest, least=0)
                or (many and isinstance(each, list) and all(_is_text(one, least=0) for one in each))
                for each in value.values()
            )
        case "words":
            return _is_text(value, _longest_words) and bool(str(value).strip())
        case "moment" | "decision" | "verdict" | "form" | "month":
            return isinstance(value, str) and re.fullmatch(str(schemas[field.kind]["pattern"]), value) is not None
        case "text" | "file":
            return _is_text(value, _longest_file if field.kind == "file" else _longest_text)


def _is_text(value: WireJson, longest: int = _longest_text, least: int = 1) -> bool:
    return isinstance(value, str) and least <= len(value) <= longest and "\0" not in value


def _from_query(field: Field, text: str) -> WireJson:
    if field.kind == "flag":
        return {"true": True, "false": False}.get(text)
    if field.kind == "number":
        fine = text.isascii() and text.isdigit() and len(text) < 5 and 0 < int(text) <= _most_records
        return int(text) if fine else None
    if field.kind == "count":
        return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None
    return text if 0 < len(text) <= longest_query and _fits(field, text) else None


_no_zero: Json = "^[^\\u0000]*$"
_some_text: Json = {"type": "string", "minLength": 1, "maxLength": _longest_text, "pattern": _no_zero}
_value: Json = {"type": "string", "maxLength": _longest_text, "pattern": _no_zero}
_file: Json = {"type": "string", "maxLength": _longest_file, "pattern": _no_zero}
_moment_shape: Json = (
    "^(19|20)[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-9]|3[01])"
    "T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?(Z|[+-](0[0-9]|1[0-3]):[0-5][0-9])$"
)
schemas: Mapping[Kind, Mapping[str, Json]] = {
    "flag": {"type": "boolean"},
    "text": _some_text,
    "texts": {"type": "array", "items": _some_text, "maxItems": _most_values},
    "named": {"type": "object", "additionalProperties": _value, "maxProperties": _most_values},
    "claims": {
        "type": "object",
        "additionalProperties": {"anyOf": [_value, {"type": "array", "items": _value}]},
        "maxProperties": _most_values,
    },
    "number": {"type": "integer", "minimum": 1, "maximum": _most_records},
    "count": {"type": "integer", "minimum": 0, "maximum": 10**15 - 1},
    "object": {"type": "object", "maxProperties": _most_values},
    "words": {
        "type": "string",
        "minLength": 1,
        "maxLength": _longest_words,
        "pattern": "^[^\\u0000]*[A-Za-z0-9][^\\u0000]*$",
    },
    "moment": {"type": "string", "pattern": _moment_shape},
    "decision": {"type": "string", "pattern": "^(allow|deny|hold)$"},
    "verdict": {"type": "string", "pattern": "^(keep|narrow|revoke|ask)$"},
    "form": {"type": "string", "pattern": "^(jsonl|csv|ocsf)$"},
    "month": {"type": "string", "pattern": "^(19|20)[0-9]{2}-(0[1-9]|1[0-2])$"},
    "file": {**_file, "minLength": 1},
    "files": {"type": "object", "additionalProperties": _file, "minProperties": 1, "maxProperties": _most_values},
}
