"""The listener on real sockets and a real server: checked writes, cancel, TLS, cuts, shut-down, floods."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import subprocess
from pathlib import Path

import asyncpg
import psycopg
import pytest

from bailiwick.errors import BackendError, ConfigError
from bailiwick.model.decision import Denial
from bailiwick.model.value import Ref
from bailiwick.mounts.postgres import codec
from bailiwick.mounts.postgres.connection import Target
from bailiwick.mounts.postgres.server import Bounds
from bailiwick.mounts.postgres.upstream import connect, read_url
from bailiwick.sql.plan import Bound, Plan
from tests.mounts.conftest import Gateway, Start
from tests.mounts.fakes import planned
from tests.support.postgres import Database

TENANT = Bound(Ref(("tenant",)), "integer")
SCOPED = Plan(
    "READ", "SELECT id, name FROM public.items WHERE id > $1 AND owner = $2 ORDER BY id", first=2, bound=(TENANT,)
)
CHECKED = Plan(
    "WRITE",
    "UPDATE public.items SET owner = $1 WHERE id = 3 RETURNING id, owner = $2",
    first=2,
    bound=(TENANT,),
    checked=True,
)
planner = planned({"scoped": SCOPED, "checked": CHECKED})


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for localhost."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-days", "2"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(cert), *names], check=True, capture_output=True)
    return cert, key


def server_tls(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


async def test_bound_values_scope_a_prepared_statement(start: Start) -> None:
    gateway = await start(planner)
    connection = await asyncpg.connect(gateway.url())
    statement = await connection.prepare("scoped")
    assert [row["id"] for row in await statement.fetch(90)] == [91, 95, 99]
    await connection.close()


async def test_a_checked_write_inside_scope_is_made(start: Start) -> None:
    gateway = await start(planner)
    connection = await asyncpg.connect(gateway.url())
    assert [tuple(row) for row in await connection.fetch("checked", 3)] == [(3,)]
    await connection.close()
    assert gateway.ledger.outcomes() == [("outcome", "", 1)]


async def test_a_checked_write_out_of_scope_is_undone(start: Start) -> None:
    gateway = await start(planner)
    connection = await asyncpg.connect(gateway.url())
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.fetch("checked", 1)
    assert gateway.database.rows("SELECT owner FROM items WHERE id = 3") == [(3,)]
    async with connection.transaction():
        assert await connection.fetchval("SELECT 1") == 1
    await connection.close()
    assert ("outcome", "row_out_of_scope", 1) in gateway.ledger.outcomes()


async def test_a_cancel_request_stops_the_statement_and_nothing_else(gateway: Gateway) -> None:
    async with await psycopg.AsyncConnection.connect(gateway.url(), autocommit=True) as connection:
        running = asyncio.create_task(connection.execute("SELECT pg_sleep(30)"))
        await asyncio.sleep(0.3)
        await connection.cancel_safe(timeout=5)
        with pytest.raises(psycopg.errors.QueryCanceled):
            await running
        cursor = await connection.execute("SELECT 1")
        assert await cursor.fetchone() == (1,)


async def test_a_cancel_request_with_a_wrong_key_is_ignored(gateway: Gateway) -> None:
    connection = await asyncpg.connect(gateway.url())
    running = asyncio.create_task(connection.fetchval("SELECT pg_sleep(0.5)::text"))
    await asyncio.sleep(0.1)
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.server.port)
    packet = codec.pack_int32(codec.CANCEL_REQUEST) + codec.pack_int32(connection.get_server_pid()) + b"\0\0\0\0"
    writer.write(codec.untyped(packet))
    assert await reader.read() == b""
    assert await running == ""
    await connection.close()


@pytest.mark.parametrize("negotiation", ["postgres", "direct"])
async def test_tls_clients_verify_the_gateway(start: Start, certificate: tuple[Path, Path], negotiation: str) -> None:
    gateway = await start(tls=server_tls(certificate))
    async with await psycopg.AsyncConnection.connect(
        gateway.url(),
        sslmode="verify-full",
        sslrootcert=str(certificate[0]),
        sslnegotiation=negotiation,
        autocommit=True,
    ) as connection:
        assert connection.pgconn.ssl_in_use
        cursor = await connection.execute("SELECT i, repeat('x', 100) FROM generate_series(1, 5000) i")
        assert len(await cursor.fetchall()) == 5000


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
    writer.close()


async def _tls_in_front_of(database: Database, certificate: tuple[Path, Path]) -> asyncio.Server:
    """A server that asks for TLS and passes on to the database, whose own build has none."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)
        writer.write(b"S")
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            await writer.start_tls(server_tls(certificate))
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", database.server.port)
            await asyncio.gather(_relay(reader, inner_writer), _relay(inner_reader, writer))

    return await asyncio.start_server(serve, "localhost", 0)


