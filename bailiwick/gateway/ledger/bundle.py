"""A ledger as files that can be verified anywhere: an export, or the partitions of an archive.

A folder (and folders within it) holds `records.jsonl`, perhaps as `.gz`, and `checkpoints.jsonl`. A line of the one is
a record's bytes exactly as they were signed, or `{"leaf":…,"seq":…}` where its content was pruned; a line of the other
is `{"size":…,"note":…}`. So the leaf of the tree is the SHA-256 of a zero byte and the line.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

import orjson

from bailiwick.errors import LedgerError
from bailiwick.gateway.backends.places import Place
from bailiwick.gateway.ledger.reader import LedgerReader
from bailiwick.ledger.checkpoint import VerifierKey, told_by
from bailiwick.ledger.encode import read
from bailiwick.ledger.frame import Tail
from bailiwick.ledger.leaves import Row
from bailiwick.ledger.merkle import Frontier, leaf_hash
from bailiwick.ledger.own import OWN_KINDS
from bailiwick.ledger.report import Finding, Report
from bailiwick.ledger.verify import Evidence, verify

RECORDS = ("records.jsonl", "records.jsonl.gz")
CHECKPOINTS = "checkpoints.jsonl"
_PAGE = 2_000
_PART = 1 << 20
_LONGEST = 64 << 20
"""Bytes of a line: a packed file of others may unpack to more than there is memory for."""
_own_marks = tuple(f'"kind":"{kind}"'.encode() for kind in OWN_KINDS)


def write_bundle(reader: LedgerReader, place: Place, keys: Sequence[VerifierKey]) -> int:
    """Export what the signed head covers; return how many records. The place should be empty."""
    with reader.at_one_moment():
        note = reader.checkpoint()
        head = told_by(note)
        if head is None:
            raise LedgerError("the ledger has no signed head", remedy="run `bailiwick ledger verify`")
        with place.writing("records.jsonl") as file:
            for line in record_lines(reader, 0, head.size):
                file.write(line)
        notes = [*((size, kept) for size, kept in reader.checkpoints() if size < head.size), (head.size, note)]
    place.write("ledger.vkey", "".join(f"{key}\n" for key in keys).encode())
    place.write(CHECKPOINTS, checkpoint_lines(notes))
    return head.size


def record_lines(reader: LedgerReader, first: int, end: int) -> Iterator[bytes]:
    """Yield the lines of the records from one number to before another."""
    for start in range(first, end, _PAGE):
        for seq, digest, body in reader.leaves(start, min(start + _PAGE, end)):
            yield (body or orjson.dumps({"leaf": digest.hex(), "seq": seq})) + b"\n"


def checkpoint_lines(notes: Iterable[tuple[int, str]]) -> bytes:
    """Return checkpoints (size, note) as lines."""
    return b"".join(orjson.dumps({"size": size, "note": note}) + b"\n" for size, note in notes)


@dataclass(slots=True)
class Bundle:
    """The files of an export or an archive."""

    place: Place
    misplaced: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    """(record, the one before it in the files) where that is not the order; known when the rows were read."""

    def rows(self) -> Iterator[Row]:
        """Yield the records in the order of the files."""
        before = -1
        for line in self.lines(RECORDS):
            row = _row(line, before + 1)
            if row.seq < before:
                self.misplaced.append((row.seq, before))
            before = row.seq
            yield row

    def notes(self) -> list[tuple[int, str]]:
        """Return the checkpoints, by size."""
        found: dict[int, str] = {}
        for line in self.lines((CHECKPOINTS,)):
            values = read(line) or {}
            size, note = values.get("size"), values.get("note")
            if isinstance(size, int) and isinstance(note, str):
                found[size] = note
            else:
                found[-1] = ""  # what is no checkpoint is reported as a false one
        return sorted(found.items())

    def lines(self, names: Sequence[str]) -> Iterator[bytes]:
        """Yield the lines of all files of these names, in the order of their folders."""
        for name in self.place.names():
            if PurePosixPath(name).name not in names:
                continue
            yield from lines_of(self.place, name)


def lines_of(place: Place, name: str) -> Iterator[bytes]:
    """Yield the lines of a file, unpacked if it is packed. Raises LedgerError, also for what can be no record."""
    with place.reading(name) as file:
        stream = gzip.GzipFile(fileobj=file) if name.endswith(".gz") else file
        try:
            held = b""
            while part := stream.read(_PART):
                *lines, held = (held + part).split(b"\n")
                yield from lines
                if len(held) > _LONGEST:
                    message = f"`{name}` has a line of over {_LONGEST >> 20} MiB, which is no record"
                    raise LedgerError(message, remedy="take it from its source")
            if held:
                yield held
        except (OSError, EOFError, zlib.error) as error:
            raise LedgerError(f"`{name}` cannot be read: {error}", remedy="take it from its source") from None


def verified_bundle(place: Place, keys: Sequence[VerifierKey], external: Sequence[str] = ()) -> Report:
    """Verify an export or an archive by public keys alone. Raises LedgerError if there is none at the place."""
    bundle = Bundle(place)
    notes = bundle.notes()
    if not notes:
        raise LedgerError(f"`{place}` is no ledger, export or archive", remedy="name a folder with `checkpoints.jsonl`")
    size, head = notes[-1]
    own = [line for line in bundle.lines(RECORDS) if any(mark in line for mark in _own_marks)]
    evidence = Evidence(
        rows=bundle.rows(),
        count=0,
        indexed=0,
        subtrees=None,
        head=head,
        tail=Tail(size, Frontier()),
        retained=notes[:-1],
        own=own,
    )
    report = verify(evidence, keys, external)
    found = [
        Finding("reordered", f"record {seq} stands behind record {before}", seq, seq)
        for seq, before in bundle.misplaced
    ]
    return replace(report, findings=(*report.findings, *found)) if found else report


def _row(line: bytes, expected: int) -> Row:
    document = read(line) or {}
    seq, leaf = document.get("seq"), document.get("leaf")
    number = seq if type(seq) is int else expected
    if isinstance(leaf, str) and len(document) == 2:
        try:
            return Row(number, bytes.fromhex(leaf), b"")
        except ValueError:
            return Row(number, b"", line)
    return Row(number, leaf_hash(line), line)
