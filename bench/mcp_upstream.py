"""The upstream of bench/mcp.py: an MCP server over HTTP that does next to nothing. Argument: the port."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from typing import cast

TOOL = {"name": "echo", "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}}}
_LENGTH = re.compile(rb"content-length: *([0-9]+)", re.IGNORECASE)


def _result(method: object, params: dict[str, object]) -> dict[str, object]:
    match method:
        case "initialize":
            info = {"name": "bench", "version": "1"}
            version = params.get("protocolVersion")
            return {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info}
        case "tools/list":
            return {"tools": [TOOL]}
        case "tools/call":
            return {"content": [{"type": "text", "text": json.dumps(params.get("arguments"))}]}
        case _:
            return {}


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            body = await reader.readexactly(int(length[1])) if length else b""
            message = cast("dict[str, object]", json.loads(body)) if body else {}
            if "id" not in message:
                writer.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
                continue
            params = cast("dict[str, object]", message.get("params", {}))
            answer = {"jsonrpc": "2.0", "id": message["id"], "result": _result(message.get("method"), params)}
            said = json.dumps(answer).encode()
            first = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
            writer.write(first + str(len(said)).encode() + b"\r\n\r\n" + said)
            await writer.drain()
    except (asyncio.IncompleteReadError, OSError):
        writer.close()


async def main() -> None:
    """Serve until killed."""
    server = await asyncio.start_server(_serve, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
