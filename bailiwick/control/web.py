"""The API's end of HTTP, as raw ASGI: who may call at all, bodies within bounds, and one answer for each request."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import parse_qsl

from bailiwick.errors import BailiwickError
from bailiwick.mounts.web import Checks, Receive, Scope, Send, bare, is_loopback, left, read_body

Json = str | int | float | bool | None | Sequence["Json"] | Mapping[str, "Json"]
largest_body = 256 * 1024
_once = frozenset({"authorization", "host", "origin", "cookie", "content-type", "content-length", "content-encoding"})
_log = logging.getLogger("bailiwick.api")


@dataclass(frozen=True, slots=True)
class Asked:
    """A request."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """By names in small letters."""
    body: bytes = field(repr=False)
    peer: str = ""
    part: str = ""
    """What stands in the path in the place of the route's `*`."""
    secure: bool = False
    """Whether it came by TLS."""

    @property
    def bearer(self) -> str | None:
        """Return the token that it brings."""
        kind, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() or None if kind.lower() == "bearer" else None

    @property
    def media(self) -> str:
        """Return the kind of its body."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. It is never to be kept by anybody on its way, unless it says so itself."""

    status: int
    body: Json = None
    headers: tuple[tuple[str, str], ...] = ()
    kind: str = "application/json"
    content: bytes | None = None
    """Sent as it is, in the place of `body`."""
    stream: Callable[[], AsyncGenerator[bytes]] | None = None
    """Makes the parts of a body whose length is not known; it is closed when the client leaves."""


Handler = Callable[[Asked], Awaitable[Reply]]
Routes = Mapping[str, Mapping[str, Handler]]
"""Path → method → who answers. One part of a path may be `*`: any text."""


def problem(status: int, code: str, message: str, remedy: str = "") -> Reply:
    """Return an error as RFC 9457 has it."""
    told: dict[str, Json] = {"type": "about:blank", "title": message, "status": status, "code": code}
    return Reply(status, {**told, "remedy": remedy} if remedy else told, kind="application/problem+json")


class Application:
    """The ASGI application over a table of routes."""

    def __init__(self, checks: Checks, routes: Routes) -> None:
        self._checks = checks
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        headers = _headers(cast("Iterable[tuple[bytes, bytes]]", scope["headers"]))
        reply = self._refused(scope, headers)
        if reply is None and headers is not None:
            reply = await self._answer(scope, headers, receive)
        reply = reply or problem(400, "protocol", "a header stands twice")
        if reply.stream is None or scope["method"] == "HEAD":
            await _send(send, reply, str(scope["method"]))
        else:
            await _stream(send, receive, reply, reply.stream())

    def _refused(self, scope: Scope, headers: Mapping[str, str] | None) -> Reply | None:
        if headers is None:
            return problem(400, "protocol", "a header stands twice")
        peer = cast("tuple[str, int] | None", scope.get("client"))
        if self._checks.only_loopback and not is_loopback(None if peer is None else peer[0]):
            return problem(403, "protocol", "without TLS only this machine is served")
        if bare(headers.get("host", "")) not in self._checks.hosts:
            return problem(403, "protocol", "this host name is not served here")
        origin = headers.get("origin")
        own = f"{scope.get('scheme', 'http')}://{headers.get('host', '')}".lower()
        if origin is not None and origin.lower() != own and origin.lower() not in self._checks.origins:
            return problem(403, "protocol", "pages of this origin are not served")
        if headers.get("content-encoding", "identity") != "identity":
            return problem(415, "protocol", "the body is to be sent as it is, not compressed")
        return None

    async def _answer(self, scope: Scope, headers: Mapping[str, str], receive: Receive) -> Reply:
        path, method = str(scope["path"]), str(scope["method"])
        if cast("bytes", scope.get("raw_path", path.encode())).partition(b"?")[0] != path.encode("utf-8", "replace"):
            return problem(404, "protocol", "there is nothing at this path")  # `%` would give it two spellings
        found, part = self._route(path)
        if found is None:
            return problem(404, "protocol", "there is nothing at this path")
        handler = found.get("GET" if method == "HEAD" else method)
        if handler is None:
            return Reply(405, headers=(("allow", ", ".join(sorted(found))),))
        query = _pairs(cast("bytes", scope["query_string"]).decode("latin-1"))
        if query is None:
            return problem(400, "protocol", "the query is not understood, or a parameter stands twice")
        body = await read_body(receive, largest_body)
        if body is None:
            return problem(413, "protocol", f"the body is longer than {largest_body} bytes")
        peer = cast("tuple[str, int] | None", scope.get("client"))
        client = "" if peer is None else f"{peer[0]}:{peer[1]}"
        asked = Asked(method, path, query, headers, body, client, part, scope.get("scheme") == "https")
        try:
            return await handler(asked)
        except BailiwickError as error:
            _log.info("refused %s %s: %s", method, path, error.code)
            status = _statuses.get(error.code, 409)
            return problem(status, error.code, error.message, error.remedy)

    def _route(self, path: str) -> tuple[Mapping[str, Handler] | None, str]:
        """Return who answers at a path, and what stands in the place of its `*`."""
        found = self._routes.get(path)
        parts = path.split("/")
        for place in range(len(parts) - 1, 0, -1):
            if found is not None:
                break
            if parts[place]:
                found = self._routes.get("/".join([*parts[:place], "*", *parts[place + 1 :]]))
                if found is not None:
                    return found, parts[place]
        return found, ""


