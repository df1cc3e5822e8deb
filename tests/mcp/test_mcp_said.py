"""What a server behind HTTP says outside of answers: that its lists have changed is heard, what it asks is refused."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Callable

import pytest

from bailiwick.mounts.mcp.http import HttpUpstream
from bailiwick.mounts.mcp.upstream import Guard, introduce, longest
from tests.support.mcp_http import CREDENTIAL, serving

pytestmark = pytest.mark.xdist_group("mcp-http")


async def until(holds: Callable[[], bool]) -> None:
    async def looking() -> None:
        while not holds():  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(0.02)

    await asyncio.wait_for(looking(), 60)


async def test_changed_lists_are_heard_and_questions_refused() -> None:
    with serving() as served:
        says: queue.Queue[object] = queue.Queue()
        served.says = says
        upstream = HttpUpstream(
            f"http://127.0.0.1:{served.port}/mcp", {"Authorization": CREDENTIAL}, Guard((CREDENTIAL,))
        )
        try:
            await introduce(upstream, {}, None)
            says.put({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "error", "data": "x"}})
            says.put({"jsonrpc": "2.0", "id": 5, "method": "sampling/createMessage", "params": {}})
            await until(lambda: bool(served.answers))
            (answered,) = served.answers
            assert isinstance(answered, dict)
            assert "error" in answered
            assert not upstream.changed
            says.put({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
            await until(lambda: upstream.changed)
            assert (await upstream.request("tools/list", {}, longest)).result is not None
            says.put({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": CREDENTIAL}})
            assert upstream.alive
        finally:
            says.put(None)
            await upstream.close()


async def test_a_server_without_such_a_stream_is_used_all_the_same() -> None:
    with serving() as served:
        upstream = HttpUpstream(f"http://127.0.0.1:{served.port}/mcp", {"Authorization": CREDENTIAL}, Guard(()))
        await introduce(upstream, {}, None)
        assert (await upstream.request("tools/list", {}, longest)).result is not None
        await upstream.close()
