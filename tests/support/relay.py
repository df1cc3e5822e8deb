"""A relay that adds a token to each HTTP request, for clients that cannot be told one. Nothing else is changed."""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import cast

_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)


class Relay:
    """Listens on a port of its own, in a thread of its own."""

    def __init__(self, to: int, token: str, port: int) -> None:
        self.port = port
        self._to = to
        self._header = f"\r\nAuthorization: Bearer {token}".encode()
        self._open: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._ending = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()
        if not self._ready.wait(60):
            raise RuntimeError("the relay did not start")

    def stop(self) -> None:
        """End it, and every connection."""
        self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join(60)

    async def _run(self) -> None:
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = int(server.sockets[0].getsockname()[1])
        self._loop = asyncio.get_running_loop()
        self._ready.set()
        await self._ending.wait()
        server.close()
        for writer in tuple(self._open):
            writer.transport.abort()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        back, out = await asyncio.open_connection("127.0.0.1", self._to)
        both = {writer, out}
        self._open |= both
        ways = [asyncio.ensure_future(self._forward(reader, out)), asyncio.ensure_future(_copy(back, writer))]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        for each in both:
            each.close()
        self._open -= both

    async def _forward(self, reader: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                first, end, rest = head.partition(b"\r\n")
                out.write(first + self._header + end + rest)
                length = _LENGTH.search(head)
                if length is not None:
                    out.write(await reader.readexactly(int(length[1])))
                await out.drain()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()


@contextmanager
def relay(to: int, token: str, port: int = 0) -> Generator[Relay]:
    """Run a relay in front of a port of this machine."""
    running = Relay(to, token, port)
    running.start()
    try:
        yield running
    finally:
        running.stop()
