"""An MCP server on standard streams that passes everything on to a gateway's endpoint, and decides nothing.

For clients that start their servers as commands. Of the standard library alone, so that it starts at once: a thread for
each request that is under way.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import select
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, cast
from urllib.parse import urlsplit

from bailiwick.errors import ConfigError

_VERSION = "io.modelcontextprotocol/protocolVersion"
_NAMED = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
_ACCEPTED = "application/json, text/event-stream"
_PARSE_ERROR, _REFUSED = -32700, -32000
_most_under_way = 128
_answer_seconds = 900.0
"""Longer than any call that a gateway lets run."""
_idle_seconds = 15.0
"""After which a connection is not used again: the gateway ends those that are idle."""
_ending_seconds = 20.0
_pauses = (1.0, 2.0, 5.0, 15.0, 30.0)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the gateway's endpoint is."""

    secure: bool
    host: str
    port: int
    path: str

    @staticmethod
    def of(url: str) -> Place:
        """Return the place that a URL says. Raises ConfigError: beyond this machine a token is sent by TLS only."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ConfigError("the gateway's URL is not one", remedy="give e.g. `http://127.0.0.1:6433/mcp`") from None
        host = parts.hostname or ""
        if parts.scheme not in ("http", "https") or not host or parts.username is not None:
            raise ConfigError("the gateway's URL is not one", remedy="give e.g. `http://127.0.0.1:6433/mcp`")
        secure = parts.scheme == "https"
        if not secure and host not in ("127.0.0.1", "::1", "localhost"):
            raise ConfigError("the token would leave this machine in clear", remedy="use `https://`, or a tunnel")
        return Place(secure, host, port or (443 if secure else 80), parts.path or "/mcp")

    def connect(self) -> http.client.HTTPConnection:
        """Return a connection, not opened yet."""
        kind = http.client.HTTPSConnection if self.secure else http.client.HTTPConnection
        return kind(self.host, self.port, timeout=_answer_seconds)


@dataclass(slots=True)
class _Exchange:
    """One request of the client that is under way."""

    identity: object
    modern: bool
    connection: http.client.HTTPConnection | None = None
    cancelled: bool = False
    waits: bool = True
    """Whether somebody waits for its end; not for that of a subscription."""


@dataclass(frozen=True, slots=True)
class _Said:
    """What of a line the bridge has to know."""

    method: str
    identity: object
    params: Mapping[str, object]
    version: str
    """Of the modern revisions, empty in the others."""

    @staticmethod
    def of(line: bytes) -> _Said:
        """Return it. Raises ValueError for what is no JSON."""
        found = json.loads(line)
        given = cast("dict[str, object]", found) if isinstance(found, dict) else {}
        params = given.get("params")
        told = cast("dict[str, object]", params) if isinstance(params, dict) else {}
        meta = told.get("_meta")
        version = cast("dict[str, object]", meta).get(_VERSION) if isinstance(meta, dict) else None
        return _Said(str(given.get("method") or ""), given.get("id"), told, version if isinstance(version, str) else "")

    def headers(self) -> dict[str, str]:
        """Return the headers that say again what a modern message says."""
        if not self.version:
            return {}
        found = {"MCP-Protocol-Version": _encoded(self.version), "Mcp-Method": _encoded(self.method)}
        name = self.params.get(_NAMED.get(self.method, ""))
        return {**found, "Mcp-Name": _encoded(name)} if isinstance(name, str) else found


@dataclass(slots=True)
class _Session:
    """What the legacy revisions agree on at the start."""

    version: str = ""
    name: str = ""
    listens: bool = False

    def headers(self) -> dict[str, str]:
        found = {"MCP-Protocol-Version": self.version, "Mcp-Session-Id": self.name}
        return {key: value for key, value in found.items() if value}


@dataclass(slots=True)
class Bridge:
    """One client, one gateway. `token` is asked for with each message, so that a renewed one is used at once."""

    place: Place
    token: Callable[[], str]
    out: BinaryIO
    _session: _Session = field(default_factory=_Session)
    _under_way: list[_Exchange] = field(default_factory=list[_Exchange])
    _idle: list[tuple[http.client.HTTPConnection, float]] = field(
        default_factory=list[tuple[http.client.HTTPConnection, float]]
    )
    _changing: threading.Lock = field(default_factory=threading.Lock)
    _writing: threading.Lock = field(default_factory=threading.Lock)
    _ended: threading.Event = field(default_factory=threading.Event)

    def run(self, lines: Iterable[bytes]) -> None:
        """Pass on each line until the input ends, and then what is still to be answered."""
        for line in lines:
            if line.strip():
                self._take(line.strip())
        until = time.monotonic() + _ending_seconds
        while time.monotonic() < until and any(each.waits for each in tuple(self._under_way)):
            time.sleep(0.01)
        self._ended.set()

    def _take(self, line: bytes) -> None:
        try:
            said = _Said.of(line)
        except (ValueError, RecursionError):
            self._write(_error(None, _PARSE_ERROR, "not JSON in UTF-8"))
            return
        if said.method == "notifications/cancelled" and self._cancel(said.params.get("requestId")):
            return
        if said.method and said.identity is not None:
            self._start(line, said)
            return
        exchange = _Exchange(None, bool(said.version), waits=False)
        self._exchange(exchange, line, said)
        if said.method == "notifications/initialized" and not self._session.listens:
            self._session.listens = True
            threading.Thread(target=self._listen, daemon=True).start()

    def _start(self, line: bytes, said: _Said) -> None:
        exchange = _Exchange(said.identity, bool(said.version), waits=said.method != "subscriptions/listen")
        with self._changing:
            if len(self._under_way) >= _most_under_way:
                self._write(_error(said.identity, _REFUSED, "too many requests at once"))
                return
            self._under_way.append(exchange)
        threading.Thread(target=self._exchange, args=(exchange, line, said), daemon=True).start()

    def _cancel(self, identity: object) -> bool:
        """Leave a modern request, which is how it is cancelled over HTTP; return whether there was one."""
        with self._changing:
            for each in self._under_way:
                if each.modern and each.identity == identity:
                    each.cancelled = True
                    _shut(each.connection)
                    return True
        return False

    def _exchange(self, exchange: _Exchange, line: bytes, said: _Said) -> None:
        """Send one message and write what is answered to it."""
        try:
            for answer in self._answers(exchange, line, said):
                if not exchange.cancelled:
                    self._write(answer)
        except ConfigError as error:
            self._failed(exchange, f"{error.message}; {error.remedy}" if error.remedy else error.message)
        except (OSError, http.client.HTTPException, ValueError):
            self._failed(exchange, "the gateway cannot be reached, or broke off; what was asked may have been done")
        finally:
            with self._changing:
                if exchange in self._under_way:
                    self._under_way.remove(exchange)

    def _failed(self, exchange: _Exchange, why: str) -> None:
        if exchange.identity is not None and not exchange.cancelled:
            self._write(_error(exchange.identity, _REFUSED, why))

    def _answers(self, exchange: _Exchange, line: bytes, said: _Said) -> Iterator[bytes]:
        """Yield each message that comes back, as one line."""
        headers = {**(said.headers() if said.version else self._session.headers()), "Accept": _ACCEPTED}
        headers |= {"Content-Type": "application/json", "Authorization": f"Bearer {self.token()}"}
        connection = self._connection()
        done = False
        try:
            with self._changing:  # from here on a cancellation finds what it has to end
                exchange.connection = connection
                if exchange.cancelled:
                    return
            connection.request("POST", self.place.path, line, headers)
            response = connection.getresponse()
            if response.status == 200 and response.headers.get_content_type() == "text/event-stream":
                answered = False
                for data in _events(response):
                    answered = answered or _answers_to(data, exchange.identity)
                    yield data
                if not answered:
                    self._failed(exchange, "the gateway broke off; what was asked may have been done")
                done = True
                return
            body = response.read()
            done = True
            if exchange.identity is not None:
                yield self._answered(response, body, said)
        finally:
            if done and not exchange.cancelled:
                self._keep(connection)
            else:
                connection.close()

    def _answered(self, response: http.client.HTTPResponse, body: bytes, said: _Said) -> bytes:
        found: object = None
        if response.headers.get_content_type() == "application/json":
            found = json.loads(body)
        given = cast("dict[str, object]", found) if isinstance(found, dict) else {}
        if "result" in given and said.method == "initialize":
            result = given["result"]
            version = cast("dict[str, object]", result).get("protocolVersion") if isinstance(result, dict) else None
            self._session.version = str(version or "")
            self._session.name = response.headers.get("Mcp-Session-Id") or ""
        if given.get("id") == said.identity and ("result" in given or "error" in given):
            return _on_one_line(body)
        error = given.get("error")
        if isinstance(error, dict):  # refused before it was read, hence without its id
            return _line({"jsonrpc": "2.0", "id": said.identity, "error": cast("object", error)})
        return _error(said.identity, _REFUSED, f"the gateway answered with HTTP status {response.status}")

    def _listen(self) -> None:
        """Write what the gateway says by itself, for as long as it can be heard."""
        failures = 0
        while not self._ended.is_set():
            connection = self.place.connect()
            try:
                headers = {**self._session.headers(), "Accept": "text/event-stream"}
                headers["Authorization"] = f"Bearer {self.token()}"
                connection.request("GET", self.place.path, headers=headers)
                response = connection.getresponse()
                if response.status == 405:
                    return
                if response.status == 200:
                    failures = 0
                    for data in _events(response):
                        self._write(data)
            except (OSError, http.client.HTTPException, ConfigError, ValueError):
                pass  # it is tried again; requests say what is wrong
            finally:
                connection.close()
            self._ended.wait(_pauses[min(failures, len(_pauses) - 1)])
            failures += 1

    def _connection(self) -> http.client.HTTPConnection:
        """Return a connection that is open as far as is known."""
        while True:
            with self._changing:
                if not self._idle:
                    break
                connection, since = self._idle.pop()
            if time.monotonic() - since < _idle_seconds and _is_open(connection):
                return connection
            connection.close()
        connection = self.place.connect()
        connection.connect()
        return connection

    def _keep(self, connection: http.client.HTTPConnection) -> None:
        with self._changing:
            self._idle.append((connection, time.monotonic()))

    def _write(self, line: bytes) -> None:
        with self._writing, contextlib.suppress(BrokenPipeError, ValueError):  # nobody reads any more
            self.out.write(line + b"\n")
            self.out.flush()


def _encoded(text: str) -> str:
    """Return a text as a header's value."""
    plain = text.isascii() and text.isprintable() and text == text.strip() and not text.startswith("=?base64?")
    return text if plain else f"=?base64?{b64encode(text.encode(errors='replace')).decode()}?="


