"""Files of JSON lines: what is counted as delivered is on disk, whole; old files are put aside and kept so long."""

from __future__ import annotations

import errno
import json
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from sinks_rig import KEY, ORIGIN, START, Rig, caught_up, ledger_in, sink_of

from bailiwick.gateway.ledger.reader import open_reader
from bailiwick.gateway.sinks.item import Item
from bailiwick.gateway.sinks.jsonl import Files
from bailiwick.gateway.sinks.section import Rotation
from bailiwick.gateway.state import open_state
from bailiwick.ledger.checkpoint import Signer
from bailiwick.ledger.merkle import leaf_hash
from bailiwick.ledger.verify import verify


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    state = await open_state(tmp_path / "state.db")
    with ledger_in(tmp_path) as store:
        yield Rig(tmp_path, store, state)
    await state.close()


def lines(*numbers: int) -> list[Item]:
    return [Item(f"rec_{each}", each, "", "call", "low", "", "", f'{{"seq":{each}}}') for each in numbers]


def content(path: Path) -> list[int]:
    return [json.loads(each)["seq"] for each in path.read_text().splitlines()]


def aside(path: Path) -> list[list[int]]:
    return [content(each) for each in sorted(path.parent.glob(f"{path.name}.2*"))]


async def test_a_file_holds_the_canonical_bytes_and_its_checkpoint_finds_a_cut_tail(rig: Rig, tmp_path: Path) -> None:
    rig.fill(12)
    await caught_up(rig.delivery(sink_of("{jsonl: 'out/ledger.jsonl'}")))
    path = tmp_path / "out/ledger.jsonl"
    stored = [each for each in path.read_bytes().split(b"\n") if b'"kind":"call"' in each]
    note = (tmp_path / "out/ledger.jsonl.checkpoint").read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    with closing(open_reader(rig.ledger)) as reader:
        assert [reader.leaves(seq, seq + 1)[0][1] for seq in range(12)] == [leaf_hash(each) for each in stored]
        assert verify(reader.begin_evidence(), Signer(ORIGIN, KEY).verifier, [note]).sound
    cut = tmp_path / "cut"
    cut.mkdir()
    with ledger_in(cut) as store:
        Rig(cut, store, rig.state).fill(5)
    with closing(open_reader(cut / "ledger.db")) as reader:
        assert not verify(reader.begin_evidence(), Signer(ORIGIN, KEY).verifier, [note]).sound


async def test_files_are_put_aside_by_size_and_by_age_and_the_oldest_go(tmp_path: Path) -> None:
    now = [START]
    path = tmp_path / "a.jsonl"
    files = Files(path, Rotation(size=20, age=timedelta(hours=1), keep=2), lambda: now[0])
    for number in range(4):
        now[0] += timedelta(seconds=1)
        assert (await files.send(lines(number * 10, number * 10 + 1))).how == "sent"
    assert aside(path) == [[10, 11], [20, 21]]
    assert content(path) == [30, 31]
    now[0] += timedelta(hours=2)
    quiet = Files(tmp_path / "b.jsonl", Rotation(age=timedelta(hours=1)), lambda: now[0])
    await quiet.send(lines(1))
    (tmp_path / "b.jsonl.began").write_text(now[0].isoformat())
    await quiet.send(lines(2))
    now[0] += timedelta(hours=1)
    await quiet.send(lines(3))
    assert content(tmp_path / "b.jsonl") == [3]
    assert aside(tmp_path / "b.jsonl") == [[1, 2]]


async def test_a_line_that_was_written_in_part_is_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"seq":1}\n{"seq":2')
    files = Files(path, Rotation(), lambda: START)
    await files.send(lines(2))
    await files.close()
    assert content(path) == [1, 2]
    path.write_text("torn" * 50_000)
    await files.send(lines(3))
    assert content(path) == [3]


async def test_a_full_disk_fails_leaves_nothing_half_and_mends_itself(tmp_path: Path) -> None:
    full = [True]

    def flush(file: int) -> None:
        del file
        if full[0]:
            raise OSError(errno.ENOSPC, "No space left on device")

    files = Files(tmp_path / "a.jsonl", Rotation(), lambda: START, flush)
    came = await files.send(lines(1))
    assert (came.how, came.reason) == ("failed", "the file cannot be written: No space left on device")
    assert content(tmp_path / "a.jsonl") == []
    full[0] = False
    await files.send(lines(1))
    assert content(tmp_path / "a.jsonl") == [1]


async def test_a_file_that_somebody_moved_away_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    files = Files(path, Rotation(), lambda: START)
    await files.send(lines(1))
    path.rename(tmp_path / "moved")
    await files.send(lines(2))
    assert (content(tmp_path / "moved"), content(path)) == ([1], [2])


async def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").symlink_to(tmp_path / "elsewhere")
    assert (await Files(tmp_path / "a.jsonl", Rotation(), lambda: START).send(lines(1))).how == "failed"
    assert not (tmp_path / "elsewhere").exists()
