"""Framing, bounds and hostile bytes: no input makes anything but a `ProtocolError` or a clean end."""

from __future__ import annotations

import contextlib
import struct
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bailiwick.errors import ProtocolError
from bailiwick.mounts.postgres import codec
from bailiwick.mounts.postgres.scrub import without_literals
from bailiwick.mounts.postgres.startup import Login, Refuse, Reply, StartTls, Startup
from tests.mounts.playbook import (
    BOUND,
    PARSED,
    READY,
    Playbook,
    bind_values,
    described,
    done,
    error_of,
    kinds,
    row,
)

names = st.binary(max_size=20).map(lambda data: data.replace(b"\0", b""))
values = st.lists(st.none() | st.binary(max_size=300), max_size=5)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([b"Q", b"D", b"Z"]), st.binary(max_size=400)), max_size=8),
    st.lists(st.integers(0, 3000), max_size=12),
)
def test_the_framer_gives_back_what_was_framed_however_it_is_cut(
    sent: list[tuple[bytes, bytes]], cuts: list[int]
) -> None:
    stream = b"".join(codec.message(kind, body) for kind, body in sent)
    framer = codec.Framer(1000)
    got: list[tuple[bytes, bytes]] = []
    for start, end in pairwise([0, *sorted(cuts), len(stream) + 3000]):
        framer.feed(stream[start:end])
        while (taken := framer.message()) is not None:
            got.append(taken)
    assert got == sent


@pytest.mark.parametrize("size", [0, 3, 1001, 0x7FFFFFFF, 0xFFFFFFFF])
def test_the_framer_refuses_lengths_out_of_bounds(size: int) -> None:
    framer = codec.Framer(1000)
    framer.feed(b"Q" + codec.pack_int32(size))
    with pytest.raises(ProtocolError):
        framer.message()


@given(names, names, values)
def test_bind_round_trips(portal: bytes, statement: bytes, given_values: list[bytes | None]) -> None:
    sized = b"".join(
        codec.NULL_VALUE if value is None else codec.pack_int32(len(value)) + value for value in given_values
    )
    tail = b"\0\1\0\1" + codec.pack_int16(len(given_values)) + sized + b"\0\1\0\0"
    raw = codec.bind(portal, statement, tail)
    found_portal, found_statement, pos = codec.read_bind(raw)
    assert (found_portal, found_statement) == (portal, statement)
    assert codec.read_bind_tail(raw, pos) == (b"\0\1", len(given_values), sized, b"\0\0")


@given(st.binary(max_size=60))
def test_readers_raise_nothing_but_protocol_errors(data: bytes) -> None:
    raw = codec.message(b"P", data)
    readers = (codec.read_parse, codec.read_execute, codec.read_named, codec.read_query, codec.read_bind)
    for reader in readers:
        with contextlib.suppress(ProtocolError):
            assert reader(raw) is not None
    with contextlib.suppress(ProtocolError):
        codec.read_bind_tail(raw, 5)
    with contextlib.suppress(ProtocolError):
        codec.read_startup(data)


