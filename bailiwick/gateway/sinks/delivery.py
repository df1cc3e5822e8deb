"""Delivering to one sink: from its cursor on, in order, again and again until it is taken."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from bailiwick.errors import BailiwickError
from bailiwick.gateway.moments import Clock
from bailiwick.gateway.recorder import Fact, Recorder
from bailiwick.gateway.sinks.item import Item, checkpoint_item, item_of
from bailiwick.gateway.sinks.source import Batch, Source
from bailiwick.gateway.sinks.store import Cursor, Cursors
from bailiwick.gateway.sinks.way import Came
from bailiwick.gateway.sinks.ways import Outlet
from bailiwick.model.record import JsonValue

_log = logging.getLogger("bailiwick.sinks")
IDLE = 0.5
"""Seconds between two looks at the ledger."""
_first_pause, _longest_pause = 1.0, 300.0
_doubt_seconds = 30.0
"""What was sent so long before a connection broke is sent again."""
_most_octets = 4 * 1024 * 1024
State = Literal["current", "behind", "failing", "stopped"]


@dataclass(frozen=True, slots=True)
class Standing:
    """How a sink stands."""

    name: str
    kind: str
    format: str
    state: State
    behind: int
    """Records that it was not delivered yet, wanted or not."""
    seq: int
    checkpoint: int
    delivered: int
    refused: int
    reason: str
    since: str
    """When the oldest record was made that waits for it; empty if none does."""
    at: str
    """When something was last delivered."""
    retry_in: float
    """Seconds until the next attempt while it fails."""


@dataclass(frozen=True, slots=True)
class _Ready:
    batch: Batch
    items: Sequence[Item]


class Delivery:
    """The deliveries to one sink. `step` does what there is to do."""

    def __init__(
        self,
        outlet: Outlet,
        source: Source,
        cursors: Cursors,
        recorder: Recorder,
        clock: Clock,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.sink = outlet.sink
        self.way = outlet.way
        self._source = source
        self._cursors = cursors
        self._recorder = recorder
        self._clock = clock
        self._jitter = jitter
        self._sending = asyncio.Lock()
        self._cursor: Cursor | None = None
        self._failures = 0
        self._reason = ""
        self._stopped = False
        self._retry_at = 0.0
        self._most = self.way.most
        """How many records the next batch takes: fewer while it is looked for what a sink refuses."""
        self._recent: deque[tuple[float, Cursor]] = deque(maxlen=1000)
        """When batches were sent, and where they began."""

    async def open(self) -> Cursor:
        """Return where the sink is; a new one begins where its settings say."""
        if self._cursor is None:
            stored = await self._cursors.find(self.sink.name)
            origin, size = await asyncio.to_thread(self._source.origin), await asyncio.to_thread(self._source.size)
            if stored is None or stored.origin != origin:
                begin = size if self.sink.start == "now" and stored is None else 0
                stored = Cursor(self.sink.name, origin, begin, begin)
                await self._cursors.put(stored)
            self._cursor = stored
        return self._cursor

    async def step(self) -> float:
        """Deliver one batch; return in how many seconds there is more to do."""
        cursor = await self._rewound(await self.open())
        ready = await asyncio.to_thread(self._read, cursor)
        batch = ready.batch
        if batch.size < cursor.seq:
            self._stopped = True
            self._reason = f"the ledger has {batch.size} records, and {cursor.seq} were delivered: was it put back?"
            _log.error("sink %s: %s", self.sink.name, self._reason)
            return _longest_pause
        self._stopped = False
        if not ready.items:
            if batch.next == cursor.seq:
                return IDLE
            await self._move(_behind(cursor, batch))
            return 0.0
        began = time.monotonic()
        came = await self.send(ready.items)
        if came.how == "sent":
            self._recent.append((began, cursor))
            await self._taken(_behind(cursor, batch), ready.items, came)
            return 0.0
        if came.how == "refused":
            return await self._narrow(cursor, ready, came)
        return self._failed(came)

    async def send(self, items: Sequence[Item]) -> Came:
        """Send something now and once; one sending at a time."""
        async with self._sending:
            return await self.way.send(items)

    def held_from(self) -> int | None:
        """Return the first record that this sink still needs; None while that is not known."""
        return None if self._cursor is None else self._cursor.seq

    async def standing(self) -> Standing:
        """Return how it stands."""
        cursor = await self.open()
        size = await asyncio.to_thread(self._source.size)
        behind = max(0, size - cursor.seq)
        since = await asyncio.to_thread(self._source.moment, cursor.seq) if behind else ""
        failing = self._failures > 0
        state: State = "stopped" if self._stopped else "failing" if failing else "behind" if behind else "current"
        return Standing(
            self.sink.name,
            self.sink.kind,
            self.sink.format,
            state,
            behind,
            cursor.seq,
            cursor.checkpoint,
            cursor.delivered,
            cursor.refused,
            self._reason,
            since,
            cursor.at.isoformat(timespec="seconds") if cursor.delivered else "",
            max(0.0, self._retry_at - time.monotonic()) if failing else 0.0,
        )

    def _read(self, cursor: Cursor) -> _Ready:
        """Read and write out a batch: in a thread, since that takes time which calls of agents need."""
        batch = self._source.batch(cursor.seq, cursor.checkpoint, self._most, _most_octets)
        return _Ready(batch, self._items(batch))

    def _items(self, batch: Batch) -> Sequence[Item]:
        found: list[Item] = []
        kept = deque(batch.checkpoints)
        form = self.sink.format
        for seq, body in batch.records:
            while kept and kept[0].size <= seq:
                each = kept.popleft()
                found.append(checkpoint_item(each.size, each.at, each.note, batch.origin, form))
            item = item_of(seq, body, batch.origin, form, self.sink.selection)
            if item is not None:
                found.append(item)
        return [*found, *(checkpoint_item(each.size, each.at, each.note, batch.origin, form) for each in kept)]

    async def _rewound(self, cursor: Cursor) -> Cursor:
        """Go back to what was sent just before a connection broke."""
        broke = self.way.broke()
        if broke is None:
            return cursor
        doubtful = [before for at, before in self._recent if at >= broke - _doubt_seconds]
        self._recent.clear()
        if not doubtful:
            return cursor
        first = doubtful[0]
        back = replace(cursor, seq=min(first.seq, cursor.seq), checkpoint=min(first.checkpoint, cursor.checkpoint))
        await self._move(back)
        return back

    async def _move(self, cursor: Cursor) -> None:
        await self._cursors.put(cursor)
        self._cursor = cursor

    async def _taken(self, cursor: Cursor, items: Sequence[Item], came: Came) -> None:
        if came.lost:
            reason = f"it kept {len(items) - came.lost} of {len(items)} records, and does not say which"
            await self._record(reason, items[0], items[-1])
        delivered = cursor.delivered + len(items) - came.lost
        await self._move(replace(cursor, delivered=delivered, refused=cursor.refused + came.lost, at=self._clock()))
        if self._failures:
            _log.info("sink %s takes records again", self.sink.name)
        self._failures, self._reason = 0, ""
        self._most = min(self.way.most, self._most * 2)

    def _failed(self, came: Came) -> float:
        self._failures += 1
        if came.reason != self._reason:
            _log.warning("sink %s: %s", self.sink.name, came.reason)
        self._reason = came.reason
        pause = min(_longest_pause, _first_pause * 2.0 ** min(self._failures - 1, 16))
        pause = max(pause * (0.5 + self._jitter() / 2), came.after)
        self._retry_at = time.monotonic() + pause
        return pause

    async def _narrow(self, cursor: Cursor, ready: _Ready, came: Came) -> float:
        """Look for the one record that a sink refuses; what it refuses alone is passed over, on record.

        Only if it takes the next one: a sink that refuses everything is set up wrongly, and nothing is passed over.
        """
        if len(ready.items) > 1 and len(ready.batch.records) > 1:
            self._most = max(1, len(ready.batch.records) // 2)
            return 0.0
        after = _behind(cursor, ready.batch)
        beyond = await self._next_items(after)
        if beyond is None:
            return self._failed(came)
        if (await self.send(beyond.items)).how != "sent":
            return self._failed(came)
        await self._record(came.reason, ready.items[0], ready.items[-1])
        moved = _behind(after, beyond.batch)
        await self._taken(replace(moved, refused=moved.refused + len(ready.items)), beyond.items, Came("sent"))
        return 0.0

    async def _next_items(self, cursor: Cursor) -> _Ready | None:
        """Return the next batch with something in it; None if there is none yet."""
        self._most = 1
        while True:
            ready = await asyncio.to_thread(self._read, cursor)
            if ready.items:
                return ready
            if ready.batch.next == cursor.seq:
                return None
            cursor = _behind(cursor, ready.batch)

    async def _record(self, reason: str, first: Item, last: Item) -> None:
        _log.error("sink %s did not take what is from %s to %s: %s", self.sink.name, first.id, last.id, reason)
        detail: dict[str, JsonValue] = {"sink": self.sink.name, "first": first.id, "last": last.id}
        await self._recorder.keep(self._recorder.make(Fact("sink.refused", message=reason, detail=detail)))

    async def run(self) -> None:
        """Deliver for ever; when a store fails, go on a little later."""
        while True:
            try:
                pause = await self.step()
            except BailiwickError as error:
                pause = self._failed(Came("failed", error.message))
            await asyncio.sleep(pause)


def _behind(cursor: Cursor, batch: Batch) -> Cursor:
    """Return the cursor behind a batch."""
    checkpoint = batch.checkpoints[-1].size if batch.checkpoints else cursor.checkpoint
    return replace(cursor, seq=batch.next, checkpoint=checkpoint)
