"""Hostile bytes at the port: nothing crashes, memory stays bounded, other sessions are unharmed."""

from __future__ import annotations

import contextlib
import random
import resource
import socket
import struct
import time

import pytest

from tests.support.desk import Desk
from tests.support.wire import (
    SYNC,
    Wire,
    WireClosedError,
    bind,
    cstring,
    describe,
    execute,
    message,
    parse,
    query,
    startup,
)

GROWTH = 96 << 20
"""Bytes that the gateway may grow by under attack; what it caches for honest clients included."""
BOMBS = {
    "nested comments": "SELECT " + "/*" * 20_000 + "*/" * 20_000 + " 1",
    "open comments": "SELECT " + "/*" * 50_000,
    "operators": "SELECT 1 " + "+-" * 30_000 + "1",
    "parentheses": "SELECT " + "(" * 20_000 + "1" + ")" * 20_000,
    "additions": "SELECT 1" + "+1" * 30_000,
    "unions": " UNION ".join(["SELECT 1"] * 8_000),
    "casts": "SELECT 1" + "::int" * 12_000,
    "subqueries": "SELECT * FROM " + "(SELECT * FROM " * 3_000 + "kb_articles" + ") x" * 3_000,
    "cases": "SELECT " + "CASE WHEN true THEN " * 3_000 + "1" + " END" * 3_000,
    "nots": "SELECT " + "NOT " * 16_000 + "true",
    "arrays": "SELECT " + "ARRAY[" * 10_000 + "1" + "]" * 10_000,
    "statements": ";" * 60_000,
    "two megabytes": "SELECT '" + "x" * (2 << 20) + "'",
    "dollar quotes": "SELECT " + "$a$" * 20_001,
    "identifier": "SELECT 1 AS " + "x" * 60_000,
}


READY = b"Z\0\0\0\5"
"""How a server says that it takes statements now."""


def _alive(desk: Desk) -> bool:
    """Whether an honest session works, and quickly."""
    began = time.monotonic()
    with Wire("127.0.0.1", desk.session.port) as wire:
        assert wire.login(desk.session.user, desk.session.database, desk.session.token).status == "I"
        assert wire.simple("SELECT count(*) FROM tickets").rows == [("3",)]
    return time.monotonic() - began < 10


def _throw(desk: Desk, data: bytes, wait: float = 0.2) -> bytes:
    """Send bytes to the port; return what comes back until it closes or `wait` is over."""
    received = b""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", desk.session.port), 5) as connection:
        connection.settimeout(wait)
        connection.sendall(data)
        while part := connection.recv(65536):
            received += part
    return received


def _logged_in(desk: Desk) -> Wire:
    wire = Wire("127.0.0.1", desk.session.port)
    assert wire.login(desk.session.user, desk.session.database, desk.session.token).status == "I"
    return wire


def test_random_bytes_before_the_login(desk: Desk) -> None:
    draw = random.Random(1)
    for _ in range(60):
        assert READY not in _throw(desk, draw.randbytes(draw.choice((1, 4, 8, 100, 5000))), wait=0.05)
    assert _alive(desk)


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("!ii", 8, 80877103) * 50,
        struct.pack("!ii", 2**31 - 1, 196608),
        struct.pack("!ii", 0, 0),
        struct.pack("!ii", -1, 196608),
        struct.pack("!ii", 9999, 196608) + b"user\0" + b"x" * 9000,
        startup({"user": "x" * 9000, "database": "corpus"}),
        startup({"user": "", "database": ""}),
        startup({"user": "constant-bot", "database": "corpus"}, version=2 << 16),
        startup({"user": "constant-bot", "database": "../../etc"}) + message(b"p", cstring("x")),
        startup({"user": "constant-bot", "database": "corpus"}) + message(b"p", b"x" * 70_000),
        struct.pack("!iiii", 16, 80877102, 1, 2),
        struct.pack("!ii", 8, 80877102),
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01" + b"\0" * 500,
    ],
)
def test_broken_start_ups_are_refused(desk: Desk, data: bytes) -> None:
    assert READY not in _throw(desk, data)
    assert _alive(desk)


