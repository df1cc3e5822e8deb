"""Both sides of a `Frontend` without a socket: a test says what the client and the server send, and reads the rest."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count

from bailiwick.gateway.enforcer import LiveSession
from bailiwick.mounts.postgres import codec
from bailiwick.mounts.postgres.batch import Held
from bailiwick.mounts.postgres.frontend import LARGEST_RESULT, Frontend
from bailiwick.mounts.postgres.translate import Planner, Unplanned
from bailiwick.mounts.postgres.values import MaskPads
from tests.mounts.fakes import MOMENT, Ledger, passing

PARSED = codec.message(b"1", b"")
BOUND = codec.message(b"2", b"")
CLOSED = codec.message(b"3", b"")
READY = codec.message(b"Z", b"I")
IN_TRANSACTION = codec.message(b"Z", b"T")
FAILED = codec.message(b"Z", b"E")
KEY = b"k" * 32


def described(*names: str, table: int = 16384) -> bytes:
    """A RowDescription of integers that come from a table."""
    fields = b"".join(
        name.encode() + b"\0" + codec.pack_int32(table) + b"\0\1" + codec.pack_int32(23) + b"\0\4\xff\xff\xff\xff\0\0"
        for name in names
    )
    return codec.message(b"T", codec.pack_int16(len(names)) + fields)


def parameters(*oids: int) -> bytes:
    """A ParameterDescription."""
    return codec.message(b"t", codec.pack_int16(len(oids)) + b"".join(codec.pack_int32(oid) for oid in oids))


def row(*values: bytes | None) -> bytes:
    """A DataRow."""
    sized = (codec.NULL_VALUE if value is None else codec.pack_int32(len(value)) + value for value in values)
    return codec.message(b"D", codec.pack_int16(len(values)) + b"".join(sized))


def done(tag: str) -> bytes:
    """A CommandComplete."""
    return codec.message(b"C", tag.encode() + b"\0")


def failed(state: str, text: str = "hidden value 42", **more: str) -> bytes:
    """A server's ErrorResponse with everything that must not pass."""
    fields = {"S": "ERROR", "V": "ERROR", "C": state, "M": text, "D": "Failing row contains (CANARY)."} | more
    return codec.error_response(tuple(fields.items()))


def query(text: str) -> bytes:
    """A Query."""
    return codec.message(b"Q", text.encode() + b"\0")


def bind_values(statement: bytes, *values: bytes, formats: bytes = b"\0\0", results: bytes = b"\0\0") -> bytes:
    """A Bind of the unnamed portal."""
    sized = b"".join(codec.pack_int32(len(value)) + value for value in values)
    return codec.bind(b"", statement, formats + codec.pack_int16(len(values)) + sized + results)


def messages(data: bytes) -> list[tuple[str, bytes]]:
    """Cut a stream into (kind, body)."""
    framer = codec.Framer(1 << 30)
    framer.feed(data)
    found: list[tuple[str, bytes]] = []
    while (taken := framer.message()) is not None:
        found.append((taken[0].decode(), taken[1]))
    assert framer.rest() == b""
    return found


def kinds(data: bytes) -> str:
    """The kinds of the messages in a stream."""
    return "".join(kind for kind, _ in messages(data))


@dataclass(slots=True)
class Edge:
    """What the state machine commanded."""

    client: bytearray = field(default_factory=bytearray)
    server: bytearray = field(default_factory=bytearray)
    reading_client: bool = True
    reading_server: bool = True
    closed: bool = False
    cancelled: bool = False
    cancels: int = 0
    plans: list[tuple[Unplanned, int]] = field(default_factory=list[tuple[Unplanned, int]])
    held: list[Held] = field(default_factory=list[Held])
    patience: list[float | None] = field(default_factory=list[float | None])
    alarms: list[float | None] = field(default_factory=list[float | None])

    def send_client(self, data: bytes) -> None:
        assert not self.closed
        self.client += data

    def send_server(self, data: bytes) -> None:
        assert not self.closed
        self.server += data

    def read_client(self, on: bool) -> None:
        self.reading_client = on

    def read_server(self, on: bool) -> None:
        self.reading_server = on

    def cancel_server(self) -> None:
        self.cancels += 1

    def plan(self, unplanned: Unplanned, number: int) -> None:
        self.plans.append((unplanned, number))

    def hold(self, held: Held, patience: float | None) -> None:
        self.held.append(held)
        self.patience.append(patience)

    def alarm(self, seconds: float | None) -> None:
        self.alarms.append(seconds)

    def close(self, cancel: bool) -> None:
        self.closed = True
        self.cancelled = cancel


def nothing_known(text: str, live: LiveSession, mount: str, declared: tuple[int, ...] = ()) -> None:
    """A planner that knows no text: each has to be planned aside."""
    del text, live, mount, declared


class Playbook:
    """One scripted connection. `aside`: no text is known to it, so that each is planned when `plan` is called."""

    def __init__(
        self,
        planner: Planner = passing,
        *,
        instant: bool = True,
        largest_result: int = LARGEST_RESULT,
        aside: bool = False,
    ) -> None:
        self.edge = Edge()
        self._planner = planner
        self.ledger = Ledger(instant=instant)
        self.live = self.ledger.live
        ticks = count()
        self.frontend = Frontend(
            self.edge,
            self.live,
            "crm",
            nothing_known if aside else planner,
            self.ledger,
            MaskPads.of(KEY),
            lambda: MOMENT,
            lambda: float(next(ticks)),
            largest_result,
        )

    def client(self, *data: bytes) -> bytes:
        """The client sends; return what the server is sent."""
        self.frontend.client_data(b"".join(data))
        return self.to_server()

    def server(self, *data: bytes) -> bytes:
        """The server sends; return what the client is sent."""
        self.frontend.server_data(b"".join(data))
        return self.to_client()

    def plan(self) -> bytes:
        """What is being planned has its plans; return what the server is sent."""
        while self.edge.plans:
            made, number = self.edge.plans.pop(0)
            plans = self._planner(made.text, self.live, "crm", made.declared)
            self.frontend.planned(number, plans or ())
        return self.to_server()

    def durable(self, ok: bool = True) -> None:
        """Everything recorded so far becomes durable, or cannot."""
        self.ledger.flush(ok)

    def to_client(self) -> bytes:
        data = bytes(self.edge.client)
        self.edge.client.clear()
        return data

    def to_server(self) -> bytes:
        data = bytes(self.edge.server)
        self.edge.server.clear()
        return data


def error_of(data: bytes) -> dict[str, str]:
    """The fields of the first ErrorResponse in a stream."""
    for kind, body in messages(data):
        if kind == "E":
            return codec.error_fields(codec.message(b"E", body))
    return {}
