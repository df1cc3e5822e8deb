"""Kafka, against a stub of the client library: what is asked of it, and what its failures mean."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer  # pyright: ignore[reportMissingTypeStubs]  # it has none
from aiokafka.errors import (  # pyright: ignore[reportMissingTypeStubs]  # it has none
    KafkaConnectionError,
    KafkaError,
    NotEnoughReplicasError,
)
from sinks_rig import Rig, caught_up, ledger_in, sink_of

from bailiwick.gateway.sinks.kafka import Kafka, brokers_of, producer_of
from bailiwick.gateway.state import open_state


class Stub:
    """A producer in memory; `failing` are the errors of its next acknowledgements."""

    def __init__(self, failing: list[Exception], kept: list[tuple[str, bytes, bytes, bytes]]) -> None:
        self.failing = failing
        self.kept = kept
        self.running = False

    async def start(self) -> None:
        if self.failing and isinstance(self.failing[0], KafkaConnectionError):
            raise self.failing.pop(0)
        self.running = True

    async def stop(self) -> None:
        self.running = False

    async def send(self, topic: str, value: bytes, key: bytes, headers: list[tuple[str, bytes]]) -> Awaitable[object]:
        assert self.running
        done = asyncio.get_running_loop().create_future()
        if self.failing:
            done.set_exception(self.failing.pop(0))
        else:
            self.kept.append((topic, key, dict(headers)["id"], value))
            done.set_result(None)
        return done


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    state = await open_state(tmp_path / "state.db")
    with ledger_in(tmp_path) as store:
        yield Rig(tmp_path, store, state)
    await state.close()


async def test_a_record_counts_once_it_was_acknowledged(rig: Rig) -> None:
    ids = rig.fill(10)
    kept: list[tuple[str, bytes, bytes, bytes]] = []
    failing: list[Exception] = [KafkaConnectionError("host CANARY"), NotEnoughReplicasError()]
    way = Kafka("audit", lambda: Stub(failing, kept), (KafkaError,))
    delivery = rig.delivery(sink_of("{kafka: '127.0.0.1:9092', topic: audit}"), way)
    reasons: list[str] = []
    for _ in range(2):
        await delivery.step()
        reasons.append((await delivery.standing()).reason)
    await caught_up(delivery)
    assert reasons == [
        f"the brokers do not take it: {each}" for each in ("KafkaConnectionError", "NotEnoughReplicasError")
    ]
    assert set(ids) <= {each[2].decode() for each in kept}
    assert {each[:2] for each in kept if each[2].decode() in ids} == {("audit", b"support-bot")}
    await way.close()


def test_brokers_elsewhere_are_spoken_to_by_tls() -> None:
    context = ssl.create_default_context()
    far = brokers_of(sink_of("{kafka: 'k1.example:9093,k2.example:9093', topic: t}"), "k1.example:9093", context, "")
    here = brokers_of(sink_of("{kafka: '127.0.0.1:9092', topic: t}"), "127.0.0.1:9092", context, "")
    assert (far.context is context, here.context is None) == (True, True)


async def test_the_library_takes_the_settings() -> None:
    sink = sink_of("{kafka: 'k1.example:9093', topic: t, user: bailiwick, secret: '${TOKEN}'}")
    brokers = brokers_of(sink, "k1.example:9093", ssl.create_default_context(), "CANARY-secret")
    assert "CANARY" not in repr(brokers)
    made = producer_of(brokers)()
    assert isinstance(made, AIOKafkaProducer)
    await made.stop()
