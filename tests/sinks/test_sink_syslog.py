"""Syslog over TCP and TLS against receivers of the tests' own: framing, trust, what was lost with a connection."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sinks_rig import PATIENCE, Rig, caught_up, ledger_in, sink_of, until

from bailiwick.gateway.state import open_state
from tests.support.certificates import certificate


@dataclass
class Collector:
    """Reads octet-counted frames, as RFC 6587 has them."""

    port: int = 0
    messages: list[bytes] = field(default_factory=list[bytes])
    connections: list[asyncio.StreamWriter] = field(default_factory=list[asyncio.StreamWriter])
    deaf: bool = False
    """Take bytes and read none of them."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read a connection to its end."""
        self.connections.append(writer)
        try:
            while not self.deaf:
                size = await reader.readuntil(b" ")
                self.messages.append(await reader.readexactly(int(size)))
        except (asyncio.IncompleteReadError, OSError):
            pass

    def ids(self) -> list[str]:
        """Return the ids of what arrived."""
        return [each.split(b'id="')[1].split(b'"')[0].decode() for each in self.messages]


async def collecting(context: ssl.SSLContext | None = None) -> tuple[Collector, asyncio.Server]:
    found = Collector()
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0, ssl=context, limit=2**20)
    found.port = server.sockets[0].getsockname()[1]
    return found, server


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    state = await open_state(tmp_path / "state.db")
    with ledger_in(tmp_path) as store:
        yield Rig(tmp_path, store, state)
    await state.close()


async def test_everything_arrives_over_tls_from_whom_is_trusted(rig: Rig, tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    collector, server = await collecting(context)
    ids = rig.fill(600)
    delivery = rig.delivery(sink_of(f"{{syslog: 'tls://localhost:{collector.port}', ca: cert.pem, format: ocsf}}"))
    await caught_up(delivery)
    await until(lambda: len(collector.messages) >= 601)
    assert [each for each in collector.ids() if each.startswith("rec")] == ids
    await delivery.way.close()
    server.close()


@pytest.mark.parametrize("target", ["tls://localhost:{port}", "tls://127.0.0.2:{port}', ca: '{ca}"])
async def test_a_receiver_that_is_not_trusted_gets_nothing(rig: Rig, tmp_path: Path, target: str) -> None:
    cert, key = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    found = Collector()
    server = await asyncio.start_server(found.serve, "0.0.0.0", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    rig.fill(1)
    delivery = rig.delivery(sink_of(f"{{syslog: '{target.format(port=port, ca=cert)}'}}"))
    await delivery.step()
    assert (await delivery.standing()).reason == "its certificate is not trusted"
    assert found.messages == []
    server.close()


async def test_what_was_sent_just_before_a_connection_broke_is_sent_again(rig: Rig) -> None:
    collector, server = await collecting()
    ids = rig.fill(20)
    delivery = rig.delivery(sink_of(f"{{syslog: 'tcp://127.0.0.1:{collector.port}'}}"))
    collector.deaf = True  # its system takes the bytes, and it dies before it read them
    await caught_up(delivery)
    assert delivery.held_from() == 20
    collector.connections[0].transport.abort()
    collector.deaf = False
    rig.fill(1)  # whatever is to be sent next finds it out

    async def arrived() -> None:
        while not set(ids) <= set(collector.ids()):
            await caught_up(delivery)

    await asyncio.wait_for(arrived(), PATIENCE)
    assert len([each for each in collector.ids() if each in ids]) == 20
    await delivery.way.close()
    server.close()


async def test_a_receiver_that_is_down_is_waited_for(rig: Rig) -> None:
    collector, server = await collecting()
    server.close()
    await server.wait_closed()
    rig.fill(2)
    delivery = rig.delivery(sink_of(f"{{syslog: 'tcp://127.0.0.1:{collector.port}'}}"))
    await delivery.step()
    assert (await delivery.standing()).reason.startswith("it cannot be reached")
    again = await asyncio.start_server(collector.serve, "127.0.0.1", collector.port)
    await caught_up(delivery)
    await until(lambda: len(collector.messages) == 3)
    await delivery.way.close()
    again.close()
