"""A policy that changes under clients that are connected: what was narrowed is denied at once, what was widened can be
called, and whoever listens is told. With the official SDK's client, in every revision."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import cast

import httpx2
import pytest
from mcp import Client
from mcp.client import session as sdk
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.subscriptions import PromptsListChanged, ToolsListChanged
from mcp_types import TextContent

from bailiwick.decide.approvals import Approve
from bailiwick.gateway.sessions.opening import Opened, Wanted
from bailiwick.model.approval import Approval, Reviewer
from bailiwick.model.session import User
from bailiwick.mounts.mcp.clients import Listener
from tests.support.mcp_client import McpClient
from tests.support.mcp_here import Here, here

pytestmark = pytest.mark.xdist_group("mcp")
NARROWER = "{allow: tests:run, reason: tests, args: any, limits: {bytes: 100000, timeout: 5s}}"
WIDER = "{allow: billing:refund, reason: tests, args: {customer_id: 501, amount: {max: 5}}}"
FIRST = {"my_permissions", "misbehave", "echo", "search"}
THEN = {"my_permissions", "refund", "echo", "search"}


async def put_in_force(found: Here, change: Callable[[str], str]) -> None:
    policy = found.folder / "policy.yaml"
    policy.write_text(change(policy.read_text()))
    assert found.gateway.reloader is not None
    assert await found.gateway.reloader.reload() is None


def other(text: str) -> str:
    assert NARROWER in text
    return text.replace(NARROWER, WIDER)


def elevating(text: str) -> str:
    role = f"  refunding:\n    grants:\n      - {WIDER}\n"
    rule = "elevations:\n  refunding: {role: refunding, for: [tester], max: 1h, approvers: [leads]}\n"
    return text.replace("agents:\n", f"{role}agents:\n", 1) + rule


@asynccontextmanager
async def connected(found: Here, mode: str, told: asyncio.Queue[str]) -> AsyncGenerator[Client]:
    async def heard(message: object) -> None:
        told.put_nowait(str(getattr(message, "method", "")))

    url, headers = f"http://127.0.0.1:{found.client.port}/mcp", {"Authorization": f"Bearer {found.client.token}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=120) as http,
        Client(streamable_http_client(url, http_client=http), mode=mode, message_handler=heard) as client,
    ):
        yield client


async def code(client: Client, name: str, **arguments: object) -> str:
    answer = await client.call_tool(name, arguments)
    if not answer.is_error:
        return ""
    return str(cast("dict[str, object]", answer.structured_content)["code"])


async def names(client: Client) -> set[str]:
    return {tool.name for tool in (await client.list_tools()).tools}


@pytest.mark.parametrize("revision", ["2025-06-18", "2025-11-25", "2026-07-28"])
async def test_connected_clients_meet_the_new_policy_at_once_and_are_told(
    revision: str, listeners: asyncio.Queue[Listener], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: asyncio.Queue[str] = asyncio.Queue()
    legacy = revision != "2026-07-28"
    monkeypatch.setattr(sdk, "LATEST_HANDSHAKE_VERSION", revision)
    async with here() as found, connected(found, "legacy" if legacy else revision, told) as client:
        assert client.protocol_version == revision
        assert await names(client) == FIRST
        assert await code(client, "misbehave", how="fine") == ""
        assert await code(client, "refund", amount=5) == "resource_unknown"

        async def change() -> None:
            await put_in_force(found, other)
            assert await code(client, "misbehave", how="fine") == "resource_unknown"
            assert await code(client, "refund", amount=5) == ""
            assert await code(client, "refund", amount=6) == "argument_not_granted"
            assert await code(client, "echo", text="x") == ""

        if legacy:
            await asyncio.wait_for(listeners.get(), 60)
            await change()
            assert await asyncio.wait_for(told.get(), 60) == "notifications/tools/list_changed"
            assert told.empty()
        else:
            async with client.listen(tools_list_changed=True, prompts_list_changed=True) as heard:
                await change()
                event = await asyncio.wait_for(anext(heard), 60)
                assert event == ToolsListChanged() != PromptsListChanged()
        assert await names(client) == THEN


async def test_whoever_listens_is_told_when_an_elevation_begins_and_when_it_ends(
    listeners: asyncio.Queue[Listener],
) -> None:
    told: asyncio.Queue[str] = asyncio.Queue()
    async with here() as found, connected(found, "legacy", told) as client:
        await asyncio.wait_for(listeners.get(), 60)
        await put_in_force(found, elevating)
        assert await asyncio.wait_for(told.get(), 60) == "notifications/tools/list_changed"
        before = await names(client)
        assert "refund" not in before
        (live,) = found.gateway.sessions.registry
        gateway = found.gateway.gateway
        asked = await gateway.elevations.ask(live, "refunding", timedelta(minutes=10), "a complaint")
        assert isinstance(asked, Approval)
        by = Reviewer("local:ann", means="local", clearance="restricted")
        await gateway.approvals.decide(asked.id, Approve(by, asked.subject.digest))
        assert await asyncio.wait_for(told.get(), 60) == "notifications/tools/list_changed"
        assert await names(client) == before | {"refund"}
        await gateway.elevations.revoke(asked.id, "local:ann", "done")
        assert await asyncio.wait_for(told.get(), 60) == "notifications/tools/list_changed"
        assert await names(client) == before
        assert told.empty()


async def test_a_reload_that_changes_nothing_of_a_session_tells_it_nothing(listeners: asyncio.Queue[Listener]) -> None:
    told: asyncio.Queue[str] = asyncio.Queue()
    async with here() as found, connected(found, "legacy", told) as client:
        await asyncio.wait_for(listeners.get(), 60)
        await put_in_force(found, lambda text: text.replace("reason: knows the rules", "reason: has them read"))
        assert await code(client, "echo", text="x") == ""
        await put_in_force(found, other)
        assert await asyncio.wait_for(told.get(), 60) == "notifications/tools/list_changed"
        assert await code(client, "echo", text="x") == ""
        assert told.empty()


async def test_what_a_gate_holds_from_now_on_is_told_as_what_can_be_asked_for() -> None:
    async with here() as found, connected(found, "2026-07-28", asyncio.Queue()) as client:

        async def on_request() -> object:
            answer = await client.call_tool("my_permissions", {})
            data = cast("dict[str, object]", answer.structured_content)
            lines = [block.text for block in answer.content if isinstance(block, TextContent)]
            assert [each in "\n".join(lines) for each in cast("list[str]", data["on_request"])].count(False) == 0
            return data["on_request"]

        assert await on_request() == []
        assert await code(client, "misbehave", how="fine") == ""
        mapped = "misbehave: {action: tests:run}"
        await put_in_force(
            found, lambda text: text.replace(mapped, "misbehave: {action: tests:run, effects: [external]}")
        )
        assert await on_request() == ["tests:run, which gate external holds"]
        assert await code(client, "misbehave", how="fine") == "needs_approval"
        assert await code(client, "echo", text="x") == ""


async def test_a_wrong_policy_leaves_the_old_one_in_force_for_connected_clients() -> None:
    async with here() as found, connected(found, "2026-07-28", asyncio.Queue()) as client:
        policy = found.folder / "policy.yaml"
        policy.write_text(policy.read_text() + "unknown_section: {}\n")
        assert found.gateway.reloader is not None
        assert await found.gateway.reloader.reload() is not None
        assert await names(client) == FIRST
        assert await code(client, "misbehave", how="fine") == ""


def appeared(path: Path) -> bool:
    """Wait until there is a file; False when there is none for a minute."""
    until = time.monotonic() + 60
    while not path.exists() and time.monotonic() < until:
        time.sleep(0.02)
    return path.exists()


@pytest.mark.parametrize("changed", [False, True])
async def test_a_call_in_flight_ends_only_where_its_mount_s_server_is_another(changed: bool) -> None:
    async with here() as found, connected(found, "2026-07-28", asyncio.Queue()) as client:
        await put_in_force(found, lambda text: text.replace("timeout: 5s", "timeout: 300s"))
        assert await code(client, "echo", text="before") == ""
        held, go = found.folder / "calls.held", found.folder / "calls.go"
        calling = asyncio.create_task(code(client, "misbehave", how="hold"))
        assert await asyncio.to_thread(appeared, held)
        server = "relay: {logging: tests of the log, "
        narrower = '{allow: notes:create, reason: tests, args: any, when: args.text != "never"}'
        if changed:
            await put_in_force(found, lambda text: text.replace(server, "relay: {"))
            assert await asyncio.wait_for(calling, 60) == "backend_unavailable"
            go.touch()
        else:
            await put_in_force(found, lambda text: text.replace(narrower, narrower.replace("never", "always")))
            go.touch()
            assert await asyncio.wait_for(calling, 60) == ""
        assert await code(client, "echo", text="before") == ""
        assert await code(client, "echo", text="always") == ("" if changed else "argument_not_granted")


async def test_a_delegated_session_has_of_tools_what_both_have() -> None:
    async with here() as found:
        opener, port = found.gateway.opener, found.client.port
        asked = Wanted("bot", "work", User("ada"), "acorn", {"customer_id": "501"}, opener="tests")
        parent = await opener.open(asked)
        assert isinstance(parent, Opened)
        child = await opener.open(Wanted("tester", parent=parent.live))
        assert isinstance(child, Opened), child
        above, below = McpClient(port, parent.token), McpClient(port, child.token)

        def listed(client: McpClient) -> set[str]:
            tools = cast("list[dict[str, object]]", client.ask("tools/list").result["tools"])
            return {str(each["name"]) for each in tools}

        def test() -> None:
            assert {"search", "refund", "echo"} <= listed(above)
            assert listed(below) == {"my_permissions", "search"}  # a condition may be about who calls
            assert above.call("refund", amount=5, currency="EUR").code == ""
            assert below.call("refund", amount=5, currency="EUR").code == "resource_unknown"
            assert below.call("misbehave", how="fine").code == "resource_unknown"
            assert above.call("search", query="three").code == ""
            assert below.call("search", query="three").code == "argument_not_granted"
            assert (above.call("echo", text="x").code, below.call("echo", text="x").code) == ("", "resource_unknown")
            hits = cast("list[dict[str, object]]", above.call("search", query="one").data["results"])
            seen = cast("list[dict[str, object]]", below.call("search", query="one").data["results"])
            assert hits == seen != []

        await asyncio.to_thread(test)
        await found.gateway.sessions.end(parent.live.session.id, "REVOKED", "over", "tests")
        assert (await asyncio.to_thread(below.ask, "tools/list")).status == 401
