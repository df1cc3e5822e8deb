"""The ledger's file: durable batches, one writer, recovery, refusal of what does not fit, readers beside the writer."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Generator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bailiwick.errors import LedgerError
from bailiwick.gateway.ledger.address import LedgerAddress, PostgresAddress, read_address
from bailiwick.gateway.ledger.journal import AREA, SIZE, journal_of
from bailiwick.gateway.ledger.reader import Query, open_reader
from bailiwick.gateway.ledger.store import LedgerStore, open_store
from bailiwick.ledger.checkpoint import open_checkpoint
from bailiwick.ledger.encode import decode, encode, read
from bailiwick.ledger.facts import actions_of, facts_of, joined_facts
from bailiwick.ledger.frame import frame_bytes
from bailiwick.ledger.merkle import leaf_hash, verify_inclusion
from bailiwick.ledger.verify import verify
from tests.gateway.ledger_rig import START, VERIFIER, checked, file_of, fill, intruding, new_store, record


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def store(path: Path) -> Generator[LedgerStore]:
    opened = new_store(path)
    yield opened
    opened.close()


_logs = itertools.count()


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> LedgerAddress:
    """Where a ledger may be."""
    if request.param == "sqlite":
        return tmp_path / "ledger.db"
    database = request.getfixturevalue("database")
    return read_address(f"{database.url()}?log=log_{next(_logs)}")


@pytest.fixture
def kept(place: LedgerAddress) -> Generator[LedgerStore]:
    opened = new_store(place)
    yield opened
    opened.close()


def ids(path: LedgerAddress, query: Query) -> list[int]:
    with closing(open_reader(path)) as reader:
        return [stored.seq for stored in reader.query(query)]


def test_records_come_back_as_they_went_in(kept: LedgerStore, place: LedgerAddress) -> None:
    kept.append([record(0), record(1, statement="odd \0 \ud800 text")])
    with closing(open_reader(place)) as reader:
        first, second = [decode(stored.body) for stored in reader.query(Query())]
    assert first is not None
    assert second is not None
    assert first.record == record(0)
    assert second.record.statement == "odd \ufffd \ufffd text"


def test_reopened_ledger_goes_on_where_it_was(place: LedgerAddress) -> None:
    for start in range(0, 900, 300):
        store = new_store(place)
        assert store.size == start
        fill(store, [record(number) for number in range(start, start + 300)])
        store.close()
    report = checked(place)
    assert report.sound
    assert report.size == 900


def test_unclosed_ledger_is_sound_at_any_moment(kept: LedgerStore, place: LedgerAddress) -> None:
    for number in range(5):
        kept.append([record(number)])
        assert checked(place).sound
        assert checked(place).size == number + 1


def test_second_writer_is_refused(kept: LedgerStore, place: LedgerAddress) -> None:
    with pytest.raises(LedgerError, match="in use by another gateway"):
        new_store(place)
    kept.append([record(0)])


def test_lock_is_free_after_closing_and_after_a_refused_opening(place: LedgerAddress) -> None:
    new_store(place).close()
    with pytest.raises(LedgerError):
        open_store(place, Ed25519PrivateKey.from_private_bytes(b"\x05" * 32))
    new_store(place).close()


def test_other_key_is_refused(place: LedgerAddress) -> None:
    new_store(place).close()
    with pytest.raises(LedgerError, match="not signed with this gateway's key"):
        open_store(place, Ed25519PrivateKey.from_private_bytes(b"\x05" * 32))


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("DELETE FROM records WHERE seq = 599", "signed for 600 records and it holds 599"),
        ("UPDATE records SET hash = zeroblob(32) WHERE seq = 590", "do not give the root"),
        ("UPDATE subtrees SET root = zeroblob(32) WHERE idx = 0", "do not give the root"),
        ("DELETE FROM subtrees WHERE idx = 1", "records 0 to 511 are missing"),
        ("DELETE FROM head", "not signed with this gateway's key"),
        (
            "UPDATE head SET note = (SELECT note FROM checkpoints ORDER BY size LIMIT 1)",
            "signed for 500 records and it holds 600",
        ),
    ],
)
def test_damaged_ledger_is_not_written(place: LedgerAddress, statement: str, why: str) -> None:
    store = new_store(place)
    fill(store, [record(number) for number in range(500)])
    store.drain(retain=True)
    fill(store, [record(number) for number in range(500, 600)])
    store.close()
    new_store(place).close()
    with intruding(place) as intruder:
        intruder.run(statement)
    with pytest.raises(LedgerError, match=why):
        new_store(place)


def test_a_tail_that_a_killed_gateway_left_unsigned_is_taken_up_and_signed(
    path: Path,
) -> None:
    store = new_store(path)
    store.checkpoint()
    for number in range(5):
        store.append([record(number)])
    assert checked(path).sound
    with closing(open_reader(path)) as reader:
        assert verify(reader.begin_evidence(), VERIFIER).findings[0].kind == "unprovable"
    copy = path.with_name("copy.db")  # what a kill leaves: the files, and nobody to sign
    for suffix in ("", "-wal", ".journal"):
        shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")
    again = new_store(copy)
    assert again.size == 5
    again.close()
    with closing(open_reader(copy)) as reader:
        assert verify(reader.begin_evidence(), VERIFIER).sound


def test_file_that_is_no_ledger_is_refused(path: Path) -> None:
    path.write_bytes(b"not a database at all, but long enough to be taken for one" * 20)
    with pytest.raises(LedgerError, match="cannot be opened"):
        new_store(path)
    with pytest.raises(LedgerError):
        open_reader(path)


def test_other_database_is_refused_and_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (a)")
    before = path.read_bytes()
    with pytest.raises(LedgerError, match="not a ledger"):
        new_store(path)
    with pytest.raises(LedgerError, match="not a ledger"):
        open_reader(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("theirs",)]
    assert len(path.read_bytes()) == len(before)


def test_unfit_name_is_refused(path: Path) -> None:
    with pytest.raises(LedgerError, match="cannot name a ledger"):
        open_store(path, Ed25519PrivateKey.generate(), origin="a name")


@pytest.mark.parametrize("statement", ["UPDATE {} SET {} = {}", "DELETE FROM {}"])
@pytest.mark.parametrize(
    ("table", "column"), [("records", "body"), ("checkpoints", "note"), ("subtrees", "root"), ("facts", "agent")]
)
def test_store_itself_forbids_changing_and_deleting(
    place: LedgerAddress, statement: str, table: str, column: str
) -> None:
    store = new_store(place)
    fill(store, [record(number) for number in range(300)])
    store.close()
    said = statement.format(table, column, column)
    if isinstance(place, PostgresAddress):
        with (
            psycopg.connect(place.url) as link,
            pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"),
        ):
            link.execute(said.replace(table, f"{place.log}.{table}").encode())
        return
    with closing(sqlite3.connect(place)) as connection, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute(said)


def test_file_is_for_its_owner_only(store: LedgerStore, path: Path) -> None:
    assert store.size == 0
    assert path.stat().st_mode & 0o077 == 0


def test_full_disk_fails_the_batch_and_recovers_alone(store: LedgerStore, path: Path) -> None:
    store.append([record(0)])
    file_of(store).limit_pages(40)
    with pytest.raises(LedgerError, match="full") as failure:
        fill(store, [record(number, statement="x" * 3_000) for number in range(1, 200)], 1)
    assert "free some disk space" in failure.value.remedy
    size = store.size
    assert 1 < size < 200
    assert checked(path).sound
    file_of(store).limit_pages(100_000)
    store.append([record(500), record(501)])
    assert store.size == size + 2
    assert checked(path).size == size + 2
    assert checked(path).sound


def test_replaced_file_is_noticed(store: LedgerStore, path: Path) -> None:
    store.append([record(0)])
    path.rename(path.with_name("away.db"))
    path.touch()
    with pytest.raises(LedgerError, match="replaced"):
        store.append([record(1)])


def test_checkpoints_are_kept_by_number_and_by_time(place: LedgerAddress) -> None:
    clock = [START]

    def now() -> datetime:
        return clock[0]

    def kept() -> list[int]:
        with closing(open_reader(place)) as reader:
            return [size for size, _ in reader.begin_evidence().retained]

    store = new_store(place, now)
    fill(store, [record(number) for number in range(999)], 111)
    assert kept() == []
    store.append([record(999)])
    store.drain()
    assert kept() == [1_000]
    clock[0] += timedelta(seconds=61)
    store.drain()
    assert kept() == [1_000]
    store.append([record(1_000)])
    store.drain()
    assert kept() == [1_000, 1_001]
    store.append([record(1_001)])
    store.close()
    assert kept() == [1_000, 1_001, 1_002]


def test_reader_sees_a_whole_batch_or_none_while_it_is_written(kept: LedgerStore, place: LedgerAddress) -> None:
    with closing(open_reader(place)) as reader:
        for batch in range(20):
            kept.append([record(batch * 30 + number) for number in range(30)])
            if batch % 5 == 0:
                kept.drain()
            assert len(reader.query(Query(limit=10_000))) == (batch + 1) * 30


def test_evidence_is_of_one_moment(kept: LedgerStore, place: LedgerAddress) -> None:
    from bailiwick.ledger.verify import verify

    fill(kept, [record(number) for number in range(700)])
    with closing(open_reader(place)) as reader:
        evidence = reader.begin_evidence()
        fill(kept, [record(number) for number in range(700, 1_400)])
        kept.drain()
        report = verify(evidence, VERIFIER)
    assert report.sound
    assert report.size == 700


@pytest.mark.parametrize("drained", [False, True])
def test_queries_find_the_same_before_and_after_draining(
    kept: LedgerStore, place: LedgerAddress, drained: bool
) -> None:
    fill(
        kept,
        [record(number, action="customers:read" if number % 4 == 0 else "tickets:update") for number in range(40)],
    )
    kept.append([record(40, agent="other-bot", action="tickets_archive:read")])
    if drained:
        kept.drain()
    assert ids(place, Query(agent="other-bot")) == [40]
    assert ids(place, Query(resource="customers")) == list(range(0, 40, 4))
    assert 40 not in ids(place, Query(resource="tickets"))
    assert ids(place, Query(action="tickets:read")) == []
    assert ids(place, Query(decision="deny", code="action_not_granted")) == [9, 19, 29, 39]
    assert ids(place, Query(user="user1", session="ses_4")) == [4, 25]
    assert ids(place, Query(since=START + timedelta(seconds=38), until=START + timedelta(seconds=40))) == [38, 39]
    assert ids(place, Query(limit=3)) == [38, 39, 40]
    assert ids(place, Query(after=38)) == [39, 40]
    assert ids(place, Query(agent="' OR 1 = 1 --")) == []
    assert ids(place, Query(id=f"rec_{7:026d}", kind="call", task="handle-ticket")) == [7]


def test_index_holds_what_the_pure_projection_says(kept: LedgerStore, place: LedgerAddress) -> None:
    fill(kept, [record(number, agent="ä\0\ud800\"'", statement="\\u0000") for number in range(5)])
    kept.drain()
    with closing(open_reader(place)) as reader:
        for row in reader.begin_evidence().rows:
            document = read(row.body)
            assert document is not None
            joined = "\0".join(facts_of(document)).encode()
            assert (row.facts, row.actions) == (joined, actions_of(document))
            assert joined_facts(document) == joined


def test_every_record_can_be_proven_with_the_public_key_alone(kept: LedgerStore, place: LedgerAddress) -> None:
    fill(kept, [record(number) for number in range(600)])
    with closing(open_reader(place)) as reader:
        for seq in (0, 255, 256, 511, 512, 599):
            stored = reader.at(seq)
            assert stored is not None
            proof = reader.prove(seq)
            head = open_checkpoint(proof.note, VERIFIER)
            assert head is not None
            assert verify_inclusion(leaf_hash(stored.body), seq, head.size, proof.path, head.root)
        with pytest.raises(LedgerError, match="does not reach"):
            reader.prove(600)


WRITER = """
import sys
from pathlib import Path
from tests.gateway.ledger_rig import new_store, record
store = new_store(Path(sys.argv[1]))
for batch in range(10_000):
    store.append([record(batch * 7 + number) for number in range(7)])
    print(store.size, flush=True)
    if batch % 10 == 0:
        store.drain()
