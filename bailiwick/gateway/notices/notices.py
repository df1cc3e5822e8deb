"""Notices: people are told, without anybody waiting for it.

What is told goes into the outbox at once and is sent from there, again and again until it arrives or more than a day
has passed. Nothing is sent twice: a receiver knows a second attempt by its id (`webhook-id`, `Message-ID`), and where
there is none (Slack, Apprise), what may have arrived is not sent again.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from bailiwick.errors import BailiwickError, ConfigError
from bailiwick.gateway.moments import Clock
from bailiwick.gateway.notices.channels import SECTION, Channel
from bailiwick.gateway.notices.sending import Came, Send
from bailiwick.gateway.notices.store import Outbox, OutboxState, Outgoing
from bailiwick.gateway.recorder import Fact, Recorder
from bailiwick.gateway.ulid import Ulids
from bailiwick.model.notice import Notice

_log = logging.getLogger("bailiwick.notices")
_most_pending = 10_000
_kept = timedelta(days=7)
_again_seconds = 1.0
_longest_pause = 60.0
waits: Sequence[timedelta] = tuple(
    timedelta(seconds=each) for each in (5, 30, 120, 600, 1800, 3600, 7200, 14400, 28800, 43200)
)
"""How long until the next attempt after so many; after the last one it is given up."""


@dataclass(frozen=True, slots=True)
class Way:
    """A channel, and what sends through it."""

    channel: Channel
    send: Send


class Notices:
    """The notices of this gateway. `start` before, `stop` after."""

    def __init__(
        self, outbox: Outbox, ways: Sequence[Way], clock: Clock, recorder: Recorder, base: Callable[[], str]
    ) -> None:
        """`base` returns the URL that links begin with; empty while there is none, and then there are no links."""
        self._outbox = outbox
        self._ways: Mapping[str, Way] = {way.channel.name: way for way in ways}
        self._clock = clock
        self._recorder = recorder
        self._base = base
        self._ulids = Ulids()
        self._pending: list[Outgoing] = []
        self._stirred = asyncio.Event()
        self._news: Mapping[str, asyncio.Event] = {name: asyncio.Event() for name in self._ways}
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Take up what was not sent yet."""
        for row in await self._outbox.unfinished():
            way = self._ways.get(row.channel)
            if way is None:
                await self._over(row, "FAILED", "its channel is no longer configured")
            elif row.state == "SENDING" and not way.channel.knows_again:
                await self._over(row, "UNKNOWN", "the gateway stopped while it was on its way")
            elif row.state == "SENDING":
                await self._outbox.change(replace(row, state="WAITING"))
        await self._outbox.forget(self._clock() - _kept)
        self._tasks = [asyncio.create_task(_kept_up("the outbox", self._store_all))]
        for name in self._ways:
            self._tasks.append(asyncio.create_task(_kept_up(f"channel {name}", lambda name=name: self._send_all(name))))

    async def stop(self) -> None:
        """Store what was told; what is on its way is left to the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            await self._store()
        except ConfigError as error:
            _log.error("%d notices are lost: %s", len(self._pending), error.message)

    def tell(self, notice: Notice) -> None:
        """Have a notice sent to everybody who is to be told of its kind. Returns at once, and never fails."""
        ways = [way for way in self._ways.values() if notice.kind in way.channel.on]
        if len(self._pending) + len(ways) > _most_pending:
            _log.error("a notice of kind %s is lost: too many wait to be stored", notice.kind)
            return
        self._pending += self._rows(notice, ways)
        self._stirred.set()

    async def test(self, channel: str = "") -> Mapping[str, Came]:
        """Send a test notice through a channel, or all of them, now and once. Raises ConfigError for no such one."""
        if channel and channel not in self._ways:
            known = ", ".join(f"`{name}`" for name in self._ways) or "none"
            raise ConfigError(f"there is no channel `{channel[:100]}`", remedy=f"those of `{SECTION}`: {known}")
        ways = [self._ways[channel]] if channel else list(self._ways.values())
        notice = Notice("test", "test", "a test: notices arrive here", ("sent by `bailiwick notify test`",), "/console")
        rows = self._rows(notice, ways)
        came = await asyncio.gather(
            *(way.send(row, self._link(notice), self._clock()) for way, row in zip(ways, rows, strict=True))
        )
        return {way.channel.name: each for way, each in zip(ways, came, strict=True)}

    async def list(self) -> Sequence[Outgoing]:
        """Return what was told lately, the newest first, and what has become of it."""
        return await self._outbox.list()

    async def send_due(self, name: str) -> float:
        """Send what is due through a channel; return in how many seconds there is more to do."""
        way = self._ways[name]
        while (row := await self._outbox.due(name, self._clock())) is not None:
            await self._attempt(way, row)
        next_at = await self._outbox.next_at(name)
        if next_at is None:
            return _longest_pause
        return min(max((next_at - self._clock()).total_seconds(), 0.0), _longest_pause)

    def _rows(self, notice: Notice, ways: Sequence[Way]) -> list[Outgoing]:
        now = self._clock()
        occasion = f"{notice.kind}\0{notice.once}".encode()
        identity = hashlib.sha256(occasion).hexdigest()[:26] if notice.once else self._ulids.new()
        return [Outgoing(f"msg_{identity}", way.channel.name, notice, now, now) for way in ways]

    def _link(self, notice: Notice) -> str:
        base = self._base().rstrip("/")
        return f"{base}{notice.link}" if base and notice.link.startswith("/") else ""

    async def _attempt(self, way: Way, row: Outgoing) -> None:
        trying = replace(row, attempts=row.attempts + 1, state="SENDING")
        await self._outbox.change(trying)
        came = await way.send(trying, self._link(row.notice), self._clock())
        if came.how == "sent":
            await self._outbox.change(replace(trying, state="SENT", reason=""))
        elif came.how == "unheard" and not way.channel.knows_again:
            await self._over(trying, "UNKNOWN", came.reason)
        elif came.how == "gone" or trying.attempts > len(waits):
            await self._over(trying, "FAILED", came.reason)
        else:
            _log.warning("notice %s waits, channel %s: %s", row.id, row.channel, came.reason)
            next_at = self._clock() + waits[trying.attempts - 1]
            await self._outbox.change(replace(trying, state="WAITING", next_at=next_at, reason=came.reason))

    async def _over(self, row: Outgoing, state: OutboxState, reason: str) -> None:
        """It is not tried again: that is on record."""
        _log.error("notice %s was not sent, channel %s: %s", row.id, row.channel, reason)
        detail = {"notice": row.id, "channel": row.channel, "kind": row.notice.kind, "subject": row.notice.subject}
        fact = Fact("notice.failed", message=reason, detail={**detail, "state": state, "attempts": row.attempts})
        await self._recorder.keep(self._recorder.make(fact))
        await self._outbox.change(replace(row, state=state, reason=reason))

    async def _store(self) -> None:
        rows, self._pending = self._pending, []
        if not rows:
            return
        try:
            await self._outbox.put(rows)
        except BaseException:
            self._pending = rows + self._pending
            raise
        for name in {row.channel for row in rows}:
            self._news[name].set()

    async def _store_all(self) -> None:
        await self._stirred.wait()
        self._stirred.clear()
        await self._store()

    async def _send_all(self, name: str) -> None:
        news = self._news[name]
        pause = await self.send_due(name)
        try:
            await asyncio.wait_for(news.wait(), pause or 0.01)
        except TimeoutError:
            return
        news.clear()


async def _kept_up(what: str, work: Callable[[], Coroutine[None, None, None]]) -> None:
    """Do something again and again; when a store fails, a little later."""
    while True:
        try:
            await work()
        except BailiwickError as error:
            _log.error("%s: %s", what, error.message)
            await asyncio.sleep(_again_seconds)
