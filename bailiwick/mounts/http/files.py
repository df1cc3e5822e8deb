"""Files by HTTP, below the name of their mount: GET (with ranges and conditions), HEAD, PUT, DELETE; `/folder/` lists.

Each is decided and recorded as the mount's own calls are; a body is taken only where something could be written.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from email.utils import format_datetime
from typing import Protocol, cast
from urllib.parse import parse_qsl, unquote

from bailiwick.decide.limits import exceeded
from bailiwick.gateway.sessions.live import Live
from bailiwick.model.decision import Denial
from bailiwick.mounts.files.admission import Admission, Asked, NotDone, changed, unavailable
from bailiwick.mounts.files.content import Content
from bailiwick.mounts.files.front import FilesFront
from bailiwick.mounts.files.looking import list_files, most_entries
from bailiwick.mounts.files.offered import listing_result
from bailiwick.mounts.files.reading import Found, part_size, read
from bailiwick.mounts.files.store import ChangedError, UnavailableError
from bailiwick.mounts.files.writing import ANY, NOTHING, Written, delete, room_for, scratch_of, too_long, write
from bailiwick.mounts.held_calls import Pending
from bailiwick.mounts.http.answers import Headers, Shown, problem
from bailiwick.mounts.http.envelope import Head
from bailiwick.mounts.http.exchange import STREAMED
from bailiwick.mounts.http.requests import BROKEN
from bailiwick.mounts.http.waiting import patience_of, pending
from bailiwick.mounts.mcp.message import Json
from bailiwick.mounts.mcp.message import write as as_json
from bailiwick.mounts.tool_path import Done
from bailiwick.mounts.web import Receive

_buffered = 256 * 1024
_part_seconds = 60.0
"""How long a client may take for one part of its body."""
_RANGE = re.compile(r"bytes=(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))")
_METHODS = ("GET", "HEAD", "PUT", "DELETE")
_SAFE: Headers = [(b"cache-control", b"private, no-cache"), (b"x-content-type-options", b"nosniff")]
_NO_LINE = Denial("backend_unavailable", "the mount of files is not ready", remedy="try again later")


class Sending(Protocol):
    """Where an answer goes; it listens to `receive`, once the body was taken, to know that its client has left."""

    receive: Receive | None

    async def __call__(self, message: dict[str, object]) -> None:
        """Send a part."""
        ...

    def waits(self) -> None:
        """See `Line`."""
        ...


class FileRequests:
    """What is asked of the mounts of files by HTTP."""

    def __init__(self, front: FilesFront) -> None:
        self._front = front

    def has(self, mount: str) -> bool:
        """Return whether a mount is one of files."""
        return self._front.folders.get(mount) is not None

    async def answer(self, live: Live, head: Head, receive: Receive, send: Sending) -> Shown:
        """Do what a request asks; what is streamed was sent by then, all but its end."""
        admission = self._front.admission(live)
        if admission is None:
            return problem(_NO_LINE)
        path = unquote(head.path[1:])
        asked = Asked(head.mount, path, head.purpose, patience_of(head))
        if head.method not in _METHODS:
            wrong = Denial("protocol_violation", "files have no such method", ", ".join(_METHODS))
            done = await admission.refuse(asked, head.method.lower(), wrong)
            return problem(wrong, done.record, 405, [(b"allow", ", ".join(_METHODS).encode())])
        if head.method == "PUT":
            return await self._put(admission, asked, head, receive, send)
        if head.content or (head.query and not path.endswith("/") and path):
            return await self._malformed(admission, asked, head, "it has a body, or a query, which it has no use for")
        send.receive = receive
        if head.method == "DELETE":
            return _written(await delete(admission, asked, _condition(head)), head)
        if path.endswith("/") or not path:
            return await self._list(admission, asked, head)
        return await _Get(admission, asked, head, send).run()

    async def _malformed(self, admission: Admission, asked: Asked, head: Head, why: str) -> Shown:
        denial = Denial("protocol_violation", f"this request is not taken: {why}")
        done = await admission.refuse(asked, head.method.lower(), denial)
        return problem(denial, done.record, 400)

    async def _list(self, admission: Admission, asked: Asked, head: Head) -> Shown:
        given = dict(parse_qsl(head.query, keep_blank_values=True))
        limit, deep = given.pop("limit", "1000"), given.pop("recursive", "false")
        after = given.pop("after", "")
        if given or not limit.isdigit() or len(limit) > 6 or deep not in ("true", "false"):
            return await self._malformed(admission, asked, head, "lists take `recursive`, `limit` and `after`")
        folder = Asked(asked.mount, asked.path.rstrip("/"), asked.purpose, asked.patience)
        most = min(int(limit), most_entries)
        found = await list_files(admission, folder, deep=deep == "true", most=most, after=after)
        if isinstance(found, NotDone):
            return _not_done(found, head)
        return _json(200, cast("dict[str, Json]", listing_result(found)["structuredContent"]), head, [])

    async def _put(self, admission: Admission, asked: Asked, head: Head, receive: Receive, send: Sending) -> Shown:
        most = await room_for(admission, asked)
        if isinstance(most, NotDone):  # before a byte of it is taken
            return _not_done(most, head)
        if int(head.headers.get("content-length", "0")) > most:
            return _not_done(await too_long(admission, asked), head)
        content = Content(scratch_of(admission, asked))
        try:
            wrong = await _received(receive, content, most)
            if content.size > most:
                return _not_done(await too_long(admission, asked), head)
            if wrong:
                return await self._malformed(admission, asked, head, wrong)
            send.receive = receive
            return _written(await write(admission, asked, content, _condition(head)), head)
        finally:
            content.close()


async def _received(receive: Receive, content: Content, most: int) -> str:
    """Take a body of at most so many bytes; return what is wrong with it."""
    while True:
        try:
            part = await asyncio.wait_for(receive(), _part_seconds)
        except TimeoutError:
            return "its body does not come"
        if part["type"] != "http.request":
            return "its client left"
        content.add(cast("bytes", part.get("body", b"")))
        if content.size > most:
            return "its body is too long"
        if not part.get("more_body"):
            return ""


class _Get:
    """One GET or HEAD of a file."""

    def __init__(self, admission: Admission, asked: Asked, head: Head, send: Sending) -> None:
        self._admission = admission
        self._asked = asked
        self._head = head
        self._send = send
        self._started = False

    async def run(self) -> Shown:
        """Return the answer, or what is left to say of one that was streamed."""
        done = await read(self._admission, self._asked, self._use)
        if isinstance(done, NotDone):
            return BROKEN if self._started else _not_done(done, self._head)
        return done

    async def _use(self, found: Found) -> Done[Shown]:
        tag = _tag(found)
        headers: Headers = [(b"etag", tag.encode()), *_SAFE]
        if found.info.modified is not None:
            headers.append((b"last-modified", format_datetime(found.info.modified, usegmt=True).encode()))
        given = self._head.headers
        if "if-match" in given and not _is_one(given["if-match"], tag):
            return Done(denial=changed("the file is not the version that was named"))
        if "if-none-match" in given and _is_one(given["if-none-match"], tag):
            return Done(Shown(304, headers), size=0)
        headers += [(b"content-type", found.type.encode()), (b"accept-ranges", b"bytes")]
        start, end, status = 0, found.size, 200
        asked = _RANGE.fullmatch(given.get("range", ""))
        if asked is not None and given.get("if-range", tag) == tag:
            part = _part(asked, found.size)
            if part is None:
                told: Headers = [*headers, (b"content-range", f"bytes */{found.size}".encode())]
                return Done(Shown(416, [*told, (b"content-length", b"0")]), size=0)
            start, end, status = *part, 206
            headers.append((b"content-range", f"bytes {start}-{end - 1}/{found.size}".encode()))
        headers.append((b"content-length", b"%d" % (end - start)))
        if self._head.method == "HEAD":
            return Done(Shown(status, headers), size=0)
        if found.bounds.bytes is not None and end - start > found.bounds.bytes:
            return Done(denial=exceeded("bytes_exceeded", found.bounds, 0))
        if end - start > self._admission.terms.longest_answer:
            return Done(denial=Denial("bytes_exceeded", "the file is too long", remedy="ask for ranges of it"))
        if end - start <= _buffered:
            return Done(Shown(status, headers, await found.part(start, end - start)), size=end - start)
        return Done(rest=lambda: self._streamed(found, status, headers, start, end))

    async def _streamed(self, found: Found, status: int, headers: Headers, start: int, end: int) -> Done[Shown]:
        """Send a file in parts, the next one read while one is sent."""
        coming = asyncio.ensure_future(found.part(start, min(part_size, end - start)))
        sent = 0
        try:
            async with asyncio.timeout(self._admission.terms.longest_time):
                data = await coming
                self._started = True
                await self._send({"type": "http.response.start", "status": status, "headers": headers})
                while data:
                    start += len(data)
                    coming = asyncio.ensure_future(found.part(start, min(part_size, end - start)))
                    await self._send({"type": "http.response.body", "body": data, "more_body": True})
                    sent += len(data)
                    data = await coming if start < end else b""
        except ChangedError:
            return Done(denial=changed(), size=sent)
        except UnavailableError as error:
            return Done(denial=unavailable(error), size=sent)
        except TimeoutError:
            return Done(denial=Denial("timeout_exceeded", "sending the file took too long"), size=sent)
        finally:
            if not coming.done():
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)
        return Done(STREAMED, size=sent)


def _tag(found: Found) -> str:
    return f'"{found.info.version}{"-masked" if found.masked else ""}"'


def _is_one(given: str, tag: str) -> bool:
    """Return whether a version is one of those that a condition names."""
    return given.strip() == "*" or tag in [each.strip().removeprefix("W/") for each in given.split(",")]


def _part(asked: re.Match[str], size: int) -> tuple[int, int] | None:
    """Return the first byte of a range, and the one behind its last; None: there is nothing there."""
    first, last, tail = asked.groups()
    if tail is not None:
        return (max(0, size - int(tail)), size) if int(tail) and size else None
    end = min(int(last) + 1, size) if last else size
    return (int(first), end) if int(first) < end else None


def _condition(head: Head) -> str:
    """Return the condition of a change, as the mount has it; what is none of these is met by no version."""
    match, none = head.headers.get("if-match"), head.headers.get("if-none-match")
    if none is not None:
        return NOTHING if none.strip() == "*" and match is None else "never"
    if match is None:
        return ""
    return ANY if match.strip() == "*" else match.strip().strip('"') or "never"


def _written(done: Written | NotDone, head: Head) -> Shown:
    if isinstance(done, NotDone):
        return _not_done(done, head)
    if done.info is None or not done.info.version:
        return Shown(204, [*_SAFE])
    told: dict[str, Json] = {"path": done.path, "size": done.info.size, "version": done.info.version}
    return _json(201 if done.created else 200, told, head, [(b"etag", f'"{done.info.version}"'.encode())])


def _not_done(done: NotDone, head: Head) -> Shown:
    if done.approval is not None:
        return pending(Pending(done.approval, done.denial, done.record))
    conditional = "if-match" in head.headers or "if-none-match" in head.headers
    status = (412 if conditional else 409) if done.denial.code == "data_changed" else 0
    status = 507 if done.denial.code == "limit_exceeded" and "may hold" in done.denial.message else status
    return problem(done.denial, done.record, status)


def _json(status: int, data: Mapping[str, Json], head: Head, more: Headers) -> Shown:
    body = as_json(dict(data))
    headers: Headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), *_SAFE, *more]
    return Shown(status, headers, b"" if head.method == "HEAD" else body)
