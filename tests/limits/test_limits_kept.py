"""Budgets and denials of sessions of one gateway: kept over restarts, told to people, and the cause of quarantine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from bailiwick.decide.decide import table_of
from bailiwick.gateway.call import Call, Outcome
from bailiwick.gateway.limits.file import LimitFile
from bailiwick.gateway.limits.memory import MemoryStore, Reserved
from bailiwick.gateway.sessions.live import Live
from bailiwick.gateway.state import open_state
from bailiwick.model.budget import Budget, Used, Want
from bailiwick.model.decision import Access, Allow, Denial, DenialCode, Deny, Request
from bailiwick.model.notice import Notice
from tests.gateway.gateway_rig import Rig, make_rig, text
from tests.limits.limit_rig import SECOND, Clock, Counter, budget

LIMITS = (
    "quarantine: {denials: 3/min}\n    limits: {actions: [5/min, 8/day]}\n    session: {actions: 6, ttl: 30m, idle: 5m,"
)
POLICY = text.replace("session: {ttl: 30m, idle: 5m,", LIMITS)


@dataclass(frozen=True, slots=True)
class Kept:
    """A store of limits whose file outlives it."""

    counter: Counter
    file: LimitFile


async def started(folder: Path, clock: Clock) -> Kept:
    file = LimitFile(await open_state(folder / "state.db"))
    store = MemoryStore(clock, file.changed, file.gone)
    await file.load(store, clock())
    return Kept(Counter(store, clock), file)


async def test_a_restart_refills_nothing_of_an_hour_and_more_and_no_total(tmp_path: Path) -> None:
    clock = Clock()
    before = await started(tmp_path, clock)
    day, total, minute = budget("actions", 9, 86400), budget("cost", 9, key="session:a:cost"), budget("actions", 9, 60)
    for _ in range(3):
        taken = await before.counter.take(Want(day, 1), Want(total, hold=2), Want(minute, 1))
        await before.counter.settle(taken, cost=1)
        clock.after(100)
    await before.file.stop()
    after = await started(tmp_path, clock)
    assert [await after.counter.used(each) for each in (day, total, minute)] == [3, 3, 0]
    clock.after(86400 - 300)
    assert await after.counter.used(day) == 2
    assert (await after.counter.levels(day))[0].frees == 100 * SECOND


async def test_what_was_in_flight_counts_as_used_after_a_crash(tmp_path: Path) -> None:
    clock = Clock()
    before = await started(tmp_path, clock)
    limit = budget("cost", 100, 86400)
    await before.counter.settle(await before.counter.take(Want(limit, hold=40)), cost=10)
    await before.counter.take(Want(limit, hold=40))
    await before.file.stop()  # without a settlement
    after = await started(tmp_path, clock)
    assert await after.counter.used(limit) == 50


async def test_what_an_ended_session_had_is_removed(tmp_path: Path) -> None:
    clock = Clock()
    before = await started(tmp_path, clock)
    gone, left = budget("actions", 9, key="session:a:actions"), budget("actions", 9, key="session:ab:actions")
    await before.counter.take(Want(gone, 1), Want(left, 1))
    before.counter.store.forget("session:a:")
    await before.file.stop()
    after = await started(tmp_path, clock)
    assert [await after.counter.used(each) for each in (gone, left)] == [0, 1]


async def test_what_changes_is_written_soon_without_being_asked(tmp_path: Path) -> None:
    clock = Clock()
    before = await started(tmp_path, clock)
    limit = budget("actions", 9, 86400)
    await before.counter.take(Want(limit, 1))

    async def is_written() -> bool:
        again = MemoryStore(clock)
        await before.file.load(again, clock())
        return await Counter(again, clock).used(limit) == 1

    await until(is_written)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something holds; fail when it never does."""
    for _ in range(3000):
        if await holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came to hold")


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    made = await make_rig(tmp_path, POLICY)
    yield made
    await made.sessions.stop()
    await made.state.close()


async def live_of(rig: Rig) -> Live:
    return await rig.connected(await rig.opened(), [])


def allowed(live: Live) -> Allow:
    request = Request("crm", (Access("tickets", "read", ("ticket_id",)),))
    found = table_of(live.terms.table.policy, live.scope).decide(request)
    assert isinstance(found, Allow), found
    return found


