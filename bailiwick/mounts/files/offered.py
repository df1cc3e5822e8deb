"""What agents call over MCP: `list_files`, `read_file`, `write_file`, `search_files`, `move_file`, `delete_file`."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from typing import cast

from bailiwick.gateway.sessions.live import Live
from bailiwick.match.sniff import is_text
from bailiwick.model.decision import Denial
from bailiwick.model.files import FILE_TOOLS, FileVerb
from bailiwick.mounts.files.admission import Admission, Asked, NotDone
from bailiwick.mounts.files.content import Content, content_of
from bailiwick.mounts.files.looking import Listing, Wanted, list_files, search_files
from bailiwick.mounts.files.reading import Found, read
from bailiwick.mounts.files.writing import Written, delete, move, write
from bailiwick.mounts.held_calls import status_of
from bailiwick.mounts.mcp.contents import Result
from bailiwick.mounts.mcp.message import Json
from bailiwick.mounts.mcp.offered import OwnCall, OwnRun
from bailiwick.mounts.mcp.replies import denied
from bailiwick.mounts.mcp.status import NAME
from bailiwick.mounts.tool_path import Done

longest_read = 1024 * 1024
"""Bytes that one call of `read_file` returns; more of a file is asked for with `offset`."""
_VERBS: Mapping[str, tuple[FileVerb, ...]] = {
    "list_files": ("list",),
    "read_file": ("read",),
    "write_file": ("create", "update"),
    "search_files": ("read",),
    "move_file": ("move",),
    "delete_file": ("delete",),
}
_TITLES: Mapping[str, str] = {
    "list_files": "List files",
    "read_file": "Read a file",
    "write_file": "Write a file",
    "search_files": "Search in files",
    "move_file": "Move a file",
    "delete_file": "Delete a file",
}
_SAID = {
    "list_files": "Lists the files and folders that this session may see.",
    "read_file": "Reads a file, or a part of it.",
    "write_file": "Creates a file, or puts new content in its place. What was before is kept by the gateway.",
    "search_files": "Finds the lines of text files in which a text stands.",
    "move_file": "Moves a file to where no file is yet.",
    "delete_file": "Deletes a file. What was in it is kept by the gateway.",
}
_TEXT: Mapping[str, Json] = {"type": "string"}
_VERSION: Mapping[str, Json] = {
    "type": "string",
    "description": "Only if the file is this `version`, as `read_file` told it; `none`: only if there is no file yet.",
}
_PROPERTIES: Mapping[str, Mapping[str, Json]] = {
    "list_files": {
        "path": {"type": "string", "description": "The folder; without it, the whole mount."},
        "recursive": {"type": "boolean", "description": "Also what is in the folders below."},
        "limit": {"type": "integer", "minimum": 1, "maximum": 5000},
        "after": {"type": "string", "description": "Only what comes behind this path, to go on with a long list."},
    },
    "read_file": {
        "path": _TEXT,
        "offset": {"type": "integer", "minimum": 0, "description": "Byte to begin with."},
        "length": {"type": "integer", "minimum": 1, "maximum": longest_read, "description": "Bytes, at most."},
    },
    "write_file": {
        "path": _TEXT,
        "content": {"type": "string", "description": "The new content, as text."},
        "content_base64": {"type": "string", "description": "The new content, in base64, in place of `content`."},
        "if_version": _VERSION,
    },
    "search_files": {
        "text": {"type": "string", "description": "What to look for, within one line."},
        "path": {"type": "string", "description": "The folder; without it, the whole mount."},
        "case_sensitive": {"type": "boolean"},
        "limit": {"type": "integer", "minimum": 1, "maximum": 200},
    },
    "move_file": {"path": _TEXT, "to": {"type": "string", "description": "The new path."}, "if_version": _VERSION},
    "delete_file": {"path": _TEXT, "if_version": _VERSION},
}
_NEEDED: Mapping[str, Sequence[str]] = {
    "list_files": (),
    "read_file": ("path",),
    "write_file": ("path",),
    "search_files": ("text",),
    "move_file": ("path", "to"),
    "delete_file": ("path",),
}
_READS = frozenset({"list_files", "read_file", "search_files"})


class _WrongError(Exception):
    """An argument is not what the tool takes."""


class FileTools:
    """An `Offered`: the tools for the mounts of files of a session."""

    def __init__(self, admission: Callable[[Live], Admission | None]) -> None:
        self._admission = admission

    def listed(self, live: Live) -> list[dict[str, Json]]:
        """Return the definitions of those that a session has."""
        admission = self._admission(live)
        if admission is None:
            return []
        return [_definition(name, mounts) for name in FILE_TOOLS if (mounts := _mounts(admission, name))]

    def named(self, name: str, live: Live) -> OwnRun | None:
        """Return what runs one, None when the session has it not."""
        admission = self._admission(live) if name in FILE_TOOLS else None
        if admission is None or not _mounts(admission, name):
            return None
        return lambda call: _run(admission, name, call)


def _mounts(admission: Admission, name: str) -> tuple[str, ...]:
    """Return the mounts of which the session has something that a tool does."""
    found = {tool.mount for tool in admission.live.files.tools.values() if tool.tool.action.verb in _VERBS[name]}
    return tuple(mount for mount in admission.mounts() if mount in found)


def _definition(name: str, mounts: Sequence[str]) -> dict[str, Json]:
    properties: dict[str, Json] = {key: {**cast("dict[str, Json]", each)} for key, each in _PROPERTIES[name].items()}
    properties["mount"] = {"type": "string", "enum": [*mounts], "description": "Where the files are."}
    properties["reason"] = {"type": "string", "description": "What it is for; people who review read it."}
    needed: list[Json] = [*_NEEDED[name], *(["mount"] if len(mounts) > 1 else [])]
    return {
        "name": name,
        "title": _TITLES[name],
        "description": _SAID[name],
        "inputSchema": {
            "type": "object",
            "properties": properties,
            "additionalProperties": False,
            **({"required": needed} if needed else {}),
        },
        "annotations": {
            "readOnlyHint": name in _READS,
            "destructiveHint": name in ("write_file", "delete_file"),
            "openWorldHint": False,
        },
    }


async def _run(admission: Admission, name: str, call: OwnCall) -> Result:
    mounts = _mounts(admission, name)
    try:
        given = _Given(name, call.arguments)
        asked = Asked(
            given.text("mount", mounts[0] if len(mounts) == 1 else None),
            given.text("path", "" if "path" not in _NEEDED[name] else None),
            given.text("reason", call.purpose)[:500],
            call.patience,
        )
        return await _RUN[name](admission, asked, given)
    except _WrongError as error:
        known = ", ".join(f"`{each}`" for each in (*_PROPERTIES[name], "mount", "reason"))
        wrong = Denial("argument_not_granted", str(error.args[0]), known, "correct the call")
        done = await admission.refuse(Asked("", ""), name, wrong)
        return denied(done.denial, done.record)


class _Given:
    """The arguments of a call."""

    def __init__(self, name: str, arguments: Mapping[str, Json]) -> None:
        self._arguments = arguments
        lost = [key for key in arguments if key not in _PROPERTIES[name] and key not in ("mount", "reason")]
        if lost:
            raise _WrongError(f"`{name}` takes no `{lost[0][:60]}`")

    def has(self, key: str) -> bool:
        return key in self._arguments

    def text(self, key: str, default: str | None) -> str:
        found = self._arguments.get(key, default)
        if not isinstance(found, str):
            raise _WrongError(f"`{key}` is needed, as text")
        return found

    def number(self, key: str, default: int, most: int) -> int:
        found = self._arguments.get(key, default)
        if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found <= most:
            raise _WrongError(f"`{key}` is a whole number of at most {most}")
        return found

    def flag(self, key: str) -> bool:
        found = self._arguments.get(key, False)
        if not isinstance(found, bool):
            raise _WrongError(f"`{key}` is `true` or `false`")
        return found

    def content(self) -> Content:
        plain, coded = self._arguments.get("content"), self._arguments.get("content_base64")
        if (plain is None) == (coded is None):
            raise _WrongError("either `content` or `content_base64` is needed")
        try:
            if isinstance(coded, str):
                return content_of(base64.b64decode(coded, validate=True))
            if isinstance(plain, str):
                return content_of(plain.encode())
        except (ValueError, UnicodeEncodeError):
            raise _WrongError("the content is not Unicode, or not base64") from None
        raise _WrongError("the content is a text")


async def _list(admission: Admission, asked: Asked, given: _Given) -> Result:
    found = await list_files(
        admission,
        asked,
        deep=given.flag("recursive"),
        most=given.number("limit", 1000, 5000),
        after=given.text("after", ""),
    )
    return _not_done(found) if isinstance(found, NotDone) else listing_result(found)


def listing_result(found: Listing) -> Result:
    """Return a list as a tool's result."""
    entries: list[Json] = []
    for each in found.entries:
        told: dict[str, Json] = {"path": each.path, "kind": "folder" if each.info is None else "file"}
        if each.info is not None:
            modified = each.info.modified
            told |= {"size": each.info.size, "version": each.info.version, "level": each.level}
            told |= {} if modified is None else {"modified": modified.isoformat()}
        entries.append(told)
    return _told({"entries": entries, "complete": found.complete})


