"""A real HTTP API behind the gateway: a process of its own, that tells in a file what reached it.

python tests/support/http_api.py PORT LOG
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import cast
from urllib.parse import parse_qsl

import uvicorn

Message = MutableMapping[str, object]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
INVOICES = {
    number: {
        "id": number,
        "customer_id": 501 if number % 2 else 502,
        "total": number * 10,
        "email": f"person{number}@mail.example",
        "card": f"CANARY_CARD_{number}",
        "lines": [{"sku": f"s{number}", "cost": f"CANARY_COST_{number}"}],
    }
    for number in range(1, 7)
}


class Api:
    """The ASGI application."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._tokens = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request, and tell what it was."""
        if scope["type"] != "http":
            return
        body = b""
        while True:
            part = await receive()
            body += cast("bytes", part.get("body", b""))
            if not part.get("more_body"):
                break
        path = cast("bytes", scope["raw_path"]).decode()
        headers = {key.decode(): value.decode() for key, value in cast("list[tuple[bytes, bytes]]", scope["headers"])}
        query = cast("bytes", scope["query_string"]).decode()
        told = {
            "method": scope["method"],
            "path": path,
            "query": query,
            "headers": headers,
            "body": body.decode("utf-8", "replace"),
        }
        with self._log.open("a") as log:
            log.write(json.dumps(told) + "\n")
        await self._answered(str(scope["method"]), path, query, headers, body, send)

    async def _answered(
        self, method: str, path: str, query: str, headers: dict[str, str], body: bytes, send: Send
    ) -> None:
        credential = headers.get("authorization", "") + headers.get("x-api-key", "")
        match method, path.strip("/").split("/"):
            case "GET", ["v2", "invoices"]:
                wanted = dict(parse_qsl(query)).get("customer_id")
                found = [each for each in INVOICES.values() if wanted in (None, str(each["customer_id"]))]
                await _json(send, {"data": found, "total": len(found)}, more=[(b"x-total-count", b"7700001")])
            case "GET" | "HEAD", ["v2", "invoices", number] if number.isdigit():
                known = INVOICES.get(int(number))
                await _json(send, known or {"error": "CANARY_NONE_404"}, 200 if known else 404)
            case "POST", ["v2", "refunds"]:
                await _json(send, {"refunded": json.loads(body), "key": headers.get("idempotency-key")}, 201)
            case "PUT", ["v2", "invoices", number]:
                await _json(send, {"id": number, "got": body.decode()})
            case "DELETE", ["v2", "invoices", _]:
                await send({"type": "http.response.start", "status": 204, "headers": []})
                await send({"type": "http.response.body", "body": b""})
            case "POST", ["v2", "forms"]:
                await _json(send, dict(parse_qsl(body.decode())))
            case "POST", ["v2", "uploads"]:
                await _json(send, {"received": len(body), "type": headers.get("content-type")}, 201)
            case "GET", ["v2", "search"]:
                await _json(send, {"query": query})
            case "GET", ["v2", "files", *rest]:
                await _json(send, {"path": rest})
            case "GET", ["v2", "echo-credential", how]:
                await _echo(send, how, credential + query)
            case "GET", ["v2", "redirect", where]:
                await _redirect(send, where)
            case "GET", ["v2", "events"]:
                await _events(send)
            case "GET", ["v2", "large"]:
                await _large(send)
            case "GET", ["v2", "broken"]:
                await _json(send, {"error": f"CANARY_TRACE_500 at {credential}"}, 500)
            case "GET", ["v2", "plain"]:
                await _whole(send, b"CANARY_PLAIN_1", b"text/plain")
            case "GET", ["v2", "packed"]:
                await _whole(send, b"{}", b"application/json", [(b"content-encoding", b"gzip")])
            case "GET", ["v2", "unauthorized"]:
                await _json(send, {"error": "no"}, 401)
            case "GET", ["v2", "cookies"]:
                more = [(b"set-cookie", b"session=CANARY_COOKIE_1"), (b"x-internal", b"CANARY_INTERNAL_1")]
                await _json(send, {}, more=[*more, (b"connection", b"x-internal"), (b"etag", b'"1"')])
            case "GET", ["v2", "whoami"]:
                await _json(send, {"known": True}, 401 if credential.endswith("ACCESS_TOKEN1") else 200)
            case "POST", ["token"]:
                self._tokens += 1
                token = f"CANARY_ACCESS_TOKEN{self._tokens}"
                await _json(send, {"access_token": token, "token_type": "Bearer", "expires_in": 3600})
            case _:
                await _json(send, {"error": "CANARY_NOTHING_404"}, 404)


async def _json(send: Send, value: object, status: int = 200, more: list[tuple[bytes, bytes]] | None = None) -> None:
    await _whole(send, json.dumps(value).encode(), b"application/json", more, status)


async def _whole(
    send: Send, data: bytes, kind: bytes, more: list[tuple[bytes, bytes]] | None = None, status: int = 200
) -> None:
    headers = [(b"content-type", kind), (b"content-length", str(len(data)).encode()), *(more or [])]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": data})


async def _echo(send: Send, how: str, credential: str) -> None:
    if how == "header":
        await _json(send, {}, more=[(b"etag", credential.encode())])
    elif how == "body":
        await _json(send, {"got": credential})
    elif how == "text":
        await _whole(send, credential.encode(), b"text/plain")
    else:  # in the middle of a stream, taken apart
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        for part in (b"data: begin\n\n", *(character.encode() for character in credential), b"\n\n"):
            await send({"type": "http.response.body", "body": part, "more_body": True})
            await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b""})


async def _redirect(send: Send, where: str) -> None:
    places = {
        "below": "/v2/invoices/1",
        "outside": "/admin",
        "other": "https://evil.example/v2/invoices/1",
        "scheme": "//evil.example/v2/x",
        "dots": "/v2/../admin",
        "backslash": "/\\evil.example/v2/",
        "user": "http://a@127.0.0.1/v2/x",
        "local": "http://169.254.169.254/latest/meta-data",
        "script": "javascript:alert(1)",
        "file": "file:///etc/passwd",
    }
    headers = [(b"location", places[where].encode()), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 302, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def _events(send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    await send({"type": "http.response.body", "body": b"data: one\n\n", "more_body": True})
    await asyncio.sleep(3600)  # what was sent must arrive although nothing follows


async def _large(send: Send) -> None:
    headers = [(b"content-type", b"application/octet-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for _ in range(64):
        await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


if __name__ == "__main__":
    uvicorn.run(
        Api(Path(sys.argv[2])),  # pyright: ignore[reportArgumentType]  # ASGI's own types are looser mappings
        port=int(sys.argv[1]),
        log_level="error",
        access_log=False,
    )
