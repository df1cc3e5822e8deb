"""Reading a ledger while the gateway writes it: query, tail, proofs, and the evidence for verification.

Read-only; never waits for the writer nor makes it wait. What a reader shows comes from the records' bytes; the index
only finds them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import cast

from bailiwick.errors import ConfigError, LedgerError
from bailiwick.gateway.ledger import sqlite as ledger_sqlite
from bailiwick.gateway.ledger.address import LedgerAddress, PostgresAddress
from bailiwick.gateway.ledger.faults import MOST
from bailiwick.gateway.ledger.rows import Actions, readers_of, rows_between
from bailiwick.gateway.ledger.storage import Source
from bailiwick.gateway.moments import read_moment, utc_now
from bailiwick.ledger.checkpoint import Checkpoint, Consistency, Proof, told_by
from bailiwick.ledger.encode import moment, read
from bailiwick.ledger.facts import RARE, UNUSUAL
from bailiwick.ledger.filter import All, Filter, condition, meets, parse
from bailiwick.ledger.frame import Tail
from bailiwick.ledger.merkle import Frontier, Subtree, consistency_proof, frontier_of, inclusion_proof
from bailiwick.ledger.own import OWN_KINDS
from bailiwick.ledger.verify import Beside, Evidence
from bailiwick.model.record import JsonValue


@dataclass(frozen=True, slots=True)
class Query:
    """What records to find; empty members do not restrict. Every other text must be equal."""

    id: str = ""
    kind: str = ""
    agent: str = ""
    user: str = ""
    session: str = ""
    task: str = ""
    decision: str = ""
    code: str = ""
    refers: str = ""
    resource: str = ""
    action: str = ""
    """`resource:verb`."""
    since: datetime | None = None
    until: datetime | None = None
    """Before that moment."""
    after: int = -1
    """Only records with a higher sequence number."""
    before: int = 2**62
    """Only records with a lower sequence number."""
    filter: str = ""
    """What else they meet, in the language of `ledger.filter`."""
    seen: Callable[[Mapping[str, JsonValue]], Mapping[str, JsonValue]] | None = None
    """How whoever searches sees a record; what is hidden from them is not searched either."""
    holding: frozenset[bytes] = frozenset()
    """Only records that hold one of these digests (`hmac:…`); empty does not restrict."""
    limit: int = 100
    """At most so many, the newest ones."""
    oldest: bool = False
    """The oldest ones instead."""


_LAST = 2**63 - 1
"""No number is higher."""
_AT_ONCE = 2_000
"""Records that are read at once where a filter has to look into them."""
_FEW = 20_000
"""Records of a period that are sorted rather than looked for."""
_EQUAL = ("id", "kind", "agent", "user", "session", "task", "decision", "code", "refers")


_DIGEST = re.compile(rb"hmac:[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Stored:
    """A record as it is stored: its place, and its canonical bytes."""

    seq: int
    body: bytes


class LedgerReader:
    """An open ledger, for reading. Make one with `open_reader`."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.words = source.words
        """How to say things in statements (`over`, `asking`)."""
        self._tables = (source.words.stored, source.words.late)
        self._records = (
            f"(SELECT seq, body FROM {source.words.stored}records WHERE length(body) > 0 "  # noqa: S608 -- names of our own
            f"UNION ALL SELECT seq, body FROM {source.words.late}records) AS found"
        )

    def close(self) -> None:
        """Let go of it."""
        self._source.close()

    def disk(self) -> int:
        """Return the bytes that it takes where it is stored."""
        return self._source.disk()

    def checkpoint(self) -> str:
        """Return the signed head as a note."""
        return self._text(f"SELECT note FROM {self._tables[0]}head")  # noqa: S608 -- a name of our own

    def origin(self) -> str:
        """Return the name of the log."""
        return self._text(f"SELECT origin FROM {self._tables[0]}log")  # noqa: S608 -- likewise

    def query(self, query: Query) -> list[Stored]:
        """Return the records that match, oldest first; of more than `limit` the newest.

        Raises LedgerError for a filter that is not understood.
        """
        wanted = _parsed(query.filter)
        rows: list[tuple[object, ...]] = []
        # The tail is newer than all that is in the file.
        order = self._tables if query.oldest else reversed(self._tables)
        with self._source.latest():
            for where in order:
                if len(rows) < query.limit:
                    rows += self._filtered(where, query, wanted, query.limit - len(rows))
        return [Stored(cast(int, seq), _bytes(body)) for seq, body in (rows if query.oldest else reversed(rows))]

    def each(self, query: Query, at_once: int = 5_000) -> Iterator[Stored]:
        """Yield the records that match, oldest first and whatever the limit, read so many at once."""
        while True:
            found = self.query(replace(query, oldest=True, limit=at_once))
            yield from found
            if len(found) < at_once:
                return
            query = replace(query, after=found[-1].seq)

    def _filtered(self, where: str, query: Query, wanted: Filter, limit: int) -> list[tuple[object, ...]]:
        """Return the records that match and meet the filter, those first that are wanted first."""
        if wanted == All(()) and not query.holding:
            return self._matching(where, query, wanted, limit)
        found: list[tuple[object, ...]] = []
        at_once = min(_AT_ONCE, max(limit, 100))
        while True:
            rows = self._matching(where, query, wanted, at_once)
            found += [row for row in rows if _meets(wanted, query, _bytes(row[1]))]
            if len(rows) < at_once or len(found) >= limit:
                return found[:limit]
            at_once = min(_AT_ONCE, at_once * 4)
            last = cast(int, rows[-1][0])
            query = replace(query, after=last) if query.oldest else replace(query, before=last)

    def _matching(self, where: str, query: Query, wanted: Filter, limit: int) -> list[tuple[object, ...]]:
        """Return the records of the file or of the tail that match, those first that are wanted first.

        Each by itself: over both together SQLite would read and sort everything before the first record.
        """
        conditions, values = _conditions(query, where)
        narrowed = condition(wanted, where, self.words)
        if narrowed is not None:
            conditions.append(narrowed.text)
            values += narrowed.values
        index = self.words.by_moment if where == self.words.stored and self._is_short(query) else ""
        found = f"{where}facts f{index} JOIN {where}records r ON r.seq = f.seq"
        order = "" if query.oldest else "DESC"
        statement = f"SELECT r.seq, r.body FROM {found} WHERE {' AND '.join(conditions)} ORDER BY f.seq {order} LIMIT ?"  # noqa: S608 -- constants; values are bound
        return self._rows(statement, (*values, limit))

    def _is_short(self, query: Query) -> bool:
        """Return whether the period that is asked for has so few records that they are best found by their moments.

        Else SQLite would go through all that came after it, to have the newest ones first without sorting.
        """
        if query.since is None or not self.words.by_moment:
            return False
        until = "9999" if query.until is None else moment(query.until)
        counted = f"SELECT count(*) FROM (SELECT 1 FROM {self.words.stored}facts WHERE at >= ? AND at < ? LIMIT ?)"  # noqa: S608 -- a name of our own
        return cast(int, self._rows(counted, (moment(query.since), until, _FEW))[0][0]) < _FEW

    @contextmanager
    def asking(self) -> Generator[Callable[[str, Sequence[object]], Iterator[tuple[object, ...]]]]:
        """Read at one moment, by statements over `facts`, `accesses` and `records`, stored and late (`words`).

        Texts may be told as bytes. For figures; whatever is shown of records comes from their bytes.
        """
        with self._source.latest():
            yield self._source.each_row

    def at(self, seq: int) -> Stored | None:
        """Return the record of that sequence number."""
        with self._source.latest():
            rows = self._rows(f"SELECT seq, body FROM {self._records} WHERE seq = ?", (seq,))  # noqa: S608 -- a constant
        return Stored(cast(int, rows[0][0]), _bytes(rows[0][1])) if rows else None

    def following(self, seq: int, limit: int) -> list[Stored]:
        """Return the records from a sequence number on, the oldest first, at most so many."""
        statement = f"SELECT seq, body FROM {self._records} WHERE seq >= ? ORDER BY seq LIMIT ?"  # noqa: S608 -- constants
        with self._source.latest():
            return [Stored(cast(int, row[0]), _bytes(row[1])) for row in self._rows(statement, (seq, limit))]

    def over(self, statement: Callable[[str], str], values: Sequence[object]) -> list[tuple[object, ...]]:
        """Return the rows of a query of the gateway's own, over the file's tables and then over the tail's.

        `statement` is given what stands before the names `records`, `facts` and `accesses`."""
        with self._source.latest():
            return [row for where in self._tables for row in self._rows(statement(where), values)]

    def first_since(self, since: datetime) -> int:
        """Return the sequence number of the first record since a moment; the next one's, when there is none yet."""
        statement = f"SELECT seq FROM {self._tables[0]}facts WHERE at >= ? ORDER BY at LIMIT 1"  # noqa: S608 -- a name of our own
        found = self._rows(statement, (moment(since),))
        return cast(int, found[0][0]) if found else self.size()

    def size(self) -> int:
        """Return how many records the file holds; what the journal gathered meanwhile is not in it."""
        return cast(int, self._rows(f"SELECT coalesce(max(seq), -1) + 1 FROM {self.words.whole}")[0][0])  # noqa: S608 -- likewise

    def prove(self, seq: int) -> Proof:
        """Return the proof that a record is in the tree of the signed head."""
        with self._source.moment():
            note = self.checkpoint()
            head = told_by(note)
            if head is None or not 0 <= seq < head.size:
                raise LedgerError(
                    f"the signed head does not reach record {seq}", remedy="run `bailiwick ledger verify`"
                )
            try:
                return Proof(seq, inclusion_proof(seq, head.size, self._source.subtrees), note)
            except LookupError as error:
                raise LedgerError(f"no proof: {error}", remedy="run `bailiwick ledger verify`") from error

    def prove_growth(self, old: int) -> Consistency:
        """Return the proof that the ledger of `old` records is the beginning of that of the signed head."""
        with self._source.moment():
            note = self.checkpoint()
            head = told_by(note)
            if head is None or not 0 <= old <= head.size:
                raise LedgerError(f"the signed head is not for {old} records or more", remedy="give a smaller size")
            try:
                path = consistency_proof(old, head.size, self._source.subtrees) if old else ()
            except LookupError as error:
                raise LedgerError(f"no proof: {error}", remedy="run `bailiwick ledger verify`") from error
            return Consistency(old, path, note)

    @contextmanager
    def at_one_moment(self) -> Generator[None]:
        """Read within it what is stored at its beginning."""
        with self._source.moment():
            yield

    def older_than(self, at: str, after: int, limit: int) -> list[Stored]:
        """Return records of the file made before a moment, behind a number, the oldest first; no pruned ones."""
        stored = self._tables[0]
        statement = (
            f"SELECT r.seq, r.body FROM {stored}facts f JOIN {stored}records r ON r.seq = f.seq "  # noqa: S608 -- names of our own
            "WHERE f.seq > ? AND f.at < ? ORDER BY f.seq LIMIT ?"
        )
        return [Stored(cast(int, seq), _bytes(body)) for seq, body in self._rows(statement, (after, at, limit))]

    def pruned(self) -> set[tuple[int, int]]:
        """Return the records (first, last) whose content was removed."""
        rows = self._rows(f"SELECT first, last FROM {self._tables[0]}pruned")  # noqa: S608 -- a name of our own
        return {(cast(int, first), cast(int, last)) for first, last in rows}

    def checkpoints(self) -> list[tuple[int, str]]:
        """Return the kept checkpoints: size and note."""
        rows = self._rows(f"SELECT size, note FROM {self._tables[0]}checkpoints ORDER BY size")  # noqa: S608 -- likewise
        return [(cast(int, size), _string(note)) for size, note in rows]

    def leaves(self, first: int, end: int) -> list[tuple[int, bytes, bytes]]:
        """Return the file's records from one number to before another: number, hash and bytes (empty: pruned)."""
        records = f"{self._tables[0]}records"
        statement = f"SELECT seq, hash, body FROM {records} WHERE seq >= ? AND seq < ? ORDER BY seq"  # noqa: S608 -- likewise
        rows = self._rows(statement, (first, end))
        return [(cast(int, seq), _bytes(digest), _bytes(body)) for seq, digest, body in rows]

    def begin_evidence(self, *, deep: bool = False) -> Evidence:
        """Return all that verification needs, as it was at one moment; read its rows before closing the reader.

        `deep`: of a large file too, its own structures are compared entry by entry. Raises LedgerError, also while
        its rows are read.
        """
        self._source.begin()
        note, stored = self.checkpoint(), self._tables[0]
        head = told_by(note)
        tail = self._tail(head)
        source, indexed = self._source, 0 if head is None else head.size
        last = _LAST if head is None or source.apart else head.size - 1
        count = self._count("records", last)
        ahead = readers_of(source.path, count, indexed) if isinstance(source, ledger_sqlite.SqliteSource) else None
        return Evidence(
            rows=rows_between(source, Actions(source), last=last),
            parts=None if ahead is None else partial(ahead.parts, source, last),
            indexed=indexed,
            count=count,
            subtrees=[
                Subtree(cast(int, level), cast(int, index), _bytes(root))
                for level, index, root in self._rows(f"SELECT level, idx, root FROM {stored}subtrees")  # noqa: S608 -- likewise
            ],
            head=note,
            tail=tail,
            retained=self.checkpoints(),
            own=self._own(),
            beside=Beside(
                self.origin(),
                self._count("facts", last),
                self._count("accesses", last),
                tuple(sorted(self.pruned())),
                self._faults(whole=deep or count <= MOST),
            ),
        )

    def _count(self, table: str, last: int) -> int:
        statement = f"SELECT count(*) FROM {self._tables[0]}{table} WHERE seq <= ?"  # noqa: S608 -- names of our own
        return cast(int, self._rows(statement, (last,))[0][0])

    def _faults(self, *, whole: bool) -> tuple[str, ...]:
        source = self._source
        return source.faults(whole=whole) if isinstance(source, ledger_sqlite.SqliteSource) else ()

    def _own(self) -> list[bytes]:
        kinds, stored = ", ".join("?" * len(OWN_KINDS)), self._tables[0]
        found = f"{stored}records r JOIN {stored}facts f ON f.seq = r.seq"
        statement = f"SELECT r.body FROM {found} WHERE f.kind IN ({kinds}) ORDER BY r.seq"  # noqa: S608 -- names of our own, placeholders
        return [_bytes(row[0]) for row in self._rows(statement, OWN_KINDS)]

    def _tail(self, head: Checkpoint | None) -> Tail:
        """Return what is durable beyond what was signed; nothing where that is not whole."""
        try:
            return self._source.tail(Frontier() if head is None else frontier_of(head.size, self._source.subtrees))
        except LookupError:
            return Tail(0, Frontier())

    def _rows(self, statement: str, values: Sequence[object] = ()) -> list[tuple[object, ...]]:
        return self._source.rows(statement, values)

    def _text(self, statement: str) -> str:
        rows = self._rows(statement)
        return _string(rows[0][0]) if rows else ""


