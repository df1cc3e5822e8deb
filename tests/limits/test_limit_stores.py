"""What every store of limits does: all or nothing, in flight, settled, overdrawn, given back, warned of once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from itertools import count
from pathlib import Path

import pytest
import redis.asyncio as redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bailiwick.gateway.limits.memory import MemoryStore, Reserved
from bailiwick.gateway.limits.redis import RedisStore
from bailiwick.model.budget import Used, Want
from tests.limits.conftest import RedisServer
from tests.limits.limit_rig import SECOND, Clock, Counter, budget
from tests.support.postgres import free_port

pytestmark = pytest.mark.xdist_group("redis")


_runs = count()
PATIENT = 30.0


@pytest.fixture(params=["memory", "redis"])
async def counter(request: pytest.FixtureRequest, redis_server: RedisServer) -> AsyncGenerator[Counter]:
    clock = Clock()
    if request.param == "memory":
        yield Counter(MemoryStore(clock), clock)
        return
    store = RedisStore(redis_server.url, clock, f"tests{next(_runs)}:", PATIENT)
    await store.start()
    yield Counter(store, clock)
    await store.stop()


async def test_a_gateway_that_is_gone_has_nothing_in_flight(redis_server: RedisServer) -> None:
    clock, prefix = Clock(), f"tests{next(_runs)}:"
    gone, other = (RedisStore(redis_server.url, clock, prefix, PATIENT) for _ in range(2))
    limit = budget("concurrent", 1)
    counters = [Counter(gone, clock), Counter(other, clock)]
    await counters[0].take(Want(limit, hold=1))
    await counters[1].full(Want(limit, hold=1))
    async with redis.from_url(redis_server.url) as client:
        assert await client.delete(f"{prefix}alive:{gone.instance}") == 1  # as if it had not been heard of for long
    await counters[1].take(Want(limit, hold=1))
    await gone.stop()
    await other.stop()


async def test_without_redis_nothing_is_let_through_and_with_it_everything_goes_on(tmp_path: Path) -> None:
    server = RedisServer(free_port(), tmp_path)
    server.start()
    clock = Clock()
    store = RedisStore(server.url, clock, "lost:", PATIENT)
    counter, limit = Counter(store, clock), budget("rows", 10, 60)
    before = await counter.take(Want(limit))
    server.stop()
    assert await counter.ask(Want(limit)) is None
    store.settle(before, Used(rows=7), counter.crossed.extend)
    server.start()
    assert isinstance(await counter.ask(Want(limit)), Reserved)
    assert await counter.used(limit) == 7
    await store.stop()
    server.stop()


async def test_all_are_charged_together_or_none(counter: Counter) -> None:
    plenty, scarce = budget("actions", 100, 60), budget("actions", 2, 60)
    for _ in range(2):
        await counter.take(Want(plenty, 1), Want(scarce, 1))
    full = await counter.full(Want(plenty, 1), Want(scarce, 1))
    assert full.budget == scarce
    assert await counter.used(plenty) == 2
    await counter.take(Want(plenty, 1))


async def test_a_window_slides_and_the_wait_is_told(counter: Counter) -> None:
    limit = budget("actions", 2, 60)
    await counter.take(Want(limit, 1))
    counter.clock.after(50)
    await counter.take(Want(limit, 1))
    counter.clock.after(5)
    assert (await counter.full(Want(limit, 1))).wait == 5 * SECOND
    counter.clock.after(5)
    await counter.take(Want(limit, 1))
    assert (await counter.full(Want(limit, 1))).wait == 50 * SECOND


async def test_of_several_full_budgets_the_longest_wait_is_told(counter: Counter) -> None:
    minute, hour = budget("actions", 1, 60), budget("actions", 1, 3600)
    await counter.take(Want(minute, 1), Want(hour, 1))
    full = await counter.full(Want(minute, 1), Want(hour, 1))
    assert (full.budget, full.wait) == (hour, 3600 * SECOND)


async def test_what_is_in_flight_counts_until_it_is_settled(counter: Counter) -> None:
    limit = budget("cost", 100, 60)
    first = await counter.take(Want(limit, hold=60))
    assert (await counter.full(Want(limit, hold=60))).wait is None
    await counter.settle(first, cost=40)
    assert await counter.used(limit) == 40
    second = await counter.take(Want(limit, hold=60))
    await counter.settle(second, cost=10)
    assert await counter.used(limit) == 50


async def test_an_overdraft_stands_and_ends_the_budget_until_it_has_come_back(counter: Counter) -> None:
    limit = budget("rows", 100, 60)
    reads = [await counter.take(Want(limit)) for _ in range(2)]
    for each in reads:
        await counter.settle(each, rows=90)
    assert await counter.used(limit) == 180
    assert (await counter.full(Want(limit))).wait == 60 * SECOND
    counter.clock.after(60)
    await counter.take(Want(limit))


async def test_an_overdraft_of_a_total_ends_it_for_good(counter: Counter) -> None:
    limit = budget("cost", 100)
    await counter.settle(await counter.take(Want(limit, hold=100)), cost=250)
    counter.clock.after(10**6)
    assert (await counter.full(Want(limit, hold=1))).wait is None


async def test_what_was_not_done_is_given_back(counter: Counter) -> None:
    actions, money, rows = budget("actions", 1, 60), budget("cost", 5, 60), budget("rows", 5, 60)
    taken = await counter.take(Want(actions, 1), Want(money, hold=5), Want(rows))
    await counter.full(Want(actions, 1))
    counter.store.release(taken)
    await counter.settle(await counter.take(Want(actions, 1), Want(money, hold=5), Want(rows)))
    assert (await counter.used(actions), await counter.used(money)) == (1, 0)


async def test_what_is_settled_or_released_once_is_not_again(counter: Counter) -> None:
    actions, rows = budget("actions", 9, 60), budget("rows", 9, 60)
    taken = await counter.take(Want(actions, 1), Want(rows))
    await counter.settle(taken, rows=3)
    await counter.settle(taken, rows=3)
    counter.store.release(taken)
    assert (await counter.used(actions), await counter.used(rows)) == (1, 3)


async def test_so_many_run_at_once_and_no_more(counter: Counter) -> None:
    limit = budget("concurrent", 2)
    first, _second = await counter.take(Want(limit, hold=1)), await counter.take(Want(limit, hold=1))
    assert (await counter.full(Want(limit, hold=1))).wait is None
    await counter.settle(first)
    await counter.take(Want(limit, hold=1))
    await counter.full(Want(limit, hold=1))


async def test_warned_at_80_and_at_100_percent_once_in_a_window(counter: Counter) -> None:
    limit = budget("actions", 10, 3600)
    for _ in range(7):
        await counter.take(Want(limit, 1))
    assert counter.crossed == []
    await counter.take(Want(limit, 1))
    await counter.take(Want(limit, 1))
    assert [each.percent for each in counter.crossed] == [80]
    await counter.take(Want(limit, 1))
    await counter.full(Want(limit, 1))
    assert [each.percent for each in counter.crossed] == [80, 100]
    counter.clock.after(3600)
    for _ in range(8):
        await counter.take(Want(limit, 1))
    assert [each.percent for each in counter.crossed] == [80, 100, 80]


async def test_what_a_settlement_crosses_is_told_too(counter: Counter) -> None:
    limit = budget("rows", 10, 60)
    await counter.settle(await counter.take(Want(limit)), rows=25)
    assert [each.percent for each in counter.crossed] == [100]


async def test_64_callers_at_once_get_exactly_what_is_allowed(counter: Counter) -> None:
    limits = [
        budget("actions", 100, 60),
        budget("actions", 500, 3600),
        budget("concurrent", 64),
        budget("rows", 10**6, 60),
    ]
    got = 0

    async def caller() -> None:
        nonlocal got
        for _ in range(5):
            found = await counter.ask(Want(limits[0], 1), Want(limits[1], 1), Want(limits[2], hold=1), Want(limits[3]))
            if isinstance(found, Reserved):
                got += 1
                await asyncio.sleep(0)
                await counter.settle(found, rows=1)

    await asyncio.gather(*(caller() for _ in range(64)))
    assert got == 100
    assert [await counter.used(each) for each in limits] == [100, 100, 0, 100]


async def test_what_an_ended_session_had_is_forgotten(counter: Counter) -> None:
    ended, other = budget("actions", 1, key="session:a:actions"), budget("actions", 1, key="session:b:actions")
    await counter.take(Want(ended, 1), Want(other, 1))
    counter.store.forget("session:a:")
    await counter.levels()
    assert (await counter.used(ended), await counter.used(other)) == (0, 1)


Step = tuple[str, int, int]
steps = st.lists(
    st.tuples(st.sampled_from(["take", "settle", "release", "wait"]), st.integers(0, 40), st.integers(0, 3)),
    max_size=40,
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(steps)
async def test_like_a_model_that_keeps_everything(counter: Counter, given: list[Step]) -> None:
    """Actions over a window and what costs money in all, against lists of everything that happened."""
    name = f"{id(given)}:{counter.clock.now}"
    actions, money = budget("actions", 5, 10, f"a{name}"), budget("cost", 30, 20, f"c{name}")
    open_: list[tuple[Reserved, int, int]] = []
    acted: list[int] = []
    paid: list[tuple[int, int]] = []
    for what, amount, seconds in given:
        now = counter.clock.now
        if what == "take":
            held = sum(hold for _, _, hold in open_)
            spent = sum(cost for at, cost in paid if at > now - 20 * SECOND) + held
            fits = sum(at > now - 10 * SECOND for at in acted) < 5 and spent + (amount or 1) <= 30
            found = await counter.ask(Want(actions, 1), Want(money, hold=amount))
            assert isinstance(found, Reserved) == fits
            if isinstance(found, Reserved):
                open_.append((found, now, amount))
                acted.append(now)
        elif what == "settle" and open_:
            reserved, _, _ = open_.pop(amount % len(open_))
            await counter.settle(reserved, cost=amount)
            paid.append((now, amount))
        elif what == "release" and open_:
            reserved, at, _ = open_.pop(amount % len(open_))
            counter.store.release(reserved)
            await counter.levels()
            acted.remove(at)
        else:
            counter.clock.after(seconds)
