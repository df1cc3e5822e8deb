"""Dry runs: what a write would do, found out by doing it in a transaction of the gateway's own that is rolled back.

Sequences advance, and what triggers do outside the database stays done: for those there is `preview: count | off`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bailiwick.decide.limits import exceeded
from bailiwick.errors import BackendError, ProtocolError
from bailiwick.model.approval import ChangedRow, Previewed, Refused, Shown
from bailiwick.model.decision import Denial, Queued
from bailiwick.mounts.postgres import codec, upstream
from bailiwick.mounts.postgres.approved import KeysSeen
from bailiwick.mounts.postgres.batch import Held
from bailiwick.mounts.postgres.codec import Framer, int16_at, int32_at, pack_int16, pack_int32
from bailiwick.mounts.postgres.counted import CLEAR, READ, counted
from bailiwick.mounts.postgres.errors import OUT_OF_SCOPE, error_text, says_outside
from bailiwick.mounts.postgres.upstream import Address, Upstream
from bailiwick.mounts.postgres.values import type_oid
from bailiwick.sql.plan import Bound
from bailiwick.sql.preview import DryRun, RowsQuery

SHOWN = 20
"""Rows of which before and after are kept."""
_LOCK = "2000ms"
_LONGEST = 16 * 1024 * 1024
"""Bytes of one message, and of all rows that are kept."""
_VALUE = 2000
"""Characters of a value that are kept."""
_SLOWEST = 150.0
"""Seconds that a dry run may take with all that belongs to it."""
_TEXT = 25
_NO_TYPES = b"\0\0"

Cell = bytes | None
Row = list[Cell]
Key = tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Dry:
    """What is to be run: the write as it was bound, its rows' query, and what it must keep to."""

    held: Held
    made: DryRun
    queued: Queued
    values: Callable[[tuple[Bound, ...]], bytes]
    """Gives the gateway's own values as in a Bind."""
    rows: Callable[[int], Awaitable[RowsQuery | None]]
    """Number of keys → the query for their rows."""


class _FailedError(Exception):
    """The server refused something."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        """The server's own message."""
        self.state, self.text = error_text(raw)
        super().__init__(self.state)


class _Server:
    """One connection, one request at a time. Rows go to `row` as they come."""

    def __init__(self, connection: Upstream) -> None:
        self._connection = connection
        self._framer = Framer(_LONGEST)
        self._row: Callable[[Row], None] = _drop
        self._done: asyncio.Future[None] | None = None
        self._failed: _FailedError | None = None
        self._tag: int | None = None
        connection.receiver = self._received
        connection.lost = self._lost

    async def command(self, text: bytes) -> None:
        """Run a statement of ours that returns nothing."""
        await self.run(codec.parse(b"", text), codec.bind(b"", b""), _drop)

    async def run(self, parse: bytes, bind: bytes, row: Callable[[Row], None]) -> int | None:
        """Run a statement; return what its CommandComplete counts. Raises _FailedError, BackendError."""
        self._row, self._failed, self._tag = row, None, None
        self._done = asyncio.get_running_loop().create_future()
        self._connection.send(parse + bind + codec.execute(b"") + codec.SYNC)
        await self._done
        if self._failed is not None:
            raise self._failed
        return self._tag

    def _received(self, data: bytes) -> None:
        try:
            self._framer.feed(data)
            while (taken := self._framer.message()) is not None:
                self._take(*taken)
        except (ProtocolError, ValueError, IndexError) as error:
            self._end(BackendError(f"the dry run's reply cannot be read ({type(error).__name__})"))

    def _take(self, kind: bytes, body: bytes) -> None:
        if kind == b"D":
            self._row(_cells(body))
        elif kind == b"C":
            self._tag = codec.tag_rows(codec.message(kind, body))
        elif kind == b"E" and self._failed is None:
            self._failed = _FailedError(codec.message(kind, body))
        elif kind == b"Z":
            self._end(None)

    def _lost(self) -> None:
        self._end(BackendError("the connection of the dry run is lost"))

    def _end(self, error: BackendError | None) -> None:
        if self._done is not None and not self._done.done():
            if error is None:
                self._done.set_result(None)
            else:
                self._done.set_exception(error)


def _drop(_: Row) -> None:
    """Take a row that nobody wants."""


class _Written:
    """What is seen of the rows that a write returns: how many, whose keys, and whether each lies in the scope."""

    def __init__(self, keys: int, *, checked: bool) -> None:
        self._keys = keys
        self._checked = checked
        self.first: list[Row] = []
        self._seen = KeysSeen()
        self.outside = False
        self.rows = 0

    def take(self, row: Row) -> None:
        """Take a row: the agent's own columns, the keys, the check."""
        if self._checked and row.pop() != b"t":
            self.outside = True
        if not self._keys:
            return
        key = row[-self._keys :]
        self.rows += 1
        self._seen.add(key)
        if len(self.first) < SHOWN:
            self.first.append(key)

    def digest(self) -> str:
        """Return one hash for all keys, whatever their order."""
        return self._seen.digest() if self._keys else ""


Take = Callable[[Upstream], Awaitable[None]]
"""Has a new connection take its session's role, before anything is run on it."""


async def preview(dry: Dry, address: Address, settings: Mapping[str, str], take: Take) -> Previewed | Refused:
    """Do the write, look at what it did, roll it back. Nothing of it outlives this call, whatever happens."""
    limits = {"lock_timeout": _LOCK, "idle_in_transaction_session_timeout": "30s"}
    try:
        async with asyncio.timeout(_SLOWEST), _connected(address, {**settings, **limits}, take) as server:
            return await _dry_run(server, dry)
    except _FailedError as error:
        if says_outside(error.raw, blind=dry.held.prepared.plan.blind):
            return Refused(OUT_OF_SCOPE)
        return Refused(Denial("preview_failed", f"a dry run of it failed: {error.text}", "", _NOT_HELD), error.state)
    except (BackendError, ProtocolError, OSError, TimeoutError):
        text = "the database could not be reached for a dry run"
        return Refused(Denial("backend_unavailable", text, remedy=_NOT_HELD))


