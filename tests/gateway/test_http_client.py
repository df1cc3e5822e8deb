"""The HTTP client towards backends: against servers that answer byte by byte what a test says, also wrongly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.gateway.http_client import Address, Answer, HttpClient, HttpError, Origin, address_of

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Script = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """Answers each request as its script says, and counts connections."""

    def __init__(self, script: Script) -> None:
        self.connections = 0
        self.requests: list[bytes] = []
        self._script = script

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
                self.requests.append(head + await reader.readexactly(length))
                await self._script(self.requests[-1], writer)
        except (asyncio.IncompleteReadError, OSError):
            writer.close()


@asynccontextmanager
async def serving(script: Script | bytes) -> AsyncGenerator[tuple[HttpClient, Server]]:
    async def always(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(script if isinstance(script, bytes) else b"")

    server = Server(always if isinstance(script, bytes) else script)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    client = HttpClient(Origin("http", "127.0.0.1", int(listening.sockets[0].getsockname()[1])))
    try:
        yield client, server
    finally:
        await client.close()
        listening.close()


async def body_of(answer: Answer) -> bytes:
    found = bytearray()
    while part := await answer.part():
        found += part
    return bytes(found)


async def test_a_request_goes_out_as_it_is_given_with_its_host_and_length() -> None:
    async with serving(OK) as (client, server):
        answer = await client.send("POST", "/a?b=c", [("X-One", "1")], b"hello")
        assert (answer.status, await body_of(answer)) == (200, b"ok")
        assert answer.header(b"content-length") == b"2"
        lines = server.requests[0].split(b"\r\n")
        assert lines[0] == b"POST /a?b=c HTTP/1.1"
        assert lines[1].startswith(b"Host: 127.0.0.1:")
        assert lines[2:] == [b"X-One: 1", b"Content-Length: 5", b"", b"hello"]


async def test_a_connection_is_used_again_once_its_answer_was_read() -> None:
    async with serving(OK) as (client, server):
        for _ in range(3):
            await body_of(await client.send("GET", "/", ()))
        assert server.connections == 1
        first, second = await client.send("GET", "/", ()), await client.send("GET", "/", ())
        assert [await body_of(first), await body_of(second)] == [b"ok", b"ok"]
        assert server.connections == 2


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", b"abcde"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, b"ok"),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK, b"ok"),
    ],
)
async def test_bodies_end_where_their_framing_says_and_the_connection_stays(answer: bytes, body: bytes) -> None:
    async with serving(answer) as (client, server):
        for _ in range(2):
            found = await client.send("POST", "/", ())
            assert await body_of(found) == body
            assert found.header(b"link") is None
        assert server.connections == 1


async def test_a_body_without_a_length_ends_with_the_connection() -> None:
    async def script(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nall of it")
        writer.close()

    async with serving(script) as (client, server):
        assert await body_of(await client.send("GET", "/", ())) == b"all of it"
        assert await body_of(await client.send("GET", "/", ())) == b"all of it"
        assert server.connections == 2


async def test_the_answer_to_head_has_no_body_whatever_its_length_says() -> None:
    async with serving(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n") as (client, server):
        for _ in range(2):
            answer = await client.send("HEAD", "/", ())
            assert (answer.status, await body_of(answer)) == (200, b"")
        assert server.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", id="both"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nokk", id="two lengths"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", id="a length twice"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok", id="negative"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok", id="space before the colon"),
        pytest.param(b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", id="bare line feeds"),
        pytest.param(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", id="switching"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000 + b"\r\n\r\n", id="a head too long"),
        pytest.param(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 300 + b"\r\n", id="too many headers"),
        pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n", id="not HTTP"),
    ],
)
async def test_an_answer_that_could_be_read_in_two_ways_is_none(answer: bytes) -> None:
    async with serving(answer) as (client, _):
        with pytest.raises(HttpError):
            await body_of(await client.send("GET", "/", ()))


async def test_an_answer_that_was_not_asked_for_is_nobodys() -> None:
    forged = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"

    async def script(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(OK + (forged if b"/first" in request else b""))

    async with serving(script) as (client, server):
        with pytest.raises(HttpError):
            await body_of(await client.send("GET", "/first", ()))
        assert await body_of(await client.send("GET", "/second", ())) == b"ok"
        assert server.connections == 2


async def test_a_body_that_breaks_off_is_an_error() -> None:
    async def script(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        writer.close()

    async with serving(script) as (client, _):
        answer = await client.send("GET", "/", ())
        with pytest.raises(HttpError):
            await body_of(answer)


async def test_parts_come_as_the_server_sends_them() -> None:
    goes_on = asyncio.Event()

    async def script(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        await goes_on.wait()
        writer.write(b"3\r\ntwo\r\n0\r\n\r\n")

    async with serving(script) as (client, _):
        answer = await client.send("GET", "/", ())
        assert await answer.part() == b"one"
        goes_on.set()
        assert await body_of(answer) == b"two"


async def test_a_body_that_nobody_takes_is_not_read_ahead_without_end() -> None:
    sent = 0

    async def script(_: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 67108864\r\n\r\n")
        for _block in range(1024):
            writer.write(bytes(65536))
            await writer.drain()
            sent += 65536

    async with serving(script) as (client, _):
        answer = await client.send("GET", "/", ())
        before = -1
        while before != sent:  # until the server can send no more
            before = sent
            await asyncio.sleep(0.3)
        assert sent < 32 * 1024 * 1024
        assert len(await body_of(answer)) == 67108864


@pytest.mark.parametrize(("leave", "connections"), [(True, 1), (False, 2)])
async def test_what_is_left_keeps_its_connection_and_what_is_closed_does_not(*, leave: bool, connections: int) -> None:
    goes_on, ended = asyncio.Event(), asyncio.Event()

    async def script(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        await goes_on.wait()
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        ended.set()

    async with serving(script) as (client, server):
        answer = await client.send("GET", "/", ())
        await answer.part()
        if leave:
            answer.leave()
        else:
            answer.close()
        goes_on.set()
        await ended.wait()
        for _ in range(5):  # what was sent arrives
            await asyncio.sleep(0.02)
        await body_of(await client.send("GET", "/", ()))
        assert server.connections == connections


async def test_what_is_left_and_does_not_end_is_ended() -> None:
    gone = asyncio.Event()

    async def script(_: bytes, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + bytes(65536))
                await writer.drain()
        except OSError:
            gone.set()

    async with serving(script) as (client, _):
        (await client.send("GET", "/", ())).leave()
        await asyncio.wait_for(gone.wait(), 60)


async def test_cancelling_a_request_ends_its_connection() -> None:
    asked, gone = asyncio.Event(), asyncio.Event()

    async def script(_: bytes, writer: asyncio.StreamWriter) -> None:
        asked.set()
        try:
            while True:
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                await writer.drain()
                await asyncio.sleep(0.01)
        except OSError:
            gone.set()

    async with serving(script) as (client, _):
        request = asyncio.create_task(client.send("GET", "/", ()))
        await asked.wait()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        await asyncio.wait_for(gone.wait(), 60)


async def test_nobody_there_is_said_and_nothing_was_sent() -> None:
    async with serving(OK) as (_, server):
        pass
    client = HttpClient(Origin("http", "127.0.0.1", 1))
    with pytest.raises(HttpError) as caught:
        await client.send("GET", "/", ())
    assert caught.value.unsent
    assert not server.requests


@pytest.mark.parametrize(
    ("method", "target", "header"),
    [
        ("GET", "/", ("X", "a\r\nY: b")),
        ("GET", "/", ("X", "a\nY: b")),
        ("GET", "/", ("X\r\nY", "b")),
        ("GET", "/", ("X", "a\0")),
        ("GET", "/a b", ("X", "a")),
        ("GET /other", "/", ("X", "a")),
        ("GET", "/\r\nX: y", ("X", "a")),
    ],
)
async def test_what_would_smuggle_a_line_is_not_sent(method: str, target: str, header: tuple[str, str]) -> None:
    async with serving(OK) as (client, server):
        with pytest.raises(ValueError, match="line of the head"):
            await client.send(method, target, [header])
        assert not server.requests
        assert await body_of(await client.send("GET", "/", [("X", "a")])) == b"ok"


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=8), st.data())
def test_an_answer_means_the_same_however_it_is_cut_into_packets(parts: Sequence[bytes], data: st.DataObject) -> None:
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
    wire = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    cuts = sorted(data.draw(st.sets(st.integers(1, len(wire) - 1), max_size=6)))

    async def script(_: bytes, writer: asyncio.StreamWriter) -> None:
        for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True):
            writer.write(wire[start:end])
            await asyncio.sleep(0)

    async def main() -> bytes:
        async with serving(script) as (client, _):
            return await body_of(await client.send("GET", "/", ()))

    assert asyncio.run(main()) == b"".join(parts)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://a.example", Address(Origin("http", "a.example", 80), "/", "")),
        ("https://a.example:8443/mcp?x=1", Address(Origin("https", "a.example", 8443), "/mcp?x=1", "")),
        ("http://[::1]:80/a b", Address(Origin("http", "::1", 80), "/a%20b", "")),
        ("https://u:p%40@a.example/", Address(Origin("https", "a.example", 443), "/", "Basic dTpwQA==")),
    ],
)
def test_a_url_is_read_into_an_address(url: str, address: Address) -> None:
    assert address_of(url) == address


def test_the_host_is_said_with_its_port_unless_that_is_the_usual_one() -> None:
    assert [address_of(url).origin.authority for url in ("http://a", "https://a:80", "http://[::1]:8")] == [
        "a",
        "a:80",
        "[::1]:8",
    ]


@pytest.mark.parametrize("url", ["ftp://a", "a.example", "http:///x", "http://a:port/"])
def test_what_is_no_url_of_a_server_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"URL|[Pp]ort"):
        address_of(url)
