"""What documents, prompts and completions say, and the blocks of content in any result, as a session may see them.

No I/O. A link to a document is shown where the session may read that document, whatever else the result holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from bailiwick.decide.results import View, count, show
from bailiwick.match.evaluate import Resolve
from bailiwick.match.masks import Digest
from bailiwick.mounts.mcp.message import Json, read_faithfully, write

Result = dict[str, Json]
_BLOCKS: Mapping[str, frozenset[str]] = {
    "text": frozenset({"text"}),
    "image": frozenset({"data", "mimeType"}),
    "audio": frozenset({"data", "mimeType"}),
    "resource": frozenset({"resource"}),
    "resource_link": frozenset({"uri", "name", "title", "description", "mimeType", "size"}),
}
_EVERY_BLOCK = frozenset({"type", "annotations"})
_CONTENT = frozenset({"uri", "mimeType", "text", "blob"})
_ROLES = ("user", "assistant")
no_data = object()
"""What holds no JSON."""


@dataclass(frozen=True, slots=True)
class Sight:
    """The session's view on one result, and what is needed to look."""

    view: View
    resolve: Resolve
    now: datetime
    digest: Digest
    readable: Callable[[str], bool]
    """Whether the session may read the document of a URI."""
    counted: bool = False
    """Whether there is a ceiling on items, so that they are counted also where everything is shown."""


@dataclass(frozen=True, slots=True)
class Looked:
    """A result as it is shown, and how many items of it are."""

    result: Result
    items: int | None = None


def blocks(content: Json, readable: Callable[[str], bool]) -> list[Json]:
    """Return the blocks of content that are shown as they are; what is of no kind that is known is left out."""
    found = cast("list[Json]", content) if isinstance(content, list) else []
    return [shown for shown in (block(each, readable) for each in found) if shown is not None]


def block(given: Json, readable: Callable[[str], bool]) -> Json:
    """Return one block as it is shown, None for what is not."""
    if not isinstance(given, dict):
        return None
    found = cast("dict[str, Json]", given)
    kind = found.get("type")
    keys = _BLOCKS.get(kind) if isinstance(kind, str) else None
    if keys is None or (kind == "resource_link" and not readable(str(found.get("uri")))):
        return None
    shown = {key: value for key, value in found.items() if key in keys or key in _EVERY_BLOCK}
    if kind == "resource":
        inner = found.get("resource")
        if not isinstance(inner, dict):
            return None
        shown["resource"] = {key: value for key, value in cast("dict[str, Json]", inner).items() if key in _CONTENT}
    return shown


def document_of(sight: Sight, uri: str, result: Mapping[str, Json]) -> Looked:
    """Return what is shown of a document that was read: of it, and of what the session may read besides."""
    given = result.get("contents")
    found: list[Json] = []
    items: int | None = None
    for each in cast("list[Json]", given) if isinstance(given, list) else []:
        part = cast("dict[str, Json]", each) if isinstance(each, dict) else {}
        if part.get("uri") != uri and not (sight.view.whole and sight.readable(str(part.get("uri")))):
            continue
        plain = {key: value for key, value in part.items() if key in _CONTENT}
        data = data_of(part.get("text")) if sight.counted or not sight.view.whole else no_data
        if sight.view.whole:
            found.append(plain)
            if sight.counted:
                items = (items or 0) + (1 if data is no_data else count(sight.view, data))
            continue
        shown = None if data is no_data else show(sight.view, data, sight.resolve, sight.now, sight.digest)
        if shown is not None and shown.found and "blob" not in part:
            items = (items or 0) + shown.items
            found.append({**plain, "text": write(shown.value).decode()})
    return Looked({"contents": found}, items)


def prompt_of(sight: Sight, result: Mapping[str, Json]) -> Looked:
    """Return a prompt as it is shown: whole, or nothing of it."""
    if not sight.view.whole:
        return Looked({"messages": []}, 0)
    given, told = result.get("messages"), result.get("description")
    found: list[Json] = []
    for each in cast("list[Json]", given) if isinstance(given, list) else []:
        message = cast("dict[str, Json]", each) if isinstance(each, dict) else {}
        content = block(message.get("content"), sight.readable)
        if content is not None and message.get("role") in _ROLES:
            found.append({"role": message["role"], "content": content})
    return Looked({**({"description": told} if isinstance(told, str) else {}), "messages": found}, len(found))


def completion_of(result: Mapping[str, Json], is_shown: Callable[[Json], bool]) -> Looked:
    """Return the values of a completion that are shown. How many there are besides is not told."""
    inner = result.get("completion")
    values = cast("dict[str, Json]", inner).get("values") if isinstance(inner, dict) else None
    listed = cast("list[Json]", values) if isinstance(values, list) else []
    shown = [value for value in listed if isinstance(value, str) and is_shown(value)][:100]
    return Looked({"completion": {"values": shown, "hasMore": False}}, len(shown))


def data_of(text: Json) -> Json:
    """Return the object or list that a text holds, else `no_data`."""
    if not isinstance(text, str):
        return no_data
    try:
        found = read_faithfully(text.encode())
    except (ValueError, UnicodeEncodeError):
        return no_data
    return cast("Json", found) if isinstance(found, dict | list) else no_data
