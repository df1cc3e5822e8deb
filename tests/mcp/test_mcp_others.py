"""Servers and clients written by others: the reference servers behind a gateway, the official clients before it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from tests.support.gateway import PROGRAM, RunningGateway, prepare_gateway
from tests.support.mcp_client import McpClient

pytestmark = pytest.mark.xdist_group("mcp-others")
Json = object
NODE = Path(sys.prefix) / "bin" / "node"
PACKAGES = Path(sys.prefix) / "node"
MODULES = PACKAGES / "node_modules/@modelcontextprotocol"
SECRET = "CANARY-upstream-credential-0815"
POLICY = """\
bailiwick: 1
mounts:
  files:
    kind: mcp
    command: [NODE, MODULES/server-filesystem/dist/index.js, FOLDER/files]
    tools:
      read_text_file: {action: files:read}
      write_file: {action: files:update}
  memory:
    kind: mcp
    command: [NODE, MODULES/server-memory/dist/index.js]
    env: {MEMORY_FILE_PATH: FOLDER/memory.json}
    tools:
      create_entities: {action: facts:create}
      read_graph: {action: facts:read, items: entities}
  every:
    kind: mcp
    command: [NODE, MODULES/server-everything/dist/index.js, stdio]
    env: {API_TOKEN: "${EVERY_TOKEN}"}
    tools:
      echo: {action: words:repeat}
      get-sum: {action: sums:read}
      get-tiny-image: {action: images:read}
      get-env: {action: settings:read}
roles:
  helper:
    grants:
      - {allow: files:read, reason: reads the notice, args: {path: FOLDER/files/notice.txt}}
      - {allow: facts:create, reason: takes notes, args: any}
      - allow: facts:read
        reason: knows what is public
        items: {entityType: public}
        fields: [name, observations]
      - {allow: words:repeat, reason: echoes, args: any}
      - {allow: sums:read, reason: adds small numbers, args: {a: {max: 10}, b: any}}
      - {allow: images:read, reason: looks}
      - {allow: settings:read, reason: to see that nothing leaks}
agents:
  bot: {owner: tests, purpose: tests, roles: [helper]}
