"""Appending from the event loop: records gather while the thread commits, and are then committed together.

A lone record is committed at once; what gathers meanwhile shares the next commit (natural batching), which waits a
tenth of a millisecond for more when the one before was shared. What one turn of the loop appends is handed over
together. Encoding and hashing are done on the thread, where the sequence number is known, and the thread gives up the
interpreter once for each batch.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator

from bailiwick.errors import LedgerError
from bailiwick.gateway.ledger_store import MAX_BATCH, RETAIN_AFTER, LedgerStore
from bailiwick.model.record import Record

Durable = Callable[[bool], None]
Entry = tuple[Record, Durable]
MAX_PENDING = 8_192
MOST_UNINDEXED = 8_192
"""Records that may wait for their place in the search index while there is no quiet; readers find them all the same."""
GATHER = 0.0001
"""Seconds for which a batch may grow when the one before was shared. The thread and the loop take turns at one
interpreter, and fewer, larger batches mean fewer turns: a third more calls a second at eight clients."""
QUIET = 0.05
"""Seconds without a record after which indexing is caught up."""


class LedgerWriter:
    """Owns an open store and the thread that writes it. All methods are for the event loop's thread."""

    def __init__(self, store: LedgerStore, loop: asyncio.AbstractEventLoop, *, max_pending: int = MAX_PENDING) -> None:
        self._store = store
        self._loop = loop
        self._max_pending = max_pending
        self._queue: queue.SimpleQueue[list[Entry] | None] = queue.SimpleQueue()
        self._fresh: list[Entry] = []
        """Appended in this turn of the loop."""
        self._left: list[Entry] = []
        """The thread's own: handed over, but beyond the batch before."""
        self._shared = False
        """Whether the last batch held more than one record."""
        self._pending = 0
        self._closed = False
        self._ended = False
        self._failure = ""
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
        self._thread.start()

    @property
    def pending(self) -> int:
        """Records whose callback is still due. A caller that sees it near the bound should stop reading requests."""
        return self._pending

    @property
    def failure(self) -> str:
        """Why the last batch could not be written; empty when it could."""
        return self._failure

    def append(self, record: Record, durable: Durable) -> None:
        """Append a record; `durable` is called once, later, on the loop: True when it is on disk, False if not.

        With `max_pending` waiting, or after `close`, the answer is False: memory stays bounded, and whoever may not
        act without a record does not act.
        """
        if self._closed or self._ended or self._pending >= self._max_pending:
            self._loop.call_soon(durable, False)
            return
        self._pending += 1
        if not self._fresh:
            self._loop.call_soon(self._hand_over)
        self._fresh.append((record, durable))

    def _hand_over(self) -> None:
        if self._fresh:
            self._queue.put(self._fresh)
            self._fresh = []
        if self._ended:
            self._refuse([])

    async def close(self) -> None:
        """Write what is pending, keep a final checkpoint, close the store. Callbacks have been called on return."""
        if not self._closed:
            self._closed = True
            self._hand_over()
            self._queue.put(None)
        await self._loop.run_in_executor(None, self._thread.join)

    def _run(self) -> None:
        batch: list[Entry] = []
        try:
            while self._gather(batch):
                self._shared = len(batch) > 1
                self._commit(batch)
                batch = []
                if self._store.unindexed >= MOST_UNINDEXED:
                    self._tidy()
            if batch:
                self._commit(batch)
                batch = []
        finally:  # also if something unforeseen ends the thread: nobody may wait for ever
            self._ended = True
            self._refuse(batch)
            self._store.close()

    def _gather(self, batch: list[Entry]) -> bool:
        """Wait for records and take all that are there; False at the end of the queue."""
        entries = self._left or self._wait()
        self._left = []
        if self._shared:
            time.sleep(GATHER)
        while entries is not None:
            batch += entries
            if len(batch) >= MAX_BATCH:
                self._left = batch[MAX_BATCH:]
                del batch[MAX_BATCH:]
                return True
            try:
                entries = self._queue.get_nowait()
            except queue.Empty:
                return True
        return False

    def _wait(self) -> list[Entry] | None:
        """Return the next entries; put the store in order when there are none for a while."""
        patience = QUIET
        while True:
            try:
                return self._queue.get(timeout=patience)
            except queue.Empty:
                patience = RETAIN_AFTER.total_seconds() if not self._tidy() else 0.001

    def _tidy(self) -> int:
        try:
            return self._store.tidy()
        except LedgerError as error:
            self._failure = str(error)
            return 0

    def _commit(self, batch: list[Entry]) -> None:
        try:
            self._store.append([record for record, _ in batch])
        except LedgerError as error:
            self._failure = str(error)
            self._answer(batch, False)
        else:
            self._failure = ""
            self._answer(batch, True)

    def _refuse(self, batch: list[Entry]) -> None:
        """Answer False to a batch that was not committed and to everything behind it."""
        batch += self._left
        self._left = []
        with contextlib.suppress(queue.Empty):
            while True:
                batch += self._queue.get_nowait() or []
        self._answer(batch, False)

    def _answer(self, batch: list[Entry], done: bool) -> None:
        if batch and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._deliver, iter([durable for _, durable in batch]), done)

    def _deliver(self, waiting: Iterator[Durable], done: bool) -> None:
        """Call each callback; one that raises is reported by the loop and does not silence those behind it."""
        finished = False
        try:
            for durable in waiting:
                self._pending -= 1
                durable(done)
            finished = True
        finally:
            if not finished:
                self._loop.call_soon(self._deliver, waiting, done)


class UnsafeAckBeforeCommit(LedgerWriter):
    """Answers True before anything is written: breaks the invariant that there is no effect without its record.

    Only for measuring what durability costs.
    """

    def append(self, record: Record, durable: Durable) -> None:
        """Append a record and answer at once."""
        super().append(record, _ignore)
        self._loop.call_soon(durable, True)


def _ignore(done: bool) -> None:
    del done
