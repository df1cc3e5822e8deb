"""The admin socket: how the command line talks to the gateway that runs. One JSON object a line, both ways.

Only those who may open the socket are served: it is its owner's alone (0600), in a directory that is too.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import pwd
import socket
import stat
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

from bailiwick.errors import BailiwickError, ConfigError
from bailiwick.gateway.moments import utc_now
from bailiwick.gateway.wire import Fields, Json
from bailiwick.model.approval import Reviewer
from bailiwick.model.label import Level

_log = logging.getLogger("bailiwick.admin")
_longest = 4 * 1024 * 1024
"""Bytes of a request, which may hold the result of a function."""
_idle_seconds = 30
_longest_path = 100
"""Bytes: systems take 104 to 108."""

Answer = Callable[[str, Fields, Reviewer], Awaitable[Mapping[str, Json]]]
"""(what, its fields, who asks) → the result; raises BailiwickError."""


class AdminServer:
    """Listens on the socket."""

    def __init__(self, path: Path, answer: Answer, clearance: Level = "public") -> None:
        """`clearance`: what those see who may open the socket."""
        self._path = path
        self._answer = answer
        self._clearance: Level = clearance
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """Listen. The caller holds the data directory, so a socket that is there is of a gateway that died."""
        check_path(self._path)
        try:
            if self._path.exists() and stat.S_ISSOCK(self._path.stat().st_mode):
                self._path.unlink()
            listening = _bind_private(self._path)
        except OSError as error:
            raise ConfigError(
                f"the admin socket `{self._path}` cannot be made: {error.strerror}",
                remedy="set `admin_socket` in gateway.yaml",
            ) from None
        self._server = await asyncio.start_unix_server(self._serve, sock=listening, limit=_longest)

    async def stop(self) -> None:
        """Stop listening, drop who is connected, and take the socket away."""
        if self._server is not None:
            self._server.close()
            for client in tuple(self._clients):
                client.close()
            await self._server.wait_closed()
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.add(writer)
        try:
            while line := await _line(reader):
                reply = await self._reply(line, replace(_peer(writer), clearance=self._clearance))
                writer.write(json.dumps(reply).encode() + b"\n")
                with contextlib.suppress(ConnectionError):  # whoever asked has left; the next line says so too
                    await writer.drain()
        finally:
            self._clients.discard(writer)
            writer.close()

    async def _reply(self, line: bytes, by: Reviewer) -> dict[str, Json]:
        try:
            request = cast("Json", json.loads(line))
        except (ValueError, RecursionError):
            return _failed("protocol", "the request is not JSON", "")
        if not isinstance(request, dict):
            return _failed("protocol", "the request is not an object", "")
        do = request.pop("do", None)
        if not isinstance(do, str):
            return _failed("protocol", "the request does not say what to `do`", "")
        try:
            return {"ok": True, "result": dict(await self._answer(do, Fields(request), by))}
        except BailiwickError as error:
            _log.info("refused %s for %s: %s", do, by.name, error.code)
            return _failed(error.code, error.message, error.remedy)


def check_path(path: Path) -> None:
    """Raise ConfigError for a path that no system takes as a socket."""
    if len(os.fsencode(path)) > _longest_path:
        raise ConfigError(
            f"the admin socket's path `{path}` is longer than {_longest_path} bytes",
            remedy="set `admin_socket` in gateway.yaml or BAILIWICK_ADMIN_SOCKET to a shorter one",
        )


def _bind_private(path: Path) -> socket.socket:
    """Return a listening socket that was never open to others: bound under another name, then moved."""
    draft = path.with_name(f".{path.name[:8]}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(str(draft))
    draft.chmod(0o600)
    listening.listen(64)
    listening.setblocking(False)
    draft.rename(path)
    return listening


def local_name(uid: int) -> str:
    """Return what a user of this machine is called here: by name, where they have one."""
    try:
        return f"local:{pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"local:uid-{uid}"


async def _line(reader: asyncio.StreamReader) -> bytes:
    """Return the next line; empty when there is none: the client has left, is silent, or wrote too long a one."""
    try:
        return await asyncio.wait_for(reader.readline(), _idle_seconds)
    except (ValueError, TimeoutError, OSError):
        return b""


def _peer(writer: asyncio.StreamWriter) -> Reviewer:
    """Return who asks, as the system knows it: by name, where the user has one."""
    connected = cast("socket.socket | None", writer.get_extra_info("socket"))
    if connected is None or not hasattr(socket, "SO_PEERCRED"):
        return Reviewer("local", means="local", authenticated_at=utc_now())
    _, uid, _ = struct.unpack("3i", connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return Reviewer(local_name(uid), means="local", authenticated_at=utc_now())


def _failed(code: str, message: str, remedy: str) -> dict[str, Json]:
    return {"ok": False, "error": {"code": code, "message": message, "remedy": remedy}}
