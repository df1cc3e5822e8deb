"""The scripted agent's other hand: an MCP client that calls tools, and among them the gateway's `query`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import orjson

from bailiwick.demo.agent import Outcome
from bailiwick.demo.steps import Cell, Cut, Done, Refused, Rows, Step
from bailiwick.gateway.http_client import HttpClient, Origin

Json = object


class Tools:
    """One connection to the MCP endpoint, under one token. To be used by `async with`."""

    def __init__(self, host: str, port: int, token: str) -> None:
        self._client = HttpClient(Origin("http", host, port))
        self._headers = {
            "Authorization": f"Bearer {token}",
            "Accept": "application/json, text/event-stream",
            "Content-Type": "application/json",
            "MCP-Protocol-Version": "2025-11-25",
        }
        self._asked = 0

    async def __aenter__(self) -> Tools:
        """Connect, and say who we are."""
        about = {"name": "scripted agent", "version": "1"}
        await self._ask("initialize", {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": about})
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect."""
        await self._client.close()

    async def perform(self, step: Step) -> Outcome:
        """Do one step by a tool: the one that it names, else `query`."""
        if step.tool == "tools/list":
            return _listed(_mapping((await self._ask("tools/list", {})).get("result")))
        if step.tool:
            found = await self._ask("tools/call", {"name": step.tool, "arguments": dict(step.given)})
            return outcome_of(_mapping(found.get("result")))
        given = {"mount": step.mount, "sql": step.sql, "reason": "answering the ticket"}
        found = await self._ask("tools/call", {"name": "query", "arguments": given})
        return outcome_of(_mapping(found.get("result")))

    async def _ask(self, method: str, params: Mapping[str, Json]) -> Mapping[str, Json]:
        self._asked += 1
        message = {"jsonrpc": "2.0", "id": self._asked, "method": method, "params": params}
        answer = await self._client.send("POST", "/mcp", self._headers.items(), orjson.dumps(message))
        body = bytearray()
        while part := await answer.part():
            body += part
        return _mapping(orjson.loads(body))


def outcome_of(result: Mapping[str, Json]) -> Outcome:
    """Read the result of a call as an agent reads it. What is no answer is a connection that was cut."""
    data = _mapping(result.get("structuredContent"))
    if result.get("isError") is True:
        message, remedy, allowed, decision = (
            str(data.get(name, "")) for name in ("message", "remedy", "allowed", "decision")
        )
        return Outcome(Refused(str(data.get("code", "failed"))), (), message, remedy, allowed, decision)
    if "affected" in data:
        return Outcome(Done(f"{data['affected']} written"))
    if "rows" not in data:
        return _of_a_server(result, data)
    columns = tuple(str(_mapping(each).get("name")) for each in cast("list[Json]", data["columns"]))
    rows = tuple(tuple(row) for row in cast("list[list[Json]]", data["rows"]))
    first = dict(zip(columns, cast("tuple[Cell, ...]", rows[0]), strict=True)) if rows else {}
    return Outcome(Rows(len(rows), columns if rows else (), first), rows)


def _of_a_server(result: Mapping[str, Json], data: Mapping[str, Json]) -> Outcome:
    """Read what a tool of a server answered: a list of items, or a text."""
    lists = [cast("list[Json]", each) for each in data.values() if isinstance(each, list)]
    if len(lists) == 1:
        items = [cast("Mapping[str, Cell]", _mapping(each)) for each in lists[0]]
        first: Mapping[str, Cell] = items[0] if items else {}
        return Outcome(Rows(len(items), tuple(first), first), tuple(tuple(each.values()) for each in items))
    blocks = result.get("content")
    texts = [
        str(_mapping(each).get("text")) for each in (cast("list[Json]", blocks) if isinstance(blocks, list) else [])
    ]
    return Outcome(Done(" ".join(texts)), message=str(data)) if texts else Outcome(Cut(), message="no answer")


def _listed(result: Mapping[str, Json]) -> Outcome:
    """Read a list of tools: names, and what each takes; with all that is said of them."""
    tools = [_mapping(each) for each in cast("list[Json]", result.get("tools", []))]
    takes = [", ".join(_mapping(_mapping(each.get("inputSchema")).get("properties"))) for each in tools]
    said = ", ".join(f"{each.get('name')}({given})" for each, given in zip(tools, takes, strict=True))
    return Outcome(Done(said), message=str(tools))


def _mapping(value: Json) -> Mapping[str, Json]:
    return cast("Mapping[str, Json]", value) if isinstance(value, dict) else {}
