"""Analysts can be lost: over a statement, which is denied, and over nothing else."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import pickle
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from bailiwick.errors import BackendError
from bailiwick.model.decision import Denial
from bailiwick.model.scope import Scope
from bailiwick.model.value import Ref
from bailiwick.mounts.postgres.analyst_process import Allowance
from bailiwick.mounts.postgres.aside import LOST, Aside
from bailiwick.mounts.postgres.jobs import Analyse, Analysed, Answer, Parcel, Setup, framed, read_answer
from bailiwick.sql.groupings import Field, Given, Grouping
from bailiwick.sql.parser import MAX_STATEMENT
from bailiwick.sql.plan import Bound, Constant, Plan
from bailiwick.sql.snapshot import snapshot
from tests.sql.rewrite_samples import LOCK, MOUNT, resources, rewriter

FAULTY = (sys.executable, "-I", str(Path(__file__).with_name("faulty_analyst.py")))
PATIENT = Allowance(processor=60.0, seconds=120.0)
GOOD = "SELECT name FROM customers"


def harmed() -> bool:
    """Whether what the hostile answer would run has been run."""
    return Path("bailiwick-was-here").exists()


def _wait_for(folder: Path) -> None:
    end = time.monotonic() + 120
    while not folder.exists():
        assert time.monotonic() < end
        time.sleep(0.01)


class Desk:
    """Analysts, and what is asked of them over the sample scope."""

    def __init__(self, aside: Aside, limit: int = MAX_STATEMENT) -> None:
        self.aside = aside
        self._catalogue = aside.parcel(snapshot(MOUNT, LOCK))
        self._limit = limit
        self._setups: dict[str, Parcel] = {}

    def begin(
        self, text: str, session: str = "one", scope: str = "s", declared: tuple[int, ...] = ()
    ) -> asyncio.Future[Answer | Denial]:
        """Ask for the plans of a text."""
        if scope not in self._setups:
            setup = Setup(Scope(scope, "bot", resources()), "crm", (), self._limit, None, 0)
            self._setups[scope] = self.aside.parcel(setup)
        told: asyncio.Future[Answer | Denial] = asyncio.get_running_loop().create_future()
        self.aside.ask(session, Analyse(text, declared), self._catalogue, self._setups[scope], told.set_result)
        return told

    async def ask(self, text: str, session: str = "one", scope: str = "s") -> Answer | Denial:
        """Ask for the plans of a text and wait for them."""
        async with asyncio.timeout(120):
            return await self.begin(text, session, scope)


Open = Callable[..., Awaitable[Desk]]


@pytest.fixture
async def opened() -> AsyncIterator[Open]:
    """Open desks; they are closed after the test."""
    desks: list[Desk] = []

    async def begin(
        command: Sequence[str] = FAULTY, allowance: Allowance = PATIENT, most: int = 1, limit: int = MAX_STATEMENT
    ) -> Desk:
        aside = Aside(most, allowance, command)
        await aside.start()
        desks.append(Desk(aside, limit))
        return desks[-1]

    yield begin
    for desk in desks:
        await desk.aside.close()


CRASHES = {
    "fault_crash": "was killed by signal 11",
    "fault_exit": "ended with code 0",
    "fault_error": "failed: KeyError at faulty_analyst.py",
    "fault_hostile": "sent what is no answer",
    "fault_other": "sent what was not asked for",
    "fault_endless": "sent what was not asked for",
}


@pytest.mark.parametrize(
    ("faults", "allowance"),
    [
        (CRASHES, PATIENT),
        ({"fault_spin": "took too much time of the processor"}, Allowance(processor=2.0, seconds=120.0)),
        ({"fault_memory": "failed: MemoryError at faulty_analyst.py"}, Allowance(60.0, 120.0, memory=1024**3)),
    ],
)
async def test_a_lost_analyst_denies_its_statement_and_no_other(
    opened: Open, caplog: pytest.LogCaptureFixture, faults: dict[str, str], allowance: Allowance
) -> None:
    caplog.set_level(logging.ERROR, "bailiwick.aside")
    desk = await opened(allowance=allowance)
    for fault, why in faults.items():
        hurt, others = desk.begin(f"SELECT {fault}"), [desk.begin(GOOD, session) for session in ("one", "two")]
        assert await hurt == LOST, fault
        for each in others:
            assert isinstance(await each, Analysed), fault
        (told,) = [record.message for record in caplog.records]
        assert why in told
        assert "session `one`" in told
        assert fault not in told, "the text of a statement is in the log"
        assert "CANARY" not in told
        caplog.clear()
    assert not harmed()


async def test_what_an_analyst_was_at_that_was_killed_from_outside_is_tried_again(opened: Open, tmp_path: Path) -> None:
    desk = await opened()
    (first,) = desk.aside.processes
    begun = tmp_path / "begun"
    hurt = desk.begin(f"SELECT '{begun}' AS sleep_once")
    await asyncio.to_thread(_wait_for, begun)
    os.kill(first, signal.SIGKILL)
    assert isinstance(await hurt, Analysed)
    assert first not in desk.aside.processes


async def test_what_is_always_killed_is_tried_once_more_and_denied(
    opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, "bailiwick.aside")
    desk = await opened()
    assert await desk.ask("SELECT fault_kill") == LOST
    lost = "a process that analyses SQL was lost over a statement of session `one`, which is"
    assert caplog.messages == [
        f"{lost} tried again: it was killed by signal 9",
        f"{lost} denied: it was killed by signal 9",
    ]
    assert isinstance(await desk.ask(GOOD), Analysed)


async def test_one_that_is_late_is_tried_once_more_and_denied(opened: Open, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "bailiwick.aside")
    desk = await opened(allowance=Allowance(processor=60.0, seconds=2.0))
    assert await desk.ask("SELECT fault_sleep") == LOST
    assert [each.split(": it ")[1] for each in caplog.messages] == ["took longer than 2 seconds"] * 2


async def test_one_that_dies_idle_is_replaced_and_knows_everything_again(opened: Open) -> None:
    desk = await opened()
    assert isinstance(await desk.ask(GOOD), Analysed)
    os.kill(desk.aside.processes[0], signal.SIGKILL)
    assert isinstance(await desk.ask("SELECT email FROM customers"), Analysed)


async def test_a_text_that_overflows_a_stack_is_denied(opened: Open) -> None:
    desk = await opened((*FAULTY, "unguarded"), limit=1024 * 1024)
    assert await desk.ask("SELECT 1" + "+1" * 100_000) == LOST
    assert isinstance(await desk.ask("SELECT 1+1"), Analysed)


async def test_a_session_whose_statements_hang_leaves_an_analyst_to_the_others(opened: Open) -> None:
    desk = await opened(most=2)
    hanging = [desk.begin("SELECT fault_sleep", "bad") for _ in range(3)]
    assert isinstance(await desk.ask(GOOD, "good"), Analysed)
    assert not any(each.done() for each in hanging)


async def test_sessions_take_turns(opened: Open) -> None:
    desk = await opened()
    order: list[str] = []
    asked = [desk.begin(f"SELECT {n}::text", "many") for n in range(3)] + [desk.begin("SELECT 7::text", "one")]
    for name, each in zip(("many 0", "many 1", "many 2", "one"), asked, strict=True):
        each.add_done_callback(lambda _, name=name: order.append(name))
    await asyncio.gather(*asked)
    assert order.index("one") < order.index("many 2")


async def test_more_scopes_than_an_analyst_keeps_are_served(opened: Open) -> None:
    desk = await opened()
    for scope in [*map(str, range(80)), "0"]:
        assert isinstance(await desk.ask(GOOD, scope=scope), Analysed)


async def test_an_analyst_has_nothing_of_the_gateway(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRM_URL", "postgresql://gateway:CANARY@host/db")
    read, write = os.pipe()
    os.set_inheritable(write, True)
    try:
        desk = await opened(())
        folder = Path(f"/proc/{desk.aside.processes[0]}")
        assert (folder / "environ").read_bytes() == b""
        assert sorted(int(each.name) for each in (folder / "fd").iterdir()) == [0, 1, 2]
        assert (folder / "fd" / "0").readlink().name.startswith("socket:")
        assert {(folder / "fd" / each).readlink() for each in "12"} == {Path("/dev/null")}
    finally:
        os.close(read)
        os.close(write)


async def test_an_analyst_ends_with_its_gateway(opened: Open) -> None:
    desk = await opened()
    (process,) = desk.aside.processes
    waiting = desk.begin("SELECT fault_sleep")
    await desk.aside.close()
    assert await waiting == LOST
    assert await desk.ask(GOOD) == LOST
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


async def test_a_gateway_without_analysts_does_not_start() -> None:
    aside = Aside(1, PATIENT, (sys.executable, "-I", "-c", "raise SystemExit(3)"))
    with pytest.raises(BackendError, match="ended with code 3"):
        await aside.start()
    await aside.close()
    missing = Aside(1, PATIENT, ("/no/such/program",))
    with pytest.raises(BackendError, match="could not be started"):
        await missing.start()


KINDS = (
    "SELECT name, email FROM customers WHERE customer_id = 5 AND name LIKE 'A%'",
    "SELECT name FROM customers WHERE customer_id = 5 -- a comment",
    "SELECT count(*), sum(balance) FROM customers GROUP BY name; SELECT nothing",
    "SELECT c.name, (SELECT max(subject) FROM tickets t WHERE t.customer_id = c.customer_id) FROM customers c",
    "UPDATE tickets SET status = 'open' WHERE ticket_id = 7 RETURNING ticket_id",
    "WITH made AS (UPDATE tickets SET status = 'open' RETURNING ticket_id) SELECT count(*) FROM made",
    "INSERT INTO customers (customer_id, name) VALUES (1, 'a')",
    "INSERT INTO articles (id) VALUES (1)",
    "BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT title FROM articles; FETCH 2 FROM c; CLOSE c; COMMIT",
    "PREPARE p (int) AS SELECT name FROM customers WHERE customer_id = $1",
    "EXECUTE p (5)",
    "DEALLOCATE ALL",
    "DISCARD ALL",
    "COPY (SELECT name, email FROM customers) TO STDOUT",
    "SET bailiwick.reason = 'because'",
    "SHOW search_path",
    "SELECT relname FROM pg_class",
    "",
    "§",
    "SELECT " + "(" * 200 + "1" + ")" * 200,
    "SELECT 1" + "+1" * 3000,
)
CASES = Path(__file__).parents[1] / "sql" / "corpus" / "cases.jsonl"


async def test_analysts_find_what_the_rewriter_finds(opened: Open) -> None:
    desk, here = await opened(()), rewriter()
    hostile = [str(json.loads(line).get("sql", "")) for line in CASES.read_text().splitlines()]
    for text in (*KINDS, *hostile[::4]):
        found = await desk.ask(text)
        assert isinstance(found, Analysed), text
        plans = here.rewrite(text)
        shared = here.shared(text)
        assert found.shared == shared, text
        assert found.plans == (() if shared else plans), text


async def test_declared_types_are_planned_with_and_their_texts_have_no_shape(opened: Open) -> None:
    desk, here = await opened(()), rewriter()
    text, plans = "SELECT name FROM customers WHERE customer_id = $1 AND name = 'a'", set[str]()
    for declared in ((), (23,), (1700,)):
        found = await desk.begin(text, declared=declared)
        assert isinstance(found, Analysed)
        assert (found.shared is None) == bool(declared)
        if declared:
            assert found.plans == here.rewrite(text, declared)
            plans.update(each.sql for each in found.plans if isinstance(each, Plan))
    assert len(plans) == 2, "a comparison with a numeric is behind a fence, one with an integer is not"


async def test_groupings_and_their_plans_come_back_whole() -> None:
    given = Given(1, "integer")
    grouping = Grouping("people", 5, 9, ("a = ", Field("a"), given), (("b",),), ("c",), "SELECT 1")
    bound = Bound(Ref(("tenant",)), "integer")
    bounds = (bound, Bound(Constant(None), ""))
    plan = Plan("READ", "x", groupings=(grouping,), own_types=frozenset({7}), bound=bounds, lent=(bound,))
    found = Analysed((plan,), None)
    assert read_answer(framed(found)[4:]) == found


async def test_what_is_no_value_of_an_answer_is_not_read() -> None:
    for hostile in (Path("/"), print, Scope("s", "bot", {}), [os.kill], {1: signal.SIGKILL}):
        with pytest.raises(pickle.UnpicklingError):
            read_answer(framed(hostile)[4:])
