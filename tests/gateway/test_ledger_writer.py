"""Appending from the event loop: order, durability before the answer, refusal instead of waiting for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from bailiwick.gateway.ledger.store import LedgerStore
from bailiwick.gateway.ledger.writer import LedgerWriter, UnsafeAckBeforeCommit
from bailiwick.model.record import Record
from tests.gateway.ledger_rig import checked, file_of, new_store, record


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def append(writer: LedgerWriter, made: Record) -> asyncio.Future[bool]:
    answer = asyncio.get_running_loop().create_future()
    writer.append(made, answer.set_result)
    return answer


async def test_answer_comes_when_the_record_is_in_the_signed_head(path: Path) -> None:
    writer = LedgerWriter(new_store(path), asyncio.get_running_loop())
    for number in range(3):
        assert await append(writer, record(number))
        assert checked(path).size == number + 1
    await writer.close()


async def test_many_at_once_share_commits_and_keep_their_order(path: Path) -> None:
    writer = LedgerWriter(new_store(path), asyncio.get_running_loop())
    order: list[int] = []

    def note(number: int) -> Callable[[bool], None]:
        return lambda durable: order.append(number if durable else -1)

    for number in range(1_000):
        writer.append(record(number), note(number))
    assert writer.pending == 1_000
    await writer.close()
    assert order == list(range(1_000))
    assert writer.pending == 0
    report = checked(path)
    assert report.sound
    assert report.size == 1_000


async def test_closing_writes_what_is_pending_and_keeps_a_last_checkpoint(path: Path) -> None:
    writer = LedgerWriter(new_store(path), asyncio.get_running_loop())
    answers = [append(writer, record(number)) for number in range(50)]
    await writer.close()
    assert all([await answer for answer in answers])
    assert checked(path).checkpoints == 2
    assert new_store(path).size == 50


async def test_after_closing_the_answer_is_no(path: Path) -> None:
    writer = LedgerWriter(new_store(path), asyncio.get_running_loop())
    await writer.close()
    assert not await append(writer, record(0))
    await writer.close()
    assert checked(path).size == 0


async def test_beyond_the_bound_the_answer_is_no_and_never_at_once(path: Path) -> None:
    writer = LedgerWriter(new_store(path), asyncio.get_running_loop(), max_pending=5)
    answers = [append(writer, record(number)) for number in range(8)]
    assert not any(answer.done() for answer in answers)
    assert [await answer for answer in answers] == [True] * 5 + [False] * 3
    assert await append(writer, record(9))
    await writer.close()
    assert checked(path).size == 6


async def test_full_disk_answers_no_and_later_yes_again(path: Path) -> None:
    store = new_store(path)
    writer = LedgerWriter(store, asyncio.get_running_loop())
    assert await append(writer, record(0))
    file_of(store).limit_pages(36)
    answers: list[bool] = []
    while "full" not in writer.failure:  # the journal goes on taking records until the file is to take them up
        answers.append(await append(writer, record(len(answers) + 1, statement="x" * 3_000)))
    answers.append(await append(writer, record(99)))
    assert not answers[-1]
    file_of(store).limit_pages(100_000)
    assert await append(writer, record(100))
    assert writer.failure == ""
    await writer.close()
    report = checked(path)
    assert report.sound
    assert report.size == 2 + sum(answers)


async def test_raising_callback_does_not_silence_the_others(path: Path) -> None:
    loop = asyncio.get_running_loop()
    reported: list[str] = []
    loop.set_exception_handler(lambda _, said: reported.append(str(said.get("exception"))))
    writer = LedgerWriter(new_store(path), loop)

    def fail(durable: bool) -> None:
        raise RuntimeError(f"answered {durable}")

    answers: list[asyncio.Future[bool]] = []
    for number in range(10):
        writer.append(record(number * 2), fail)
        answers.append(append(writer, record(number * 2 + 1)))
    assert [await answer for answer in answers] == [True] * 10
    await writer.close()
    assert reported == ["answered True"] * 10
    assert writer.pending == 0


class DyingStore(LedgerStore):
    """A store whose bug ends the writer's thread."""

    def try_append(self, records: object) -> bool:
        """Fail in a way that nobody foresaw."""
        raise ZeroDivisionError(str(records)[:1])


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_nobody_waits_for_ever_when_the_thread_dies(path: Path) -> None:
    store = new_store(path)
    store.__class__ = DyingStore
    writer = LedgerWriter(store, asyncio.get_running_loop())
    first = [append(writer, record(number)) for number in range(3)]
    assert [await answer for answer in first] == [False] * 3
    assert not await append(writer, record(9))
    await writer.close()


async def test_quiet_writer_takes_up_the_journal(path: Path) -> None:
    store = new_store(path)
    writer = LedgerWriter(store, asyncio.get_running_loop())
    assert await append(writer, record(0))
    for _ in range(200):
        if not store.undrained:
            break
        await asyncio.sleep(0.1)
    assert store.undrained == 0
    await writer.close()


async def test_unsafe_writer_answers_before_it_writes_and_still_writes(path: Path) -> None:
    writer = UnsafeAckBeforeCommit(new_store(path), asyncio.get_running_loop())
    answers = [append(writer, record(number)) for number in range(30)]
    assert [await answer for answer in answers] == [True] * 30
    await writer.close()
    assert checked(path).size == 30
