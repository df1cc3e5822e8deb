"""Appending from the event loop: what one turn of the loop appends is committed together.

While the disk is quick the loop commits to the journal by itself: what arrives meanwhile gathers in the sockets and
shares the next commit (natural batching), and no thread has to be woken. A disk that takes longer than `SLOW`, a long
queue belong to a thread, so that nobody waits for a disk who need not. Another thread takes up what was committed, so
that no commit waits for its indexing.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import TypeVar

from bailiwick.errors import LedgerError
from bailiwick.gateway.ledger.store import RETAIN_AFTER, LedgerStore
from bailiwick.ledger.encode import Stamped
from bailiwick.model.record import Record

Durable = Callable[[bool], None]
Entry = tuple[Record | Stamped, Durable]
Append = Callable[[Sequence[Record | Stamped]], bool]
Result = TypeVar("Result")
MAX_PENDING = 8_192
MAX_BATCH = 128
"""Records that share a commit."""
PATIENCE = 0.001
"""Most seconds for which records wait for others that are expected to share their commit."""
SLOW = 0.001
"""A commit that takes more seconds leaves the next one to the thread."""
DRAIN_AFTER = 0.1
"""Seconds after a commit in which what is durable is taken up: indexed and signed."""


class LedgerWriter:
    """Owns an open store and the threads that write it. All methods are for the event loop's thread."""

    def __init__(
        self,
        store: LedgerStore,
        loop: asyncio.AbstractEventLoop,
        *,
        expects: Callable[[], bool] = lambda: False,
        max_pending: int = MAX_PENDING,
    ) -> None:
        self._store = store
        self._loop = loop
        self._expects = expects
        self._turn_due = False
        self._timer: asyncio.TimerHandle | None = None
        self._max_pending = max_pending
        self._queue: queue.SimpleQueue[list[Entry] | None] = queue.SimpleQueue()
        self._fresh: list[Entry] = []
        """Appended in this turn of the loop."""
        self._errands: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        """What else the thread is to do with the store, between two commits."""
        self._left: list[Entry] = []
        """The thread's own: handed over, but beyond the batch before."""
        self._using = threading.Lock()
        """Held by whoever appends to the store: the thread, or the loop while the thread has nothing to commit."""
        self._slow = not store.quick
        """Whether the last commit took too long for the loop to wait for the next one."""
        self._undrained = threading.Event()
        """Whether something was committed since the store was last drained."""
        self._stopping = threading.Event()
        self._pending = 0
        self._closed = False
        self._ended = False
        self._failure = ""
        self._drainer = threading.Thread(target=self._run_drains, name="ledger-drain", daemon=True)
        self._drainer.start()
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
        self._thread.start()

    @property
    def pending(self) -> int:
        """Records whose callback is still due. A caller that sees it near the bound should stop reading requests."""
        return self._pending

    @property
    def size(self) -> int:
        """Records that are durable."""
        return self._store.size

    @property
    def failure(self) -> str:
        """Why the last batch could not be written; empty when it could."""
        return self._failure

    def append(self, record: Record | Stamped, durable: Durable) -> None:
        """Append a record; `durable` is called once, later, on the loop: True when it is on disk, False if not.

        With `max_pending` waiting, or after `close`, the answer is False: memory stays bounded, and whoever may not
        act without a record does not act.
        """
        if self._closed or self._ended or self._pending >= self._max_pending:
            self._loop.call_soon(durable, False)
            return
        self._pending += 1
        self._fresh.append((record, durable))
        if not self._turn_due:
            self._turn_due = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        """The turn of the loop is over: commit, unless more records are to be expected within the moment."""
        self._turn_due = False
        if len(self._fresh) < MAX_BATCH and self._expects():
            if self._timer is None:
                self._timer = self._loop.call_later(PATIENCE, self._hand_over)
        else:
            self._hand_over()

    def _hand_over(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        fresh, self._fresh = self._fresh, []
        if not fresh:
            return
        alone = self._pending == len(fresh) <= MAX_BATCH and not self._slow
        if alone and not self._ended and self._using.acquire(blocking=False):
            self._commit_here(fresh)
        else:
            self._queue.put(fresh)
        if self._ended:
            self._refuse([])

    def _commit_here(self, batch: list[Entry]) -> None:
        """Commit on the loop, `_using` being held; if something unforeseen happens, this writer has ended."""
        done: bool | None = False
        ended = True
        try:
            done = self._committed(batch, self._store.try_append)
            ended = False
        finally:
            self._using.release()
            self._ended = self._ended or ended
            if done is None:
                self._queue.put(batch)
            else:
                self._deliver(iter([durable for _, durable in batch]), done)
            if not self._undrained.is_set():
                self._undrained.set()

    async def run(self, work: Callable[[LedgerStore], Result]) -> Result:
        """Have the thread do something with the store between two commits; it should be brief. Raises LedgerError."""
        done: Future[Result] = Future()

        def errand() -> None:
            try:
                done.set_result(work(self._store))
            except LedgerError as error:
                done.set_exception(error)

        if self._closed or self._ended:
            raise LedgerError("the ledger is closed", remedy="start the gateway")
        self._errands.put(errand)
        self._wake()
        return await asyncio.wrap_future(done)

    def _run_errands(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._errands.get_nowait()()

    def _wake(self) -> None:
        self._queue.put([])

    async def close(self) -> None:
        """Write what is pending, keep a final checkpoint, close the store. Callbacks have been called on return."""
        if not self._closed:
            self._hand_over()
            self._closed = True
            self._queue.put(None)
        await self._loop.run_in_executor(None, self._thread.join)

    def _run(self) -> None:
        batch: list[Entry] = []
        try:
            while self._gather(batch):
                if batch:
                    self._commit(batch)
                batch = []
                self._run_errands()
            if batch:
                self._commit(batch)
                batch = []
            self._run_errands()
        finally:  # also if something unforeseen ends the thread: nobody may wait for ever
            self._ended = True
            self._stopping.set()
            self._undrained.set()
            self._refuse(batch)
            self._drainer.join()
            self._store.close()

    def _run_drains(self) -> None:
        try:
            while not self._stopping.is_set():
                self._undrained.wait(RETAIN_AFTER.total_seconds())
                self._stopping.wait(DRAIN_AFTER)  # what is committed meanwhile is taken up with it
                self._undrained.clear()
                self._drain()
        finally:  # also if something unforeseen ends the thread
            self._ended = True
            self._queue.put(None)

    def _gather(self, batch: list[Entry]) -> bool:
        """Wait for records and take all that are there; False at the end of the queue."""
        entries = self._left or self._queue.get()
        self._left = []
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

    def _drain(self) -> None:
        try:
            self._store.drain()
        except LedgerError as error:
            self._failure = str(error)

    def _commit(self, batch: list[Entry]) -> None:
        with self._using:
            done = self._committed(batch, self._store.append)
            self._undrained.set()
        self._answer(batch, done is True)

    def _committed(self, batch: list[Entry], append: Append) -> bool | None:
        """Return whether a batch is on disk now; None if that is for the thread to do."""
        began = time.perf_counter()
        try:
            done = append([record for record, _ in batch])
        except LedgerError as error:
            self._failure = str(error)
            return False
        if not done:
            return None
        self._slow = not self._store.quick or time.perf_counter() - began > SLOW
        self._failure = ""
        return True

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

    def append(self, record: Record | Stamped, durable: Durable) -> None:
        """Append a record and answer at once."""
        super().append(record, _ignore)
        self._loop.call_soon(durable, True)


def _ignore(done: bool) -> None:
    del done
