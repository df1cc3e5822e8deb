"""One connection to the PostgreSQL of a ledger, for callers that wait: it has an event loop of its own.

Whoever calls, in whatever thread, waits for the answer; one call at a time. Nothing that it raises holds a credential.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Protocol, TypeVar, cast

import asyncpg

from bailiwick.errors import LedgerError
from bailiwick.gateway.ledger.address import PostgresAddress

FAILURES: tuple[type[Exception], ...] = (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError)
"""What a connection raises. ValueError: a text that PostgreSQL cannot have."""
_CONNECT_SECONDS = 10.0
_AT_ONCE = 5_000
_FULL = "53100"
Result = TypeVar("Result")


class _Cursor(Protocol):
    async def fetch(self, n: int) -> Sequence[Sequence[object]]: ...


class _Connection(Protocol):
    """What of asyncpg, which has no types, is used."""

    async def execute(self, query: str, *args: object) -> str: ...
    async def executemany(self, command: str, args: Sequence[Sequence[object]]) -> None: ...
    async def fetch(self, query: str, *args: object) -> Sequence[Sequence[object]]: ...
    def cursor(self, query: str, *args: object) -> Awaitable[_Cursor]: ...
    def terminate(self) -> None: ...


_connect = cast("Callable[..., Awaitable[_Connection]]", asyncpg.connect)  # pyright: ignore[reportUnknownMemberType] - asyncpg has no types


class Link:
    """An open connection. Its methods raise `FAILURES`; after one it should be closed."""

    def __init__(self, address: PostgresAddress, settings: Mapping[str, str], patience: float | None) -> None:
        """Connect. No statement takes longer than `patience` seconds."""
        self._loop = asyncio.new_event_loop()
        self._lock = threading.RLock()
        self._aside: ThreadPoolExecutor | None = None
        try:
            self._connection = self._wait(self._connected(address, settings, patience))
        except BaseException:
            self._loop.close()
            raise

    @staticmethod
    async def _connected(address: PostgresAddress, settings: Mapping[str, str], patience: float | None) -> _Connection:
        pinned = {"search_path": "pg_catalog, pg_temp", "application_name": "bailiwick ledger", **settings}
        return await _connect(address.url, timeout=_CONNECT_SECONDS, command_timeout=patience, server_settings=pinned)

    def _wait(self, work: Coroutine[object, object, Result]) -> Result:
        with self._lock:
            try:
                asyncio.get_running_loop()
            except RuntimeError:
                return self._loop.run_until_complete(work)
            if self._aside is None:  # this thread has a loop that runs already
                self._aside = ThreadPoolExecutor(1, "ledger-link")
            return self._aside.submit(self._loop.run_until_complete, work).result()

    def run(self, statement: str, *values: object) -> str:
        """Run a statement and return its command tag; without values also a script of several."""
        return self._wait(self._connection.execute(statement, *values))

    def each(self, statement: str, values: Sequence[Sequence[object]]) -> None:
        """Run a statement for each of some values."""
        self._wait(self._connection.executemany(statement, values))

    def rows(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        """Return the rows of a statement."""
        return [tuple(row) for row in self._wait(self._connection.fetch(statement, *values))]

    def each_row(self, statement: str, *values: object) -> Iterator[tuple[object, ...]]:
        """Yield them, some thousands in memory at a time. Only in a transaction."""

        async def opened() -> _Cursor:
            return await self._connection.cursor(statement, *values)

        cursor = self._wait(opened())
        while rows := self._wait(cursor.fetch(_AT_ONCE)):
            for row in rows:
                yield tuple(row)

    async def _cut(self) -> None:
        self._connection.terminate()

    def close(self) -> None:
        """Cut the connection; what is under way there is rolled back."""
        with self._lock:
            if self._loop.is_closed():
                return
            self._wait(self._cut())
            self._loop.close()
            if self._aside is not None:
                self._aside.shutdown()


@lru_cache(maxsize=500)
def numbered(statement: str) -> str:
    """Return a statement with `$1` … for each `?`."""
    numbers = iter(range(1, 1_000_000))
    return re.sub(r"\?", lambda _: f"${next(numbers)}", statement)


def reason(error: Exception) -> str:
    """Say what failed in words that hold no credential."""
    if isinstance(error, asyncpg.PostgresError):
        return " ".join(str(error).split())[:300]
    if isinstance(error, TimeoutError | asyncio.TimeoutError):
        return "it did not answer in time"
    if isinstance(error, asyncpg.InterfaceError):
        return "the connection was lost"
    return "it cannot be reached"


def remedy(error: Exception) -> str:
    """Return what to do about it."""
    if isinstance(error, asyncpg.InsufficientPrivilegeError):
        return "see `bailiwick ledger schema`: what the role must be granted"
    if isinstance(error, asyncpg.InvalidPasswordError | asyncpg.InvalidAuthorizationSpecificationError):
        return "check user and password of the ledger's address"
    if isinstance(error, asyncpg.PostgresError) and error.sqlstate == _FULL:
        return "free some disk space; the gateway goes on by itself"
    return "check the ledger's database; the gateway goes on by itself"


def unreadable(address: PostgresAddress, error: Exception) -> LedgerError:
    """Return what to tell of a ledger that cannot be read."""
    return LedgerError(f"the ledger `{address}` cannot be read: {reason(error)}", remedy=remedy(error))
