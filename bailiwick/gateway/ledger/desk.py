"""What the desk answers about the keeping of the ledger, and what is due by itself: ending the overlap of keys."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from bailiwick.errors import BailiwickError, ConfigError, LedgerError, SessionError
from bailiwick.gateway.desk import Answer
from bailiwick.gateway.ledger.address import LedgerAddress
from bailiwick.gateway.ledger.pruning import Due, due_by, growth, holds, unfinished
from bailiwick.gateway.ledger.reader import LedgerReader, open_reader
from bailiwick.gateway.ledger.signing import OVERLAP, Custody
from bailiwick.gateway.ledger.store import LedgerStore
from bailiwick.gateway.moments import Clock, read_moment
from bailiwick.gateway.people import People
from bailiwick.gateway.recorder import Fact, Recorder
from bailiwick.gateway.sessions.sessions import Sessions
from bailiwick.gateway.settings import parse_duration
from bailiwick.gateway.wire import Fields, Json
from bailiwick.ledger.encode import moment
from bailiwick.ledger.own import write_ranges
from bailiwick.ledger.report import ranges
from bailiwick.model.approval import Reviewer
from bailiwick.model.record import JsonValue

_log = logging.getLogger("bailiwick.ledger")
_every = 60.0
"""Seconds between two looks at what is due."""


_prune_every = timedelta(hours=1)
_most_step = timedelta(hours=1)
_portion = 1_000
Result = TypeVar("Result")


def _prune_portion(spans: Sequence[tuple[int, int]], store: LedgerStore) -> None:
    store.prune(spans)


def _portions(spans: Sequence[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """Yield spans of together so many records at most."""
    portion: list[tuple[int, int]] = []
    count = 0
    for first, last in spans:
        for start in range(first, last + 1, _portion):
            end = min(start + _portion - 1, last)
            if portion and count + end - start + 1 > _portion:
                yield portion
                portion, count = [], 0
            portion.append((start, end))
            count += end - start + 1
    if portion:
        yield portion


def stepped(began: tuple[datetime, float], now: tuple[datetime, float]) -> bool:
    """Return whether a clock was set since a moment; each is what it says, and seconds of one that cannot be set."""
    return abs((now[0] - began[0]).total_seconds() - (now[1] - began[1])) > _most_step.total_seconds()


def _told(waiting: Mapping[str, int]) -> str:
    return ", ".join(f"`{name}` {count} records" for name, count in waiting.items())


class Keeping:
    """Keeps the ledger of the running gateway."""

    def __init__(
        self,
        custody: Custody,
        recorder: Recorder,
        clock: Clock,
        sessions: Sessions,
        people: People,
        ledger: LedgerAddress,
        undelivered: Callable[[], Mapping[str, int]],
    ) -> None:
        """Keep the ledger; `undelivered` tells the first record that each sink still needs."""
        self._undelivered = undelivered
        self._ledger = ledger
        self._pruning = asyncio.Lock()
        self._prune_at = clock()
        self._began = (clock(), time.monotonic())
        self._stepped = False
        self._sessions = sessions
        self._people = people
        self._custody = custody
        self._recorder = recorder
        self._clock = clock
        self._tending: asyncio.Task[None] | None = None

    def answers(self) -> Mapping[str, Answer]:
        """Return the requests about the ledger."""
        return {
            "ledger.rotate_key": self._rotate,
            "ledger.erase": self._erase,
            "ledger.digests": self._digests,
            "ledger.prune": self._prune,
            "ledger.hold": self._hold,
            "ledger.release": self._release,
            "ledger.holds": self._holds,
            "ledger.checkpoint_of": self._checkpoint_of,
            "ledger.archived": self._archived,
            "ledger.stats": self._stats,
        }

    async def start(self) -> None:
        """Do what is due, from now on again and again."""
        await self._apply(await asyncio.to_thread(self._read, unfinished))
        await self._tend()
        self._tending = asyncio.create_task(self._tend_on())

    async def stop(self) -> None:
        """End that."""
        if self._tending is not None:
            self._tending.cancel()
            await asyncio.gather(self._tending, return_exceptions=True)

    async def _tend_on(self) -> None:
        while True:
            await asyncio.sleep(_every)
            await self._tend()

    async def _tend(self) -> None:
        try:
            if await self._custody.retire(self._recorder, self._clock()):
                _log.info("the ledger's old key was destroyed: its overlap has ended")
            if self._clock() >= self._prune_at or self._clock() < self._prune_at - _prune_every:
                self._prune_at = self._clock() + _prune_every
                await self._prune_by_the_clock()
        except LedgerError as error:
            _log.error("what is due of the ledger could not be done: %s", error.message)

    async def _prune_by_the_clock(self) -> None:
        """Prune, unless the clock cannot be trusted: what it takes for old would be gone for good."""
        if stepped(self._began, (self._clock(), time.monotonic())):
            if not self._stepped:
                _log.error("nothing is pruned by itself: the clock was set by over an hour since the gateway started")
            self._stepped = True
            return
        self._stepped = False
        await self.prune("retention")

    async def prune(self, by: str) -> Due:
        """Remove the content of what was kept long enough and every sink has; return of which records, and what waits.

        What goes is on record first: the record is what makes its absence provable.
        """
        async with self._pruning:
            found = await self._due()
            if found.waiting:
                _log.warning("not pruned yet, since sinks do not have it: %s", _told(found.waiting))
            records = found.records
            if not records:
                return found
            detail: dict[str, JsonValue] = {"records": write_ranges(records), "count": len(records), "by": by}
            await self._recorder.keep(self._recorder.make(Fact("ledger.pruned", detail=detail)))
            await self._custody.ledger.run(lambda store: store.drain())
            await self._apply(ranges(records))
        _log.info("pruned the content of %d records", len(records))
        return found

    async def _due(self) -> Due:
        rule, now, undelivered = self._sessions.force.policy.retention, self._clock(), self._undelivered()
        if rule is None:
            return Due((), {})
        return await asyncio.to_thread(self._read, lambda reader: due_by(reader, rule, now, undelivered))

    async def _apply(self, spans: Sequence[tuple[int, int]]) -> None:
        """Prune in portions, between which records are committed."""
        for portion in _portions(spans):
            await self._custody.ledger.run(partial(_prune_portion, portion))

    def _read(self, work: Callable[[LedgerReader], Result]) -> Result:
        with closing(open_reader(self._ledger)) as reader:
            return work(reader)

    async def _prune(self, fields: Fields, by: Reviewer) -> Mapping[str, Json]:
        dry = fields.flag("dry")
        fields.done()
        found = await self._due() if dry else await self.prune(by.name)
        waiting: dict[str, Json] = {**found.waiting}
        told: dict[str, Json] = {"records": len(found.records), "done": not dry, "more": found.more}
        return {**told, "waiting": waiting, "more_wait": found.more_wait}

    async def _hold(self, fields: Fields, by: Reviewer) -> Mapping[str, Json]:
        identity = f"hold_{secrets.token_hex(6)}"
        detail: dict[str, JsonValue] = {"hold": identity, "by": by.name, "reason": fields.text("reason")}
        for name in ("agent", "user", "session", "since", "until"):
            if value := fields.maybe_text(name):
                detail[name] = self._moment(value) if name in ("since", "until") else value
        fields.done()
        async with self._pruning:
            await self._recorder.keep(self._recorder.make(Fact("ledger.held", detail=detail)))
        return {"hold": identity}

    def _moment(self, value: str) -> str:
        try:
            return moment(read_moment(value, self._clock()))
        except (ValueError, OverflowError):
            raise LedgerError(f"`{value[:100]}` is no time", remedy="write `2026-11-22` or `2h`") from None

    async def _release(self, fields: Fields, by: Reviewer) -> Mapping[str, Json]:
        identity = fields.text("hold")
        fields.done()
        if identity not in {hold.id for hold in await asyncio.to_thread(self._read, holds)}:
            raise ConfigError(f"there is no hold `{identity[:100]}`", remedy="see `bailiwick ledger hold list`")
        detail: dict[str, JsonValue] = {"hold": identity, "by": by.name}
        await self._recorder.keep(self._recorder.make(Fact("ledger.released", detail=detail)))
        return {"released": identity}

    async def _holds(self, fields: Fields, by: Reviewer) -> Mapping[str, Json]:
        del by
        fields.done()
        return {"holds": [asdict(hold) for hold in await asyncio.to_thread(self._read, holds)]}

    async def _stats(self, fields: Fields, by: Reviewer) -> Mapping[str, Json]:
        del by
        fields.done()
        return (await asyncio.to_thread(self._read, lambda read: growth(read, read.disk(), self._clock()))).told()

    async def _checkpoint_of(self, fields: Fields, by: Reviewer) -> Mapping[str, Json]:
        del by
        size = fields.value("size")
        fields.done()
        if not isinstance(size, int) or isinstance(size, bool):
            raise LedgerError("`size` is not a number", remedy="use the same version of both")
        return {"checkpoint": await self._custody.ledger.run(lambda store: store.checkpoint_of(size))}

    async def _archived(self, fields: Fields, by: Reviewer) -> Mapping[str, Json]:
        detail: dict[str, JsonValue] = {
            "place": fields.text("place"),
            "partition": fields.text("partition"),
            "by": by.name,
        }
        fields.done()
        await self._recorder.keep(self._recorder.make(Fact("ledger.archived", detail=detail)))
        return {}

    async def _erase(self, fields: Fields, by: Reviewer) -> Mapping[str, Json]:
        """Destroy a person's key. Who it was is not recorded: that would undo it."""
        person = fields.text("person")
        fields.done()
        if any(live.identity.user == person for live in self._sessions.registry):
            raise SessionError("this person has open sessions", remedy="end them first: `bailiwick session list`")
        await self._recorder.keep(self._recorder.make(Fact("ledger.erased", detail={"by": by.name})))
        return {"erased": self._people.erase(person)}

    async def _digests(self, fields: Fields, by: Reviewer) -> Mapping[str, Json]:
        """Return how a value may stand in records. Who asks is on record: it is a way to try guesses."""
        value, person = fields.text("value"), fields.maybe_text("person")
        fields.done()
        found = self._people.told(value, person)
        await self._recorder.keep(self._recorder.make(Fact("ledger.searched", detail={"by": by.name})))
        return {"digests": [*found]}

    async def _rotate(self, fields: Fields, by: Reviewer) -> Mapping[str, Json]:
        told = fields.maybe_text("overlap")
        fields.done()
        try:
            overlap = OVERLAP if told is None else parse_duration(told)
        except BailiwickError as error:
            raise ConfigError(f"overlap: {error.message}", remedy=error.remedy) from None
        if overlap < timedelta(0):
            raise ConfigError("the overlap is below zero", remedy="give a span, e.g. `7d`")
        key = await self._custody.rotate(self._recorder, self._clock(), by.name, overlap)
        until = self._custody.keys.until
        return {"key": str(key), "until": None if until is None else until.isoformat(timespec="seconds")}