async def _read(admission: Admission, asked: Asked, given: _Given) -> Result:
    start, length = given.number("offset", 0, 1 << 50), given.number("length", longest_read, longest_read)

    async def use(found: Found) -> Done[Result]:
        most = length if found.bounds.bytes is None else min(length, found.bounds.bytes)
        if not given.has("length") and most < min(length, found.size - start):
            return Done(denial=_too_long(most))
        data = await found.part(start, most)
        return Done(_read_result(asked.mount, found, start, data), size=len(data))

    done = await read(admission, asked, use)
    return _not_done(done) if isinstance(done, NotDone) else done


def _too_long(most: int) -> Denial:
    return Denial("bytes_exceeded", f"the file is longer than {most} bytes", f"parts of up to {most} bytes", "")


def _read_result(mount: str, found: Found, start: int, data: bytes) -> Result:
    about: dict[str, Json] = {
        "path": found.path,
        "type": found.type,
        "size": found.size,
        "version": found.info.version,
        "labels": [*sorted(found.labels)],
    }
    if found.masked:
        about["masked"] = True
    if start or len(data) < found.size:
        about |= {"offset": start, "length": len(data), "more": start + len(data) < found.size}
    text = _as_text(data) if is_text(data[:4096]) else None
    if text is not None:
        content: list[Json] = [{"type": "text", "text": text}]
        return {"content": content, "structuredContent": {**about, "content": text}, "isError": False}
    blob = base64.b64encode(data).decode()
    held: dict[str, Json] = {"uri": f"bailiwick:files/{mount}/{found.path}", "mimeType": found.type, "blob": blob}
    told: list[Json] = [{"type": "resource", "resource": held}, {"type": "text", "text": json.dumps(about)}]
    return {"content": told, "structuredContent": about, "isError": False}


