"""Every way of editing a ledger's file without its key: found, and placed as narrowly as it can be proven.

The ledger has 1,600 records: six tiles of 256 and 64 records; checkpoints were kept at 1,000 and at the end.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bailiwick.gateway.ledger import rows as ledger_rows
from bailiwick.gateway.ledger.reader import open_reader
from bailiwick.ledger.checkpoint import Checkpoint, Signer
from bailiwick.ledger.encode import encode
from bailiwick.ledger.leaves import HASH, STRETCH, Stretch
from bailiwick.ledger.merkle import EMPTY_ROOT
from tests.gateway.ledger_rig import ORIGIN, Intruder, checked, fill, intruding, new_store, record

SIZE = 1_600
Found = list[tuple[str, int | None, int | None]]
Tampering = Callable[[Intruder], None]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ledger") / "ledger.db"
    store = new_store(path)
    fill(store, [record(number) for number in range(SIZE)])
    store.close()
    return path


@pytest.fixture
def ledger(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(original, tmp_path / "ledger.db"))


def found(path: Path, external: tuple[str, ...] = ()) -> Found:
    return sorted((f.kind, f.first, f.last) for f in checked(path, external).findings)


@pytest.fixture
def read_by_others(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Executor]], None]:
    """Have rows read by others first, however few there are."""

    def chosen(others: Callable[[], Executor]) -> None:
        monkeypatch.setattr(ledger_rows, "WORTHWHILE", 1)
        monkeypatch.setattr(ledger_rows, "processes", others)

    return chosen


def head_of(path: Path) -> str:
    with intruding(path) as intruder:
        return str(intruder.connection.execute("SELECT note FROM head").fetchone()[0])


def test_untampered_ledger_is_sound(ledger: Path) -> None:
    report = checked(ledger, (head_of(ledger),))
    assert report.sound
    assert (report.records, report.size, report.checkpoints) == (SIZE, SIZE, 4)


def test_edit_that_changes_nothing_is_not_found(ledger: Path) -> None:
    with intruding(ledger) as intruder:
        intruder.rewrite(300, intruder.body(300))
    assert checked(ledger).sound


def change_bytes(seq: int) -> Tampering:
    return lambda intruder: intruder.forge(seq, hashed=False)


def change_hash(intruder: Intruder) -> None:
    intruder.run("UPDATE records SET hash = zeroblob(32) WHERE seq = 300")


def change_bytes_and_hash(seq: int) -> Tampering:
    def tamper(intruder: Intruder) -> None:
        intruder.forge(seq)

    return tamper


def change_everything_but_the_signature(seq: int) -> Tampering:
    def tamper(intruder: Intruder) -> None:
        intruder.forge(seq)
        intruder.retile(seq // 256)
        intruder.reindex(seq)

    return tamper


def write_garbage(intruder: Intruder) -> None:
    intruder.rewrite(300, b"\xff\x00{", hashed=False)


def remove(seq: int) -> Tampering:
    return lambda intruder: intruder.run("DELETE FROM records WHERE seq = ?", seq)


def remove_and_close_the_gap(intruder: Intruder) -> None:
    intruder.run("DELETE FROM records WHERE seq = 300")
    intruder.shift(301, -1)


def insert_in_the_middle(intruder: Intruder) -> None:
    intruder.shift(300, 1)
    intruder.insert(300, encode(record(9_000), 300))


def insert_at_the_end(intruder: Intruder) -> None:
    intruder.insert(SIZE, encode(record(SIZE), SIZE))


def insert_below_the_start(intruder: Intruder) -> None:
    intruder.insert(-1, encode(record(9_000), -1))


def insert_far_away(intruder: Intruder) -> None:
    intruder.insert(2**62, encode(record(9_000), 2**62))


def swap(intruder: Intruder) -> None:
    first, second = intruder.body(300), intruder.body(1_200)
    intruder.rewrite(300, second)
    intruder.rewrite(1_200, first)


def copy_over(intruder: Intruder) -> None:
    intruder.rewrite(301, intruder.body(300))


def cut_the_end(intruder: Intruder) -> None:
    intruder.run("DELETE FROM records WHERE seq >= 1550")


def cut_the_end_to_a_tile(intruder: Intruder) -> None:
    intruder.run("DELETE FROM records WHERE seq >= 1024")


def remove_all(intruder: Intruder) -> None:
    intruder.run("DELETE FROM records")


MATRIX: list[tuple[str, Tampering, Found]] = [
    ("bytes", change_bytes(300), [("changed", 300, 300)]),
    ("bytes of the last", change_bytes(1_599), [("changed", 1_599, 1_599)]),
    ("garbage", write_garbage, [("changed", 300, 300), ("index", 300, 300)]),
    ("hash alone", change_hash, [("changed", 300, 300)]),
    ("bytes and hash", change_bytes_and_hash(300), [("changed", 256, 511)]),
    (
        "before a checkpoint in its tile",
        change_bytes_and_hash(900),
        [("changed", 768, 999), ("unprovable", 1_000, 1_023)],
    ),
    (
        "after a checkpoint in its tile",
        change_bytes_and_hash(1_010),
        [("changed", 1_000, 1_023)],
    ),
    (
        "bytes and hash in the open tile",
        change_bytes_and_hash(1_590),
        [("changed", 1_000, 1_599)],
    ),
    ("all hashes", change_everything_but_the_signature(300), [("changed", 0, 999), ("unprovable", 1_000, 1_599)]),
    ("all hashes, later", change_everything_but_the_signature(1_200), [("changed", 1_000, 1_599)]),
    ("removed", remove(300), [("removed", 300, 300), ("unprovable", 256, 511)]),
    ("removed first", remove(0), [("removed", 0, 0), ("unprovable", 1, 255)]),
    ("removed in the open tile", remove(1_590), [("removed", 1_590, 1_590), ("unprovable", 1_000, 1_599)]),
    (
        "removed and renumbered",
        remove_and_close_the_gap,
        [("removed", 300, 300), ("reordered", 300, 1_598), ("unprovable", 256, 511)],
    ),
    ("inserted", insert_in_the_middle, [("index", 300, 300), ("inserted", 300, 301), ("reordered", 301, 1_600)]),
    ("inserted at the end", insert_at_the_end, [("inserted", 1_600, 1_600)]),
    ("inserted below the start", insert_below_the_start, [("inserted", -1, -1)]),
    ("inserted far away", insert_far_away, [("inserted", 2**62, 2**62)]),
    ("swapped", swap, [("reordered", 300, 300), ("reordered", 1_200, 1_200)]),
    (
        "copied over another",
        copy_over,
        [("inserted", 300, 301), ("removed", 301, 301), ("reordered", 301, 301), ("unprovable", 256, 511)],
    ),
    ("cut", cut_the_end, [("truncated", 1_550, 1_599), ("unprovable", 1_000, 1_549)]),
    ("cut to a tile", cut_the_end_to_a_tile, [("truncated", 1_024, 1_599), ("unprovable", 1_000, 1_023)]),
    ("emptied", remove_all, [("truncated", 0, 1_599)]),
]


@pytest.mark.parametrize(("tamper", "expected"), [row[1:] for row in MATRIX], ids=[row[0] for row in MATRIX])
def test_tampering_is_found_and_placed_whoever_reads(
    ledger: Path,
    tamper: Tampering,
    expected: Found,
    read_by_others: Callable[[Callable[[], Executor]], None],
) -> None:
    assert checked(ledger).sound
    with intruding(ledger) as intruder:
        tamper(intruder)
    assert found(ledger) == expected
    read_by_others(partial(ThreadPoolExecutor, 1))
    assert found(ledger) == expected


def test_processes_read_what_is_as_it_should_be_and_leave_the_rest(
    ledger: Path, read_by_others: Callable[[Callable[[], Executor]], None]
) -> None:
    with intruding(ledger) as intruder:
        intruder.run("UPDATE records SET hash = zeroblob(32) WHERE seq = 1200")
    read_by_others(ledger_rows.processes)
    with closing(open_reader(ledger)) as reader:
        parts = reader.begin_evidence().parts
        assert parts is not None
        told = [each if isinstance(each, Stretch) else each.seq for each in parts()]
    assert isinstance(told[0], Stretch)
    assert (told[0].first, len(told[0].hashes)) == (0, STRETCH * HASH)
    assert told[1:] == list(range(STRETCH, SIZE))


def test_readers_that_end_leave_all_rows_to_the_first(
    ledger: Path, read_by_others: Callable[[Callable[[], Executor]], None]
) -> None:
    def broken() -> Executor:
        pool = ProcessPoolExecutor(1, get_context("spawn"))
        pool.submit(os.abort)
        return pool

    read_by_others(broken)
    assert checked(ledger).sound


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("UPDATE facts SET agent = 'other' WHERE seq = 300", [("index", 300, 300)]),
        ("DELETE FROM facts WHERE seq = 300", [("index", 300, 300)]),
        ("DELETE FROM accesses WHERE seq BETWEEN 300 AND 303", [("index", 300, 303)]),
        ("INSERT INTO accesses (action, seq) VALUES ('a:read', 300)", [("index", 300, 300)]),
        ("UPDATE subtrees SET root = zeroblob(32) WHERE level = 8 AND idx = 1", [("index", 256, 511)]),
        ("DELETE FROM subtrees WHERE level = 8 AND idx = 1", [("index", 256, 511)]),
        ("INSERT INTO subtrees VALUES (16, 0, zeroblob(32))", [("index", None, None)]),
    ],
)
def test_damage_beside_the_records_is_told_apart(ledger: Path, statement: str, expected: Found) -> None:
    with intruding(ledger) as intruder:
        intruder.run(statement)
    assert found(ledger) == expected


def test_two_changes_are_both_named(ledger: Path) -> None:
    with intruding(ledger) as intruder:
        intruder.run("UPDATE records SET hash = zeroblob(32) WHERE seq IN (10, 11, 700)")
        intruder.forge(1_300)
        intruder.reindex(1_300)
    assert found(ledger) == [("changed", 10, 11), ("changed", 700, 700), ("changed", 1_280, 1_535)]


def test_taking_the_ledger_back_to_a_kept_checkpoint_needs_one_held_elsewhere(ledger: Path) -> None:
    held = head_of(ledger)
    with intruding(ledger) as intruder:
        note = str(intruder.connection.execute("SELECT note FROM checkpoints WHERE size = 1000").fetchone()[0])
        intruder.run("UPDATE head SET note = ?", note)
        intruder.cut(1_000)
    assert checked(ledger).sound
    assert found(ledger, (held,)) == [("rolled_back", 1_000, 1_599), ("truncated", 1_000, 1_599)]


def test_taking_only_the_head_back_is_found(ledger: Path) -> None:
    with intruding(ledger) as intruder:
        intruder.run("UPDATE head SET note = (SELECT note FROM checkpoints WHERE size = 1000)")
    assert found(ledger) == [("rolled_back", 1_000, 1_599)]


def test_older_checkpoint_held_elsewhere_fits(ledger: Path) -> None:
    with intruding(ledger) as intruder:
        held = str(intruder.connection.execute("SELECT note FROM checkpoints WHERE size = 1000").fetchone()[0])
    report = checked(ledger, (held,))
    assert report.sound
    assert report.checkpoints == 4


@pytest.mark.parametrize("size", [150, 1_500])
def test_other_history_signed_with_the_key_is_a_fork(ledger: Path, tmp_path: Path, size: int) -> None:
    other = new_store(tmp_path / "other.db")
    fill(
        other,
        [
            record(number, agent="other-bot" if number >= 1_050 or size < 1_000 else "support-bot")
            for number in range(size)
        ],
    )
    held = other.checkpoint()
    other.close()
    assert found(ledger, (held,)) == [("forked", 1_000 if size > 1_000 else 0, size - 1)]


def test_head_signed_with_another_key_is_refused(ledger: Path) -> None:
    forger = Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(b"\x09" * 32))
    with intruding(ledger) as intruder:
        intruder.run("UPDATE head SET note = ?", forger.sign(Checkpoint(ORIGIN, SIZE, EMPTY_ROOT).text()))
    assert found(ledger) == [("checkpoint", None, None)]


def test_without_any_valid_checkpoint_rows_are_still_checked_one_by_one(ledger: Path) -> None:
    with intruding(ledger) as intruder:
        intruder.run("DELETE FROM checkpoints")
        intruder.run("UPDATE head SET note = ''")
        intruder.run("UPDATE records SET hash = zeroblob(32) WHERE seq = 5")
    assert found(ledger) == [("changed", 5, 5), ("checkpoint", None, None)]


def test_false_checkpoints_are_named(ledger: Path) -> None:
    with intruding(ledger) as intruder:
        intruder.run("UPDATE checkpoints SET size = 900 WHERE size = 1000")
    assert found(ledger, ("no note",)) == [("checkpoint", None, None), ("checkpoint", None, None)]