@given(st.lists(st.integers(1, 700), max_size=200), st.binary(max_size=9))
def test_rows_are_counted_exactly(sizes: list[int], rest: bytes) -> None:
    rows = b"".join(codec.message(b"D", b"D\0\0\0\6" * (size // 5) + b"x" * (size % 5)) for size in sizes)
    data = rows + rest.replace(b"D", b"C")
    assert codec.skip_rows(data, 0, ord("D")) == (len(rows), len(sizes))


@settings(deadline=None)
@given(st.integers(0, 4), st.lists(st.integers(0, 255), min_size=33, max_size=150), st.integers(0, 40))
def test_long_runs_of_rows_are_counted_exactly(high: int, lows: list[int], cut: int) -> None:
    sizes = [max(4, 256 * high + low) for low in lows]
    data = b"".join(
        b"D" + codec.pack_int32(size) + (b"D\0\0\0\6" * (size // 5))[: size - 4].ljust(size - 4) for size in sizes
    )
    whole, at = 0, 0
    data = data[: len(data) - cut]
    for size in sizes:
        if at + size + 1 > len(data):
            break
        at += size + 1
        whole += 1
    assert codec.skip_rows(data, 0, ord("D")) == (at, whole)


@given(st.lists(st.binary(max_size=50) | st.none(), min_size=1, max_size=6))
def test_the_last_value_is_split_off(cells: list[bytes | None]) -> None:
    assert codec.split_last_value(row(*cells)) == (row(*cells[:-1]), cells[-1])


# --- the machine under hostile clients ---

SCRIPT = (
    codec.parse(b"s", b"SELECT 1")
    + bind_values(b"s", b"v")
    + codec.describe(b"P", b"")
    + codec.execute(b"")
    + codec.SYNC
)
REPLY = PARSED + BOUND + described("a") + row(b"x" * 300) * 3 + done("SELECT 3") + READY


def test_one_byte_at_a_time_is_the_same_as_all_at_once() -> None:
    play = Playbook()
    sent = b"".join(play.client(bytes((byte,))) for byte in SCRIPT)
    assert sent == Playbook().client(SCRIPT)
    got = b"".join(play.server(bytes((byte,))) for byte in REPLY)
    assert kinds(got) == "12TDDDCZ"
    assert play.ledger.outcomes() == [("call", "", 3)]


@settings(deadline=None)
@given(st.lists(st.integers(0, len(REPLY)), max_size=12))
def test_replies_do_not_depend_on_how_they_are_cut(cuts: list[int]) -> None:
    play = Playbook()
    play.client(SCRIPT)
    at = [0, *sorted(cuts), len(REPLY)]
    got = b"".join(play.server(REPLY[start:end]) for start, end in pairwise(at))
    whole = Playbook()
    whole.client(SCRIPT)
    assert got == whole.server(REPLY)


@given(st.binary(max_size=200))
def test_random_bytes_from_a_client_end_cleanly(data: bytes) -> None:
    play = Playbook()
    play.client(data)
    if play.edge.closed:
        reply = play.to_client()
        assert reply == b"" or error_of(reply)["S"] == "FATAL"


@given(st.lists(st.tuples(st.sampled_from(b"QPBDECSHFXdcfz"), st.binary(max_size=40)), max_size=10))
def test_well_framed_nonsense_from_a_client_ends_cleanly(sent: list[tuple[int, bytes]]) -> None:
    play = Playbook()
    play.client(*(codec.message(bytes((kind,)), body) for kind, body in sent))
    assert b"CANARY" not in play.to_client()


@given(st.lists(st.tuples(st.sampled_from(b"123tTnCIsHcdDENSAZGK"), st.binary(max_size=40)), max_size=10))
def test_nonsense_from_a_server_ends_the_connection_or_is_held(sent: list[tuple[int, bytes]]) -> None:
    play = Playbook()
    play.client(SCRIPT)
    play.server(*(codec.message(bytes((kind,)), body) for kind, body in sent))
    assert play.ledger.kinds().count("intent") <= 1


def test_a_declared_length_is_not_believed_into_memory() -> None:
    play = Playbook()
    play.client(b"Q" + struct.pack(">I", codec.MAX_MESSAGE + 1))
    assert play.edge.closed


# --- start-up ---


def start_up(**settings: str) -> bytes:
    return codec.startup({"user": "bot", "database": "crm", **settings})


def password(token: str = "tok") -> bytes:
    return codec.message(b"p", token.encode() + b"\0")


def test_a_login_is_read_one_byte_at_a_time() -> None:
    startup = Startup(tls=False)
    steps = [step for byte in start_up(application_name="psql") + password() for step in startup.feed(bytes((byte,)))]
    assert steps == [
        Reply(codec.AUTHENTICATION_CLEARTEXT),
        Login("bot", "crm", "tok", {"application_name": "psql"}, codec.VERSION_3_0),
    ]


@pytest.mark.parametrize("encoding", ["UTF8", "utf-8", "'utf-8'", "unicode"])
def test_utf8_by_any_name_is_accepted(encoding: str) -> None:
    assert Startup(tls=False).feed(start_up(client_encoding=encoding)) == [Reply(codec.AUTHENTICATION_CLEARTEXT)]


@pytest.mark.parametrize(
    "settings",
    [
        {"options": "-c search_path=evil"},
        {"replication": "database"},
        {"client_encoding": "SJIS"},
        {"standard_conforming_strings": "off"},
        {"search_path": "evil"},
        {"role": "postgres"},
        {"session_authorization": "postgres"},
        {"DateStyle": "ISO'; DROP"},
    ],
)
def test_other_start_up_parameters_are_refused(settings: dict[str, str]) -> None:
    (step,) = Startup(tls=False).feed(start_up(**settings))
    assert isinstance(step, Refuse)
    assert error_of(step.data)["S"] == "FATAL"


@pytest.mark.parametrize("version", [0x20000, 0x40000, 0, 1])
def test_other_protocols_are_refused(version: int) -> None:
    (step,) = Startup(tls=False).feed(codec.startup({"user": "bot", "database": "crm"}, version))
    assert isinstance(step, Refuse)


def test_higher_minor_versions_and_options_are_negotiated_down() -> None:
    packet = codec.startup({"user": "bot", "database": "crm", "_pq_.grease": "1"}, 0x0003270F)
    (step,) = Startup(tls=False).feed(packet)
    assert isinstance(step, Reply)
    assert kinds(step.data) == "vR"
    assert codec.pack_int32(codec.VERSION_3_2) + codec.pack_int32(1) + b"_pq_.grease\0" in step.data


def test_encryption_is_offered_when_there_is_a_certificate() -> None:
    asked = codec.untyped(codec.pack_int32(codec.SSL_REQUEST))
    assert Startup(tls=True).feed(asked) == [StartTls(b"S")]
    assert Startup(tls=False).feed(asked) == [Reply(b"N")]
    assert Startup(tls=True).feed(codec.untyped(codec.pack_int32(codec.GSSENC_REQUEST))) == [Reply(b"N")]


def test_bytes_stuffed_before_the_handshake_are_refused() -> None:
    asked = codec.untyped(codec.pack_int32(codec.SSL_REQUEST))
    (step,) = Startup(tls=True).feed(asked + start_up())
    assert isinstance(step, Refuse)


def test_beyond_loopback_only_plaintext_mounts_can_do_without_tls() -> None:
    (step,) = Startup(tls=True, unencrypted=frozenset()).feed(start_up())
    assert isinstance(step, Refuse)
    assert Startup(tls=True, unencrypted=frozenset({"crm"})).feed(start_up()) == [Reply(codec.AUTHENTICATION_CLEARTEXT)]
    encrypted = Startup(tls=True, unencrypted=frozenset())
    encrypted.encrypted = True
    assert encrypted.feed(start_up()) == [Reply(codec.AUTHENTICATION_CLEARTEXT)]


@given(st.binary(max_size=100))
def test_random_start_ups_are_refused_or_waited_for(data: bytes) -> None:
    startup = Startup(tls=False)
    assert not any(isinstance(step, Login) for step in startup.feed(data))


# --- statements in the ledger ---


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("SELECT * FROM t WHERE a = 'x''y' AND b = 12.5e3", "SELECT * FROM t WHERE a = $1 AND b = $2"),
        ("SELECT E'a\\'b', $$ssn$$, $x$ 1 $x$, B'01'", "SELECT $1, $2, $3, $4"),
        ('SELECT "a 1", a1, $1 -- note\n/* x */', 'SELECT "a 1", a1, $1'),
        ("SELECT U&'\\0041'", "SELECT $1"),
        ("SELECT 'a\\' OR 'ssn'", "SELECT $1 OR $2"),
        ("SELECT fooe'a\\' OR 'ssn'", "SELECT fooe$1 OR $2"),
        ("SELECT /* a /* b */ 'ssn' */ 1", "SELECT …"),
        ("SELECT 'never ends", "SELECT …"),
        ("SELECT /* never ends 123", "SELECT …"),
    ],
)
def test_literals_do_not_reach_the_ledger(text: str, kept: str) -> None:
    assert " ".join(without_literals(text).split()) == kept


@given(st.text(max_size=200))
def test_a_literal_is_scrubbed_whatever_stands_behind_it(text: str) -> None:
    assert "CANARY" not in without_literals(f"SELECT 'CANARY' {text}")
