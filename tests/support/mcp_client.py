"""A client of the MCP endpoint that says exactly what a test wants said: raw HTTP, no SDK."""

from __future__ import annotations

import http.client
import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

Json = object
PLAIN = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
MODERN: dict[str, Json] = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "tests", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Json]:
        """Return the JSON of its body."""
        return cast("dict[str, Json]", json.loads(self.body))

    @property
    def result(self) -> dict[str, Json]:
        """Return the result in it."""
        assert "result" in self.json, self.json
        return cast("dict[str, Json]", self.json["result"])

    @property
    def error(self) -> dict[str, Json]:
        """Return the error in it."""
        assert "error" in self.json, self.json
        return cast("dict[str, Json]", self.json["error"])

    @property
    def data(self) -> dict[str, Json]:
        """Return the structured content of a tool's result."""
        return cast("dict[str, Json]", self.result["structuredContent"])

    @property
    def code(self) -> str:
        """Return the code of a denied call; empty when it was not denied."""
        if self.result.get("isError") is not True:
            return ""
        return str(cast("dict[str, Json]", self.result.get("structuredContent", {})).get("code", "tool"))

    @property
    def text(self) -> str:
        """Return the text of a tool's result."""
        blocks = cast("list[dict[str, str]]", self.result["content"])
        return "\n".join(block["text"] for block in blocks if block["type"] == "text")


class McpClient:
    """Sends one request at a time."""

    def __init__(self, port: int, token: str) -> None:
        self.port = port
        self.token = token

    def send(
        self, body: bytes, headers: Mapping[str, str] | None = None, *, method: str = "POST", path: str = "/mcp"
    ) -> Answer:
        """Send exactly these bytes; `headers` replace the usual ones of their name."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        given = {**PLAIN, "Authorization": f"Bearer {self.token}", **(headers or {})}
        try:
            connection.request(method, path, body, {name: value for name, value in given.items() if value})
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def ask(self, method: str, params: Mapping[str, Json] | None = None, **headers: str) -> Answer:
        """Send a request of a legacy revision."""
        message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}}
        return self.send(json.dumps(message).encode(), {key.replace("_", "-"): each for key, each in headers.items()})

    def call(self, name: str, **arguments: Json) -> Answer:
        """Call a tool."""
        return self.ask("tools/call", {"name": name, "arguments": arguments})

    def modern(self, method: str, params: Mapping[str, Json] | None = None, **headers: str) -> Answer:
        """Send a request of the modern revision, with the headers that belong to it unless they are given."""
        said = {**(params or {}), "_meta": MODERN}
        given = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": method}
        if "name" in said or "uri" in said:
            given["Mcp-Name"] = str(said.get("name", said.get("uri")))
        given |= {key.replace("_", "-"): each for key, each in headers.items()}
        return self.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": said}).encode(), given)

    def tools(self) -> dict[str, dict[str, Json]]:
        """Return the tools that are listed, by name."""
        listed = cast("list[dict[str, Json]]", self.ask("tools/list").result["tools"])
        return {str(tool["name"]): tool for tool in listed}

    @contextmanager
    def streaming(
        self, message: Mapping[str, Json], headers: Mapping[str, str] | None = None
    ) -> Generator[Generator[dict[str, Json]]]:
        """Send a message and hold its reply open: the messages of it, as they come."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        given = {**PLAIN, "Authorization": f"Bearer {self.token}", **(headers or {})}
        try:
            connection.request("POST", "/mcp", json.dumps(message).encode(), given)
            yield _messages(connection.getresponse())
        finally:
            connection.close()

    @contextmanager
    def listening(self) -> Generator[http.client.HTTPResponse]:
        """Hold the stream of notices open."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "text/event-stream"}
        try:
            connection.request("GET", "/mcp", headers=headers)
            yield connection.getresponse()
        finally:
            connection.close()


def _messages(response: http.client.HTTPResponse) -> Generator[dict[str, Json]]:
    """Yield the messages of a reply, which is JSON or a stream of events."""
    if response.getheader("content-type") == "application/json":
        yield json.loads(response.read())
        return
    for line in iter(response.readline, b""):
        if line.startswith(b"data:"):
            yield json.loads(line[5:])
