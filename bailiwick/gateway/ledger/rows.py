"""The rows of a ledger as verification reads them. Those of a large file are read by several processes.

What another process tells of is believed only where there is nothing to tell: of rows that are as they should be it
gives their hashes (`Stretch`). All others are read again here, at the moment at which the evidence is, so that what is
found wrong does not depend on who read it.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from pathlib import Path
from typing import Final, cast

from bailiwick.errors import LedgerError
from bailiwick.gateway.ledger.sqlite import open_source
from bailiwick.gateway.ledger.storage import Source
from bailiwick.ledger.facts import Facts
from bailiwick.ledger.leaves import STRETCH, Row, Stretch, stretch_of

WORTHWHILE = 150_000
"""Records of a file that is read by more than one process: each takes a while to start."""
_FIRST, _LAST = -(2**63), 2**63 - 1
_MOST_PROCESSES = 8
_PAGE: Final = 64 * STRETCH
"""Records whose actions are read at once, and for which a process is asked at once."""
_NICE = 10


class Actions:
    """The actions of records in the search index, which is sorted by action: read by pages of records, in their order.

    So nothing sorts the whole index, and each page asks for each action that there is.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        table = source.words.stored + "accesses"
        self._statement = (
            "WITH RECURSIVE known (action) AS ("  # noqa: S608 -- a name of our own
            f"SELECT min(action) FROM {table} UNION ALL "
            f"SELECT (SELECT min(a.action) FROM {table} a WHERE a.action > known.action) FROM known "
            "WHERE known.action IS NOT NULL) "
            f"SELECT seq, action FROM {table} WHERE action IN (SELECT action FROM known) AND seq BETWEEN ? AND ?"
        )
        self._page: int | None = None
        self._found: dict[object, tuple[str, ...]] = {}

    def around(self, seq: int) -> tuple[dict[object, tuple[str, ...]], int]:
        """Return the actions of the records of a page, sorted, and the number behind the page's last one."""
        page = seq // _PAGE
        if page != self._page:
            self._page, self._found = page, self._read(page * _PAGE)
        return self._found, (page + 1) * _PAGE

    def _read(self, start: int) -> dict[object, tuple[str, ...]]:
        rows = self._source.rows(self._statement, (start, start + _PAGE - 1))
        names = {action: (_string(action),) for action in {action for _, action in rows}}
        found: dict[object, tuple[str, ...]] = {seq: names[action] for seq, action in rows}
        if len(found) != len(rows):
            found = {}
            for seq, action in rows:
                found[seq] = tuple(sorted(found.get(seq, ()) + names[action]))
        return found


def rows_between(source: Source, actions: Actions, first: int = _FIRST, last: int = _LAST) -> Iterator[Row]:
    """Yield the stored rows from one number to another, with what the search index holds of them."""
    members, stored = ", ".join(f'f."{name}"' for name in Facts._fields), source.words.stored
    statement = (
        f"SELECT r.seq, r.hash, r.body, f.seq, {members} FROM {stored}records r "  # noqa: S608 -- names of our own
        f"LEFT JOIN {stored}facts f ON f.seq = r.seq WHERE r.seq BETWEEN ? AND ? ORDER BY r.seq"
    )
    found: dict[object, tuple[str, ...]] = {}
    end = _FIRST
    for values in cast(
        "Iterator[tuple[int, object, object, *tuple[object, ...]]]", source.each_row(statement, (first, last))
    ):
        seq, digest, body = values[:3]
        digest = digest if isinstance(digest, bytes) else b""
        body = body if isinstance(body, bytes) else b""
        if values[3] is None:
            yield Row(seq, digest, body)
            continue
        if seq >= end:
            found, end = actions.around(seq)
        yield Row(seq, digest, body, _joined(values[4:]), found.get(seq, ()))


def stretches(path: str, first: int, end: int, indexed: int) -> list[Stretch | None]:
    """Read a file's rows from one number to before another: a stretch for each `STRETCH`, None where they are none."""
    found: list[Stretch | None] = []
    try:
        with closing(open_source(Path(path))) as source:
            actions = Actions(source)
            for at in range(first, end, STRETCH):
                rows = list(rows_between(source, actions, at, min(at + STRETCH, end) - 1))
                whole = len(rows) == min(STRETCH, end - at) and rows[0].seq == at
                found.append(stretch_of(rows, indexed) if whole else None)
    except LedgerError:
        pass  # whoever asks reads the rest itself, and says what is wrong
    return found + [None] * (-(-(end - first) // STRETCH) - len(found))


class Readers:
    """Processes that read a file ahead of the one that verifies it, as soon as they are made."""

    def __init__(self, path: Path, count: int, indexed: int) -> None:
        self._count = count
        self._pool = processes()
        self._found = [(at, self._asked(path, at, min(at + _PAGE, count), indexed)) for at in range(0, count, _PAGE)]

    def _asked(self, path: Path, first: int, end: int, indexed: int) -> Future[list[Stretch | None]] | None:
        try:
            return self._pool.submit(stretches, str(path), first, end, indexed)
        except (BrokenProcessPool, OSError):
            return None

    def parts(self, source: Source, last: int) -> Iterator[Row | Stretch]:
        """Yield the rows to the last one, those that the processes found to be stretches as such. Only once."""
        actions = Actions(source)
        try:
            yield from rows_between(source, actions, last=min(-1, last))
            for at, found in self._found:
                for first, stretch in enumerate(_found(found)):
                    start = at + first * STRETCH
                    if stretch is not None:
                        yield stretch
                    else:
                        yield from rows_between(source, actions, start, min(start + STRETCH, self._count) - 1)
            yield from rows_between(source, actions, self._count, last)
        finally:
            self._pool.shutdown(wait=False, cancel_futures=True)


def processes() -> Executor:
    """Return as many as the machine has cores."""
    spawned = multiprocessing.get_context("spawn")  # this process may have threads, and files of SQLite open
    return ProcessPoolExecutor(min(_cores(), _MOST_PROCESSES), spawned, _end_with_the_first)


def readers_of(path: Path, count: int, indexed: int) -> Readers | None:
    """Return processes that read a file of so many records, if they are worth it."""
    return Readers(path, count, indexed) if count >= WORTHWHILE and _cores() > 1 else None


def _found(asked: Future[list[Stretch | None]] | None) -> list[Stretch | None]:
    with contextlib.suppress(BrokenProcessPool, OSError):
        if asked is not None:
            return asked.result()
    return [None] * (_PAGE // STRETCH)  # there are no processes, or they were ended: it is read here then


def _cores() -> int:
    affinity: Callable[[int], set[int]] | None = getattr(os, "sched_getaffinity", None)
    return (os.cpu_count() or 1) if affinity is None else len(affinity(0))


def _end_with_the_first() -> None:
    """Leave the processor to others who want it, and do not outlive the process that asked."""
    os.nice(_NICE)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent.join,), daemon=True).start()


def _follow(ended: Callable[[], object]) -> None:
    ended()
    os._exit(1)


def _joined(members: Sequence[object]) -> bytes:
    """Return the members of an index' row as one text; one that no record has, where something is no text."""
    try:
        return b"\0".join(cast("Sequence[bytes]", members))
    except TypeError:
        return "\0".join(cast("Sequence[str]", members)).encode() if all(type(m) is str for m in members) else b"\xff"


def _string(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
