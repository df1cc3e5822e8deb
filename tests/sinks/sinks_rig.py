"""A ledger that is delivered, and receivers that answer as they are told."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bailiwick.gateway.ledger.store import LedgerStore, open_store
from bailiwick.gateway.recorder import Durable, Recorder
from bailiwick.gateway.sinks.delivery import Delivery
from bailiwick.gateway.sinks.section import Sink, read_sinks
from bailiwick.gateway.sinks.source import Source
from bailiwick.gateway.sinks.store import Cursors
from bailiwick.gateway.sinks.way import Way
from bailiwick.gateway.sinks.ways import Outlet, way_of
from bailiwick.gateway.state import State
from bailiwick.gateway.ulid import Ulids
from bailiwick.ledger.encode import Stamped
from bailiwick.model.record import Record

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
ORIGIN = "test/sinks"
START = datetime(2026, 11, 22, 8, 0, 0, 1, UTC)
PATIENCE = 60.0


def record(number: int, *, deny: bool = False, agent: str = "support-bot", message: str = "") -> Record:
    """A record; its moment is `number` seconds after `START`."""
    return Record(
        id=f"rec_{number:026d}",
        kind="call",
        at=START + timedelta(seconds=number),
        agent=agent,
        session="ses_1",
        mount="crm",
        actions=("tickets:read",),
        statement="SELECT subject FROM tickets WHERE ticket_id = $1",
        decision="deny" if deny else "allow",
        code="not_granted" if deny else "",
        message=message,
        rows=1,
    )


class Kept:
    """A ledger for the recorder: what it is given goes into the store at once."""

    def __init__(self, store: LedgerStore) -> None:
        self.store = store

    def append(self, record: Record | Stamped, durable: Durable) -> None:
        """Append it."""
        self.store.append([record])
        self.store.drain()
        asyncio.get_running_loop().call_soon(durable, True)


@dataclass
class Rig:
    """A ledger in a folder."""

    folder: Path
    store: LedgerStore
    state: State
    now: datetime = START
    made: int = 0

    @property
    def ledger(self) -> Path:
        """Return its file."""
        return self.folder / "ledger.db"

    def fill(self, count: int, make: Callable[[int], Record] = record) -> list[str]:
        """Append records; a checkpoint is kept with them. Return their ids."""
        records = [make(number) for number in range(self.made, self.made + count)]
        self.made += count
        for at in range(0, count, 500):
            self.store.append(records[at : at + 500])
        self.store.drain(retain=True)
        return [each.id for each in records]

    def recorder(self) -> Recorder:
        """Return what makes records of this ledger."""
        return Recorder(Kept(self.store), lambda: self.now, Ulids())

    def delivery(self, sink: Sink, way: Way | None = None) -> Delivery:
        """Return the deliveries to a sink, as after a start of the gateway."""
        way = way or way_of(sink, {"TOKEN": "CANARY-secret"}, self.folder, lambda: ORIGIN)
        source, cursors = Source(self.ledger), Cursors(self.state)
        return Delivery(Outlet(sink, way), source, cursors, self.recorder(), lambda: self.now, lambda: 0.0)


@contextmanager
def ledger_in(folder: Path) -> Generator[LedgerStore]:
    """Open a ledger in a folder."""
    store = open_store(folder / "ledger.db", KEY, origin=ORIGIN)
    try:
        yield store
    finally:
        store.close()


def sink_of(text: str) -> Sink:
    """Return the sink that `one: …` says."""
    root = yaml.compose(f"sinks: {{one: {text}}}", Loader=yaml.SafeLoader)
    assert root is not None
    return read_sinks(Path("gateway.yaml"), root)["one"]


async def caught_up(delivery: Delivery, *, tries: int = 2000) -> None:
    """Deliver until nothing is left; pauses are not waited for."""
    for _ in range(tries):
        pause = await delivery.step()
        if pause and (await delivery.standing()).state == "current":
            return
        await asyncio.sleep(0.01 if pause else 0)
    raise AssertionError(await delivery.standing())


async def until(done: Callable[[], object]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < deadline, "it never happened"
        await asyncio.sleep(0.02)


@dataclass
class Taken:
    """One request that a receiver got."""

    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Return its body, decoded."""
        return json.loads(self.body)


@dataclass
class Answer:
    """What a receiver answers."""

    status: int = 200
    body: bytes = b"{}"
    headers: Sequence[tuple[str, str]] = ()
    cut: bool = False
    """Take the request, and break the connection off."""


@dataclass
class Receiver:
    """A real HTTP server; `script` are its next answers, then `usual`."""

    url: str = ""
    taken: list[Taken] = field(default_factory=list[Taken])
    script: list[Answer] = field(default_factory=list[Answer])
    usual: Answer = field(default_factory=Answer)

    def events(self) -> list[Any]:
        """Return everything that was in arrays which were taken."""
        return [each for taken in self.taken for each in taken.json()]


@contextmanager
def receiving() -> Generator[Receiver]:
    """Run a receiver."""
    found = Receiver()

    class Taker(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name in the standard library
            """Say nothing."""

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            taken = Taken(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            answer = found.script.pop(0) if found.script else found.usual
            if answer.status < 300 and not answer.cut:
                found.taken.append(taken)
            if answer.cut:
                self.close_connection = True
                return
            self.send_response(answer.status)
            for name, value in (("content-length", str(len(answer.body))), *answer.headers):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Taker)
    found.url = f"http://127.0.0.1:{cast('tuple[str, int]', server.server_address)[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