@asynccontextmanager
async def _connected(address: Address, settings: Mapping[str, str], take: Take) -> AsyncGenerator[_Server]:
    connection = await upstream.connect(address, settings)
    try:
        await take(connection)
        yield _Server(connection)
    finally:
        if connection.transport is not None and not connection.transport.is_closing():
            connection.close()


async def _dry_run(server: _Server, dry: Dry) -> Previewed | Refused:
    plan, made = dry.held.prepared.plan, dry.made
    keys = made.keys if dry.queued.preview == "rows" else 0
    written = _Written(keys, checked=plan.checked)
    # One snapshot for all, so that before, after and the change itself are of the same rows.
    await server.command(b"BEGIN ISOLATION LEVEL REPEATABLE READ")
    await server.command(b"SAVEPOINT bailiwick_before")
    told = await _write(server, dry, made.sql if keys else plan.sql, written)
    refused = _refused(dry, written, told)
    if refused is not None:
        return refused
    await server.command(b"SET CONSTRAINTS ALL IMMEDIATE")
    query = await dry.rows(len(written.first)) if written.first else None
    after = {} if made.verb == "delete" else await _rows(server, dry, query, written.first)
    await server.command(b"ROLLBACK TO SAVEPOINT bailiwick_before")
    before = {} if made.verb == "create" else await _rows(server, dry, query, written.first)
    await server.command(b"ROLLBACK")
    shown = [ChangedRow(_text(key), before.get(_text(key)), after.get(_text(key))) for key in written.first]
    seen = tuple(row for row in shown if row.before is not None or row.after is not None)
    return Previewed(told, seen, written.digest())


async def _write(server: _Server, dry: Dry, sql: str, written: _Written) -> int | None:
    """Do the write; return how many rows it wrote."""
    plan = dry.held.prepared.plan
    if not plan.inner or sql != plan.sql:  # with keys, it returns every row that it writes
        return await server.run(*_as_bound(dry, sql), written.take)
    found: list[Cell] = []
    await server.command(CLEAR)
    tag = await server.run(*_as_bound(dry, sql), written.take)
    await server.run(codec.parse(b"", READ), codec.bind(b"", b""), lambda row: found.append(row[0]))
    return counted(found[0] or b"" if found else b"", plan, tag)


def _refused(dry: Dry, written: _Written, told: int | None) -> Refused | None:
    """Return why the change may not even be held, by what it did. It is rolled back with its connection."""
    queued, plan = dry.queued, dry.held.prepared.plan
    if written.outside:
        return Refused(OUT_OF_SCOPE, rows=told)
    if told is None:
        return Refused(Denial("preview_failed", "a dry run of it tells no count", remedy=_NOT_HELD))
    most = None if queued.ceilings is None else queued.ceilings.batch
    if queued.ceilings is not None and most is not None and told > most:
        action = f"{plan.accesses[0].resource}:{plan.accesses[0].verb}" if plan.accesses else ""
        return Refused(exceeded("batch_exceeded", queued.ceilings, told, action), rows=told)
    return None


def _as_bound(dry: Dry, sql: str) -> tuple[bytes, bytes]:
    """Return the Parse and the Bind of the write: the client's types and values, all results as text."""
    _, _, types = codec.read_parse(dry.held.parsed)
    _, _, pos = codec.read_bind(dry.held.bound)
    formats, count, values, _ = codec.read_bind_tail(dry.held.bound, pos)
    tail = pack_int16(len(formats) // 2) + formats + pack_int16(count) + values + _NO_TYPES
    return codec.parse(b"", sql.encode(), types), codec.bind(b"", b"", tail)


async def _rows(
    server: _Server, dry: Dry, query: RowsQuery | None, keys: list[Row]
) -> dict[tuple[str | None, ...], Shown]:
    """Return the rows of these keys as the session may see them now."""
    if query is None:
        return {}
    found: dict[Key, Shown] = {}

    def take(row: Row) -> None:
        shown = zip(query.columns, _text(row[query.keys :]), strict=True)
        found[_text(row[: query.keys])] = dict(shown)

    own = b"".join(_sized(cell) for key in keys for cell in key)
    count = pack_int16(len(keys) * query.keys + len(query.bound))
    tail = b"\0\0" + count + own + dry.values(query.bound) + _NO_TYPES
    types = (
        count
        + pack_int32(25) * (len(keys) * query.keys)
        + b"".join(pack_int32(type_oid(each.type)) for each in query.bound)
    )
    await server.run(codec.parse(b"", query.sql.encode(), types), codec.bind(b"", b"", tail), take)
    return found


def _cells(body: bytes) -> Row:
    """Return the values of a DataRow's body."""
    cells: Row = []
    at = 2
    for _ in range(int16_at(body, 0)[0]):
        size: int = int32_at(body, at)[0]
        at += 4
        if size == 0xFFFFFFFF:
            cells.append(None)
        else:
            cells.append(body[at : at + size])
            at += size
    return cells


def _sized(cell: Cell) -> bytes:
    return codec.NULL_VALUE if cell is None else pack_int32(len(cell)) + cell


def _text(cells: Row) -> tuple[str | None, ...]:
    return tuple(None if cell is None else _short(cell.decode("utf-8", "replace")) for cell in cells)


def _short(text: str) -> str:
    return text if len(text) <= _VALUE else text[:_VALUE] + " …"


_NOT_HELD = "nothing has been changed, and nothing is held: correct it and send it again"
