"""A store that may only be read, a disk that is slow, a clock that is set: nothing unrecorded, lost or there twice."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest

from bailiwick.errors import LedgerError
from bailiwick.gateway.ledger import journal as ledger_journal
from bailiwick.gateway.ledger.desk import stepped
from bailiwick.gateway.ledger.reader import Query, open_reader
from bailiwick.gateway.ledger.writer import LedgerWriter
from bailiwick.ledger.encode import read
from tests.gateway.ledger_rig import START, checked, new_store, record


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


class Disk:
    """The disk below the journal: `write` is what it does instead, if it is to do something else."""

    def __init__(self) -> None:
        self.write: Callable[[], None] | None = None
        self.lies = False
        """Whether it says that it failed when it did not."""

    def pwrite(self, file: int, data: bytes, place: int) -> int:
        if self.write is not None:
            self.write()
        written = _pwrite(file, data, place)
        if self.lies:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return written


_pwrite = os.pwrite


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    found = Disk()
    monkeypatch.setattr(ledger_journal.os, "pwrite", found.pwrite)
    return found


def append(writer: LedgerWriter, number: int) -> asyncio.Future[bool]:
    answer = asyncio.get_running_loop().create_future()
    writer.append(record(number), answer.set_result)
    return answer


def ids(path: Path) -> list[str]:
    """Return the ids of all records, in their order."""
    with closing(open_reader(path)) as reader:
        return [str((read(each.body) or {})["id"]) for each in reader.query(Query(limit=100_000))]


def refuse() -> None:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


async def test_a_store_that_becomes_read_only_refuses_and_goes_on_by_itself(path: Path, disk: Disk) -> None:
    writer = LedgerWriter(new_store(path), asyncio.get_running_loop())
    kept = [number for number in range(5) if await append(writer, number)]
    disk.write = refuse
    assert not await append(writer, 5)
    assert "Read-only" in writer.failure
    answers = [append(writer, number) for number in range(6, 26)]
    assert not any([await each for each in answers])
    disk.write = None
    kept += [number for number in range(26, 40) if await append(writer, number)]
    await writer.close()
    assert kept == [*range(5), *range(26, 40)]
    assert ids(path) == [record(number).id for number in kept]
    assert checked(path).sound


def only_reading(path: Path, flags: int, mode: int = 0o777) -> int:
    if flags & (os.O_RDWR | os.O_WRONLY | os.O_CREAT):
        refuse()
    return _open(path, flags, mode)


_open = os.open


def test_a_store_that_may_only_be_read_is_not_written_and_can_be_verified(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(new_store(path)) as store:
        store.append([record(number) for number in range(5)])
    before = path.read_bytes()
    monkeypatch.setattr("os.open", only_reading)  # root is not bound by permissions
    with pytest.raises(LedgerError, match="cannot be opened") as refused:
        new_store(path)
    assert "permissions" in refused.value.remedy
    assert path.read_bytes() == before
    assert checked(path).sound


async def test_a_slow_disk_holds_up_answers_and_nobody_else(path: Path, disk: Disk) -> None:
    writer = LedgerWriter(new_store(path), asyncio.get_running_loop())
    free, reached = threading.Event(), threading.Event()

    def wait() -> None:
        reached.set()
        assert free.wait(120)

    slowed = threading.Event()
    disk.write = lambda: cast(None, slowed.wait(0.05))
    assert await append(writer, 0)  # from here on it is known to be slow, and left to the thread
    disk.write = wait
    answers = [append(writer, number) for number in range(1, 400)]
    assert await asyncio.to_thread(reached.wait, 120)  # the loop goes on meanwhile
    answers += [append(writer, number) for number in range(400, 500)]
    await asyncio.sleep(0)
    assert not any(each.done() for each in answers)  # no answer before the disk has it
    assert len(ids(path)) == 1
    free.set()
    disk.write = None
    assert all(await asyncio.gather(*answers))
    await writer.close()
    assert ids(path) == [record(number).id for number in range(500)]
    assert checked(path).sound


@pytest.mark.parametrize("step", [timedelta(days=-400), timedelta(seconds=-1), timedelta(days=400)])
def test_a_clock_that_is_set_loses_nothing_and_every_period_finds_its_own(path: Path, step: timedelta) -> None:
    clock = [START]
    store = new_store(path, lambda: clock[0])
    made = [record(number) for number in range(50)]
    store.append(made)
    store.drain(retain=True)
    clock[0] += step
    made += [each._replace(id=f"rec_{number:026d}", at=each.at + step) for number, each in enumerate(made, 1_000)]
    store.append(made[50:])
    store.drain()
    assert checked(path).checkpoints == 3  # after a step one is kept at once, in either direction; the head is another
    store.close()
    assert ids(path) == [each.id for each in made]
    assert checked(path).sound
    with closing(open_reader(path)) as reader:
        for since in (START, START + step, START + timedelta(seconds=25), START + step + timedelta(seconds=25)):
            until = since + timedelta(seconds=20)
            found = [read(each.body) or {} for each in reader.query(Query(since=since, until=until, limit=1_000))]
            assert [each["id"] for each in found] == [each.id for each in made if since <= each.at < until]
    with closing(new_store(path)) as again:  # also by a gateway that starts before what it has recorded
        again.append([record(9_000)])
    assert checked(path).sound


def test_a_clock_that_was_set_is_noticed_and_one_that_went_on_is_not() -> None:
    began = (START, 100.0)
    day = timedelta(days=1)
    assert not stepped(began, (START + day, 100.0 + day.total_seconds()))
    assert not stepped(began, (START + day, 100.0 + day.total_seconds() - 60))
    assert stepped(began, (START + 400 * day, 110.0))
    assert stepped(began, (START - day, 110.0))


async def test_what_a_failing_disk_did_write_is_kept_and_followed(path: Path, disk: Disk) -> None:
    """A write may be reported as failed and be there: the journal then goes on behind records that it has."""
    writer = LedgerWriter(new_store(path), asyncio.get_running_loop())
    assert await append(writer, 0)
    disk.lies = True
    assert not await append(writer, 1)
    disk.lies = False
    assert await append(writer, 2)
    assert ids(path) == [record(number).id for number in range(3)]
    await writer.close()
    assert checked(path).sound