"""


def test_kill_9_while_writing_leaves_a_sound_ledger_with_all_that_was_acknowledged(path: Path) -> None:
    for _ in range(2):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        acknowledged = 0
        for line in writer.stdout:
            acknowledged = int(line)
            if acknowledged % 700 > 630:
                break
        writer.send_signal(signal.SIGKILL)
        rest = writer.stdout.read().split()
        writer.wait()
        writer.stdout.close()
        report = checked(path)
        assert report.sound
        assert report.size is not None
        assert report.size >= int(rest[-1] if rest and rest[-1].isdigit() else acknowledged)
    store = new_store(path)
    store.append([record(999_999)])
    store.close()
    assert checked(path).sound


def killed(path: Path) -> Path:
    """Return a copy of a ledger as a kill would leave it: the files, and nobody to take up the journal."""
    copy = path.with_name("killed.db")
    for suffix in ("", "-wal", ".journal"):
        shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")
    return copy


def kinds(path: Path) -> list[tuple[str, int | None, int | None]]:
    return [(finding.kind, finding.first, finding.last) for finding in checked(path).findings]


@pytest.mark.parametrize(
    ("before", "after", "why", "found"),
    [
        (b'"rec_00000000000000000000000003"', b'"rec_00000000000000000000000009"', "3: changed", ("changed", 3, 3)),
        (b'"seq":3', b'"seq":9', "", None),
        (b"BWF2", b"XXXX", "", None),
    ],
)
def test_a_changed_journal_is_found_and_one_cut_short_is_taken_as_far_as_it_goes(
    store: LedgerStore, path: Path, before: bytes, after: bytes, why: str, found: tuple[str, int, int] | None
) -> None:
    store.append([record(0), record(1)])
    store.drain()
    for number in (2, 3):
        store.append([record(number)])
    copy = killed(path)
    journal = journal_of(copy)
    whole = journal.read_bytes()
    at = whole.index(before)
    journal.write_bytes(whole[:at] + after + whole[at + len(before) :])
    if found:
        assert kinds(copy) == [found]
        with pytest.raises(LedgerError, match=why):
            new_store(copy)
    else:
        assert checked(copy).sound
        again = new_store(copy)
        assert again.size in (2, 3)
        again.close()
    assert checked(path).size == 4


def test_records_taken_out_of_the_journal_are_missed(store: LedgerStore, path: Path) -> None:
    store.append([record(0)])
    store.drain()
    copy = killed(path)
    frame = frame_bytes(3, [encode(record(3), 3)], bytes(32), bytes(32))
    journal_of(copy).write_bytes(frame + bytes(SIZE - len(frame)))
    assert kinds(copy) == [("removed", 1, 2)]
    with pytest.raises(LedgerError, match="neither in it nor in its journal"):
        new_store(copy)


def test_a_journal_without_the_key_is_not_believed(store: LedgerStore, path: Path) -> None:
    store.append([record(0)])
    store.drain()
    copy = killed(path)
    body = encode(record(1), 1)
    with closing(open_reader(copy)) as reader:
        frontier = reader.begin_evidence().tail.frontier
    grown = frontier.append(leaf_hash(body))
    frame = frame_bytes(1, [body], grown.root(), bytes(32))
    journal_of(copy).write_bytes(frame + bytes(SIZE - len(frame)))
    assert kinds(copy) == [("checkpoint", 1, 1)]
    with pytest.raises(LedgerError, match="was not written by this gateway"):
        new_store(copy)


def test_a_file_system_without_direct_writes_holds_the_journal_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = os.open

    def refusing(path: str | Path, flags: int, mode: int = 0o777) -> int:
        if flags & getattr(os, "O_DIRECT", 0):
            raise OSError(errno.EINVAL, "no direct writes here")
        return opened(path, flags, mode)

    monkeypatch.setattr(os, "open", refusing)
    path = tmp_path / "plain.db"
    with closing(new_store(path)) as store:
        store.append([record(0)])
        store.append([record(1), record(2)])
        assert store.undrained == 3
        assert ids(killed(path), Query()) == [0, 1, 2]
    assert checked(path).sound
    assert checked(path).size == 3


def test_what_does_not_fit_into_the_journal_goes_to_the_file(store: LedgerStore, path: Path) -> None:
    store.append([record(0)])
    store.append([record(1, statement="x" * (AREA + 1))])
    assert not store.try_append([record(2, statement="x" * (AREA + 1))])
    store.append([record(2)])
    assert store.undrained == 1
    copy = killed(path)
    assert checked(copy).size == 3
    assert checked(copy).sound
    assert ids(copy, Query()) == [0, 1, 2]


def test_more_than_the_journal_holds_is_taken_up_on_the_way(store: LedgerStore, path: Path) -> None:
    for number in range(100):
        store.append([record(number, statement="x" * 100_000)])
    assert 0 < store.undrained < 100
    assert checked(killed(path)).size == 100
    assert checked(killed(path)).sound


def test_a_machine_that_stops_takes_back_only_what_the_journal_still_has(
    store: LedgerStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[Path] = []
    settle = file_of(store).settle

    def settled() -> None:
        settle()
        at = path.with_name(f"flushed{len(flushed)}.db")
        for suffix in ("", "-wal"):
            shutil.copy(f"{path}{suffix}", f"{at}{suffix}")
        flushed.append(at)

    monkeypatch.setattr(file_of(store), "settle", settled)
    settled()
    for number in range(200):
        store.append([record(number, statement="x" * 100_000)])
        if number % 3 == 0:
            store.drain()
        if number % 19 == 0:
            stopped = path.with_name(f"stopped{number}.db")  # the file as the disk is sure to have it, and the journal
            for suffix in ("", "-wal"):
                shutil.copy(f"{flushed[-1]}{suffix}", f"{stopped}{suffix}")
            shutil.copy(journal_of(path), journal_of(stopped))
            assert checked(stopped).sound
            with closing(new_store(stopped)) as again:
                assert again.size == number + 1
    assert 3 < len(flushed) < 20
