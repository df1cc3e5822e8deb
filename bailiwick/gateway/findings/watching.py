"""Watching: the ledger is read as a sink reads it, compared with what is usual; a departure is recorded and told.

What is usual and the cursor are stored together, every few seconds and before anything is said, so that after a crash
nothing is counted twice, and what was found is said once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from bailiwick.errors import BailiwickError
from bailiwick.gateway.findings.store import FindingStore
from bailiwick.gateway.ledger.address import LedgerAddress
from bailiwick.gateway.ledger.reader import Query, open_reader
from bailiwick.gateway.moments import Clock
from bailiwick.gateway.recorder import Fact, Recorder
from bailiwick.gateway.sinks.delivery import IDLE
from bailiwick.gateway.sinks.source import Batch, Source
from bailiwick.gateway.sinks.store import Cursor, Cursors
from bailiwick.gateway.state import State
from bailiwick.ledger.baselines import Baseline, Departure, Rules, begin, observation_of
from bailiwick.ledger.departures import Told, told
from bailiwick.ledger.encode import read
from bailiwick.model.notice import Notice

_log = logging.getLogger("bailiwick.findings")
_CURSOR = ":findings"
"""No sink can be called that."""
_most, _octets = 500, 2 * 1024 * 1024
_breath = 0.01
"""Seconds between two batches, for what agents do."""
_save_seconds = 5.0
_again_seconds = 30.0
_stop_seconds = 10.0
_stale = timedelta(days=1)
"""What is older is learned from, and nothing is said of it."""
MOST = 1000
"""Agents in tasks that are watched; who did nothing for longest is forgotten for another one."""


class Watching:
    """The watch. `start` before, `stop` after."""

    def __init__(
        self,
        ledger: LedgerAddress,
        state: State,
        recorder: Recorder,
        tell: Callable[[Notice], None],
        clock: Clock,
        rules: Rules | None,
    ) -> None:
        """Without `rules` nothing is watched; what was found before can still be listed."""
        self._ledger = ledger
        self._source = Source(ledger)
        self._cursors = Cursors(state)
        self._store = FindingStore(state)
        self._recorder = recorder
        self._tell = tell
        self._clock = clock
        self._rules = rules
        self._known: OrderedDict[tuple[str, str], Baseline] = OrderedDict()
        self._cursor: Cursor | None = None
        self._changed: dict[tuple[str, str], Baseline] = {}
        self._gone: dict[tuple[str, str], Baseline] = {}
        self._saved = 0.0
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to watch."""
        if self._rules is not None:
            self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop, and keep what was learned."""
        self._stopping.set()
        if self._task is None:
            return
        done, _ = await asyncio.wait([self._task], timeout=_stop_seconds)
        if not done:  # what it was about is read again after the next start
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            return
        try:
            await self._save([])
        except BailiwickError as error:
            _log.warning("what was learned last is learned again: %s", error.message)

    async def list(self, limit: int = 200) -> list[Told]:
        """Return what was found, the newest first."""
        return await self._store.list(limit)

    async def step(self) -> float:
        """Read one batch; return in how many seconds there is more to do."""
        cursor = self._cursor or await self._open()
        batch = await asyncio.to_thread(self._source.batch, cursor.seq, cursor.checkpoint, _most, _octets)
        if batch.next == cursor.seq:
            if self._changed and time.monotonic() - self._saved > _save_seconds:
                await self._save([])
            return IDLE
        found = await asyncio.to_thread(self._compare, batch)
        self._cursor = replace(cursor, seq=batch.next, checkpoint=batch.next)
        if found or time.monotonic() - self._saved > _save_seconds:
            await self._save(found)
        for each in found:
            await self._say(told(each))
        return _breath

    async def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                pause = await self.step()
            except BailiwickError as error:
                _log.error("the ledger is not watched: %s", error.message)
                self._forget()
                pause = _again_seconds
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)

    async def _open(self) -> Cursor:
        """Take up what was learned; say what was found and perhaps not said."""
        origin = await asyncio.to_thread(self._source.origin)
        stored = await self._cursors.find(_CURSOR)
        cursor = stored if stored is not None and stored.origin == origin else Cursor(_CURSOR, origin)
        self._forget()
        for each in await self._store.load(MOST):
            self._known[each.agent, each.task] = each
        self._cursor = cursor
        self._saved = time.monotonic()
        for each in await self._store.unrecorded():
            if await asyncio.to_thread(self._is_recorded, each):
                await self._store.recorded(each.id)
            else:
                await self._say(each)
        return cursor

    def _forget(self) -> None:
        """Begin again from what is stored."""
        self._cursor = None
        self._known.clear()
        self._changed.clear()
        self._gone.clear()

    def _compare(self, batch: Batch) -> list[Departure]:
        """Compare a batch with what is usual: in a thread, since that takes time which calls of agents need."""
        found: list[Departure] = []
        rules, now = self._rules or Rules(), self._clock()
        for _, body in batch.records:
            document = read(body)
            seen = None if document is None else observation_of(document)
            if seen is None:
                continue
            key = (seen.agent, seen.task)
            known = self._known.get(key)
            if known is None:
                known = self._known[key] = begin(seen)
                self._gone.pop(key, None)
            self._known.move_to_end(key)
            self._changed[key] = known
            departures = known.observe(seen, rules)
            found += [each for each in departures if now - each.observation.at < _stale]
            if len(self._known) > MOST:
                oldest, baseline = self._known.popitem(last=False)
                self._changed.pop(oldest, None)
                self._gone[oldest] = baseline
        return found

    async def _save(self, found: list[Departure]) -> None:
        if self._cursor is None:
            return
        dated: list[tuple[datetime, Told]] = [(each.observation.at, told(each)) for each in found]
        await self._store.save(self._cursor, self._changed.values(), self._gone.values(), dated)
        self._changed.clear()
        self._gone.clear()
        self._saved = time.monotonic()

    async def _say(self, each: Told) -> None:
        """Record a finding, and tell people."""
        made = self._recorder.make(Fact("finding", each.code, each.message, detail=each.detail))
        actions = (each.action,) if each.action else ()
        await self._recorder.keep(
            made._replace(agent=each.agent, task=each.task, session=each.session, refers=each.record, actions=actions)
        )
        await self._store.recorded(each.id)
        lines = (f"since {each.detail['since']}", f"usual: {_listed(each)}", f"seen by record {each.record}")
        self._tell(Notice("finding", each.id, each.message, lines, f"/console/ledger/{each.record}", each.id))

    def _is_recorded(self, each: Told) -> bool:
        with contextlib.closing(open_reader(self._ledger)) as reader:
            stored = reader.query(Query(kind="finding", agent=each.agent, limit=1000))
        return any(f'"{each.id}"'.encode() in one.body for one in stored)


def _listed(each: Told) -> str:
    usual = each.detail["usual"]
    return ", ".join(f"{name} {value}" for name, value in usual.items()) if isinstance(usual, dict) else ""