async def test_the_gateways_own_connection_verifies_its_server(
    gateway: Gateway, shop: Database, certificate: tuple[Path, Path]
) -> None:
    relay = await _tls_in_front_of(shop, certificate)
    port = relay.sockets[0].getsockname()[1]
    url = shop.url().replace(f"127.0.0.1:{shop.server.port}", f"localhost:{port}") + "?sslmode=verify-full"
    gateway.mounts["crm"] = Target(read_url(f"{url}&sslrootcert={certificate[0]}"))
    connection = await asyncpg.connect(gateway.url())
    assert await connection.fetchval("SELECT 40 + 2") == 42
    with pytest.raises(TimeoutError):  # and a cancel request goes through TLS as well
        await connection.fetchval("SELECT pg_sleep(30)::text", timeout=0.3)
    assert await connection.fetchval("SELECT 1") == 1
    await connection.close()
    with pytest.raises(BackendError, match="TLS"):
        await connect(read_url(url), {})
    relay.close()


async def test_a_database_without_tls_is_refused_when_tls_is_required(gateway: Gateway) -> None:
    with pytest.raises(BackendError, match="does not offer TLS"):
        await connect(read_url(gateway.url() + "?sslmode=require"), {})


async def test_shutting_down_ends_unfinished_handshakes(start: Start, certificate: tuple[Path, Path]) -> None:
    gateway = await start(tls=server_tls(certificate))
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.server.port)
    writer.write(codec.untyped(codec.pack_int32(codec.SSL_REQUEST)))
    assert await reader.readexactly(1) == b"S"
    await gateway.server.close(0.1)
    assert await reader.read() == b""
    assert gateway.server.connections == 0


async def test_direct_tls_needs_the_protocols_name(start: Start, certificate: tuple[Path, Path]) -> None:
    gateway = await start(tls=server_tls(certificate))
    context = ssl.create_default_context(cafile=str(certificate[0]))
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.server.port, ssl=context)
    writer.write(codec.startup({"user": "bot", "database": "crm"}))
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""


async def test_a_cut_session_is_told_and_its_transaction_rolled_back(gateway: Gateway) -> None:
    connection = await asyncpg.connect(gateway.url())
    await connection.execute("BEGIN")
    await connection.execute("UPDATE public.items SET name = 'cut' WHERE id = 1")
    running = asyncio.create_task(connection.fetch("SELECT pg_sleep(30)"))
    await asyncio.sleep(0.2)
    gateway.ledger.cuts[0](Denial("session_revoked", "the session was revoked"))
    with pytest.raises(asyncpg.ConnectionDoesNotExistError, match="the session was revoked"):
        await running
    await asyncio.sleep(0.3)
    assert gateway.database.rows("SELECT name FROM items WHERE id = 1") == [("item 1",)]
    running_still = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(30)'"
    assert gateway.database.rows(running_still) == [(0,)]
    assert gateway.ledger.cuts == []


async def test_a_client_that_vanishes_leaves_nothing_behind(gateway: Gateway) -> None:
    connection = await asyncpg.connect(gateway.url())
    await connection.execute("BEGIN")
    await connection.execute("UPDATE public.items SET name = 'gone' WHERE id = 2")
    connection.terminate()
    await asyncio.sleep(0.3)
    assert gateway.database.rows("SELECT name FROM items WHERE id = 2") == [("item 2",)]
    assert gateway.server.connections == 0
    assert gateway.ledger.cuts == []


async def test_shutting_down_lets_a_statement_finish_and_cuts_the_rest(start: Start) -> None:
    gateway = await start()
    idle = await asyncpg.connect(gateway.url())
    busy = await asyncpg.connect(gateway.url())
    running = asyncio.create_task(busy.fetchval("SELECT 'finished' FROM pg_sleep(0.5)"))
    await asyncio.sleep(0.1)
    await gateway.server.close(5.0)
    assert await running == "finished"
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
        await idle.fetchval("SELECT 1")
    with pytest.raises(ConnectionRefusedError):
        await asyncpg.connect(gateway.url())