def _as_text(data: bytes) -> str | None:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


async def _write(admission: Admission, asked: Asked, given: _Given) -> Result:
    content = given.content()
    try:
        return _done(await write(admission, asked, content, given.text("if_version", "")))
    finally:
        content.close()


async def _move(admission: Admission, asked: Asked, given: _Given) -> Result:
    return _done(await move(admission, asked, given.text("to", None), given.text("if_version", "")))


async def _delete(admission: Admission, asked: Asked, given: _Given) -> Result:
    return _done(await delete(admission, asked, given.text("if_version", "")))


async def _search(admission: Admission, asked: Asked, given: _Given) -> Result:
    wanted = Wanted(given.text("text", None), given.flag("case_sensitive"), given.number("limit", 50, 200))
    found = await search_files(admission, asked, wanted)
    if isinstance(found, NotDone):
        return _not_done(found)
    matches: list[Json] = [{"path": each.path, "line": each.line, "text": each.text} for each in found.found]
    return _told({"matches": matches, "complete": found.complete})


_RUN = {
    "list_files": _list,
    "read_file": _read,
    "write_file": _write,
    "search_files": _search,
    "move_file": _move,
    "delete_file": _delete,
}


def _done(done: Written | NotDone) -> Result:
    if isinstance(done, NotDone):
        return _not_done(done)
    if done.info is None or not done.info.version:
        return _told({"path": done.path, "deleted": True})
    return _told({"path": done.path, "created": done.created, "size": done.info.size, "version": done.info.version})


def _not_done(done: NotDone) -> Result:
    found = denied(done.denial, done.record)
    if done.approval is None:
        return found
    data = cast("dict[str, Json]", found["structuredContent"])
    return {**found, "structuredContent": {**data, NAME: cast("Json", status_of(done.approval))}}


def _told(data: dict[str, Json]) -> Result:
    text: Json = {"type": "text", "text": json.dumps(data, ensure_ascii=False)}
    return {"content": [text], "structuredContent": data, "isError": False}