def _events(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """Yield the data of each event, as one line."""
    data: list[bytes] = []
    while raw := response.readline():
        line = raw.rstrip(b"\r\n")
        if line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" "))
        elif not line and data:
            whole = b" ".join(data).strip()
            data.clear()
            if whole:
                yield whole


def _answers_to(data: bytes, identity: object) -> bool:
    found = json.loads(data)
    given = cast("dict[str, object]", found) if isinstance(found, dict) else {}
    return given.get("id") == identity and "method" not in given


def _on_one_line(body: bytes) -> bytes:
    return body.replace(b"\r", b" ").replace(b"\n", b" ").strip()


def _line(message: object) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()


def _error(identity: object, code: int, message: str) -> bytes:
    return _line({"jsonrpc": "2.0", "id": identity, "error": {"code": code, "message": message}})


def _is_open(connection: http.client.HTTPConnection) -> bool:
    """Return whether the other side has neither closed an idle connection nor said something unasked."""
    try:
        return connection.sock is not None and not select.select([connection.sock], [], [], 0)[0]
    except (OSError, ValueError):
        return False


def _shut(connection: http.client.HTTPConnection | None) -> None:
    """End a connection that another thread reads from."""
    opened = None if connection is None else connection.sock
    if opened is not None:
        with contextlib.suppress(OSError):  # it has ended already
            opened.shutdown(socket.SHUT_RDWR)