@pytest.mark.parametrize(
    "data",
    [
        b"Q" + struct.pack("!i", 3),
        b"Q" + struct.pack("!i", -5) + b"x",
        b"Q" + struct.pack("!i", 2**31 - 1) + b"SELECT 1",
        message(b"Q", b"SELECT 1"),
        message(b"Q", b"SELECT '\xff\xfe'\0"),
        message(b"Q", b"SELECT 1\0 SELECT ssn FROM customers\0"),
        message(b"P", b"\0SELECT 1\0" + struct.pack("!h", 30000)),
        message(b"B", b"\0\0" + struct.pack("!hh", 0, 1) + struct.pack("!i", 2**31 - 1)),
        message(b"B", b"\0\0" + struct.pack("!hh", -1, -1)),
        parse("SELECT $1::int") + message(b"B", b"\0\0" + struct.pack("!hhhi", 1, 7, 1, 0)) + SYNC,
        message(b"E", b"\0"),
        message(b"D", b"Z\0"),
        message(b"C", b""),
        message(b"F", struct.pack("!ihhh", 1, 0, 0, 0)),
        message(b"d", b"x" * 1000) + message(b"c") + message(b"f", cstring("x")),
        message(b"p", cstring("again")),
        message(b"?", b"x" * 10),
        bytes(range(256)),
        (parse("SELECT 1", "s" * 5000) + SYNC) * 3,
        execute("nowhere") + SYNC,
        parse("SELECT ssn FROM customers")
        + bind()
        + describe()
        + execute()
        + parse("SELECT 1")
        + bind()
        + execute()
        + SYNC,
    ],
)
def test_broken_messages_of_a_session_harm_only_itself(desk: Desk, data: bytes) -> None:
    with _logged_in(desk) as other, _logged_in(desk) as wire:
        with contextlib.suppress(WireClosedError):
            wire.socket.settimeout(1)
            wire.send(data)
            desk.clean(wire.collect().texts())
        assert other.simple("SELECT 1").rows == [("1",)]
    assert _alive(desk)


def test_random_mutations_of_a_session_never_leak(desk: Desk) -> None:
    draw = random.Random(2)
    honest = query("SELECT name FROM customers") + parse("SELECT subject FROM tickets WHERE ticket_id = $1")
    honest += bind(["501"]) + describe() + execute() + SYNC
    for _ in range(40):
        data = bytearray(honest)
        for _ in range(draw.randint(1, 6)):
            data[draw.randrange(len(data))] = draw.randrange(256)
        with _logged_in(desk) as wire, contextlib.suppress(WireClosedError):
            wire.timeout = 0.3
            wire.socket.settimeout(0.3)
            wire.send(bytes(data))
            desk.clean(wire.collect().texts())
    assert _alive(desk)


def test_a_message_may_come_byte_by_byte(desk: Desk) -> None:
    with _logged_in(desk) as wire:
        wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in query("SELECT name FROM customers"):
            wire.send(bytes([byte]))
        assert wire.collect().rows == [("Xenia Marsh",)]


@pytest.mark.parametrize("name", sorted(BOMBS))
def test_a_parser_bomb_is_answered_and_harms_nobody(desk: Desk, name: str) -> None:
    before = desk.gateway.memory()
    with _logged_in(desk) as wire, _logged_in(desk) as other:
        wire.send(query(BOMBS[name]))
        began = time.monotonic()
        assert other.simple("SELECT 1").rows == [("1",)]
        assert time.monotonic() - began < 5, "another session had to wait"
        reply = wire.collect()
        assert reply.status == "I", "the connection was lost"
        assert wire.simple("SELECT count(*) FROM tickets").rows == [("3",)]
    assert desk.gateway.memory() - before < GROWTH


def test_ten_thousand_half_open_connections(desk: Desk) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 10_000
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, wanted + 500)), hard))
    before = desk.gateway.memory()
    held: list[socket.socket] = []
    try:
        with _logged_in(desk) as honest:
            for number in range(wanted):
                try:
                    held.append(socket.create_connection(("127.0.0.1", desk.session.port), 5))
                    if number % 2:
                        held[-1].sendall(b"\0\0\0")
                except OSError:
                    if len(held) > 500:  # of our own files, keep some free
                        held.pop(0).close()
                if number % 1000 == 0:
                    assert honest.simple("SELECT 1").rows == [("1",)]
            assert _alive(desk)
            assert honest.simple("SELECT 1").rows == [("1",)]
    finally:
        for each in held:
            each.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert desk.gateway.memory() - before < GROWTH
    assert _alive(desk)


def test_a_client_that_never_reads_holds_no_memory(desk: Desk) -> None:
    before = desk.gateway.memory()
    with _logged_in(desk) as wire:
        wire.send(query("SELECT repeat('x', 1000) FROM generate_series(1, 300000)"))
        time.sleep(1.5)
        assert desk.gateway.memory() - before < GROWTH
        assert _alive(desk)


def test_a_client_that_sends_without_end_holds_no_memory(desk: Desk) -> None:
    before = desk.gateway.memory()
    with _logged_in(desk) as wire, contextlib.suppress(WireClosedError):
        wire.socket.settimeout(0.5)
        for _ in range(400):
            wire.send((parse("SELECT 1") + bind() + execute()) * 500)
    assert desk.gateway.memory() - before < GROWTH
    assert _alive(desk)


def _working(desk: Desk) -> int:
    active = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%2000000007%' AND pid <> pg_backend_pid()"
    active += " AND datname = current_database()"
    return int(str(desk.upstream.rows(active)[0][0]))


def test_work_ends_when_its_client_is_gone(desk: Desk) -> None:
    with _logged_in(desk) as wire:
        wire.send(query("SELECT count(*) FROM generate_series(1, 2000000007)"))
        time.sleep(0.7)
        assert _working(desk) == 1
    deadline = time.monotonic() + 5
    while _working(desk) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert _working(desk) == 0
