"""Pruning, archive and restore on files: what is gone is provably gone as it was said, and what is kept verifies."""

from __future__ import annotations

import gzip
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import cast

import boto3
import pytest
from moto.server import ThreadedMotoServer

from bailiwick.errors import LedgerError
from bailiwick.gateway.backends.places import Place
from bailiwick.gateway.ledger.archive import archive, restore
from bailiwick.gateway.ledger.bundle import verified_bundle, write_bundle
from bailiwick.gateway.ledger.parquet import parquet_findings
from bailiwick.gateway.ledger.pruning import due, due_by, growth, unfinished
from bailiwick.gateway.ledger.reader import Query, open_reader
from bailiwick.gateway.ledger.schema import TRIGGERS
from bailiwick.gateway.ledger.store import LedgerStore
from bailiwick.ledger.own import parse_ranges, write_ranges
from bailiwick.model.policy import Retention
from bailiwick.model.record import Record
from tests.gateway.ledger_rig import START, VERIFIER, checked, fill, intruding, new_store, record
from tests.ledger.test_ledger_bundle import tool

DAYS = 4
A_DAY = 150
SIZE = DAYS * A_DAY
NOW = START + timedelta(days=30)


def made(number: int) -> Record:
    """A record, 150 a day; each fifth is restricted."""
    at = START + timedelta(days=number // A_DAY, seconds=number)
    return record(number)._replace(at=at, labels=("restricted",) if number % 5 == 0 else ("internal",))


def pruned(spans: str) -> Record:
    return Record(id="rec_pruned", kind="ledger.pruned", at=NOW, detail={"records": spans})


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("retention") / "ledger.db"
    store = new_store(path)
    fill(store, [made(number) for number in range(SIZE)])
    store.close()
    return path


@pytest.fixture
def store(original: Path, tmp_path: Path) -> Iterator[LedgerStore]:
    opened = new_store(Path(shutil.copy(original, tmp_path / "ledger.db")))
    yield opened
    opened.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def found(path: Path) -> set[tuple[str, int | None, int | None]]:
    return {(each.kind, each.first, each.last) for each in checked(path).findings}


def test_content_that_a_record_says_was_pruned_is_gone_and_everything_else_verifies(
    store: LedgerStore, path: Path, tmp_path: Path
) -> None:
    spans = "0-99 120 130-131"
    store.append([pruned(spans)])
    store.drain()
    store.prune(parse_ranges(spans))
    store.checkpoint()
    assert checked(path).sound
    assert tool(path)[0] == 0
    with closing(open_reader(path)) as reader:
        assert [each.seq for each in reader.following(95, 3)] == [100, 101, 102]
        assert reader.at(120) is None
        assert min(each.seq for each in reader.query(Query(agent="support-bot", limit=10_000))) == 100
        assert reader.prove(500).index == 500
        write_bundle(reader, Place(str(tmp_path / "export")), [VERIFIER])
    assert verified_bundle(Place(str(tmp_path / "export")), [VERIFIER]).sound
    assert tool(tmp_path / "export")[0] == 0
    store.append([made(SIZE)])  # and the store goes on
    store.checkpoint()
    assert checked(path).sound


def test_content_removed_without_a_record_is_named(store: LedgerStore, path: Path) -> None:
    store.prune([(7, 8)])
    assert ("removed", 7, 8) in found(path)
    code, told = tool(path)
    assert (code, "no record says so" in told) == (1, True)


def test_a_hash_changed_behind_pruned_content_is_found(store: LedgerStore, path: Path) -> None:
    store.append([pruned("7")])
    store.drain()
    store.prune([(7, 7)])
    with intruding(path) as intruder:
        intruder.run("UPDATE records SET hash = zeroblob(32) WHERE seq = 7")
    assert any(kind == "changed" and (first or 0) <= 7 <= (last or 0) for kind, first, last in found(path))
    assert tool(path)[0] == 1


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE records SET body = x'' WHERE seq = 3",
        "UPDATE records SET body = x'01' WHERE seq = 7",
        "UPDATE records SET body = x'', hash = zeroblob(32) WHERE seq = 7",
        "UPDATE records SET seq = 9000 WHERE seq = 7",
        "DELETE FROM records WHERE seq = 7",
        "DELETE FROM facts WHERE seq = 3",
        "UPDATE facts SET agent = '' WHERE seq = 3",
        "DELETE FROM pruned",
        "UPDATE pruned SET last = 9000",
    ],
)
def test_the_file_stays_append_only_but_for_content_that_is_named(
    store: LedgerStore, path: Path, statement: str
) -> None:
    store.prune([(7, 7)])
    with closing(sqlite3.connect(path)) as connection, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute(statement)