async def test_a_slow_reader_slows_the_server_not_the_memory(gateway: Gateway) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.server.port, limit=4096)
    writer.write(codec.startup({"user": "bot", "database": "crm"}) + codec.message(b"p", b"secret-token\0"))
    text = b"SELECT repeat('x', 1000) FROM generate_series(1, 200000)\0"
    writer.write(codec.message(b"Q", text))
    await asyncio.sleep(1.0)
    active = (
        "SELECT wait_event FROM pg_stat_activity WHERE query LIKE 'SELECT repeat%generate_series%' AND state='active'"
    )
    assert ("ClientWrite",) in gateway.database.rows(active)
    total = 0
    while total < 200_000_000 and (data := await reader.read(1 << 20)):
        total += len(data)
    writer.close()
    assert total >= 200_000_000


async def test_an_unreachable_database_is_told_without_its_address(gateway: Gateway) -> None:
    gateway.mounts["crm"] = Target(read_url("postgresql://secret-user:secret-pass@127.0.0.1:1/secretdb"))
    with pytest.raises(asyncpg.ConnectionFailureError) as failure:
        await asyncpg.connect(gateway.url())
    assert "secret" not in str(failure.value)


async def test_a_wrong_password_of_the_gateway_is_a_backend_error(shop: Database) -> None:
    with pytest.raises(BackendError, match="28P01") as failure:
        await connect(read_url(shop.url(password="wrong-pass")), {})
    assert "wrong-pass" not in repr(failure.value)


@pytest.mark.parametrize(
    "url", ["mysql://x", "postgresql://h/d?sslmode=no", "postgresql://h:x/d", "postgresql://h/d?a=b"]
)
def test_malformed_urls_are_refused(url: str) -> None:
    with pytest.raises(ConfigError):
        read_url(url)


def test_urls_are_read_as_libpq_reads_them() -> None:
    address = read_url("postgresql://us%40er:p%2Fw@/db?host=/tmp/sock&port=5433&sslmode=require")
    assert (address.host, address.port, address.user, address.password) == ("/tmp/sock", 5433, "us@er", "p/w")
    assert address.local
    assert "p/w" not in repr(address)


async def test_too_many_clients_are_told(start: Start) -> None:
    gateway = await start(bounds=Bounds(connections=1))
    first = await asyncpg.connect(gateway.url())
    with pytest.raises(asyncpg.PostgresError, match="too many connections"):
        await asyncpg.connect(gateway.url())
    await first.close()


async def test_clients_that_say_nothing_are_dropped(start: Start) -> None:
    gateway = await start(bounds=Bounds(login_timeout=0.2))
    reader, _ = await asyncio.open_connection("127.0.0.1", gateway.server.port)
    with contextlib.suppress(ConnectionError):
        assert await asyncio.wait_for(reader.read(), 5) == b""


async def test_half_open_clients_do_not_keep_others_out(start: Start) -> None:
    gateway = await start(bounds=Bounds(half_open=50))
    inside = await asyncpg.connect(gateway.url())
    writers: list[asyncio.StreamWriter] = []
    for count in range(10_000):
        _, writer = await asyncio.open_connection("127.0.0.1", gateway.server.port)
        writer.write(b"\0\0\0\x08\x04"[: count % 6])
        writers.append(writer)
        if len(writers) == 500:
            assert gateway.server.connections <= 60
            for each in writers:
                each.transport.abort()
            writers.clear()
    assert await inside.fetchval("SELECT 1") == 1
    late = await asyncpg.connect(gateway.url())
    assert await late.fetchval("SELECT 2") == 2
    await late.close()
    await inside.close()


@pytest.mark.parametrize(
    "data", [b"\xff" * 20000, b"\0\0\0\0", b"\0\0\0\x08\0\x03\0\0", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01"]
)
async def test_garbage_on_the_port_harms_nobody(gateway: Gateway, data: bytes) -> None:
    inside = await asyncpg.connect(gateway.url())
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.server.port)
    writer.write(data)
    writer.write_eof()
    with contextlib.suppress(ConnectionError):
        await asyncio.wait_for(reader.read(), 5)
    assert await inside.fetchval("SELECT 1") == 1
    await inside.close()
