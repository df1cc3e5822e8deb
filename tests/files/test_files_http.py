"""Files by HTTP: ranges, conditions, writes, lists, and the same scope as everywhere."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from tests.files.files_rig import CANARY, Desk, files_here
from tests.files.test_files_local import FILES, POLICY

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("files_http")]
LARGE = bytes(range(256)) * 12_000


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def desk() -> AsyncGenerator[Desk]:
    async with files_here(POLICY, {**FILES, "kb/large.bin": LARGE, "kb/größe ü.txt": "umlaut"}) as found:
        yield found


async def test_a_file_is_read_whole_in_parts_and_by_condition(desk: Desk) -> None:
    bot = await desk.agent()
    status, headers, body = await desk.http(bot, "GET", "kb/a.md")
    assert (status, body, headers["content-type"]) == (200, b"hello world", "text/markdown")
    tag = headers["etag"]
    assert (await desk.http(bot, "HEAD", "kb/a.md"))[2] == b""
    assert (await desk.http(bot, "GET", "kb/a.md", If_None_Match=tag))[0] == 304
    assert (await desk.http(bot, "GET", "kb/a.md", If_Match='"another"'))[0] == 412
    status, headers, body = await desk.http(bot, "GET", "kb/a.md", Range="bytes=6-")
    assert (status, body, headers["content-range"]) == (206, b"world", "bytes 6-10/11")
    assert (await desk.http(bot, "GET", "kb/a.md", Range="bytes=-3"))[2] == b"rld"
    assert (await desk.http(bot, "GET", "kb/a.md", Range="bytes=50-"))[0] == 416
    assert (await desk.http(bot, "GET", "kb/a.md", Range="bytes=0-1", If_Range='"another"'))[2] == b"hello world"
    assert (await desk.http(bot, "GET", "kb/gr%C3%B6%C3%9Fe%20%C3%BC.txt"))[2] == b"umlaut"


async def test_a_large_file_is_streamed(desk: Desk) -> None:
    bot = await desk.agent()
    status, headers, body = await desk.http(bot, "GET", "kb/large.bin")
    assert (status, int(headers["content-length"])) == (200, len(LARGE))
    assert body == LARGE
    status, _, body = await desk.http(bot, "GET", "kb/large.bin", Range="bytes=1000000-2000000")
    assert (status, body) == (206, LARGE[1_000_000:2_000_001])


async def test_a_file_is_written_and_deleted_by_condition(desk: Desk) -> None:
    bot = await desk.agent()
    status, headers, _ = await desk.http(bot, "PUT", "kb/put.md", b"one", If_None_Match="*")
    assert status == 201
    assert (await desk.http(bot, "PUT", "kb/put.md", b"two", If_None_Match="*"))[0] == 412
    assert (await desk.http(bot, "PUT", "kb/put.md", b"two", If_Match=headers["etag"]))[0] == 200
    assert (await desk.http(bot, "PUT", "kb/put.md", b"three", If_Match=headers["etag"]))[0] == 412
    assert (desk.root / "kb/put.md").read_bytes() == b"two"
    assert (await desk.http(bot, "PUT", "kb/big.bin", LARGE))[0] == 201
    assert (desk.root / "kb/big.bin").read_bytes() == LARGE
    assert (await desk.http(bot, "DELETE", "kb/put.md", If_Match=headers["etag"]))[0] == 412
    assert (await desk.http(bot, "DELETE", "kb/put.md"))[0] == 204
    assert not (desk.root / "kb/put.md").exists()


async def test_a_folder_is_listed(desk: Desk) -> None:
    bot = await desk.agent()
    status, _, body = await desk.http(bot, "GET", "kb/?recursive=true")
    shown = [each["path"] for each in json.loads(body)["entries"]]
    assert status == 200
    assert "kb/a.md" in shown
    assert "kb/inner/i.md" not in shown
    status, _, body = await desk.http(bot, "GET", "")
    assert [each["path"] for each in json.loads(body)["entries"]] == ["kb"]
    assert (await desk.http(bot, "GET", "kb/?depth=3"))[0] == 400


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "hr/pay.txt", 404),
        ("GET", "kb/inner/i.md", 404),
        ("GET", "kb/missing.md", 404),
        ("GET", "kb/../hr/pay.txt", 400),
        ("GET", "kb/%2e%2e/hr/pay.txt", 400),
        ("GET", "kb%2F..%2Fhr/pay.txt", 400),
        ("GET", "kb/%252e%252e/hr/pay.txt", 400),
        ("GET", "kb//a.md", 400),
        ("GET", "kb/a.md?x=1", 400),
        ("GET", "hr/", 404),
        ("PUT", "hr/pay.txt", 404),
        ("PUT", "kb/%00", 400),
        ("DELETE", "hr/pay.txt", 404),
        ("POST", "kb/a.md", 405),
    ],
)
async def test_what_is_outside_is_not_there(desk: Desk, method: str, path: str, status: int) -> None:
    bot = await desk.agent()
    body = b"evil" if method == "PUT" else None
    found, _, answer = await desk.http(bot, method, path, body)
    assert found == status, answer
    assert CANARY.encode() not in answer
    assert (desk.root / "hr/pay.txt").read_text() == FILES["hr/pay.txt"]


async def test_a_masked_file_is_masked_by_http_too(desk: Desk) -> None:
    clerk = await desk.agent("clerk")
    status, headers, body = await desk.http(clerk, "GET", "mail/m.txt", Range="bytes=5-11")
    assert (status, body) == (206, b"[email]")
    assert headers["etag"].endswith('-masked"')
    assert (await desk.http(clerk, "GET", "mail/m.png"))[0] == 502


async def test_without_a_token_nothing_is_told(desk: Desk) -> None:
    bot = await desk.agent()
    status, _, body = await desk.http(bot, "GET", "kb/a.md", Authorization="Bearer wrong")
    assert status == 401
    assert b"hello" not in body