def test_a_ledger_of_the_format_before_is_taken_over(original: Path, path: Path) -> None:
    shutil.copy(original, path)
    with intruding(path) as intruder:  # it has dropped the triggers
        intruder.run("DROP TABLE pruned")
        intruder.run("PRAGMA user_version = 5")
    again = new_store(path)
    again.append([pruned("0-1")])
    again.drain()
    again.prune([(0, 1)])
    again.close()
    assert checked(path).sound
    new_store(path).close()
    with closing(sqlite3.connect(path)) as connection:
        names = connection.execute("SELECT count(*) FROM sqlite_master WHERE type = 'trigger'").fetchone()
    assert names == (TRIGGERS.count("CREATE TRIGGER"),)


def test_what_is_due_follows_default_and_labels_and_spares_what_is_held(store: LedgerStore, path: Path) -> None:
    held = {"hold": "h1", "reason": "lawsuit", "user": "user1"}
    lasting = Record(id="rec_held", kind="ledger.held", at=START, detail=held)
    store.append([lasting])
    store.checkpoint()
    day = timedelta(days=1)
    with closing(open_reader(path)) as reader:

        def kept(default: timedelta | None, now: datetime = NOW, **labels: timedelta) -> list[int]:
            return due(reader, Retention(default, labels), now)

        free = [number for number in range(SIZE) if number % 3 != 1]
        assert kept(None) == []
        assert kept(day) == free
        assert kept(60 * day) == []
        assert kept(None, restricted=day) == [number for number in free if number % 5 == 0]
        assert kept(60 * day, restricted=day) == [number for number in free if number % 5 == 0]
        assert kept(day, restricted=60 * day) == [number for number in free if number % 5]
        assert kept(day, START + 2 * day) == [number for number in free if number < A_DAY]
    store.append([Record(id="rec_free", kind="ledger.released", at=START, detail={"hold": "h1"})])
    store.checkpoint()
    with closing(open_reader(path)) as reader:
        assert due(reader, Retention(day), NOW) == [*range(SIZE)]


def test_what_a_sink_was_not_delivered_waits_for_it(store: LedgerStore, path: Path) -> None:
    store.append([Record(id="rec_held", kind="ledger.held", at=START, detail={"hold": "h1", "user": "user1"})])
    store.checkpoint()
    free = [number for number in range(SIZE) if number % 3 != 1]
    with closing(open_reader(path)) as reader:
        for undelivered in ({}, {"a": 0}, {"a": 200, "b": 100, "c": SIZE + 1}, {"a": SIZE + 1}):
            found = due_by(reader, Retention(timedelta(days=1)), NOW, undelivered)
            assert found.records == [number for number in free if number < min(undelivered.values(), default=SIZE)]
            counts = {name: len([number for number in free if number >= seq]) for name, seq in undelivered.items()}
            assert found.waiting == {name: count for name, count in counts.items() if count}
            assert not found.more
        assert due_by(reader, Retention(timedelta(days=60)), NOW, {"a": 0}).waiting == {}


def test_a_pruning_that_was_cut_short_is_known_and_goes_on(store: LedgerStore, path: Path) -> None:
    store.append([pruned("0-9 20")])
    store.drain()
    store.prune([(0, 4)])
    with closing(open_reader(path)) as reader:
        assert unfinished(reader) == [(5, 9), (20, 20)]
        store.prune(unfinished(reader))
        assert unfinished(reader) == []
    assert checked(path).sound


def test_ranges_read_back_as_they_were_written() -> None:
    numbers = [0, 1, 2, 5, 9, 10]
    assert write_ranges(numbers) == "0-2 5 9-10"
    assert parse_ranges("0-2 5 9-10") == ((0, 2), (5, 5), (9, 10))
    assert parse_ranges("0-2 x") == ()


def test_growth_tells_what_it_will_be(store: LedgerStore, path: Path) -> None:
    store.checkpoint()
    with closing(open_reader(path)) as reader:
        told = growth(reader, 1_000_000, START + timedelta(days=DAYS))
    assert (told.records, told.pruned, round(told.per_day)) == (SIZE, 0, A_DAY)
    assert told.disk_in(10) == 1_000_000 + round(10 * A_DAY * told.record_bytes)


