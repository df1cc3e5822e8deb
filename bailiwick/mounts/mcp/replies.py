"""Results of `tools/call` as the agent gets them: filtered by its view, or a denial in words and as data. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from bailiwick.decide.denials import words_of
from bailiwick.decide.results import count, show
from bailiwick.model.decision import Denial
from bailiwick.mounts.mcp.contents import Looked, Result, Sight, blocks, data_of, no_data
from bailiwick.mounts.mcp.message import Json, write

_failed = "the tool failed; why it did is not shown in this session"
_nothing = "nothing of the result is in this session's scope"


def looked_at(sight: Sight, result: Mapping[str, Json]) -> Looked:
    """Return what of a server's result is shown. Where something is hidden, only JSON that was understood passes."""
    if sight.view.whole:
        plain = {key: result[key] for key in ("structuredContent", "isError") if key in result}
        content = blocks(result.get("content"), sight.readable)
        return Looked({"content": content, **plain}, _count(sight, result, content) if sight.counted else None)
    if result.get("isError") is True:
        return Looked({"content": [_text(_failed)], "isError": True})
    found = data_in(result)
    if found is no_data:
        return Looked({"content": [_text(_nothing)], "isError": False}, 0)
    shown = show(sight.view, found, sight.resolve, sight.now, sight.digest)
    if not shown.found:
        return Looked({"content": [_text(_nothing)], "isError": False}, 0)
    content = [_text(write(shown.value).decode())]
    value = shown.value
    if isinstance(result.get("structuredContent"), dict) and isinstance(value, dict):
        structured = cast("dict[str, Json]", value)
        return Looked({"content": content, "structuredContent": structured, "isError": False}, shown.items)
    return Looked({"content": content, "isError": False}, shown.items)


def _count(sight: Sight, result: Mapping[str, Json], content: Sequence[Json]) -> int:
    """Return how many items are shown: those of the JSON that a result holds, else its blocks of content."""
    found = data_in(result)
    return len(content) if found is no_data else count(sight.view, found)


def data_in(result: Mapping[str, Json]) -> Json:
    """Return the JSON that a result holds: as structured content, else as the one text that it is."""
    if "structuredContent" in result:
        return result["structuredContent"]
    content = result.get("content")
    values = [_parsed(block) for block in (cast("list[Json]", content) if isinstance(content, list) else [])]
    if not values or any(value is no_data for value in values):
        return no_data
    return values[0] if len(values) == 1 else values


def _parsed(block: Json) -> Json:
    if not isinstance(block, dict) or cast("dict[str, Json]", block).get("type") != "text":
        return no_data
    return data_of(cast("dict[str, Json]", block).get("text"))


def _text(text: str) -> Json:
    return {"type": "text", "text": text}


def denied(denial: Denial, record: str = "") -> Result:
    """Return a denial as a tool's error: in words for the model, and as data."""
    content = [_text(words_of(denial))]
    return {"content": content, "structuredContent": as_data(denial, record), "isError": True}


def as_data(denial: Denial, record: str = "") -> dict[str, Json]:
    """Return a denial for whoever acts on it."""
    more = {"allowed": denial.allowed, "remedy": denial.remedy, "action": denial.action, "decision": record}
    told: dict[str, Json] = {"code": denial.code, "message": denial.message}
    told |= {key: value for key, value in more.items() if value}
    return told if denial.retry_after is None else {**told, "retry_after": denial.retry_after}