async def test_an_agent_s_sessions_share_its_budget_and_each_has_its_own_total(rig: Rig) -> None:
    first, second = await live_of(rig), await live_of(rig)
    for live in (first, first, first, second, second):
        assert isinstance(await rig.gateway.reserve(live, allowed(live)), Reserved)
    denied = await rig.gateway.reserve(second, allowed(second))
    assert isinstance(denied, Denial)
    assert (denied.code, denied.retry_after) == ("limit_exceeded", 60)
    rows = {str(each["name"]): each["used"] for each in await rig.gateway.limits.told(first) if isinstance(each, dict)}
    assert rows == {
        "5 actions in 1 minute of agent `support-bot`": 5,
        "8 actions in 1 day of agent `support-bot`": 5,
        "6 actions of this session": 3,
    }


async def test_people_are_told_once_that_a_budget_is_nearly_used_up(rig: Rig) -> None:
    told: list[Notice] = []
    rig.gateway.tell = told.append
    live = await live_of(rig)
    for _ in range(5):
        await rig.gateway.reserve(live, allowed(live))
    minute = [each.title for each in told if "1 minute" in each.title]
    assert [title.split(" % ")[0] for title in minute] == ["80", "100"]
    warned = [each for each in rig.ledger.records if each.kind == "limit.warned"]
    assert len(warned) == len(told)
    assert {each.session for each in warned} == {live.session.id}


def deny(rig: Rig, live: Live, code: DenialCode) -> None:
    call = Call("crm", "SELECT 1", Request("crm", ()), Deny(Denial(code, "no")))
    rig.gateway.call(live, call, Outcome(), lambda _: None)


async def suspended(live: Live) -> bool:
    async def is_so() -> bool:
        return live.suspended is not None

    await until(is_so)
    return True


async def test_a_session_that_is_denied_again_and_again_is_suspended(rig: Rig) -> None:
    told: list[Notice] = []
    rig.gateway.tell = told.append
    live, other = await live_of(rig), await live_of(rig)
    deny(rig, other, "action_not_granted")
    for _ in range(3):
        deny(rig, live, "action_not_granted")
    assert await suspended(live)
    assert live.blocked() is not None
    assert other.suspended is None
    assert [each.kind for each in told] == ["quarantine"]

    async def is_on_record() -> bool:
        return "session.suspended" in rig.ledger.kinds()

    await until(is_on_record)


async def test_denials_that_are_few_or_old_or_not_its_doing_suspend_nobody(rig: Rig) -> None:
    live = await live_of(rig)
    for _ in range(9):
        deny(rig, live, "backend_unavailable")
    for _ in range(2):
        deny(rig, live, "action_not_granted")
    rig.clock.move(seconds=60)
    for _ in range(2):
        deny(rig, live, "action_not_granted")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert live.suspended is None
    deny(rig, live, "action_not_granted")
    assert await suspended(live)


async def test_a_whole_agent_is_suspended_where_the_policy_says_so(tmp_path: Path) -> None:
    rig = await make_rig(tmp_path, POLICY.replace("{denials: 3/min}", "{denials: 2/min, suspend: agent}"))
    first, second = await live_of(rig), await live_of(rig)
    deny(rig, first, "action_not_granted")
    deny(rig, second, "field_not_granted")
    assert await suspended(first)
    assert second.suspended is not None
    await rig.sessions.stop()
    await rig.state.close()


async def test_a_budget_of_an_ended_session_is_forgotten(rig: Rig) -> None:
    opened = await rig.opened()
    live = await rig.connected(opened, [])
    taken = await rig.gateway.reserve(live, allowed(live))
    assert isinstance(taken, Reserved)
    rig.gateway.charged(live, taken, Used())
    key = f"session:{live.session.id}:actions"
    total = Budget(key, "actions", 6, None, "this session")
    assert [each.used for each in await rig.gateway.limits.store.levels([total]) or ()] == [1]
    await rig.sessions.end(live.session.id, "CLOSED", "closed", "ada")
    assert [each.used for each in await rig.gateway.limits.store.levels([total]) or ()] == [0]
