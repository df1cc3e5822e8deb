"""A small MCP server on standard streams, of the standard library alone: the backend of the tests of the MCP mount.

It logs each call to the file that `CALLS` names, tells its tools as the file that `TOOLS` names says, and holds a
credential (`SECRET`) that no agent may ever see.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TextIO, cast

sys.path[:0] = [str(Path(__file__).parents[2])]
from tests.support.mcp_offers import links, offered  # noqa: E402  # it is started as a program

Json = object
ITEMS: list[dict[str, Json]] = [
    {
        "id": 1,
        "customer_id": 501,
        "title": "Mine",
        "author": {"email": "ada@mail.example", "name": "Ada"},
        "ssn": "CANARY1",
    },
    {"id": 2, "customer_id": 502, "title": "CANARY2", "author": {"email": "CANARY3@x"}, "ssn": "CANARY4"},
]
_text = {"type": "string"}
_number = {"type": "number", "minimum": 0}
TOOLS: list[dict[str, Json]] = [
    {
        "name": "search",
        "description": "finds articles",
        "inputSchema": {
            "type": "object",
            "properties": {"query": {**_text, "x-mcp-header": "Query"}, "limit": _number},
            "required": ["query"],
        },
        "annotations": {"readOnlyHint": True},
        "icons": [{"src": "https://evil.example/CANARY.png"}],
    },
    {
        "name": "refund",
        "description": "pays money back",
        "inputSchema": {
            "type": "object",
            "properties": {
                "customer_id": {"type": "integer"},
                "amount": _number,
                "currency": _text,
                "tenant": _text,
            },
            "required": ["customer_id", "amount", "tenant"],
        },
    },
    {
        "name": "echo",
        "description": "tells what it was told",
        "inputSchema": {"type": "object", "properties": {"text": _text}},
    },
    {"name": "misbehave", "inputSchema": {"type": "object", "properties": {"how": _text}}},
    {"name": "unmapped", "description": "CANARY5", "inputSchema": {"type": "object"}},
]  # fmt: skip


def _tools() -> list[Json]:
    changed = Path(os.environ.get("TOOLS", "/nonexistent"))
    if changed.exists():
        return cast("list[Json]", json.loads(changed.read_text()))
    return list(TOOLS)


def _said(value: Json) -> dict[str, Json]:
    return {"content": [{"type": "text", "text": json.dumps(value)}]}


def _ask(method: str, params: dict[str, Json], out: TextIO) -> Json:
    """Ask the client, and return what it answers."""
    out.write(json.dumps({"jsonrpc": "2.0", "id": "s2", "method": method, "params": params}) + "\n")
    out.flush()
    for line in sys.stdin:
        message = cast("dict[str, Json]", json.loads(line))
        if message.get("id") == "s2" and "method" not in message:
            return message.get("result", message.get("error"))
    return None


def _tell(method: str, params: dict[str, Json], out: TextIO) -> None:
    out.write(json.dumps({"jsonrpc": "2.0", "method": method, "params": params}) + "\n")


def _misbehaved(how: Json, out: TextIO) -> dict[str, Json]:
    match how:
        case "log":
            for level in ("debug", "warning"):
                _tell("notifications/message", {"level": level, "logger": "desk", "data": f"a {level}"}, out)
        case "sample":
            words: list[Json] = [{"role": "user", "content": {"type": "text", "text": "say it"}}]
            return _said({"heard": _ask("sampling/createMessage", {"messages": words, "maxTokens": 9}, out)})
        case "elicit":
            asked: dict[str, Json] = {"message": "sure?", "requestedSchema": {"type": "object", "properties": {}}}
            first = _ask("elicitation/create", asked, out)
            return _said({"heard": first})
        case "roots":
            return _said({"heard": _ask("roots/list", {}, out)})
        case "die":
            os._exit(3)
        case "sleep":
            time.sleep(60)
        case "hold":
            Path(os.environ["CALLS"] + ".held").touch()
            while not Path(os.environ["CALLS"] + ".go").exists():
                time.sleep(0.02)
        case "secret":
            return _said({"leak": os.environ.get("SECRET", "")})
        case "garbage":
            out.write("this is no JSON\n")
            out.flush()
        case "long":
            return _said("x" * 300_000)
        case "fail":
            return {"content": [{"type": "text", "text": "it failed: CANARY6"}], "isError": True}
        case "announce":
            _tell("notifications/tools/list_changed", {}, out)
        case "links":
            return links()
        case "ask":
            out.write(
                json.dumps({"jsonrpc": "2.0", "id": "s1", "method": "sampling/createMessage", "params": {}}) + "\n"
            )
            out.flush()
        case _:
            pass
    return _said({"how": how})


def _called(params: dict[str, Json], out: TextIO) -> dict[str, Json]:
    name, arguments = params.get("name"), cast("dict[str, Json]", params.get("arguments", {}))
    with Path(os.environ["CALLS"]).open("a") as log:
        log.write(json.dumps([name, arguments]) + "\n")
    token = cast("dict[str, Json]", params.get("_meta", {})).get("progressToken")
    if token is not None:
        told: dict[str, Json] = {"progressToken": token, "progress": 1, "total": 2, "message": "half: CANARY32"}
        _tell("notifications/progress", told, out)
    match name:
        case "search":
            found: dict[str, Json] = {"results": ITEMS, "total": 2, "next": "CANARY7"}
            return {**_said(found), "structuredContent": found, "_meta": {"canary": "CANARY8"}}
        case "refund" | "echo":
            return _said(arguments)
        case "misbehave":
            return _misbehaved(arguments.get("how"), out)
        case _:
            return {"content": [{"type": "text", "text": "CANARY9"}], "isError": True}


def main() -> None:
    """Answer until the input ends."""
    out = sys.stdout
    for line in sys.stdin:
        message = cast("dict[str, Json]", json.loads(line))
        method, params = message.get("method"), cast("dict[str, Json]", message.get("params", {}))
        result: dict[str, Json] | None = None
        match method:
            case "initialize":
                info = {"name": "support", "version": os.environ.get("SECRET", "")[:0] or "1"}
                result = {
                    "protocolVersion": params["protocolVersion"],
                    "capabilities": {"tools": {}, "prompts": {}, "resources": {}, "completions": {}},
                    "serverInfo": info,
                }
            case "tools/list":
                result = {"tools": _tools()}
            case "tools/call":
                result = _called(params, out)
            case _:
                result = offered(str(method), params)
        if "id" not in message:
            continue
        if result is None:
            error = {"code": -32002, "message": "there is none: CANARY13"}
            out.write(json.dumps({"jsonrpc": "2.0", "id": message["id"], "error": error}) + "\n")
            out.flush()
            continue
        out.write(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
