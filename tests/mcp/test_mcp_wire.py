"""The tricks of the wire, each with its allowed twin: two readings of one message, other pages and hosts, too much."""

from __future__ import annotations

import json

import pytest

from tests.mcp.conftest import Desk
from tests.support.mcp_client import MODERN, McpClient

pytestmark = pytest.mark.xdist_group("mcp")
GOOD = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "echo", "arguments": {"text": "x"}}}


@pytest.fixture(scope="module")
def bot(desk: Desk) -> McpClient:
    return desk.client()


def raw(text: str) -> bytes:
    return text.encode()


BAD: dict[str, bytes] = {
    "duplicate key": raw(json.dumps(GOOD).replace('"text": "x"', '"text": "x", "text": "y"')),
    "duplicate method": raw(json.dumps(GOOD).replace('"id": 1', '"id": 1, "method": "ping"')),
    "case variant of an argument": raw(json.dumps(GOOD).replace('"text": "x"', '"text": "x", "TEXT": "y"')),
    "case variant of the envelope": raw(json.dumps(GOOD).replace('"method"', '"Method"')),
    "escaped duplicate": raw(json.dumps(GOOD).replace('"text": "x"', '"text": "x", "te\\u0078t": "y"')),
    "batch": raw(json.dumps([GOOD])),
    "batch of two": raw(json.dumps([GOOD, GOOD])),
    "no object": b'"hello"',
    "empty": b"",
    "two messages": raw(json.dumps(GOOD) + json.dumps(GOOD)),
    "NaN": raw(json.dumps(GOOD).replace('"x"', "NaN")),
    "too large a number": raw(json.dumps(GOOD).replace('"x"', "1e999")),
    "too many digits": raw(json.dumps(GOOD).replace('"x"', "9" * 5000)),
    "too deep": raw(json.dumps(GOOD).replace('"x"', "[" * 100 + "]" * 100)),
    "far too deep": b"[" * 400_000,
    "lone surrogate": raw(json.dumps(GOOD).replace('"x"', '"\\ud800"')),
    "not UTF-8": json.dumps(GOOD).encode().replace(b'"x"', b'"\xff"'),
    "UTF-16": json.dumps(GOOD).encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf" + json.dumps(GOOD).encode(),
    "null id": raw(json.dumps({**GOOD, "id": None})),
    "fraction as id": raw(json.dumps({**GOOD, "id": 1.5})),
    "boolean id": raw(json.dumps({**GOOD, "id": True})),
    "other version": raw(json.dumps({**GOOD, "jsonrpc": "1.0"})),
    "params as list": raw(json.dumps({**GOOD, "params": []})),
    "request and response": raw(json.dumps({**GOOD, "result": {}})),
    "strange member": raw(json.dumps({**GOOD, "extra": 1})),
}


@pytest.mark.parametrize("body", BAD.values(), ids=BAD.keys())
def test_what_two_parsers_may_read_differently_is_refused(desk: Desk, bot: McpClient, body: bytes) -> None:
    before = len(desk.calls)
    answer = bot.send(body)
    assert answer.status == 400
    assert answer.error["code"] in (-32700, -32600)
    assert len(desk.calls) == before


def test_the_good_message_is_taken(desk: Desk, bot: McpClient) -> None:
    assert bot.send(json.dumps(GOOD).encode()).code == ""
    assert desk.calls[-1] == ("echo", {"text": "x"})


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Host": "localhost.evil.example:80"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": ""}, 415),
        ({"Content-Type": "application/json; charset=utf-16"}, 415),
        ({"Content-Encoding": "gzip"}, 415),
        ({"Accept": "text/html"}, 406),
        ({"Authorization": ""}, 401),
        ({"Authorization": "Bearer nonsense"}, 401),
        ({"Authorization": "Basic eDp5"}, 401),
        ({"Host": "localhost"}, 200),
        ({"Content-Type": "application/json; charset=utf-8"}, 200),
    ],
)
def test_who_may_not_call_is_refused(desk: Desk, bot: McpClient, headers: dict[str, str], status: int) -> None:
    before = len(desk.calls)
    answer = bot.send(json.dumps(GOOD).encode(), headers)
    assert answer.status == status, answer.body
    assert len(desk.calls) == before + (status == 200)


def test_methods_paths_and_sizes(bot: McpClient) -> None:
    body = json.dumps(GOOD).encode()
    assert bot.send(body, method="PUT").status == 405
    assert bot.send(b"", method="DELETE").status == 405
    assert bot.send(body, path="/").status == 404
    long = json.dumps({**GOOD, "params": {"name": "echo", "arguments": {"text": "x" * 1_100_000}}}).encode()
    assert bot.send(long).status == 413
    assert bot.send(b'{"jsonrpc": "2.0", "method": "notifications/initialized"}').status == 202
    assert bot.ask("resources/unknown").error["code"] == -32601


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Mcp_Name": "refund"}, -32020),
        ({"Mcp_Name": ""}, -32020),
        ({"Mcp_Method": "tools/list"}, -32020),
        ({"MCP_Protocol_Version": "2025-11-25"}, -32020),
        ({"Mcp_Name": "=?base64?!!?="}, -32020),
        ({"Mcp_Name": "=?base64?ZWNobw==?="}, 0),
        ({}, 0),
    ],
)
def test_headers_that_say_other_things_than_the_body_are_refused(
    desk: Desk, bot: McpClient, headers: dict[str, str], code: int
) -> None:
    before = len(desk.calls)
    answer = bot.modern("tools/call", {"name": "echo", "arguments": {"text": "m"}}, **headers)
    if code:
        assert (answer.status, answer.error["code"]) == (400, code)
        assert len(desk.calls) == before
    else:
        assert answer.code == ""
        assert answer.result["resultType"] == "complete"


def test_a_version_that_is_not_spoken_is_named(bot: McpClient) -> None:
    params = {
        "name": "echo",
        "arguments": {},
        "_meta": {**MODERN, "io.modelcontextprotocol/protocolVersion": "2030-01-01"},
    }
    body = json.dumps({**GOOD, "params": params}).encode()
    headers = {"MCP-Protocol-Version": "2030-01-01", "Mcp-Method": "tools/call", "Mcp-Name": "echo"}
    answer = bot.send(body, headers)
    assert (answer.status, answer.error["code"]) == (400, -32022)
    assert bot.modern("resources/unknown").status == 404


@pytest.mark.parametrize("name", ["Echo", "echo ", "\u0435cho", "echo\u200b", "echo\n", "desk.echo", "../echo", "ECHO"])
def test_names_that_look_like_a_tools_are_none(desk: Desk, bot: McpClient, name: str) -> None:
    before = len(desk.calls)
    assert bot.call(name, text="x").code == "resource_unknown"
    assert len(desk.calls) == before
