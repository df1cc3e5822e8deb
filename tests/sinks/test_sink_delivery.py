"""Deliveries: everything arrives, in order, at least once, whatever the sink does; and the gateway never waits."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sinks_rig import Answer, Receiver, Rig, caught_up, ledger_in, receiving, record, sink_of, until

from bailiwick.errors import ConfigError
from bailiwick.gateway.moments import utc_now
from bailiwick.gateway.sinks.item import Item
from bailiwick.gateway.sinks.sinks import Sinks
from bailiwick.gateway.sinks.way import SENT, Came
from bailiwick.gateway.sinks.ways import Outlet
from bailiwick.gateway.state import open_state

JSONL = "{jsonl: out.jsonl}"
Does = Literal["take", "fail", "cut", "break"]


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    state = await open_state(tmp_path / "state.db")
    with ledger_in(tmp_path) as store:
        yield Rig(tmp_path, store, state)
    await state.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


class Scripted:
    """A sink that does what it is told: then it takes everything. `poison` it always refuses."""

    most = 7

    def __init__(self, script: Sequence[Does] = (), poison: str = "") -> None:
        self.script = list(script)
        self.poison = poison
        self.kept: list[Item] = []
        self._sent = 0.0
        self._broke: float | None = None

    def broke(self) -> float | None:
        found, self._broke = self._broke, None
        return found

    async def send(self, items: Sequence[Item]) -> Came:
        does = self.script.pop(0) if self.script else "take"
        if any(item.id == self.poison for item in items):
            return Came("refused", "it answers 400")
        if does == "fail":
            return Came("failed", "it answers 503")
        if does == "cut":  # it has some of it, and nobody knows
            self.kept += items[: len(items) // 2]
            return Came("failed", "the connection broke off")
        if does == "break":  # taken, said so, and lost: seen a little later
            self._broke = asyncio.get_running_loop().time()
            return SENT
        self.kept += items
        return SENT

    async def close(self) -> None:
        """Nothing is open."""


@settings(max_examples=15)
@given(st.lists(st.sampled_from(["take", "fail", "cut", "break"]), max_size=12), st.integers(1, 30))
def test_whatever_a_sink_does_everything_arrives_in_order(
    tmp_path_factory: pytest.TempPathFactory, script: list[Does], count: int
) -> None:
    async def check() -> None:
        folder = tmp_path_factory.mktemp("ledger")
        state = await open_state(folder / "state.db")
        with ledger_in(folder) as store:
            rig = Rig(folder, store, state)
            ids = rig.fill(count)
            way = Scripted(script)
            await caught_up(rig.delivery(sink_of(JSONL), way))
            firsts = list(dict.fromkeys(item.id for item in way.kept))
            assert [each for each in firsts if each.startswith("rec_")] == ids
            assert [each for each in firsts if each.startswith("checkpoint:")] == [f"checkpoint:test/sinks:{count}"]
        await state.close()

    asyncio.run(check())


async def test_a_cursor_survives_a_restart_and_nothing_is_sent_twice_without_need(rig: Rig) -> None:
    rig.fill(20)
    first = Scripted()
    await caught_up(rig.delivery(sink_of(JSONL), first))
    rig.fill(5)
    second = Scripted()
    delivery = rig.delivery(sink_of(JSONL), second)
    await caught_up(delivery)
    assert {item.seq for item in second.kept if item.kind == "call"} == set(range(20, 25))
    assert delivery.held_from() == 25


async def test_a_sink_that_was_down_catches_up_while_the_ledger_grows(rig: Rig) -> None:
    way = Scripted(("fail", "fail", "fail"))
    delivery = rig.delivery(sink_of(JSONL), way)
    expected = rig.fill(1500)
    assert await delivery.step() >= 0.5
    standing = await delivery.standing()
    assert (standing.state, standing.behind, standing.reason) == ("failing", 1500, "it answers 503")
    assert standing.since == "2026-11-22T08:00:00.000001Z"
    for _ in range(3):
        await delivery.step()
        expected += rig.fill(10)
    await caught_up(delivery)
    assert [item.id for item in way.kept if item.kind == "call"] == expected
    assert (await delivery.standing()).reason == ""


async def test_pauses_grow_and_a_sink_that_asks_for_time_gets_it(rig: Rig, receiver: Receiver) -> None:
    rig.fill(1)
    receiver.script = [Answer(503)] * 4 + [Answer(429, headers=[("retry-after", "77")])]
    delivery = rig.delivery(sink_of(f"{{https: '{receiver.url}/x'}}"))
    pauses = [await delivery.step() for _ in range(5)]
    assert pauses == [0.5, 1.0, 2.0, 4.0, 77.0]


async def test_what_is_not_selected_is_passed_over_and_checkpoints_always_go(rig: Rig) -> None:
    rig.fill(30, lambda number: record(number, deny=number % 10 == 9))
    way = Scripted()
    delivery = rig.delivery(sink_of("{jsonl: a, select: {severity: medium}}"), way)
    await caught_up(delivery)
    assert [item.seq for item in way.kept if item.kind == "call"] == [9, 19, 29]
    assert [item.seq for item in way.kept if item.kind == "checkpoint"] == [30]
    assert delivery.held_from() == 30


async def test_a_sink_may_begin_now(rig: Rig) -> None:
    rig.fill(5)
    way = Scripted()
    delivery = rig.delivery(sink_of("{jsonl: a, from: now}"), way)
    await delivery.open()
    rig.fill(2)
    await caught_up(delivery)
    assert [item.seq for item in way.kept if item.kind == "call"] == [5, 6]


async def test_one_record_that_a_sink_refuses_is_passed_over_on_record(rig: Rig) -> None:
    ids = rig.fill(20)
    way = Scripted(poison=ids[9])
    delivery = rig.delivery(sink_of(JSONL), way)
    await caught_up(delivery)
    arrived = [item.id for item in way.kept if item.kind == "call"]
    assert arrived == [each for each in ids if each != ids[9]]
    refused = [json.loads(item.text) for item in way.kept if item.kind == "sink.refused"]
    assert [(each["detail"]["first"], each["message"]) for each in refused] == [(ids[9], "it answers 400")]
    assert (await delivery.standing()).refused == 1


async def test_a_sink_that_refuses_everything_is_passed_nothing_over(rig: Rig, receiver: Receiver) -> None:
    rig.fill(20)
    receiver.usual = Answer(400)
    delivery = rig.delivery(sink_of(f"{{https: '{receiver.url}/x'}}"))
    for _ in range(20):
        await delivery.step()
    standing = await delivery.standing()
    assert (standing.seq, standing.state, standing.refused) == (0, "failing", 0)
    receiver.usual = Answer(204, b"")
    await caught_up(delivery)
    assert len({each["id"] for each in receiver.events() if each["kind"] == "call"}) == 20


async def test_a_ledger_that_was_put_back_is_noticed(rig: Rig, tmp_path: Path) -> None:
    rig.fill(10)
    await caught_up(rig.delivery(sink_of(JSONL), Scripted()))
    older = tmp_path / "older"
    older.mkdir()
    with ledger_in(older) as store:
        put_back = Rig(older, store, rig.state)
        put_back.fill(4)
        way = Scripted()
        delivery = put_back.delivery(sink_of(JSONL), way)
        await delivery.step()
        assert (await delivery.standing()).state == "stopped"
        assert way.kept == []


async def test_batches_over_https_carry_secrets_in_their_headers_only(rig: Rig, receiver: Receiver) -> None:
    ids = rig.fill(3)
    receiver.script = [Answer(cut=True), Answer(500), Answer(302, headers=[("location", f"{receiver.url}/else")])]
    delivery = rig.delivery(sink_of(f"{{https: '{receiver.url}/in', headers: {{Authorization: 'Bearer ${{TOKEN}}'}}}}"))
    reasons: list[str] = []
    for _ in range(3):
        await delivery.step()
        reasons.append((await delivery.standing()).reason)
    await caught_up(delivery)
    assert reasons == ["the connection broke off", "it answers 500", "it answers 302"]
    assert [each["id"] for each in receiver.events()][:3] == ids
    assert receiver.taken[0].headers["authorization"] == "Bearer CANARY-secret"
    assert "CANARY" not in json.dumps(receiver.events()) + repr(delivery.way) + repr(delivery.sink)
    assert len(receiver.taken[0].headers["idempotency-key"]) == 32


async def test_splunk_takes_what_it_acknowledges_and_lies_are_not_believed(rig: Rig, receiver: Receiver) -> None:
    ids = rig.fill(3)
    receiver.script = [
        Answer(200, b"<html>welcome</html>"),  # a proxy's page
        Answer(200, b'{"text":"Server is busy","code":9}'),
        Answer(400, b'{"text":"Incorrect index","code":7}'),
        Answer(200, b'{"text":"Success","code":0,"ackId":5}'),
        Answer(200, b'{"acks":{"5":false}}'),
        Answer(200, b'{"acks":{"5":true}}'),
    ]
    receiver.usual = Answer(200, b'{"text":"Success","code":0}')
    delivery = rig.delivery(sink_of(f"{{splunk: '{receiver.url}', token: '${{TOKEN}}', index: audit, format: ocsf}}"))
    await caught_up(delivery)
    sent = [each for each in receiver.taken if each.path == "/services/collector/event"][-1]
    events = [json.loads(line) for line in sent.body.decode().split("\n")]
    assert [each["fields"]["id"] for each in events][:3] == ids
    assert (events[0]["index"], events[0]["sourcetype"], events[0]["event"]["class_uid"]) == (
        "audit",
        "bailiwick:ocsf",
        6005,
    )
    assert sent.headers["authorization"] == "Splunk CANARY-secret"
    assert (await delivery.standing()).delivered == 4
    assert [each.path for each in receiver.taken].count("/services/collector/ack") == 2


async def test_a_collector_that_rejects_some_says_so_on_record(rig: Rig, receiver: Receiver) -> None:
    rig.fill(3)
    receiver.script = [
        Answer(503),
        Answer(200, b"<html>"),
        Answer(200, b'{"partialSuccess":{"rejectedLogRecords":"2"}}'),
    ]
    delivery = rig.delivery(sink_of(f"{{otlp: '{receiver.url}'}}"))
    await caught_up(delivery)
    assert receiver.taken[-1].path == "/v1/logs"
    assert (await delivery.standing()).refused == 2
    last = receiver.taken[-1].json()["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
    assert any(json.loads(each["body"]["stringValue"])["kind"] == "sink.refused" for each in last)


async def test_a_slow_sink_holds_up_neither_another_one_nor_the_ledger(rig: Rig) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    class Slow(Scripted):
        async def send(self, items: Sequence[Item]) -> Came:
            begun.set()
            await ended.wait()
            return await super().send(items)

    slow, quick = Slow(), Scripted()
    outlets = [Outlet(sink_of(JSONL), slow), Outlet(replace(sink_of(JSONL), name="two"), quick)]
    sinks = Sinks(outlets, rig.ledger, rig.state, rig.recorder(), utc_now)
    assert sinks.undelivered() == {"one": 0, "two": 0}
    await sinks.start()
    rig.fill(10)
    await asyncio.wait_for(begun.wait(), 60)
    await until(lambda: quick.kept)
    rig.fill(10)
    assert sinks.undelivered()["one"] == 0
    await until(lambda: sinks.undelivered()["two"] == 20)
    assert next(each.behind for each in await sinks.standings()) == 20
    ended.set()
    await until(lambda: len({item.id for item in slow.kept}) >= 22)
    await sinks.stop()


async def test_a_test_says_what_came_of_it(rig: Rig, receiver: Receiver) -> None:
    outlets = [
        Outlet(sink_of(f"{{https: '{receiver.url}'}}"), rig.delivery(sink_of(f"{{https: '{receiver.url}'}}")).way)
    ]
    sinks = Sinks(outlets, rig.ledger, rig.state, rig.recorder(), utc_now)
    assert (await sinks.test("one"))["one"].how == "sent"
    assert receiver.events()[0]["kind"] == "test"
    receiver.usual = Answer(403)
    assert (await sinks.test())["one"].reason == "it answers 403"
    with pytest.raises(ConfigError, match="there is no sink `two`"):
        await sinks.test("two")
    await sinks.stop()
