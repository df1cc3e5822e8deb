"""An MCP server that is a child process: messages on its standard input and output, one a line."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from bailiwick.mounts.mcp.message import METHOD_NOT_FOUND, Json, error_of, write
from bailiwick.mounts.mcp.relay import Hears
from bailiwick.mounts.mcp.upstream import (
    LISTS_CHANGED,
    NO_HEADERS,
    Guard,
    Modern,
    Reply,
    TooLongError,
    UpstreamError,
    longest,
    outgoing,
    params_of,
    reply_of,
    response_to,
)

_passed_on = ("HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER")
"""What every process needs of the gateway's environment. Nothing else of it reaches a server."""
_grace = 2.0
_most_questions = 16
"""What a server may ask at once."""


async def start(
    command: Sequence[str], env: Mapping[str, str], folder: Path, guard: Guard, environ: Mapping[str, str]
) -> StdioUpstream:
    """Start a server. Raises UpstreamError when its program cannot be started."""
    base = {name: environ[name] for name in _passed_on if name in environ}
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,  # it may hold anything, also the server's credentials
            env={**base, **env},
            cwd=folder,
            limit=longest,
            start_new_session=True,
        )
    except (OSError, ValueError):
        raise UpstreamError("the server's program cannot be started") from None
    return StdioUpstream(process, guard)


@dataclass(frozen=True, slots=True)
class _Waiting:
    answer: asyncio.Future[Reply]
    most: int
    hears: Hears | None


class StdioUpstream:
    """An `Upstream` over the standard streams of a child."""

    def __init__(self, process: asyncio.subprocess.Process, guard: Guard) -> None:
        self.changed = False
        self.logs = False
        self.modern: Modern | None = None
        self._process = process
        self._guard = guard
        self._waiting: dict[int, _Waiting] = {}
        self._asked: dict[Json, asyncio.Task[None]] = {}
        self._next = 0
        self._failed: UpstreamError | None = None
        self._reading = asyncio.create_task(self._read())

    @property
    def alive(self) -> bool:
        """Whether it can still be used."""
        return self._failed is None

    async def request(
        self,
        method: str,
        params: Mapping[str, Json],
        most: int,
        hears: Hears | None = None,
        mirrored: Mapping[str, str] = NO_HEADERS,  # noqa: ARG002  # there are no headers
    ) -> Reply:
        """Send a request and return its answer; see `Upstream`."""
        self._next += 1
        identity = self._next
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[identity] = _Waiting(answer, most, hears)
        try:
            sent = outgoing(params, identity, hears, self.modern)
            await self._send({"jsonrpc": "2.0", "id": identity, "method": method, "params": sent})
            return await answer
        except asyncio.CancelledError:
            with contextlib.suppress(UpstreamError):
                self._put({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": identity}})
            raise
        finally:
            self._waiting.pop(identity, None)

    async def notify(self, method: str, params: Mapping[str, Json]) -> None:
        """Send a notification; see `Upstream`."""
        await self._send({"jsonrpc": "2.0", "method": method, "params": params})

    async def close(self) -> None:
        """Close its input, wait a little, then end it and whatever it started."""
        self._fail(UpstreamError("the connection to the server was closed"))
        self._reading.cancel()
        for task in self._asked.values():
            task.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        if self._process.stdin is not None:
            self._process.stdin.close()
        for ending in (None, signal.SIGTERM, signal.SIGKILL):
            if ending is not None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._process.pid, ending)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), _grace)
                break
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)  # what it left behind

    def _put(self, message: Mapping[str, Json]) -> None:
        stdin = self._process.stdin
        if self._failed is not None or stdin is None or stdin.is_closing():
            raise self._failed or UpstreamError("the server takes no more messages")
        stdin.write(write(message) + b"\n")

    async def _send(self, message: Mapping[str, Json]) -> None:
        self._put(message)
        stdin = self._process.stdin
        try:
            if stdin is not None:
                await stdin.drain()
        except OSError:
            self._fail(UpstreamError("the server has ended"))
            raise UpstreamError("the server has ended") from None

    async def _read(self) -> None:
        stdout = self._process.stdout
        try:
            while stdout is not None:
                line = await stdout.readline()
                if not line.endswith(b"\n"):
                    break
                if line.strip():
                    self._take(line)
        except ValueError:  # a line beyond the limit: what follows cannot be told apart any more
            self._fail(TooLongError("the server's answer is too long"))
        except UpstreamError as error:
            self._fail(error)
        except OSError:
            pass  # said below
        self._fail(UpstreamError("the server has ended"))  # the first reason stands

    def _take(self, line: bytes) -> None:
        found = self._guard.read(line)
        if not isinstance(found, dict):
            raise UpstreamError("the server sent what is no message")
        message = cast("dict[str, Json]", found)
        identity, method = message.get("id"), message.get("method")
        if isinstance(method, str):
            if identity is None:
                self._told(method, params_of(message))
            elif method == "ping":
                self._put({"jsonrpc": "2.0", "id": identity, "result": {}})
            else:
                self._question(identity, method, params_of(message))
            return
        waiting = self._waiting.get(identity) if isinstance(identity, int) else None
        if waiting is None or waiting.answer.done():
            return  # an answer to what was cancelled
        if len(line) > waiting.most:
            waiting.answer.set_exception(TooLongError("the server's answer is too long"))
        else:
            waiting.answer.set_result(reply_of(message, len(line)))

    def _told(self, method: str, params: Mapping[str, Json]) -> None:
        if method in LISTS_CHANGED:
            self.changed = True
        elif method == "notifications/progress":
            token = params.get("progressToken")
            waiting = self._waiting.get(token) if isinstance(token, int) else None
            if waiting is not None and waiting.hears is not None:
                waiting.hears.told(method, params)
        elif method == "notifications/cancelled":
            asked = self._asked.get(params.get("requestId"))
            if asked is not None:
                asked.cancel()
        else:
            hears = self._whoever()
            if hears is not None:
                hears.told(method, params)

    def _whoever(self) -> Hears | None:
        """Return who hears what belongs to no request of ours: the latest, if all in flight may hear such things."""
        hearing = [waiting.hears for waiting in self._waiting.values()]
        return hearing[-1] if hearing and all(each is not None and each.whole for each in hearing) else None

    def _question(self, identity: Json, method: str, params: Mapping[str, Json]) -> None:
        hears = self._whoever()
        if hears is None or not isinstance(identity, str | int) or len(self._asked) >= _most_questions:
            self._put(error_of(cast("int", identity), METHOD_NOT_FOUND, "not supported"))
            return
        task = asyncio.create_task(self._answer(identity, hears, method, params))
        self._asked[identity] = task
        task.add_done_callback(lambda _: self._asked.pop(identity, None))

    async def _answer(self, identity: Json, hears: Hears, method: str, params: Mapping[str, Json]) -> None:
        answered = await hears.asked(method, params)
        with contextlib.suppress(UpstreamError):
            await self._send(response_to(identity, answered))

    def _fail(self, error: UpstreamError) -> None:
        if self._failed is None:
            self._failed = error
        for waiting in self._waiting.values():
            if not waiting.answer.done():
                waiting.answer.set_exception(error)
