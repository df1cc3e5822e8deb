"""A small MCP server over HTTP, of the standard library alone: of a legacy revision, or of the modern one alone.

Who calls it without the credential learns nothing. It notes the headers of each call, and can misbehave.
"""

from __future__ import annotations

import http.server
import json
import queue
import ssl
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

Json = object
CREDENTIAL = "Bearer CANARY-http-credential-0815"
_echo: dict[str, Json] = {
    "name": "echo",
    "description": "tells what it was told",
    "inputSchema": {
        "type": "object",
        "properties": {"text": {"type": "string", "x-mcp-header": "Text"}, "how": {"type": "string"}},
    },
}


@dataclass(slots=True)
class Served:
    """The server, and what reached it."""

    port: int
    modern: bool
    headers: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    """Of each call."""
    calls: list[Json] = field(default_factory=list[Json])
    strays: int = 0
    """Requests to where a redirect pointed."""
    sessions: int = 0
    rests: dict[str, bytes] = field(default_factory=dict[str, bytes])
    """Id of an event → what comes after it."""
    says: queue.Queue[Json] | None = None
    """What it says outside of answers; None: it offers no such stream."""
    answers: list[Json] = field(default_factory=list[Json])
    """To what it asked."""


def _said(value: Json) -> dict[str, Json]:
    return {"content": [{"type": "text", "text": json.dumps(value)}]}


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    served: Served

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""

    def do_DELETE(self) -> None:
        """End a session."""
        self._reply(200, b"")

    def do_GET(self) -> None:
        """Give the rest of a stream, and offer no other."""
        self.served.strays += self.path != "/mcp"
        if self.served.says is not None and "Last-Event-ID" not in self.headers:
            self._say(self.served.says)
            return
        rest = self.served.rests.pop(self.headers.get("Last-Event-ID", ""), b"")
        if rest and self.headers.get("Authorization") == CREDENTIAL:
            self._reply(200, rest, "text/event-stream")
        else:
            self._reply(405, b"")

    def _say(self, says: queue.Queue[Json]) -> None:
        """Offer a stream of its own, and end it with `None`."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        while (message := says.get()) is not None:
            self.wfile.write(b"data: " + json.dumps(message).encode() + b"\n\n")
            self.wfile.flush()

    def do_POST(self) -> None:
        """Take one message."""
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.path != "/mcp":
            self.served.strays += 1
        if self.headers.get("Authorization") != CREDENTIAL:
            self._reply(401, b"who are you? CANARY40", "text/plain")
            return
        message = cast("dict[str, Json]", json.loads(body))
        if "id" in message and "method" not in message:
            self.served.answers.append(message)
        if "id" not in message or "method" not in message:
            self._reply(202, b"")
            return
        params = cast("dict[str, Json]", message.get("params", {}))
        answered = self._modern(message, params) if self.served.modern else self._legacy(message, params)
        if answered is not None:
            status, outcome = answered
            self._json(status, {"jsonrpc": "2.0", "id": message["id"], **outcome})

    def _legacy(self, message: dict[str, Json], params: dict[str, Json]) -> tuple[int, dict[str, Json]] | None:
        if message["method"] == "initialize":
            self.served.sessions += 1
            found: dict[str, Json] = {
                "protocolVersion": "2025-06-18",
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "h"},
            }
            return 200, {"result": found}
        if self.headers.get("Mcp-Session-Id") != f"s{self.served.sessions}":
            return 404, {"error": {"code": -32001, "message": "no session: CANARY41"}}
        return self._known(message, params)

    def _modern(self, message: dict[str, Json], params: dict[str, Json]) -> tuple[int, dict[str, Json]] | None:
        meta = cast("dict[str, Json]", params.get("_meta", {}))
        version = "2026-07-28"
        stated = meta.get("io.modelcontextprotocol/protocolVersion")
        if stated != version or self.headers.get("MCP-Protocol-Version") != version:
            data = {"supported": [version], "requested": "?"}
            return 400, {"error": {"code": -32022, "message": "unsupported", "data": data}}
        if self.headers.get("Mcp-Method") != message["method"]:
            return 400, {"error": {"code": -32020, "message": "header mismatch"}}
        if message["method"] == "server/discover":
            found: dict[str, Json] = {
                "resultType": "complete",
                "supportedVersions": [version],
                "capabilities": {"tools": {}},
            }
            return 200, {"result": found}
        return self._known(message, params)

    def _known(self, message: dict[str, Json], params: dict[str, Json]) -> tuple[int, dict[str, Json]] | None:
        match message["method"]:
            case "tools/list":
                return 200, {"result": {"resultType": "complete", "tools": [_echo]}}
            case "tools/call":
                self.served.headers.append({key.lower(): value for key, value in self.headers.items()})
                self.served.calls.append(params["arguments"])
                return self._called(message, params)
            case _:
                return (404 if self.served.modern else 200), {"error": {"code": -32601, "message": "unknown"}}

    def _called(self, message: dict[str, Json], params: dict[str, Json]) -> tuple[int, dict[str, Json]] | None:
        arguments = cast("dict[str, Json]", params["arguments"])
        done: dict[str, Json] = {"resultType": "complete", **_said(arguments)}
        match arguments.get("how"):
            case "leak":
                return 200, {"result": _said(dict(self.headers.items()))}
            case "redirect":
                self.send_response(307)
                self.send_header("Location", f"http://127.0.0.1:{self.served.port}/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return None
            case "fail":
                self._reply(500, b"CANARY42", "text/plain")
                return None
            case "page":
                self._reply(200, b"<p>CANARY43</p>", "text/html")
                return None
            case "cut":
                self.close_connection = True
                return None
            case "events":
                told: Json = {"jsonrpc": "2.0", "method": "notifications/progress", "params": self._progress(params)}
                self._events(told, {"jsonrpc": "2.0", "id": message["id"], "result": done})
                return None
            case "later" | "never":
                answer = json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": done}).encode()
                if arguments.get("how") == "later":  # each part ends before the answer but the last
                    self.served.rests = {
                        "e1": b"retry: 60\nid: e2\ndata:\n\n",
                        "e2": b"id: e3\ndata: " + answer + b"\n\n",
                    }
                self._reply(200, b"id: e1\nretry: 60\ndata:\n\n", "text/event-stream")
                return None
            case "forget":
                self.served.sessions += 1
                return 200, {"result": done}
            case "elicit" if self.served.modern and "inputResponses" not in params:
                question: dict[str, Json] = {
                    "method": "elicitation/create",
                    "params": {"message": "sure?", "requestedSchema": {}},
                }
                asked: dict[str, Json] = {"inputRequests": {"one": question}, "requestState": "CANARY-state"}
                return 200, {"result": {"resultType": "input_required", **asked}}
            case "elicit" if self.served.modern:
                told = [params["inputResponses"], params["requestState"] == "CANARY-state"]
                return 200, {"result": {"resultType": "complete", **_said(told)}}
            case _:
                return 200, {"result": done}

    def _progress(self, params: dict[str, Json]) -> dict[str, Json]:
        meta = cast("dict[str, Json]", params.get("_meta", {}))
        return {"progressToken": meta.get("progressToken"), "progress": 1}

    def _json(self, status: int, value: Json) -> None:
        self._reply(status, json.dumps(value).encode(), "application/json")

    def _events(self, *messages: Json) -> None:
        body = b"".join(
            b": a comment\r\nid: 1\r\ndata: " + json.dumps(each).encode() + b"\r\n\r\n" for each in messages
        )
        self._reply(200, body, "text/event-stream")

    def _reply(self, status: int, body: bytes, kind: str = "") -> None:
        self.send_response(status)
        if kind:
            self.send_header("Content-Type", kind)
        if self.served.sessions:
            self.send_header("Mcp-Session-Id", f"s{self.served.sessions}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def serving(*, modern: bool = False, chain: tuple[Path, Path] | None = None) -> Generator[Served]:
    """Serve on a free port, with TLS if there is a certificate and its key."""
    served = Served(0, modern)
    bound = type("Bound", (_Handler,), {"served": served})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), bound)
    if chain is not None:
        settings = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        settings.load_cert_chain(*chain)
        server.socket = settings.wrap_socket(server.socket, server_side=True)
    served.port = int(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join(30)
