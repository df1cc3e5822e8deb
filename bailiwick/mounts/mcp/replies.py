"""Results of `tools/call` as the agent gets them: filtered by its view, or a denial in words and as data. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from bailiwick.decide.denials import words_of
from bailiwick.decide.results import View, show
from bailiwick.match.evaluate import Resolve
from bailiwick.match.masks import Digest
from bailiwick.model.decision import Denial
from bailiwick.mounts.mcp.message import Json, read_faithfully, write

Result = dict[str, Json]
_plain = ("content", "structuredContent", "isError")
_failed = "the tool failed; why it did is not shown in this session"
_nothing = "nothing of the result is in this session's scope"


@dataclass(frozen=True, slots=True)
class Looked:
    """A result as it is shown, and how many items of it are."""

    result: Result
    items: int | None = None


def looked_at(view: View, result: Mapping[str, Json], resolve: Resolve, now: datetime, digest: Digest) -> Looked:
    """Return what of a server's result is shown. Where something is hidden, only JSON that was understood passes."""
    if view.whole:
        return Looked({key: result[key] for key in _plain if key in result})
    if result.get("isError") is True:
        return Looked({"content": [_text(_failed)], "isError": True})
    found = _data(result)
    if found is _no_data:
        return Looked({"content": [_text(_nothing)], "isError": False}, 0)
    shown = show(view, found, resolve, now, digest)
    if not shown.found:
        return Looked({"content": [_text(_nothing)], "isError": False}, 0)
    content = [_text(write(shown.value).decode())]
    value = shown.value
    if isinstance(result.get("structuredContent"), dict) and isinstance(value, dict):
        structured = cast("dict[str, Json]", value)
        return Looked({"content": content, "structuredContent": structured, "isError": False}, shown.items)
    return Looked({"content": content, "isError": False}, shown.items)


_no_data = object()


def _data(result: Mapping[str, Json]) -> Json:
    """Return the JSON that a result holds: as structured content, else as the one text that it is."""
    if "structuredContent" in result:
        return result["structuredContent"]
    content = result.get("content")
    blocks = cast("list[Json]", content) if isinstance(content, list) else []
    values = [_parsed(block) for block in blocks]
    if not values or any(value is _no_data for value in values):
        return _no_data
    return values[0] if len(values) == 1 else values


def _parsed(block: Json) -> Json:
    if not isinstance(block, dict):
        return _no_data
    given = cast("dict[str, Json]", block)
    text = given.get("text")
    if given.get("type") != "text" or not isinstance(text, str):
        return _no_data
    try:
        found = read_faithfully(text.encode())
    except (ValueError, UnicodeEncodeError):
        return _no_data
    return cast("Json", found) if isinstance(found, dict | list) else _no_data


def _text(text: str) -> Json:
    return {"type": "text", "text": text}


def denied(denial: Denial, record: str = "") -> Result:
    """Return a denial as a tool's error: in words for the model, and as data."""
    more = {"allowed": denial.allowed, "remedy": denial.remedy, "action": denial.action}
    data: dict[str, Json] = {"code": denial.code, "message": denial.message}
    data |= {key: value for key, value in more.items() if value}
    if record:
        data["decision"] = record
    return {"content": [_text(words_of(denial))], "structuredContent": data, "isError": True}