# --- archive ---


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        server = ThreadedMotoServer(port=0)
        server.start()
        host, port = server.get_host_and_port()
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        there = boto3.client(
            "s3",
            endpoint_url=f"http://{host}:{port}",
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        there.create_bucket(Bucket="archive")
        yield "s3://archive/ledger"
        server.stop()


def archive_of(store: LedgerStore, path: Path, place: Place, today: date) -> list[tuple[str, int, int]]:
    store.checkpoint()
    with closing(open_reader(path)) as reader:
        parts = archive(reader, place, today, store.checkpoint_of, lambda _: None)
    return [(part.day, part.first, part.end) for part in parts]


@pytest.mark.parametrize("where", ["folder", "s3"])
def test_days_are_archived_once_verify_and_come_back(
    store: LedgerStore, path: Path, tmp_path: Path, where: str, request: pytest.FixtureRequest
) -> None:
    url = str(tmp_path / "archive") if where == "folder" else cast(str, request.getfixturevalue("bucket"))
    place = Place(url)
    days = [START.date() + timedelta(days=number) for number in range(DAYS)]
    expected = [(each.isoformat(), at * A_DAY, (at + 1) * A_DAY) for at, each in enumerate(days)]
    assert archive_of(store, path, place, days[2]) == expected[:2]
    assert archive_of(store, path, place, days[2]) == []
    assert verified_bundle(place, [VERIFIER]).size == 2 * A_DAY
    assert archive_of(store, path, place, NOW.date()) == expected[2:]
    assert verified_bundle(place, [VERIFIER], [store.checkpoint()]).sound
    assert f"date={days[0]}/records.parquet" in place.names()
    assert restore(place, tmp_path / "back.db", [VERIFIER]) == SIZE
    assert checked(tmp_path / "back.db").sound
    with closing(open_reader(tmp_path / "back.db")) as back, closing(open_reader(path)) as live:
        wanted = Query(user="user2", limit=10_000)
        assert back.query(wanted) == live.query(wanted)
        assert back.prove(77).path
    with pytest.raises(LedgerError, match="cannot be made"):
        restore(place, tmp_path / "back.db", [VERIFIER])
    if where == "folder":
        assert tool(tmp_path / "archive")[0] == 0


def test_a_tampered_archive_is_named_and_not_restored(store: LedgerStore, path: Path, tmp_path: Path) -> None:
    archive_of(store, path, Place(str(tmp_path / "archive")), NOW.date())
    shutil.rmtree(tmp_path / "archive" / f"date={START.date() + timedelta(days=1)}")
    report = verified_bundle(Place(str(tmp_path / "archive")), [VERIFIER])
    assert ("removed", A_DAY, 2 * A_DAY - 1) in {(each.kind, each.first, each.last) for each in report.findings}
    code, told = tool(tmp_path / "archive")
    assert (code, "removed before it" in told) == (1, True)
    with pytest.raises(LedgerError, match="is not as it was signed"):
        restore(Place(str(tmp_path / "archive")), tmp_path / "back.db", [VERIFIER])
    assert not (tmp_path / "back.db").exists()


def test_a_parquet_file_that_says_something_else_is_named(store: LedgerStore, path: Path, tmp_path: Path) -> None:
    import duckdb

    place = Place(str(tmp_path / "archive"))
    archive_of(store, path, place, START.date() + timedelta(days=1))
    assert parquet_findings(place) == []
    file, other = next((tmp_path / "archive").rglob("*.parquet")), tmp_path / "other.parquet"
    for change in ("* REPLACE ('other-bot' AS agent)", "* REPLACE (if(seq = 7, '{}', detail) AS detail)"):
        duckdb.connect().execute(f"COPY (SELECT {change} FROM read_parquet('{file}')) TO '{other}' (FORMAT parquet)")
        whole = file.read_bytes()
        file.write_bytes(other.read_bytes())
        (finding,) = parquet_findings(place)
        assert (finding.kind, "rows are not as the records say" in finding.text) == ("index", True)
        file.write_bytes(whole)
    file.write_bytes(b"PAR1 no such file PAR1")
    (finding,) = parquet_findings(place)
    assert "cannot be read" in finding.text
    assert verified_bundle(place, [VERIFIER]).sound  # the records themselves are


def test_an_archive_that_unpacks_to_more_than_a_record_is_refused(
    store: LedgerStore, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(str(tmp_path / "archive"))
    archive_of(store, path, place, NOW.date())
    monkeypatch.setattr("bailiwick.gateway.ledger.bundle._LONGEST", 1 << 20)
    packed = next((tmp_path / "archive").rglob("*.jsonl.gz"))
    packed.write_bytes(gzip.compress(b" " * (8 << 20)))
    with pytest.raises(LedgerError, match="which is no record"):
        verified_bundle(place, [VERIFIER])
    packed.write_bytes(gzip.compress(b"x" * 100_000)[:-50] + b"\xff" * 42)
    with pytest.raises(LedgerError, match="cannot be read"):
        verified_bundle(place, [VERIFIER])


def test_the_parquet_of_an_archive_answers_sql(store: LedgerStore, path: Path, tmp_path: Path) -> None:
    import duckdb

    archive_of(store, path, Place(str(tmp_path / "archive")), NOW.date())
    pattern = str(tmp_path / "archive" / "**" / "*.parquet")
    query = f"SELECT count(*), min(time), count(DISTINCT date) FROM read_parquet('{pattern}')"
    rows = duckdb.connect().execute(query).fetchall()
    assert rows[0][0] == SIZE
    assert cast(datetime, rows[0][1]).astimezone(UTC) == START
    assert rows[0][2] == DAYS
