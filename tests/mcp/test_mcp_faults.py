"""What nobody foresaw: a fault in the MCP front itself denies, is on record, and leaves the next request alone.

The gateway runs in the tests' process, so that faults can be put into it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn, cast

import pytest

from bailiwick.mounts.mcp import asgi, clients, methods
from tests.support.mcp_client import MODERN
from tests.support.mcp_here import Here, here

pytestmark = pytest.mark.xdist_group("mcp")


class FaultError(Exception):
    """A fault whose text must reach nobody."""


def broken(*_: object, **__: object) -> NoReturn:
    raise FaultError("CANARY in a fault")


def _error(answer: dict[str, object]) -> dict[str, object]:
    return cast("dict[str, object]", answer["error"])


def _decision(answer: dict[str, object]) -> object:
    data = cast("dict[str, object]", _error(answer)["data"])
    assert data["code"] == "internal_error"
    return data["decision"]


def in_it(test: Callable[[Here], Awaitable[None]]) -> None:
    async def run() -> None:
        async with here() as found:
            await test(found)

    asyncio.run(run())


def test_a_fault_in_a_listing_or_the_dispatcher_is_an_error_on_record(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(found: Here) -> None:
        assert "result" in await found.ask("tools/list")
        for number, (where, name, method) in enumerate(
            (
                (clients.Client, "tools", "tools/list"),
                (methods, "work", "tools/call"),
                (asgi.era, "is_modern", "prompts/list"),
            ),
            1,
        ):
            with monkeypatch.context() as patch:
                patch.setattr(where, name, broken)
                answer = await found.ask(method, name="echo", arguments={"text": "x"})
            assert _error(answer)["code"] == -32603
            assert "CANARY" not in str(answer)
            told = found.told("internal_error")
            assert [each["id"] for each in told][-1] == _decision(answer)
            assert (len(told), told[-1]["statement"], told[-1]["decision"]) == (number, method, "deny")
            assert told[-1]["agent"] == "tester"
            assert "result" in await found.ask("tools/call", name="echo", arguments={"text": "x"})
        assert len(found.told("internal_error")) == 3

    in_it(test)
    assert "tools/list: FaultError at test_mcp_faults.py" in caplog.text
    assert "CANARY" not in caplog.text


def test_a_fault_before_the_session_is_known_is_on_record_too(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(found: Here) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(asgi, "_wrong_content", broken)
            answer = await asyncio.to_thread(found.client.ask, "ping")
        assert answer.status == 500
        assert [each["id"] for each in found.told("internal_error")] == [_decision(answer.json)]
        assert found.told("internal_error")[0]["kind"] == "connection.refused"
        assert (await found.ask("ping"))["result"] == {}

    in_it(test)


def test_a_fault_while_messages_stream_ends_the_stream_with_an_error(
    monkeypatch: pytest.MonkeyPatch, listeners: asyncio.Queue[clients.Listener]
) -> None:
    async def test(found: Here) -> None:
        def listen() -> list[dict[str, object]]:
            params = {"_meta": MODERN, "notifications": {"toolsListChanged": True}}
            message = {"jsonrpc": "2.0", "id": 7, "method": "subscriptions/listen", "params": params}
            headers = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "subscriptions/listen"}
            with found.client.streaming(message, headers) as messages:
                return list(messages)

        monkeypatch.setattr(clients.Listener, "taken", broken)
        listening = asyncio.create_task(asyncio.to_thread(listen))
        (await listeners.get()).tell(["tools"])
        messages = await asyncio.wait_for(listening, 60)
        assert messages[0]["method"] == "notifications/subscriptions/acknowledged"
        assert (messages[-1]["id"], _error(messages[-1])["code"]) == (7, -32603)
        assert [each["id"] for each in found.told("internal_error")] == [_decision(messages[-1])]

    in_it(test)


def test_a_fault_in_a_listing_does_not_keep_a_policy_from_being_put_in_force(
    monkeypatch: pytest.MonkeyPatch, listeners: asyncio.Queue[clients.Listener]
) -> None:
    async def test(found: Here) -> None:
        def hear() -> str:
            with found.client.listening() as stream:
                return next((line.decode() for line in iter(stream.readline, b"") if line.startswith(b"data:")), "")

        hearing = asyncio.create_task(asyncio.to_thread(hear))
        await listeners.get()
        monkeypatch.setattr(clients, "listed", broken)
        policy = found.folder / "policy.yaml"
        policy.write_text(policy.read_text().replace("reason: knows the rules", "reason: has read the rules"))
        assert found.gateway.reloader is not None
        before = found.gateway.ready.force.policy.version
        assert await found.gateway.reloader.reload() is None
        assert found.gateway.ready.force.policy.version != before
        assert "list_changed" in await asyncio.wait_for(hearing, 60)
        assert _error(await found.ask("tools/list"))["code"] == -32603

    in_it(test)