_statuses = {
    "protocol": 400,
    "backend": 502,
    "ledger": 503,
    "config": 409,
    "approval_not_yours": 403,
    "review_refused": 409,
    "reauthentication_needed": 403,
    "approval_unknown": 404,
    "approval_changed": 409,
    "approval_closed": 409,
    "approval_expired": 409,
}
"""By the code of an error. What was asked well, and cannot be done as things stand, is a conflict."""


def json_object(asked: Asked) -> dict[str, Json] | None:
    """Return the object that a body is; None when it is none, or a key stands twice."""
    found = json_of(asked.body)
    return cast("dict[str, Json]", found) if isinstance(found, dict) else None


def json_of(data: bytes | str) -> object:
    """Return what a text is as JSON; None when it is none, or a key stands twice."""
    try:
        return cast("object", json.loads(data, object_pairs_hook=_object, parse_constant=_refuse))
    except (ValueError, RecursionError):
        return None


def form(asked: Asked) -> dict[str, list[str]] | None:
    """Return the parameters of a form; None when the body is none."""
    if asked.media != "application/x-www-form-urlencoded":
        return None
    try:
        text = asked.body.decode("ascii")
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=True, max_num_fields=100) if text else []
    except ValueError:
        return None
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        if value:
            found.setdefault(name, []).append(value)
    return found


def _object(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice")
    return found


def _refuse(_text: str) -> object:
    raise ValueError("no number")


def _pairs(text: str) -> dict[str, str] | None:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=100)
    except ValueError:
        return None if text else {}
    found = dict(pairs)
    return found if len(found) == len(pairs) else None


def _headers(given: Iterable[tuple[bytes, bytes]]) -> dict[str, str] | None:
    """Return the headers by their names in small letters; None when one that decides stands twice."""
    found: dict[str, str] = {}
    for raw, value in given:
        name = raw.decode("latin-1").lower()
        if name in found and name in _once:
            return None
        found[name] = value.decode("latin-1").strip()
    return found


async def _send(send: Send, reply: Reply, method: str) -> None:
    body = reply.content if reply.content is not None else _written(reply)
    headers = [*_head(reply), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})


async def _stream(send: Send, receive: Receive, reply: Reply, parts: AsyncGenerator[bytes]) -> None:
    """Send parts as they are made, until there are no more or the client leaves."""

    async def sending() -> None:
        async for part in parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})

    await send({"type": "http.response.start", "status": reply.status, "headers": _head(reply)})
    sent, gone = asyncio.ensure_future(sending()), asyncio.ensure_future(left(receive))
    try:
        await asyncio.wait((sent, gone), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in (sent, gone):
            each.cancel()
        results = await asyncio.gather(sent, gone, return_exceptions=True)
        await parts.aclose()
    failed = results[0]
    if isinstance(failed, BailiwickError):
        _log.error("a stream broke off: %s", failed.code)
        return  # without its end, so that the client does not take it for whole
    if isinstance(failed, Exception):
        raise failed
    with contextlib.suppress(OSError):  # the client left at the last moment
        await send({"type": "http.response.body", "body": b""})


def _written(reply: Reply) -> bytes:
    if reply.body is None:
        return b""
    return json.dumps(reply.body, ensure_ascii=False, separators=(",", ":")).encode()


def _head(reply: Reply) -> list[tuple[bytes, bytes]]:
    empty = reply.body is None and reply.content is None and reply.stream is None
    headers = [(name.encode(), value.encode("latin-1", "replace")) for name, value in reply.headers]
    headers += [] if empty else [(b"content-type", reply.kind.encode())]
    if not any(name == b"cache-control" for name, _ in headers):
        headers.append((b"cache-control", b"no-store"))
    return [*headers, (b"x-content-type-options", b"nosniff")]
