"""The admin socket: one client's trouble is its own, and the gateway's is on record."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path

from bailiwick.gateway import admin
from bailiwick.gateway.wire import Fields, Json
from bailiwick.model.approval import Reviewer


async def answer(do: str, _fields: Fields, _by: Reviewer) -> Mapping[str, Json]:
    if do == "break":
        raise ValueError("a mistake of the gateway's own")
    return {"did": do}


async def said(path: Path, *lines: bytes) -> list[bytes]:
    """Return what is answered to lines, until the server ends the connection."""
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b"".join(lines))
    writer.write_eof()
    try:
        return (await reader.read()).splitlines()
    except ConnectionResetError:  # it left without reading all
        return []
    finally:
        writer.close()


async def test_a_mistake_of_the_gateway_is_told_to_the_loop_and_the_next_client_is_served(tmp_path: Path) -> None:
    told: list[Mapping[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: told.append(what))
    server = admin.AdminServer(tmp_path / "s", answer)
    await server.start()
    try:
        assert await said(tmp_path / "s", b'{"do": "break"}\n') == []
        assert ["a mistake" in str(each.get("exception")) for each in told] == [True]
        assert json.loads((await said(tmp_path / "s", b'{"do": "this"}\n'))[0])["result"] == {"did": "this"}
    finally:
        await server.stop()


async def test_a_line_too_long_and_a_client_that_leaves_are_nobodys_mistake(tmp_path: Path) -> None:
    told: list[Mapping[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: told.append(what))
    server = admin.AdminServer(tmp_path / "s", answer)
    await server.start()
    try:
        assert await said(tmp_path / "s", b'{"do": "' + b"x" * 5 * 1024 * 1024 + b'"}\n') == []
        _, writer = await asyncio.open_unix_connection(tmp_path / "s")
        writer.write(b'{"do": "this"}\n' * 1000)
        await writer.drain()
        writer.close()  # without reading one answer
        lines = b'{"do": "this"}\n', b"no JSON\n", b'"no object"\n', b"{}\n"
        codes = [json.loads(each).get("error", {}).get("code") for each in await said(tmp_path / "s", *lines)]
        assert codes == [None, "protocol", "protocol", "protocol"]
        assert told == []
    finally:
        await server.stop()
