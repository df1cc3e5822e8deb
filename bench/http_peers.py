"""What bench/http.py measures against, each a process: the API behind, and two proxies that decide nothing.

python bench/http_peers.py api PORT
python bench/http_peers.py aiohttp|asgi PORT API_PORT
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import cast

ROOT = Path(__file__).resolve().parents[1]
# Without this folder: its `http.py` is not the standard library's.
sys.path[:] = [str(ROOT), *(each for each in sys.path if Path(each).name != "bench"), str(ROOT / "bench")]

import uvicorn  # noqa: E402  # the path is set above
import uvloop  # noqa: E402  # the path is set above
from mcp_peers import environment  # noqa: E402  # the path is set above

from bailiwick.gateway.http_client import HttpClient, Origin  # noqa: E402  # the path is set above

ITEM = {
    "id": 5,
    "customer_id": 501,
    "name": "Ada Lovelace",
    "email": "ada.lovelace@mail.example",
    "phone": "+44 20 7946 0958",
    "lines": [{"sku": f"sku-{number}", "amount": number * 3, "text": "words " * 5} for number in range(6)],
}
Message = MutableMapping[str, object]


async def _api(port: int) -> None:
    body = json.dumps(ITEM).encode()
    reply = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(reply)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", port) as server:
        await server.serve_forever()


class Asgi:
    """A proxy as raw ASGI with a pool of connections: what a proxy costs that does nothing else."""

    def __init__(self, port: int) -> None:
        self._client = HttpClient(Origin("http", "127.0.0.1", port))

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        """Pass one request on."""
        del receive
        if scope["type"] != "http":
            return
        answer = await self._client.send(str(scope["method"]), cast("bytes", scope["raw_path"]).decode(), ())
        parts: list[bytes] = []
        while part := await answer.part():
            parts.append(part)
        await send({"type": "http.response.start", "status": answer.status, "headers": list(answer.headers)})
        await send({"type": "http.response.body", "body": b"".join(parts)})


_AIOHTTP = """
import sys
sys.path.append(SITE)
import uvloop
from aiohttp import ClientSession, web

async def passed(request):
    async with request.app["session"].request(request.method, "http://127.0.0.1:API" + request.path) as answer:
        body = await answer.read()
        return web.Response(status=answer.status, body=body, content_type=answer.content_type)

async def made():
    app = web.Application()
    app["session"] = ClientSession()
    app.router.add_route("*", "/{path:.*}", passed)
    return app

uvloop.install()
web.run_app(made(), host="127.0.0.1", port=PORT, print=None, access_log=None)
"""
"""A proxy as people write it with aiohttp. It is no dependency of the project, and has an environment of its own."""


def command(kind: str, port: int, api: int) -> list[str]:
    """Return what runs a peer. Raises MissingError for one that cannot be had."""
    if kind == "aiohttp":
        site = repr(str(Path(uvloop.__file__).parents[1]))  # for the same event loop as the others
        text = _AIOHTTP.replace("SITE", site).replace("API", str(api)).replace("PORT", str(port))
        return [str(environment("aiohttp", "aiohttp==3.14.5") / "python"), "-c", text]
    return [sys.executable, str(ROOT / "bench" / "http_peers.py"), kind, str(port), str(api)]


if __name__ == "__main__":
    uvloop.install()
    if sys.argv[1] == "api":
        asyncio.run(_api(int(sys.argv[2])))
    else:
        uvicorn.run(
            Asgi(int(sys.argv[3])),  # pyright: ignore[reportArgumentType]  # ASGI's own types are looser mappings
            port=int(sys.argv[2]),
            http="httptools",
            log_level="error",
            access_log=False,
        )
