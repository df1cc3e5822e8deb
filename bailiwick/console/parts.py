"""What the pages need of the gateway, and how a page is kept live."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import TypeVar

from bailiwick.console.access import Doors, Visit
from bailiwick.console.counting import Counting
from bailiwick.control.web import Reply
from bailiwick.errors import ConfigError
from bailiwick.gateway.desk import Desk
from bailiwick.gateway.ledger.address import LedgerAddress
from bailiwick.gateway.ledger.reader import LedgerReader, open_reader
from bailiwick.gateway.moments import Clock
from bailiwick.gateway.sessions.sessions import Sessions
from bailiwick.gateway.wire import Fields, Json

Found = TypeVar("Found")
_every = 1.0
"""Seconds between two looks at what a live page shows."""
_still = 15
"""Looks after which something is sent though nothing changed, so that nobody on the way thinks the stream is dead."""
_most = 64
"""Live pages at once."""


@dataclass(slots=True)
class Streams:
    """The live pages that are open."""

    open: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class Parts:
    """What pages are made of."""

    doors: Doors
    desk: Callable[[], Desk | None]
    ledger: LedgerAddress
    clock: Clock
    sessions: Sessions
    counting: Counting
    streams: Streams = field(default_factory=Streams)

    async def ask(self, visit: Visit, do: str, fields: Mapping[str, Json] | None = None) -> Mapping[str, Json]:
        """Ask the desk, as the command line does. Raises BailiwickError."""
        desk = self.desk()
        if desk is None:
            raise ConfigError("the gateway is starting", remedy="try again in a moment")
        by = visit.login.reviewer(visit.clearance)
        return await desk.answer(do, Fields(fields or {}), by)

    async def read(self, look: Callable[[LedgerReader], Found]) -> Found:
        """Return what is looked up in the ledger. Raises LedgerError."""

        def looking() -> Found:
            with closing(open_reader(self.ledger)) as reader:
                return look(reader)

        return await asyncio.to_thread(looking)

    def live(self, visit: Visit, render: Callable[[], Awaitable[str]]) -> Reply:
        """Return a stream of a part of a page: sent anew whenever it changes, for as long as the login counts."""
        if self.streams.open >= _most:
            return Reply(503)

        async def parts() -> AsyncGenerator[bytes]:
            self.streams.open += 1
            try:
                sent, looks, secret = "", 0, self.doors.secret(visit.asked)
                while not self.streams.ended.is_set():
                    if await self.doors.logins.find(secret, used=False) is None:
                        yield b"event: over\ndata: \n\n"
                        return
                    text = await render()
                    looks += 1
                    if text != sent:
                        sent, looks = text, 0
                        yield "".join(f"data: {each}\n" for each in text.splitlines()).encode() + b"\n"
                    elif looks % _still == 0:
                        yield b": still here\n\n"
                    await self._pause()
            finally:
                self.streams.open -= 1

        return Reply(200, kind="text/event-stream", stream=parts)

    async def _pause(self) -> None:
        try:
            await asyncio.wait_for(self.streams.ended.wait(), _every)
        except TimeoutError:
            return
