"""What passes between a server and the agent's client while a call runs: progress, log, questions, cancellation."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import cast

import pytest

from tests.mcp.conftest import Desk
from tests.support.mcp_client import MODERN, Answer, McpClient

pytestmark = pytest.mark.xdist_group("mcp")
ABLE: dict[str, object] = {"sampling": {}, "elicitation": {"form": {}}, "roots": {}}
Message = dict[str, object]


def introduced(desk: Desk, agent: str = "tester", able: dict[str, object] = ABLE) -> McpClient:
    client = desk.client(agent)
    params = {"protocolVersion": "2025-11-25", "capabilities": able, "clientInfo": {"name": "t", "version": "1"}}
    client.ask("initialize", params)
    return client


def call(how: str, identity: object = 7, **meta: object) -> Message:
    params: Message = {"name": "misbehave", "arguments": {"how": how}, **({"_meta": meta} if meta else {})}
    return {"jsonrpc": "2.0", "id": identity, "method": "tools/call", "params": params}


def told(message: Message) -> object:
    """Return the JSON that a tool's result tells."""
    blocks = cast("list[dict[str, str]]", cast("Message", message["result"])["content"])
    return json.loads(blocks[0]["text"])


def params(message: Message) -> Message:
    return cast("Message", message["params"])


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_progress_passes_with_the_clients_token_and_words_only_where_results_pass(desk: Desk) -> None:
    with desk.client("tester").streaming(call("fine", progressToken="mine")) as messages:
        progress, result = messages
    assert progress["method"] == "notifications/progress"
    assert params(progress) == {"progressToken": "mine", "progress": 1, "total": 2, "message": "half: CANARY32"}
    assert result["id"] == 7
    filtered = call("x", progressToken=5)
    filtered["params"] = {**params(filtered), "name": "search", "arguments": {"query": "x"}}
    with desk.client().streaming(filtered) as messages:
        progress, result = messages
    assert params(progress) == {"progressToken": 5, "progress": 1, "total": 2}
    with desk.client("tester").streaming(call("fine")) as messages:
        assert [each["id"] for each in messages] == [7]


def test_a_client_that_takes_no_stream_gets_the_result_alone(desk: Desk) -> None:
    answer = desk.client("tester").send(
        json.dumps(call("fine", progressToken="mine")).encode(), {"Accept": "application/json"}
    )
    assert answer.headers["content-type"] == "application/json"
    assert answer.code == ""


def test_log_messages_pass_from_the_level_that_is_wanted(desk: Desk) -> None:
    client = introduced(desk)
    with client.streaming(call("log")) as messages:
        log, _ = messages
    assert params(log) == {"level": "warning", "logger": "desk", "data": "a warning"}
    assert client.ask("logging/setLevel", {"level": "error"}).result == {}
    with client.streaming(call("log")) as messages:
        assert len(list(messages)) == 1
    assert client.ask("logging/setLevel", {"level": "loud"}).error["code"] == -32602
    modern = desk.client("tester").modern("tools/call", {"name": "misbehave", "arguments": {"how": "log"}})
    assert modern.headers["content-type"] == "application/json"  # it asked for no log


def test_a_server_may_ask_the_clients_model_and_person(desk: Desk) -> None:
    client = introduced(desk)
    for how, method in (("sample", "sampling/createMessage"), ("elicit", "elicitation/create")):
        with client.streaming(call(how)) as messages:
            question = next(messages)
            assert question["method"] == method
            said = {"jsonrpc": "2.0", "id": question["id"], "result": {"action": "accept", "content": {"x": how}}}
            assert client.send(json.dumps(said).encode()).status == 202
            assert told(next(messages)) == {"heard": {"action": "accept", "content": {"x": how}}}
        assert client.send(json.dumps(said).encode()).status == 202  # nobody waits for it any more


