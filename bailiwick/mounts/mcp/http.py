"""An MCP server that is reached by streamable HTTP: each request is a POST, its answer JSON or a stream of events."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import closing
from typing import cast

from bailiwick.gateway.http_client import Answer, HttpClient, HttpError, address_of
from bailiwick.mounts.mcp.era import headers_of
from bailiwick.mounts.mcp.message import METHOD_NOT_FOUND, Json, write
from bailiwick.mounts.mcp.relay import Hears, refusal
from bailiwick.mounts.mcp.upstream import (
    LISTS_CHANGED,
    NO_HEADERS,
    Guard,
    Modern,
    Reply,
    TooLongError,
    UpstreamError,
    longest,
    outgoing,
    params_of,
    reply_of,
    response_to,
)

_most_questions = 16
"""What a server may ask at once."""
_posting_time = 10.0
_OK = 200
_longest_id = 1024
_longest_said = 1024 * 1024
"""Bytes of one message outside of answers."""
_shortest_pause, _first_pause, _longest_pause = 0.05, 1.0, 30.0
"""Seconds before the rest of a stream is asked for."""
_plain = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}


class HttpUpstream:
    """An `Upstream` over HTTP. It holds one session of the server's, if the server gives one."""

    def __init__(self, url: str, headers: Mapping[str, str], guard: Guard) -> None:
        self.changed = False
        self.logs = False
        self.modern: Modern | None = None
        self.alive = True
        address = address_of(url)
        self._target = address.target
        known = {"Authorization": address.authorization} if address.authorization else {}
        self._headers = {**known, **headers, **_plain}
        self._guard = guard
        self._next = 0
        self._asked: set[asyncio.Task[None]] = set()
        self._listening: asyncio.Task[None] | None = None
        self._client = HttpClient(address.origin)

    async def request(
        self,
        method: str,
        params: Mapping[str, Json],
        most: int,
        hears: Hears | None = None,
        mirrored: Mapping[str, str] = NO_HEADERS,
    ) -> Reply:
        """Send a request and return its answer; see `Upstream`."""
        self._next += 1
        identity = self._next
        message = {
            "jsonrpc": "2.0",
            "id": identity,
            "method": method,
            "params": outgoing(params, identity, hears, self.modern),
        }
        try:
            with closing(await self._sent(message, self._headers_of(method, params, mirrored))) as answer:
                refused = await self._refused(answer, min(most, longest))
                if refused is not None:
                    return refused
                self._check(answer)
                heard = _Heard(identity, most, hears)
                reply = await self._replied(answer, heard)
            if reply is None:
                reply = await self._resumed(heard)
            if reply is not None:
                if method == "initialize" and reply.result is not None:
                    self._keep_session(answer, reply.result)
                return reply
        except HttpError:
            self.alive = False
            raise UpstreamError("the server cannot be reached") from None
        except asyncio.CancelledError:
            if self.modern is not None:
                raise  # there the end of the stream is what cancels
            with contextlib.suppress(UpstreamError):
                await asyncio.shield(self.notify("notifications/cancelled", {"requestId": identity}))
            raise
        except UpstreamError:
            self.alive = False
            raise
        self.alive = False
        raise UpstreamError("the server did not answer")

    async def _replied(self, answer: Answer, heard: _Heard) -> Reply | None:
        """Return the awaited answer; None when the server ended the stream before it, and the stream can be resumed or
        there is nothing more to be had."""
        try:
            async for data in _messages(answer, heard):
                reply = self._take(data, heard.identity, heard.hears)
                if reply is not None:
                    answer.leave()
                    return reply
        except HttpError:
            if not heard.last:
                raise
        return None

    async def _resumed(self, heard: _Heard) -> Reply | None:
        """Ask for the rest of a stream, as servers of the legacy revisions want it that give their events ids."""
        while heard.last and self.modern is None:
            await asyncio.sleep(heard.pause)
            headers = {**self._headers, "Accept": "text/event-stream", "Last-Event-ID": heard.last}
            with closing(await self._client.send("GET", self._target, headers.items())) as answer:
                if answer.status != _OK or _type(answer) != "text/event-stream":
                    return None
                reply = await self._replied(answer, heard)
            if reply is not None:
                return reply
        return None

    async def notify(self, method: str, params: Mapping[str, Json]) -> None:
        """Send a notification; see `Upstream`."""
        await self._post({"jsonrpc": "2.0", "method": method, "params": params})
        if method == "notifications/initialized" and self.modern is None:
            self._listening = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        """Hear what a server of the legacy revisions says outside of answers, if it offers that. Of it counts that its
        lists have changed; what it asks there belongs to no call, and is refused."""
        heard = _Heard(0, _longest_said, None)
        while self.alive:
            known = {"Last-Event-ID": heard.last} if heard.last else {}
            headers = {**self._headers, "Accept": "text/event-stream", **known}
            try:
                with closing(await self._client.send("GET", self._target, headers.items())) as answer:
                    if answer.status != _OK or _type(answer) != "text/event-stream":
                        return
                    async for data in _events(answer, heard):
                        self._take(data, 0, None)
            except HttpError:
                pass  # it may be there again later
            except UpstreamError:
                return  # what is no message, too long or a secret: it is not listened to any more
            await asyncio.sleep(max(heard.pause, _first_pause))

    async def close(self) -> None:
        """End the server's session and the connections."""
        self.alive = False
        for task in (*self._asked, *([] if self._listening is None else [self._listening])):
            task.cancel()
        if "Mcp-Session-Id" in self._headers:
            with contextlib.suppress(HttpError, TimeoutError):
                async with asyncio.timeout(2):
                    (await self._client.send("DELETE", self._target, self._headers.items())).close()
        await self._client.close()

    def _question(self, identity: Json, hears: Hears | None, method: str, params: Mapping[str, Json]) -> None:
        if len(self._asked) < _most_questions:
            task = asyncio.create_task(self._answer(identity, hears, method, params))
            self._asked.add(task)
            task.add_done_callback(self._asked.discard)

    async def _answer(self, identity: Json, hears: Hears | None, method: str, params: Mapping[str, Json]) -> None:
        answered = refusal(METHOD_NOT_FOUND, "not supported")
        if hears is not None and hears.whole:
            answered = await hears.asked(method, params)
        with contextlib.suppress(UpstreamError):
            await self._post(response_to(identity, ({}, None) if method == "ping" else answered))

    async def _post(self, message: Mapping[str, Json]) -> None:
        try:
            async with asyncio.timeout(_posting_time):
                with closing(await self._sent(message, self._headers)) as answer:
                    await _body(answer, longest)
        except (HttpError, TimeoutError):
            raise UpstreamError("the server cannot be reached") from None

    async def _sent(self, message: Json, headers: Mapping[str, str]) -> Answer:
        return await self._client.send("POST", self._target, headers.items(), write(message))

    def _headers_of(self, method: str, params: Mapping[str, Json], mirrored: Mapping[str, str]) -> Mapping[str, str]:
        if self.modern is None:
            return self._headers
        return {**mirrored, **self._headers, **headers_of(method, params, self.modern.version)}

    async def _refused(self, answer: Answer, most: int) -> Reply | None:
        """Return the error that a server tells by the status too; None when it tells none."""
        known = "Mcp-Session-Id" in self._headers
        if answer.status not in (400, 404) or known or _type(answer) != "application/json":
            return None
        data = await _body(answer, most)
        found = self._guard.read(data)
        return reply_of(cast("dict[str, Json]", found), len(data)) if isinstance(found, dict) else None

    def _check(self, answer: Answer) -> None:
        if answer.status == 404 and "Mcp-Session-Id" in self._headers:
            raise UpstreamError("the server has forgotten its session")
        if answer.status >= 300:
            raise UpstreamError("the server refuses the gateway")

    def _keep_session(self, answer: Answer, result: Mapping[str, Json]) -> None:
        identity = (answer.header(b"mcp-session-id") or b"").decode("latin-1")
        if identity:
            if len(identity) > 1024 or not all(0x21 <= ord(character) <= 0x7E for character in identity):
                raise UpstreamError("the server's session has no usable name")
            self._headers["Mcp-Session-Id"] = identity
        self._headers["MCP-Protocol-Version"] = str(result.get("protocolVersion"))[:32]

    def _take(self, data: bytes, identity: int, hears: Hears | None) -> Reply | None:
        """Return the awaited answer; deal with whatever else the server says meanwhile."""
        found = self._guard.read(data)
        if not isinstance(found, dict):
            raise UpstreamError("the server sent what is no message")
        message = cast("dict[str, Json]", found)
        method, given = message.get("method"), message.get("id")
        if isinstance(method, str):
            self.changed = self.changed or method in LISTS_CHANGED
            if given is not None:
                self._question(given, hears, method, params_of(message))
            elif hears is not None and (hears.whole or method == "notifications/progress"):
                hears.told(method, params_of(message))
            return None
        return reply_of(message, len(data)) if given == identity else None


