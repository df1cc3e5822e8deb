"""The MCP endpoint as raw ASGI: one path, each message a POST; checks first, then the session, then the message.

What a web page of another site could send is refused before anything of it is read.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass
from typing import cast

from bailiwick.gateway.sessions.live import Live
from bailiwick.model.decision import Denial
from bailiwick.mounts.mcp import era, methods, notices
from bailiwick.mounts.mcp.calls import ProtocolError, internal_error
from bailiwick.mounts.mcp.clients import Client, Clients, busy
from bailiwick.mounts.mcp.discovery import Discovery
from bailiwick.mounts.mcp.exchange import Exchange
from bailiwick.mounts.mcp.message import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    Json,
    MalformedError,
    Message,
    error_of,
    read_message,
    result_of,
    write,
)
from bailiwick.mounts.web import Checks, Receive, Received, Scope, Send, bare, is_loopback, left, read_body

PATH = "/mcp"
largest_body = 1024 * 1024
_once = frozenset(
    {"authorization", "host", "origin", "content-type", "content-length", "content-encoding"}
    | {"mcp-protocol-version", "mcp-method", "mcp-name", "mcp-session-id"}
)
_unauthorized = frozenset(
    {"session_unknown", "session_expired", "session_revoked", "session_closed", "session_idle", "agent_mismatch"}
)
_forbidden = frozenset({"out_of_hours", "session_suspended", "agent_suspended"})
_keep_alive = 20.0
_soon = 0.05
"""Seconds within which nobody looks whether the client of a request has left."""
_EVENTS = (b"content-type", b"text/event-stream")


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Endpoint:
    """The ASGI application."""

    def __init__(self, clients: Clients, checks: Checks, discovery: Discovery) -> None:
        self.clients = clients
        self._discovery = discovery
        self._checks = checks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request. What nobody foresaw is answered too, and on record."""
        if scope["type"] != "http":
            return
        line = _Line(send)
        failed = await self.clients.gateway.kept_up(self._served(scope, receive, line), line.asked)
        if failed is not None:
            await line.fail(internal_error(failed))

    async def _served(self, scope: Scope, receive: Receive, send: _Line) -> None:
        headers = _headers(cast("Iterable[tuple[bytes, bytes]]", scope["headers"]))
        refused = self._refused(scope, headers)
        if refused is not None or headers is None:
            await _answer(send, refused or _said(400, INVALID_REQUEST, "a header stands twice"))
            return
        client = await self._client(scope, headers)
        if isinstance(client, _Answer):
            await _answer(send, client)
            return
        send.client = client
        if scope["method"] == "GET":
            await self._stream(client, receive, send, None)
        else:
            await self._posted(client, headers, receive, send)

    def _refused(self, scope: Scope, headers: Mapping[str, str] | None) -> _Answer | None:
        """Return why a request is not looked at any further."""
        if headers is None:
            return _said(400, INVALID_REQUEST, "a header stands twice")
        peer = cast("tuple[str, int] | None", scope.get("client"))
        if self._checks.only_loopback and not is_loopback(None if peer is None else peer[0]):
            return _said(403, INVALID_REQUEST, "without TLS only this machine is served")
        if bare(headers.get("host", "")) not in self._checks.hosts:
            return _said(403, INVALID_REQUEST, "this host name is not served here")
        origin = headers.get("origin")
        if origin is not None and origin.lower() not in self._checks.origins:
            return _said(403, INVALID_REQUEST, "pages of this origin are not served")
        if scope["path"] != PATH:
            found = self._discovery.metadata(headers.get("host", ""), str(scope["path"]), PATH)
            return _Answer(404) if found is None or scope["method"] != "GET" else _json(200, found)
        method = scope["method"]
        if method == "GET" and "text/event-stream" in headers.get("accept", ""):
            return None
        if method != "POST":
            return _Answer(405, headers=((b"allow", b"GET, POST"),))
        return _wrong_content(headers)

    async def _client(self, scope: Scope, headers: Mapping[str, str]) -> Client | _Answer:
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not token.strip():
            return self._challenged(headers, "a session token is needed: `Authorization: Bearer …`")
        peer = cast("tuple[str, int] | None", scope.get("client"))
        found = await self.clients.admit(token.strip(), "" if peer is None else f"{peer[0]}:{peer[1]}")
        if not isinstance(found, Denial):
            return found
        if found.code in _unauthorized:
            return self._challenged(headers, f"{found.message}; {found.remedy}")
        status = 403 if found.code in _forbidden else 503
        return _said(status, INTERNAL_ERROR, f"{found.message}; {found.remedy}")

    def _challenged(self, headers: Mapping[str, str], message: str) -> _Answer:
        challenge = self._discovery.challenge(headers.get("host", ""), PATH)
        return _said(401, INVALID_REQUEST, message, ((b"www-authenticate", challenge),))

    async def _posted(self, client: Client, headers: Mapping[str, str], receive: Receive, send: _Line) -> None:
        body = await read_body(receive, largest_body)
        if body is None:
            await _answer(send, _said(413, INVALID_REQUEST, f"longer than {largest_body} bytes"))
            return
        try:
            message = read_message(body)
        except MalformedError as error:
            await _answer(send, _said(400, error.code, error.message))
            return
        send.message = message
        if message.kind == "response":
            client.questions.answered(message.params)
            await _answer(send, _Answer(202))
        elif message.kind == "notification":
            if message.method == "notifications/cancelled":
                client.cancel(message.params.get("requestId"))
            await _answer(send, _Answer(202))
        elif era.is_modern(message, headers.get("mcp-protocol-version")):
            await self._modern(client, message, headers, receive, send)
        else:
            await self._legacy(client, message, headers, receive, send)

    async def _legacy(
        self, client: Client, message: Message, headers: Mapping[str, str], receive: Receive, send: Send
    ) -> None:
        match message.method:
            case "initialize":
                client.introduced(message.params)
                # A name only, the token decides: without one, clients made with the Python SDK do not listen.
                named = ((b"mcp-session-id", secrets.token_hex(16).encode()),)
                await _answer(send, _json(200, result_of(message.id, era.initialized(message.params)), named))
            case "ping":
                await _answer(send, _json(200, result_of(message.id, {})))
            case "logging/setLevel":
                known = await client.wants(message.params.get("level"))
                bad = error_of(message.id, INVALID_PARAMS, "`level` is no level of severity")
                await _answer(send, _json(200, result_of(message.id, {}) if known else bad))
            case _:
                await self._worked(client, message, headers, receive, send, modern=False)

    async def _modern(
        self, client: Client, message: Message, headers: Mapping[str, str], receive: Receive, send: Send
    ) -> None:
        problem = era.modern_problem(message, headers)
        if problem is not None:
            code, words, data = problem
            await _answer(send, _json(400, error_of(message.id, code, words, data)))
            return
        match message.method:
            case "server/discover":
                await _answer(send, _json(200, result_of(message.id, era.completed(era.discovered()))))
            case "subscriptions/listen":
                await self._stream(client, receive, send, message)
            case _:
                await self._worked(client, message, headers, receive, send, modern=True)

    async def _worked(
        self,
        client: Client,
        message: Message,
        headers: Mapping[str, str],
        receive: Receive,
        send: Send,
        *,
        modern: bool,
    ) -> None:
        """Answer a method that is no matter of the protocol alone."""
        listed = methods.listing(client, message.method)
        if listed is not None:
            await _answer(send, _json(200, methods.answer(message, listed, modern=modern)))
            return
        if client.is_busy:
            await _answer(send, _json(200, methods.refused(message, busy, modern=modern)))
            return
        exchange = Exchange(client, message, modern=modern)
        if not _takes_streams(headers):
            exchange.mute()
        try:
            response = exchange.begin()
        except LookupError:
            unknown = error_of(message.id, METHOD_NOT_FOUND, "this method is not served here")
            await _answer(send, _json(404 if modern else 200, unknown))
            return
        if response is not None:
            await _answer(send, _json(200, response))
            return
        leaving = _Leaving(receive)
        try:
            reply = _Reply(send)
            response = await exchange.run(reply.tell, leaving.left)
            if not leaving.left.done():
                await reply.end(response)
        finally:
            leaving.close()

    async def _stream(self, client: Client, receive: Receive, send: Send, subscribed: Message | None) -> None:
        """Send a notice whenever what the session is shown is something else, until either side ends it."""
        listener = client.listen()
        if listener is None:
            await _answer(send, _Answer(429))
            return
        leaving = asyncio.create_task(left(receive))
        try:
            await _begin_events(send)
            if subscribed is not None:
                await _event(send, notices.acknowledged(subscribed))
            while not leaving.done() and client.ended is None:
                waiting = asyncio.create_task(listener.stirred.wait())
                await asyncio.wait({waiting, leaving}, timeout=_keep_alive, return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
                if leaving.done() or client.ended is not None:
                    break
                if listener.stirred.is_set():
                    for kind in listener.taken():
                        if notices.wants(subscribed, kind):
                            await _event(send, notices.changed(subscribed, kind))
                else:
                    await send({"type": "http.response.body", "body": b":\r\n", "more_body": True})
            if subscribed is not None and client.ended is not None:
                await _event(send, notices.ended(subscribed))
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            leaving.cancel()
            client.listeners.discard(listener)


class _Line:
    """Where the answer to one request is sent; with what is known of the request, should the gateway fail on it."""

    def __init__(self, send: Send) -> None:
        self.client: Client | None = None
        self.message: Message | None = None
        self._send = send
        self._head: Received | None = None

    def __call__(self, part: Received) -> Awaitable[None]:
        """Send a part of the answer."""
        if self._head is None:
            self._head = part
        return self._send(part)

    def asked(self) -> tuple[str, Live | None]:
        """Return what was asked, for the ledger, and in which session."""
        live = None if self.client is None else self.client.live
        if self.message is None:
            return "a request of an MCP client", live
        plain = self.message.method.replace("/", "").isalpha() and self.message.method.isascii()
        return self.message.method if plain else f"a {self.message.kind} of an MCP client", live

    async def fail(self, error: ProtocolError) -> None:
        """Answer that the gateway failed, as far as there is still an answer to give."""
        identity = None if self.message is None else self.message.id
        said = error_of(identity, error.code, error.message, error.data)
        if self._head is None:
            await _answer(self._send, _json(500 if identity is None else 200, said))
            return
        if _EVENTS in cast("list[tuple[bytes, bytes]]", self._head.get("headers", [])):
            if identity is not None:
                await _event(self._send, said)
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})


