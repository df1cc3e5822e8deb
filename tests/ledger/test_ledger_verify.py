"""Verification over random ledgers: sound ones pass, and what was changed lies in what is reported."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from bailiwick.ledger.checkpoint import Checkpoint, Signer
from bailiwick.ledger.encode import encode
from bailiwick.ledger.frame import Tail
from bailiwick.ledger.leaves import Row
from bailiwick.ledger.merkle import Frontier, Subtree, extend, leaf_hash
from bailiwick.ledger.verify import Evidence, verify
from bailiwick.model.record import Record

SIGNER = Signer("test", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
AT = datetime(2026, 11, 22, 8, 0, 0, 1, UTC)
LARGEST = 1_300


def body(seq: int, agent: str = "bot") -> bytes:
    return encode(Record(id=f"rec_{seq}", kind="call", at=AT, agent=agent), seq)


@lru_cache
def all_rows() -> list[Row]:
    return [Row(seq, leaf_hash(body(seq)), body(seq)) for seq in range(LARGEST)]


def evidence(size: int, kept: list[int]) -> Evidence:
    """A ledger as the gateway would have left it, not indexed."""
    rows = all_rows()[:size]
    frontier, subtrees, notes = Frontier(), list[Subtree](), dict[int, str]()
    at = 0
    for stop in sorted({*kept, size}):
        frontier, completed = extend(frontier, [row.hash for row in rows[at:stop]])
        subtrees += completed
        notes[stop] = SIGNER.sign(Checkpoint("test", stop, frontier.root()).text())
        at = stop
    tail = Tail(size, frontier)
    return Evidence(rows, size, 0, subtrees, notes[size], tail, [(stop, notes[stop]) for stop in sorted(set(kept))])


def unsigned(size: int, signed: int) -> Evidence:
    """A ledger whose last records were in the journal only when the gateway was killed."""
    whole, before = evidence(size, []), evidence(signed, [signed])
    rows = all_rows()[signed:size]
    bodies, hashes = tuple(row.body for row in rows), tuple(row.hash for row in rows)
    frontier, completed = extend(before.tail.frontier, hashes)
    assert frontier == whole.tail.frontier
    code = SIGNER.vouch(size, frontier.root())
    return replace(before, tail=Tail(signed, frontier, bodies, hashes, tuple(completed), code))


@pytest.mark.parametrize("signed", [0, 200, 256, 290])
def test_an_unsigned_tail_is_checked_with_the_key_and_named_without_it(signed: int) -> None:
    whole = unsigned(300, signed)
    report = verify(whole, SIGNER.verifier, signer=SIGNER)
    assert report.sound
    assert report.size == 300
    assert report.root == whole.tail.frontier.root()
    (finding,) = verify(whole, SIGNER.verifier).findings
    assert (finding.kind, finding.first, finding.last) == ("unprovable", signed, 299)


@pytest.mark.parametrize("seq", [0, 288, 289])
def test_a_change_before_an_unsigned_tail_is_found(seq: int) -> None:
    whole = unsigned(300, 290)
    false = Row(seq, leaf_hash(body(seq, "other")), body(seq, "other"))
    rows = [false if row.seq == seq else row for row in whole.rows]
    report = verify(replace(whole, rows=rows), SIGNER.verifier, signer=SIGNER)
    assert any(finding.first is not None and finding.first <= seq <= (finding.last or 0) for finding in report.findings)


def test_a_tail_that_the_key_did_not_vouch_for_is_found() -> None:
    whole = unsigned(300, 290)
    for tail in (replace(whole.tail, code=bytes(32)), replace(whole.tail, frontier=Frontier(300, (bytes(32),)))):
        report = verify(replace(whole, tail=tail), SIGNER.verifier, signer=SIGNER)
        assert [(found.kind, found.first, found.last) for found in report.findings] == [("checkpoint", 290, 299)]
    other = Signer("test", Ed25519PrivateKey.from_private_bytes(bytes(32)))
    assert not verify(whole, SIGNER.verifier, signer=other).sound


@st.composite
def ledgers(draw: st.DrawFn, smallest: int = 0) -> Evidence:
    size = draw(st.integers(smallest, LARGEST))
    return evidence(size, draw(st.lists(st.integers(0, size), max_size=4)))


@settings(max_examples=30, deadline=None)
@given(ledgers(), ledgers())
def test_sound_ledger_passes_against_every_earlier_checkpoint(whole: Evidence, earlier: Evidence) -> None:
    report = verify(whole, SIGNER.verifier, [earlier.head] if earlier.count <= whole.count else [])
    assert report.findings == ()


@settings(max_examples=60, deadline=None)
@given(ledgers(smallest=1), st.data())
def test_every_changed_record_lies_in_what_is_reported(whole: Evidence, data: st.DataObject) -> None:
    victims = data.draw(st.lists(st.integers(0, whole.count - 1), min_size=1, max_size=4, unique=True))
    rows = list(whole.rows)
    for seq in victims:
        forged = body(seq, "other")
        way = data.draw(st.sampled_from(["bytes", "hash", "both"]))
        rows[seq] = rows[seq]._replace(
            body=rows[seq].body if way == "hash" else forged,
            hash=rows[seq].hash if way == "bytes" else leaf_hash(b"" if way == "hash" else forged),
        )
    found = verify(replace(whole, rows=rows), SIGNER.verifier).findings
    for seq in victims:
        assert any(f.first is not None and f.first <= seq <= (f.last or 0) for f in found), seq
    assert {f.kind for f in found} <= {"changed", "unprovable"}
    assert any(f.kind == "changed" for f in found)


@settings(max_examples=60, deadline=None)
@given(ledgers(smallest=2), st.data())
def test_every_removed_record_is_named(whole: Evidence, data: st.DataObject) -> None:
    gone = data.draw(st.sets(st.integers(0, whole.count - 1), min_size=1, max_size=5))
    rows = [row for row in whole.rows if row.seq not in gone]
    found = verify(replace(whole, rows=rows), SIGNER.verifier).findings
    named = {seq for f in found if f.kind in ("removed", "truncated") for seq in range(f.first or 0, (f.last or 0) + 1)}
    assert named == gone
    assert not any(f.kind in ("changed", "inserted", "reordered", "forked") for f in found)


@settings(max_examples=60, deadline=None)
@given(ledgers(smallest=2), st.data())
def test_swapped_rows_are_named_and_nothing_else(whole: Evidence, data: st.DataObject) -> None:
    first, second = data.draw(
        st.lists(st.integers(0, whole.count - 1), min_size=2, max_size=2, unique=True).map(sorted)
    )
    rows = list(whole.rows)
    rows[first], rows[second] = rows[second]._replace(seq=first), rows[first]._replace(seq=second)
    found = verify(replace(whole, rows=rows), SIGNER.verifier).findings
    assert {(f.kind, f.first) for f in found} == {("reordered", first), ("reordered", second)}


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=40), st.binary(max_size=40), st.integers(-5, 400), st.text(max_size=60))
def test_any_bytes_give_findings_and_no_error(junk: bytes, digest: bytes, seq: int, note: str) -> None:
    whole = evidence(300, [100])
    rows = [row for row in whole.rows if row.seq != seq]
    rows.append(Row(seq, digest, junk))
    rows.sort(key=lambda row: row.seq)
    assert not verify(replace(whole, rows=rows), SIGNER.verifier, [note]).sound
    assert not verify(replace(whole, rows=rows, head=note), SIGNER.verifier).sound
