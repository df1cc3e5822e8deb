"""Watching a ledger: a departure is recorded once and told once, also when the gateway dies in between."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bailiwick.errors import LedgerError
from bailiwick.gateway.findings.desk import finding
from bailiwick.gateway.findings.watching import Watching
from bailiwick.gateway.ledger.reader import Query, open_reader
from bailiwick.gateway.ledger.store import LedgerStore, open_store
from bailiwick.gateway.recorder import Durable, Recorder
from bailiwick.gateway.state import State, open_state
from bailiwick.gateway.ulid import Ulids
from bailiwick.gateway.wire import Fields
from bailiwick.ledger.baselines import Rules
from bailiwick.ledger.encode import Stamped, read
from bailiwick.ledger.ocsf.mapping import event_of
from bailiwick.model.approval import Reviewer
from bailiwick.model.notice import Notice
from bailiwick.model.record import JsonValue, Record

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
MONDAY = datetime(2026, 11, 2, 0, 0, 0, 7, UTC)
NIGHT = MONDAY + timedelta(weeks=4, hours=10)
NOW = NIGHT + timedelta(hours=1)


class Kept:
    """A ledger for the recorder, which can fail."""

    def __init__(self, store: LedgerStore) -> None:
        self.store = store
        self.failing = False

    def append(self, record: Record | Stamped, durable: Durable) -> None:
        """Append it at once."""
        if not self.failing:
            self.store.append([record])
            self.store.drain()
        durable(not self.failing)


@dataclass
class World:
    """A ledger of an agent's month, and what is told of it."""

    folder: Path
    kept: Kept
    state: State
    told: list[Notice] = field(default_factory=list[Notice])
    now: datetime = NOW
    ids: Ulids = field(default_factory=Ulids)

    def watching(self) -> Watching:
        """Return the watch, as after a start of the gateway."""
        recorder = Recorder(self.kept, lambda: self.now, self.ids)
        path = self.folder / "ledger.db"
        return Watching(path, self.state, recorder, self.told.append, lambda: self.now, Rules())

    def use(self, at: datetime, count: int) -> None:
        """Record calls."""
        made = [
            Record(
                self.ids.new(),
                "call",
                at + timedelta(seconds=number),
                agent="bot",
                task="answer",
                actions=("tickets:read",),
                decision="allow",
                rows=1,
            )
            for number in range(count)
        ]
        self.kept.store.append(made)

    def month(self) -> None:
        """Record four weeks of usual use."""
        for hour in range(4 * 7 * 24):
            at = MONDAY + timedelta(hours=hour)
            if 8 <= at.hour < 18 and at.weekday() < 5:
                self.use(at, 3 + hour % 3)
        self.kept.store.drain()

    def findings(self) -> list[dict[str, JsonValue]]:
        """Return the findings of the ledger."""
        reader = open_reader(self.folder / "ledger.db")
        found = [read(each.body) or {} for each in reader.query(Query(kind="finding"))]
        reader.close()
        return found


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    state = await open_state(tmp_path / "state.db")
    store = open_store(tmp_path / "ledger.db", KEY)
    yield World(tmp_path, Kept(store), state)
    store.close()
    await state.close()


async def seen(watching: Watching) -> None:
    """Watch until nothing is left to read."""
    while await watching.step() < 0.1:
        pass


async def test_a_departure_is_on_record_told_and_listed_once(world: World) -> None:
    world.month()
    watching = world.watching()
    await seen(watching)
    assert world.findings() == []
    world.use(NIGHT, 90)
    world.kept.store.drain()
    await seen(watching)
    await seen(watching)
    found = world.findings()
    assert [each["code"] for each in found] == ["unusual_calls"]
    assert [(each.kind, each.once) for each in world.told] == [("finding", world.told[0].subject)]
    assert "at most 5 in" in world.told[0].title
    detail = found[0]["detail"]
    assert isinstance(detail, dict)
    assert detail["usual"] == {"hours": 200, "median": 4, "p95": 5, "most": 5}
    listed = await finding(watching)["findings.list"](
        Fields({}), Reviewer("maria", means="local", authenticated_at=NOW)
    )
    assert json.dumps(listed).count('"unusual_calls"') == 1
    event = event_of(found[0], "", "log")
    assert (event["class_uid"], event["severity"]) == (2004, "Medium")
    assert event["anomaly_analyses"]


async def test_what_was_pruned_is_passed_over_and_what_is_left_is_learned_from(world: World) -> None:
    world.month()
    world.kept.store.prune([(0, 99), (300, 309)])
    watching = world.watching()
    await seen(watching)
    assert world.findings() == []
    world.use(NIGHT, 90)
    world.kept.store.drain()
    await seen(watching)
    assert [each["code"] for each in world.findings()] == ["unusual_calls"]


@pytest.mark.parametrize("when", ["before it was on record", "after it was on record"])
async def test_a_gateway_that_dies_says_what_it_found_and_says_it_once(world: World, when: str) -> None:
    world.month()
    world.use(NIGHT, 90)
    world.kept.store.drain()
    watching = world.watching()
    if when == "before it was on record":
        world.kept.failing = True
        with pytest.raises(LedgerError):
            await seen(watching)
        world.kept.failing = False
    else:
        await seen(watching)
        async with world.state.writing() as connection:
            await connection.exec_driver_sql("UPDATE findings SET recorded = 0")
    await seen(world.watching())
    assert len(world.findings()) == 1
    assert len(world.told) == 1


async def test_a_stop_in_the_middle_counts_nothing_twice(world: World) -> None:
    world.month()
    first = world.watching()
    for _ in range(2):
        await first.step()
    await first.start()
    await first.stop()
    second = world.watching()
    await seen(second)
    await second.start()
    await second.stop()
    async with world.state.reading() as connection:
        content = (await connection.exec_driver_sql("SELECT content FROM baselines")).scalar_one()
    with_all = sum(3 + hour % 3 for hour in range(672) if 8 <= hour % 24 < 18 and hour // 24 % 7 < 5)
    assert json.loads(content)["calls"] == with_all


async def test_what_is_old_is_learned_from_and_not_said(world: World) -> None:
    world.month()
    world.use(NIGHT, 90)
    world.kept.store.drain()
    world.now = NIGHT + timedelta(days=3)
    await seen(world.watching())
    assert (world.findings(), world.told) == ([], [])