class _Reply:
    """The reply to one request: JSON, or a stream of messages once there is one to send before the response."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._streams = False

    async def tell(self, message: Json) -> None:
        """Send a message before the response."""
        if not self._streams:
            self._streams = True
            await _begin_events(self._send)
        await _event(self._send, message)

    async def end(self, response: Json) -> None:
        """Send the response, if there is one, and nothing more."""
        if not self._streams:
            await _answer(self._send, _Answer(202) if response is None else _json(200, response))
            return
        if response is not None:
            await _event(self._send, response)
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})


def _takes_streams(headers: Mapping[str, str]) -> bool:
    accepted = headers.get("accept", "")
    return "text/event-stream" in accepted or "*/*" in accepted


def _headers(given: Iterable[tuple[bytes, bytes]]) -> dict[str, str] | None:
    """Return the headers by their names in small letters; None when one that decides stands twice."""
    found: dict[str, str] = {}
    for raw, value in given:
        name = raw.decode("latin-1").lower()
        if name in found and name in _once:
            return None
        found[name] = value.decode("latin-1").strip()
    return found


def _wrong_content(headers: Mapping[str, str]) -> _Answer | None:
    kind, _, parameters = headers.get("content-type", "").partition(";")
    charset = parameters.strip().lower()
    if kind.strip().lower() != "application/json" or charset not in ("", "charset=utf-8", 'charset="utf-8"'):
        return _said(415, INVALID_REQUEST, "the body is to be `application/json` in UTF-8")
    if headers.get("content-encoding", "identity") != "identity":
        return _said(415, INVALID_REQUEST, "the body is to be sent as it is, not compressed")
    accepted = headers.get("accept", "")
    if not any(each in accepted for each in ("application/json", "application/*", "*/*")):
        return _said(406, INVALID_REQUEST, "`Accept` has to name application/json and text/event-stream")
    return None


class _Leaving:
    """Whether the client has left. Looked at only for what takes a while: most calls are over before."""

    def __init__(self, receive: Receive) -> None:
        loop = asyncio.get_running_loop()
        self.left: asyncio.Future[None] = loop.create_future()
        self._receive = receive
        self._looking: asyncio.Task[None] | None = None
        self._timer = loop.call_later(_soon, self._look)

    def close(self) -> None:
        """Look no more."""
        self._timer.cancel()
        if self._looking is not None:
            self._looking.cancel()

    def _look(self) -> None:
        self._looking = asyncio.get_running_loop().create_task(left(self._receive))
        self._looking.add_done_callback(self._over)

    def _over(self, looking: asyncio.Task[None]) -> None:
        if not looking.cancelled() and not self.left.done():
            self.left.set_result(None)


def _said(status: int, code: int, message: str, more: tuple[tuple[bytes, bytes], ...] = ()) -> _Answer:
    return _json(status, error_of(None, code, message), more)


def _json(status: int, value: Json, more: tuple[tuple[bytes, bytes], ...] = ()) -> _Answer:
    return _Answer(status, write(value), ((b"content-type", b"application/json"), *more))


async def _answer(send: Send, answer: _Answer) -> None:
    headers = [
        *answer.headers,
        (b"content-length", str(len(answer.body)).encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


async def _begin_events(send: Send) -> None:
    headers = [_EVENTS, (b"cache-control", b"no-store"), (b"x-accel-buffering", b"no")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


async def _event(send: Send, message: Json) -> None:
    body = b"event: message\ndata: " + write(message) + b"\n\n"
    await send({"type": "http.response.body", "body": body, "more_body": True})