def _type(answer: Answer) -> str:
    """Return the type of an answer's content, without parameters; what is encoded once more has none."""
    if (answer.header(b"content-encoding") or b"identity").lower() != b"identity":
        return ""
    return (answer.header(b"content-type") or b"").partition(b";")[0].strip().lower().decode("latin-1")


class _Heard:
    """What was heard of one request's answer."""

    def __init__(self, identity: int, most: int, hears: Hears | None) -> None:
        self.identity = identity
        self.most = min(most, longest)
        self.hears = hears
        self.last = ""
        """The id of the last event, empty when there is none that could be named."""
        self.pause = _first_pause

    def note(self, line: bytes) -> None:
        """Take a line that says where the stream is, or how long to wait before it is asked for again."""
        name, _, value = line.partition(b":")
        text = value.removeprefix(b" ").decode("latin-1")
        if name == b"id" and len(text) <= _longest_id and all(0x21 <= ord(character) <= 0x7E for character in text):
            self.last = text
        elif name == b"retry" and text.isascii() and text.isdigit():
            self.pause = min(max(int(text[:9]) / 1000, _shortest_pause), _longest_pause)


async def _messages(answer: Answer, heard: _Heard) -> AsyncIterator[bytes]:
    """Yield the messages of a response."""
    if _type(answer) == "application/json":
        yield await _body(answer, heard.most)
    elif _type(answer) == "text/event-stream":
        async for data in _events(answer, heard):
            yield data
    else:
        raise UpstreamError("the server answers with neither JSON nor events")


async def _body(answer: Answer, most: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while part := await answer.part():
        size += len(part)
        if size > most:
            raise TooLongError("the server's answer is too long")
        parts.append(part)
    return b"".join(parts)


async def _events(answer: Answer, heard: _Heard) -> AsyncIterator[bytes]:
    """Yield the data of each event; lines end with LF, CR or CRLF."""
    pending, data = b"", list[bytes]()
    while part := await answer.part():
        pending += part
        if len(pending) + sum(map(len, data)) > heard.most + 64:
            raise TooLongError("the server's answer is too long")
        held = pending.endswith(b"\r")  # perhaps the first half of CRLF
        lines = (pending[:-1] if held else pending).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        pending = lines.pop() + (b"\r" if held else b"")
        for line in lines:
            if line.startswith(b"data:"):
                data.append(line[5:].removeprefix(b" "))
            elif line.startswith((b"id:", b"retry:")):
                heard.note(line)
            elif not line and data:
                whole = b"\n".join(data)
                data.clear()
                if whole.strip():
                    yield whole
