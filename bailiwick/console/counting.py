"""Keeps the counters: what is new in the ledger is counted when somebody looks, in the background, bit by bit."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import closing
from datetime import timedelta

from bailiwick.console.tally import Tally, days_kept
from bailiwick.errors import LedgerError
from bailiwick.gateway.ledger.address import LedgerAddress
from bailiwick.gateway.ledger.reader import LedgerReader, open_reader
from bailiwick.gateway.moments import Clock
from bailiwick.ledger.encode import read

_log = logging.getLogger("bailiwick.console")
_at_once = 2000
_most = 2_000_000
"""Records that are counted after a start, the newest ones."""


class Counting:
    """The counters of one ledger."""

    def __init__(self, ledger: LedgerAddress, clock: Clock) -> None:
        self.tally = Tally()
        self._ledger = ledger
        self._clock = clock
        self._begun = False
        self._stopped = False
        self._running: asyncio.Task[None] | None = None

    async def counted(self, patience: float = 0.05) -> bool:
        """Count what is new, for so many seconds at most; return whether everything is counted."""
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(asyncio.to_thread(self._count))
            self._running.add_done_callback(_log_failure)
        done, _ = await asyncio.wait((self._running,), timeout=patience)
        return bool(done)

    async def stop(self) -> None:
        """Stop counting."""
        self._stopped = True
        if self._running is not None:
            await asyncio.gather(self._running, return_exceptions=True)

    def _count(self) -> None:
        """Count what is new, in a thread: whoever reads the counters meanwhile sees some of it."""
        with closing(open_reader(self._ledger)) as reader:
            if not self._begun:
                first = reader.first_since(self._clock() - timedelta(days=days_kept))
                self.tally.next = max(first, reader.size() - _most)
                self._begun = True
            while not self._stopped and self._take(reader) == _at_once:
                time.sleep(0.001)  # the gateway's own work goes first
        self.tally.forget(self._clock())

    def _take(self, reader: LedgerReader) -> int:
        found = reader.following(self.tally.next, _at_once)
        for stored in found:
            self.tally.take(stored.seq, read(stored.body) or {})
        return len(found)


def _log_failure(task: asyncio.Task[None]) -> None:
    failure = None if task.cancelled() else task.exception()
    if isinstance(failure, LedgerError):
        _log.error("records cannot be counted: %s", failure.message)
    elif failure is not None:
        _log.error("records cannot be counted: %s", type(failure).__name__)
