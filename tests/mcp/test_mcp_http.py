"""Servers behind HTTP: of a legacy revision, of the modern one alone, behind TLS; and how they may misbehave."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Generator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from tests.support.certificates import certificate
from tests.support.gateway import RunningGateway
from tests.support.mcp_client import MODERN, Answer, McpClient
from tests.support.mcp_http import CREDENTIAL, Served, serving

pytestmark = pytest.mark.xdist_group("mcp-http")
ABLE: dict[str, object] = {"elicitation": {}}
MOUNT = """\
  NAME:
    kind: mcp
    url: URL
    prefix: NAME_
    headers: {Authorization: "${TOKEN}"}
    relay: {elicitation: tests of people}
    tools:
      echo: {action: NAME:use}
"""
ROLE = "      - {allow: NAME:use, reason: tests, args: any, limits: {timeout: 30s}}\n"


@dataclass(frozen=True, slots=True)
class Behind:
    gateway: RunningGateway
    served: dict[str, Served]

    def client(self) -> McpClient:
        return McpClient(self.gateway.mcp_port, self.gateway.open_session("bot").token)


@pytest.fixture(scope="module")
def behind() -> Generator[Behind]:
    folder = Path(tempfile.mkdtemp(prefix="bwhttp"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        chain = certificate(folder)
        served = {
            "old": stack.enter_context(serving()),
            "new": stack.enter_context(serving(modern=True)),
            "safe": stack.enter_context(serving(chain=chain)),
        }
        urls = {
            name: f"http{'s' if name == 'safe' else ''}://127.0.0.1:{each.port}/mcp" for name, each in served.items()
        }
        mounts = "".join(MOUNT.replace("NAME", name).replace("URL", url) for name, url in urls.items())
        grants = "".join(ROLE.replace("NAME", name) for name in served)
        agents = "agents:\n  bot: {owner: team, purpose: tests, roles: [all]}\n"
        policy = f"bailiwick: 1\nmounts:\n{mounts}roles:\n  all:\n    grants:\n{grants}{agents}"
        (folder / "policy.yaml").write_text(policy)
        (folder / "gateway.yaml").write_text("environment: staging\npostgres: {port: 0}\nmcp: {port: 0}\n")
        gateway = RunningGateway(folder, {"TOKEN": CREDENTIAL, "SSL_CERT_FILE": str(chain[0])})
        accepted = gateway.say("accept", str(gateway.policy), "--yes")
        assert accepted.returncode == 0, accepted.stderr + accepted.stdout
        stack.callback(gateway.stop)
        gateway.start()
        yield Behind(gateway, served)


@pytest.mark.parametrize("name", ["old", "new", "safe"])
def test_a_server_of_each_kind_is_reached_with_the_credential_injected(behind: Behind, name: str) -> None:
    client = behind.client()
    assert {"old_echo", "new_echo", "safe_echo"} < set(client.tools())
    assert json.loads(client.call(f"{name}_echo", text="grüße").text) == {"text": "grüße"}
    seen = behind.served[name].headers[-1]
    assert seen["authorization"] == CREDENTIAL
    assert seen.get("mcp-param-text") == ("=?base64?Z3LDvMOfZQ==?=" if name == "new" else None)
    assert seen.get("mcp-name") == ("echo" if name == "new" else None)
    assert client.modern("tools/call", {"name": f"{name}_echo", "arguments": {"text": "x"}}).code == ""
    assert client.call(f"{name}_echo", other="x").code == "argument_not_granted"


def test_progress_comes_in_events(behind: Behind) -> None:
    sent = {"name": "old_echo", "arguments": {"how": "events"}, "_meta": {"progressToken": "t"}}
    with behind.client().streaming({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": sent}) as messages:
        progress, result = messages
    assert progress["params"] == {"progressToken": "t", "progress": 1}
    assert result["id"] == 1


def test_a_stream_that_ends_before_its_answer_is_asked_for_the_rest(behind: Behind) -> None:
    calls = len(behind.served["old"].calls)
    assert json.loads(behind.client().call("old_echo", how="later").text) == {"how": "later"}
    assert behind.served["old"].rests == {}
    assert len(behind.served["old"].calls) == calls + 1  # the rest was asked for, not the call made again
    assert behind.client().call("old_echo", how="never").code == "backend_unavailable"
    assert behind.client().call("new_echo", how="later").code == "backend_unavailable"  # no resuming in its revision
    assert len(behind.served["old"].calls) == calls + 2


@pytest.mark.parametrize("how", ["leak", "redirect", "fail", "page", "cut"])
@pytest.mark.parametrize("name", ["old", "new"])
def test_what_misbehaves_is_denied_and_tells_nothing(behind: Behind, name: str, how: str) -> None:
    answer = behind.client().call(f"{name}_echo", how=how)
    assert answer.code == ("result_withheld" if how == "leak" else "backend_unavailable"), answer.body
    assert b"CANARY" not in answer.body
    assert behind.served[name].strays == 0


def test_a_server_that_forgot_its_session_is_met_anew(behind: Behind) -> None:
    client = behind.client()
    assert client.call("old_echo", how="forget").code == ""
    assert client.call("old_echo", text="x").code in ("", "backend_unavailable")
    assert behind.client().call("new_echo", text="x").code == ""  # the neighbour is not concerned


def test_a_legacy_client_is_asked_what_a_modern_server_asks(behind: Behind) -> None:
    client = behind.client()
    client.ask("initialize", {"protocolVersion": "2025-06-18", "capabilities": ABLE, "clientInfo": {}})
    call = {"name": "new_echo", "arguments": {"how": "elicit"}}
    with client.streaming({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}) as messages:
        question = next(messages)
        said = {"jsonrpc": "2.0", "id": question["id"], "result": {"action": "decline"}}
        assert client.send(json.dumps(said).encode()).status == 202
        result = cast("dict[str, list[dict[str, str]]]", next(messages)["result"])
    assert json.loads(result["content"][0]["text"]) == [{"one": {"action": "decline"}}, True]


def test_a_modern_client_is_asked_what_a_modern_server_asks(behind: Behind) -> None:
    client = behind.client()
    meta = {**MODERN, "io.modelcontextprotocol/clientCapabilities": ABLE}

    def call(**more: object) -> Answer:
        params = {"name": "new_echo", "arguments": {"how": "elicit"}, "_meta": meta, **more}
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        headers = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "new_echo"}
        return client.send(json.dumps(message).encode(), headers)

    asked = call()
    assert b"CANARY" not in asked.body  # the server's own state stays with the gateway
    (key,) = cast("dict[str, object]", asked.result["inputRequests"])
    done = call(requestState=asked.result["requestState"], inputResponses={key: {"action": "accept"}})
    assert json.loads(done.text) == [{"one": {"action": "accept"}}, True]
    assert client.modern("tools/call", {"name": "new_echo", "arguments": {"how": "elicit"}}).error["code"] == -32601


def test_a_certificate_that_nobody_vouches_for_ends_it(behind: Behind) -> None:
    gateway = behind.gateway
    gateway.stop()
    trusted = gateway.environ.pop("SSL_CERT_FILE")
    gateway.start()
    calls = len(behind.served["safe"].calls)
    client = behind.client()
    assert client.call("safe_echo", text="x").code == "backend_unavailable"
    assert client.call("old_echo", text="x").code == ""
    assert len(behind.served["safe"].calls) == calls
    gateway.environ["SSL_CERT_FILE"] = trusted


def test_the_credential_is_nowhere(behind: Behind) -> None:
    behind.gateway.flush()
    for path in behind.gateway.folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert b"CANARY-http-credential" not in data, path
            assert b"CANARY4" not in data, path