"""
CALLS: Sequence[Mapping[str, Json]] = (
    {"name": "echo", "arguments": {"message": "hello"}},
    {"name": "get-sum", "arguments": {"a": 2, "b": 40}},
    {"name": "get-sum", "arguments": {"a": 11, "b": 40}},
    {"name": "write_file", "arguments": {"path": "x", "content": "x"}},
    {"name": "get-env", "arguments": {}},
    {"name": "read_text_file", "arguments": {}},
)
"""The last one without its path: it has one value only, which is filled in."""
TOOLS = {
    "my_permissions", "read_text_file", "create_entities", "read_graph", "echo", "get-sum", "get-tiny-image", "get-env"
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Office:
    """The gateway in front of the reference servers."""

    gateway: RunningGateway
    token: str

    @property
    def url(self) -> str:
        """Return where clients connect."""
        return f"http://127.0.0.1:{self.gateway.mcp_port}/mcp"


@pytest.fixture(scope="module")
def office() -> Generator[Office]:
    folder = Path(tempfile.mkdtemp(prefix="bwoff")).resolve()
    (folder / "files").mkdir()
    (folder / "files" / "notice.txt").write_text("open from nine to five")
    (folder / "files" / "salaries.txt").write_text("CANARY-salaries")
    text = POLICY.replace("NODE", str(NODE)).replace("MODULES", str(MODULES)).replace("FOLDER", str(folder))
    gateway = prepare_gateway(folder, text, {"EVERY_TOKEN": SECRET})
    try:
        gateway.start()
        yield Office(gateway, gateway.open_session("bot").token)
        gateway.flush()
        assert "CANARY" not in gateway.log()
    finally:
        gateway.stop()
        shutil.rmtree(folder, ignore_errors=True)


def judge(results: Sequence[Mapping[str, Json]]) -> None:
    """Check what came of `CALLS`, by whatever client."""
    texts = [cast("list[dict[str, str]]", each["content"])[0]["text"] for each in results]
    codes = [_code(each) for each in results]
    assert codes == ["", "", "argument_not_granted", "resource_unknown", "result_withheld", ""]
    assert "hello" in texts[0]
    assert "42" in texts[1]
    assert texts[5] == "open from nine to five"
    assert "CANARY" not in json.dumps([*results])


def _code(result: Mapping[str, Json]) -> str:
    if not result.get("isError"):
        return ""
    return str(cast("dict[str, Json]", result["structuredContent"])["code"])


def test_files_outside_the_grant_are_not_read(office: Office) -> None:
    client = McpClient(office.gateway.mcp_port, office.token)
    folder = office.gateway.folder / "files"
    assert client.call("read_text_file", path=f"{folder}/notice.txt").text == "open from nine to five"
    for path in (f"{folder}/salaries.txt", f"{folder}/x/../salaries.txt", f"{folder}/notice.txt/../salaries.txt"):
        answer = client.call("read_text_file", path=path)
        assert answer.code == "argument_not_granted"
        assert b"CANARY" not in answer.body
    assert client.call("read_text_file", path=f"{folder}/notice.txt", head=5).code == "argument_not_granted"


def test_of_a_graph_only_the_items_and_fields_of_the_grant_are_shown(office: Office) -> None:
    client = McpClient(office.gateway.mcp_port, office.token)
    entities = [
        {"name": "tea", "entityType": "public", "observations": ["is hot"]},
        {"name": "CANARY-plan", "entityType": "secret", "observations": ["CANARY-detail"]},
    ]
    assert client.call("create_entities", entities=entities).code == ""
    answer = client.call("read_graph")
    assert answer.data == {"entities": [{"name": "tea", "observations": ["is hot"]}]}
    assert b"CANARY" not in answer.body
    assert "CANARY-detail" in (office.gateway.folder / "memory.json").read_text()  # it was there to be shown


def test_an_image_passes_as_it_is(office: Office) -> None:
    content = cast(
        "list[dict[str, str]]",
        McpClient(office.gateway.mcp_port, office.token).call("get-tiny-image").result["content"],
    )
    image = next(each for each in content if each["type"] == "image")
    assert image["data"].startswith("iVBOR")
    assert image["mimeType"] == "image/png"


def test_the_typescript_client(office: Office) -> None:
    script = Path(__file__).parent / "official_client.mjs"
    done = subprocess.run(
        [NODE, script, PACKAGES, office.url, json.dumps(CALLS)],
        env={"PATH": os.environ["PATH"], "BAILIWICK_TOKEN": office.token},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["server"], set(found["tools"])) == ("bailiwick", TOOLS)
    judge(found["results"])


async def _python(client: Client) -> None:
    async with client:
        assert {tool.name for tool in (await client.list_tools()).tools} == TOOLS
        results = [
            await client.call_tool(str(call["name"]), cast("dict[str, Json]", call["arguments"])) for call in CALLS
        ]
        judge([each.model_dump(by_alias=True, mode="json") for each in results])


async def test_the_python_client_by_http(office: Office) -> None:
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {office.token}"}, timeout=120) as http:
        await _python(Client(streamable_http_client(office.url, http_client=http)))


async def test_the_python_client_by_a_command(office: Office) -> None:
    environ = {"BAILIWICK_MCP_URL": office.url, "BAILIWICK_TOKEN": office.token}
    await _python(Client(StdioServerParameters(command=PROGRAM, args=["mcp", "stdio"], env=environ)))


def test_the_inspector(office: Office, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(office.token)
    token.chmod(0o600)
    server = {"command": PROGRAM, "args": ["mcp", "stdio", "--url", office.url, "--token-file", str(token)]}
    (tmp_path / "servers.json").write_text(json.dumps({"mcpServers": {"gateway": server}}))

    def inspect(*arguments: str) -> dict[str, Json]:
        done = subprocess.run(
            [NODE, MODULES / "inspector-cli/build/cli.js", "--config", tmp_path / "servers.json", "--server", "gateway",
             "--cli", *arguments],
            capture_output=True, text=True, timeout=300, check=False, env={"PATH": os.environ["PATH"]},
            cwd=MODULES / "inspector-cli/build",  # it looks for its own package.json from where it is started
        )  # fmt: skip
        assert done.returncode == 0, done.stderr + done.stdout
        return cast("dict[str, Json]", json.loads(done.stdout))

    tools = cast("list[dict[str, Json]]", inspect("--method", "tools/list")["tools"])
    assert {tool["name"] for tool in tools} == TOOLS
    call = ("--method", "tools/call", "--tool-name", "get-sum", "--tool-arg", "b=40", "--tool-arg")
    assert "42" in json.dumps(inspect(*call, "a=2"))
    assert _code(inspect(*call, "a=11")) == "argument_not_granted"
