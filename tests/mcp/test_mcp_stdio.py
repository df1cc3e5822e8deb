"""`bailiwick mcp stdio` and `mcp connect`: a client that starts a command reaches the gateway by it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest

from bailiwick.errors import ConfigError
from bailiwick.mounts.mcp.bridge import Place
from tests.mcp.conftest import SECRET, Desk
from tests.support.gateway import PROGRAM
from tests.support.mcp_client import MODERN

pytestmark = pytest.mark.xdist_group("mcp")
Json = object


class Pipe:
    """A client at the program's standard streams."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self._next = 0
        self.heard: list[dict[str, Json]] = []
        """What was no answer to what was asked last."""

    def send(self, message: Mapping[str, Json]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()

    def ask(self, method: str, params: Mapping[str, Json] | None = None) -> dict[str, Json]:
        """Send a request and return the message that answers it."""
        self._next += 1
        self.send({"jsonrpc": "2.0", "id": self._next, "method": method, "params": params or {}})
        return self.answer(self._next)

    def answer(self, identity: Json) -> dict[str, Json]:
        assert self.process.stdout is not None
        while True:
            line = self.process.stdout.readline()
            assert line, "the program ended"
            found = cast("dict[str, Json]", json.loads(line))
            if found.get("id") == identity and "method" not in found:
                return found
            self.heard.append(found)

    def initialize(self) -> dict[str, Json]:
        info = {"name": "tests", "version": "1"}
        asked: dict[str, Json] = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": info}
        answer = self.ask("initialize", asked)
        self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return answer


@contextmanager
def piped(desk: Desk, environ: Mapping[str, str], *arguments: str) -> Generator[Pipe]:
    """Run the program as a client does."""
    url = f"http://127.0.0.1:{desk.gateway.mcp_port}/mcp"
    process = subprocess.Popen(
        [PROGRAM, "mcp", "stdio", *arguments],
        env={"PATH": "/usr/bin:/bin", "BAILIWICK_MCP_URL": url, **environ},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield Pipe(process)
    finally:
        process.kill()
        process.wait(60)
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def test_a_client_that_starts_a_command_gets_what_the_session_gets(desk: Desk) -> None:
    session = desk.session()
    with piped(desk, {"BAILIWICK_TOKEN": session.token}) as pipe:
        said = cast("dict[str, Json]", pipe.initialize()["result"])
        assert said["protocolVersion"] == "2025-11-25"
        listed = cast("dict[str, list[dict[str, Json]]]", pipe.ask("tools/list")["result"])["tools"]
        assert {tool["name"] for tool in listed} == {"my_permissions", "query", "search", "refund", "echo"}
        found = pipe.ask("tools/call", {"name": "search", "arguments": {"query": "x"}})
        assert cast("dict[str, dict[str, list[Json]]]", found["result"])["structuredContent"]["results"] == [
            {"id": 1, "title": "Mine", "author": {"email": "a***@mail.example", "name": "Ada"}}
        ]
        refused = cast("dict[str, Json]", pipe.ask("tools/call", {"name": "misbehave", "arguments": {}})["result"])
        assert refused["isError"] is True
        modern = pipe.ask("tools/call", {"name": "echo", "arguments": {"text": "ö\n"}, "_meta": MODERN})
        assert cast("dict[str, Json]", modern["result"])["resultType"] == "complete"
        assert session.token not in Path(f"/proc/{pipe.process.pid}/cmdline").read_text()
        assert "CANARY" not in json.dumps([listed, found, refused, pipe.heard])
        assert pipe.process.stdin is not None
        pipe.process.stdin.close()
        assert pipe.process.wait(60) == 0


def test_what_is_wrong_is_said_in_the_protocol_and_a_renewed_token_is_used_at_once(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "token"
    opened = desk.gateway.say(
        "session", "open", "--agent", "bot", "--task", "work", "--set", "customer_id=501", "--token-file", str(file)
    )
    assert (opened.returncode, opened.stdout) == (0, ""), opened.stderr
    right = file.read_text()
    assert file.stat().st_mode & 0o077 == 0
    file.write_text("not.a.token\n")
    with piped(desk, {"BAILIWICK_TOKEN_FILE": str(file)}) as pipe:
        assert "error" in pipe.ask("tools/list")
        file.write_text(right)
        assert "result" in pipe.ask("tools/list")
        assert pipe.process.stdin is not None
        pipe.process.stdin.write(b'{"no json\n')
        pipe.process.stdin.flush()
        assert cast("dict[str, Json]", pipe.answer(None)["error"])["code"] == -32700
        pipe.process.stdin.write(b'{"jsonrpc":"2.0","id":"d","method":"ping","METHOD":"x","params":{}}\n')
        pipe.process.stdin.flush()
        assert "error" in pipe.answer("d")  # two spellings of a key: the gateway's own strictness
        assert "result" in pipe.ask("ping")


def test_a_modern_call_is_cancelled_by_leaving_it(desk: Desk) -> None:
    session = desk.session("tester")
    with piped(desk, {"BAILIWICK_TOKEN": session.token}) as pipe:
        slow = {"name": "misbehave", "arguments": {"how": "sleep"}, "_meta": MODERN}
        before = len(desk.calls)
        pipe.send({"jsonrpc": "2.0", "id": "slow", "method": "tools/call", "params": slow})
        while len(desk.calls) == before:
            pipe.ask("server/discover", {"_meta": MODERN})
        cancel = {"requestId": "slow", "_meta": MODERN}
        pipe.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": cancel})
        while not [each for each in desk.records() if each.get("session") == session.id and "cancelled" in str(each)]:
            pipe.ask("server/discover", {"_meta": MODERN})
        assert not [each for each in pipe.heard if each.get("id") == "slow"]


def test_no_token_a_readable_file_and_a_clear_line_to_elsewhere_are_refused(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("a.b.c")
    file.chmod(0o644)
    for environ, arguments, words in (
        ({}, (), "no session token"),
        ({}, ("--token-file", str(file)), "read by others"),
        ({"BAILIWICK_TOKEN": "a.b.c"}, ("--url", "http://gateway.example/mcp"), "in clear"),
        ({"BAILIWICK_TOKEN": "a\nb"}, (), "no session token"),
    ):
        with piped(desk, environ, *arguments) as pipe:
            told = pipe.process.communicate(timeout=60)
            assert pipe.process.returncode == 1
            assert words.encode() in told[1]
            assert b"a.b.c" not in told[1]
    assert Place.of("https://gateway.example").port == 443
    with pytest.raises(ConfigError):
        Place.of("http://ada:secret@127.0.0.1/mcp")


def test_it_starts_without_what_is_heavy() -> None:
    code = (
        "import sys, bailiwick.cli.mcp, bailiwick.mounts.mcp.bridge\n"
        "print([each for each in ('aiohttp', 'sqlalchemy', 'asyncio', 'pydantic', 'mcp') if each in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"


def test_connect_prints_for_each_client_what_holds_no_token(desk: Desk) -> None:
    done = desk.gateway.say("mcp", "connect", "--json")
    assert done.returncode == 0, done.stderr
    told = {each["client"]: each["settings"] for each in json.loads(done.stdout)}
    assert {"claude-desktop", "claude-code", "cursor", "vscode", "stdio"} == set(told)
    url = f"http://127.0.0.1:{desk.gateway.mcp_port}/mcp"
    assert told["vscode"]["servers"]["bailiwick"]["url"] == url
    assert told["cursor"]["mcpServers"]["bailiwick"]["headers"] == {"Authorization": "Bearer ${env:BAILIWICK_TOKEN}"}
    assert told["claude-desktop"]["mcpServers"]["bailiwick"]["args"][:4] == ["mcp", "stdio", "--url", url]
    one = desk.gateway.say("mcp", "connect", "--client", "cursor")
    assert one.stdout.startswith("# cursor: into .cursor/mcp.json")
    assert json.loads(one.stdout.partition("\n")[2])["mcpServers"]["bailiwick"]["url"] == url
    assert desk.gateway.say("mcp", "connect", "--client", "netscape").returncode == 1
    assert SECRET not in done.stdout