def _conditions(query: Query, tables: str) -> tuple[list[str], list[object]]:
    where = ["f.seq > ?", "f.seq < ?"]
    values: list[object] = [query.after, query.before]
    for name in _EQUAL:
        value = cast(str, getattr(query, name))
        if value:
            where.append(f'f."{name}" = ?')
            values.append(value)
    if query.kind not in ("", "call", "intent", "outcome"):
        where.append(f"f.{RARE}")
    if query.decision not in ("", "allow"):
        where.append(f"f.{UNUSUAL}")
    if query.since is not None:
        where.append("f.at >= ?")
        values.append(moment(query.since))
    if query.until is not None:
        where.append("f.at < ?")
        values.append(moment(query.until))
    if query.action:
        where.append(f"f.seq IN (SELECT seq FROM {tables}accesses WHERE action = ?)")  # noqa: S608 -- a constant
        values.append(query.action)
    if query.resource:
        # `;` follows `:` in ASCII, so this range is every action of the resource, and an index serves it.
        where.append(f"f.seq IN (SELECT seq FROM {tables}accesses WHERE action >= ? AND action < ?)")  # noqa: S608 -- a constant
        values += (query.resource + ":", query.resource + ";")
    return where, values


def _parsed(text: str) -> Filter:
    now = utc_now()
    return parse(text, lambda moment: read_moment(moment, now))


def check_filter(text: str) -> None:
    """Return if a filter is understood. Raises ConfigError, for whoever sent it, if not."""
    try:
        _parsed(text)
    except LedgerError as error:
        raise ConfigError(error.message, remedy=error.remedy) from None


def _meets(wanted: Filter, query: Query, body: bytes) -> bool:
    if query.holding and query.holding.isdisjoint(_DIGEST.findall(body)):
        return False
    document = read(body)
    return document is not None and meets(wanted, document if query.seen is None else query.seen(document))


def open_reader(address: LedgerAddress) -> LedgerReader:
    """Open a ledger for reading; LedgerError if there is none."""
    return LedgerReader(open_source(address))


def open_source(address: LedgerAddress) -> Source:
    """Open the place where a ledger is kept, for reading; LedgerError if there is none."""
    if isinstance(address, PostgresAddress):
        from bailiwick.gateway.ledger import postgres as ledger_postgres

        return ledger_postgres.open_source(address)
    return ledger_sqlite.open_source(address)


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else b""


def _string(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