def test_another_session_cannot_answer(desk: Desk) -> None:
    client, other = introduced(desk), introduced(desk)
    with client.streaming(call("elicit")) as messages:
        identity = next(messages)["id"]
        forged = {"jsonrpc": "2.0", "id": identity, "result": {"action": "accept"}}
        assert other.send(json.dumps(forged).encode()).status == 202
        mine = {"jsonrpc": "2.0", "id": identity, "result": {"action": "decline"}}
        assert client.send(json.dumps(mine).encode()).status == 202
        assert told(next(messages)) == {"heard": {"action": "decline"}}


def test_what_is_not_relayed_or_not_declared_is_refused(desk: Desk) -> None:
    refused = {"heard": {"code": -32601, "message": "not supported"}}
    with introduced(desk).streaming(call("roots")) as messages:  # declared, but the policy does not relay it
        (result,) = messages
    assert told(result) == refused
    with introduced(desk, able={}).streaming(call("sample")) as messages:
        (result,) = messages
    assert told(result) == refused


def modern(client: McpClient, how: str, **more: object) -> Answer:
    meta = {**MODERN, "io.modelcontextprotocol/clientCapabilities": ABLE}
    sent: Message = {"name": "misbehave", "arguments": {"how": how}, "_meta": meta, **more}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": sent}
    headers = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "misbehave"}
    return client.send(json.dumps(message).encode(), headers)


def test_a_modern_client_is_asked_in_the_reply_and_answers_in_a_retry(desk: Desk) -> None:
    client = desk.client("tester")
    first = modern(client, "elicit").result
    assert first["resultType"] == "input_required"
    ((key, question),) = cast("dict[str, Message]", first["inputRequests"]).items()
    assert question["method"] == "elicitation/create"
    state, answers = first["requestState"], {key: {"action": "accept"}}
    before = len(desk.calls)
    refused = (
        modern(client, "sample", requestState=state, inputResponses=answers),
        modern(desk.client("tester"), "elicit", requestState=state, inputResponses=answers),
        modern(client, "elicit", requestState="forged", inputResponses=answers),
    )
    assert [each.error["code"] for each in refused] == [-32602] * 3
    again = modern(client, "elicit", requestState=state).result
    assert again["inputRequests"] == first["inputRequests"]
    done = modern(client, "elicit", requestState=again["requestState"], inputResponses=answers)
    assert json.loads(done.text) == {"heard": {"action": "accept"}}
    assert modern(client, "elicit", requestState=again["requestState"]).error["code"] == -32602
    assert len(desk.calls) == before  # it was one call


def test_a_cancelled_call_is_on_record_as_such(desk: Desk) -> None:
    client = desk.client("tester")
    answers: list[Answer] = []
    before = len(desk.calls)
    sent = json.dumps(call("sleep", identity="c1")).encode()
    thread = threading.Thread(target=lambda: answers.append(client.send(sent)))
    thread.start()
    eventually(lambda: len(desk.calls) > before)
    cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "c1"}}
    assert client.send(json.dumps(cancel).encode()).status == 202
    thread.join(60)
    assert (answers[0].status, answers[0].body) == (202, b"")
    assert [each.get("code") for each in desk.records() if each["kind"] == "outcome"][-1] == "cancelled"


def test_a_modern_client_that_leaves_cancels_its_call(desk: Desk) -> None:
    client = desk.client("tester")
    before = len(desk.calls)
    import socket

    body = json.dumps({**call("sleep"), "params": {**params(call("sleep")), "_meta": MODERN}}).encode()
    head = (
        f"POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {client.token}\r\n"
        "Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"
        "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: misbehave\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    outcomes = sum(each["kind"] == "outcome" for each in desk.records())
    with socket.create_connection(("127.0.0.1", client.port), timeout=60) as connection:
        connection.sendall(head.encode() + body)
        eventually(lambda: len(desk.calls) > before)

    def recorded() -> list[object]:
        return [each.get("code") for each in desk.records() if each["kind"] == "outcome"][outcomes:]

    eventually(lambda: bool(recorded()))
    assert recorded() == ["cancelled"]
