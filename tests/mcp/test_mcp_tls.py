"""A gateway whose MCP listener has TLS: what a session's opener is told leads a client there."""

from __future__ import annotations

import asyncio
import json
import ssl
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from tests.support.certificates import certificate
from tests.support.forked import said
from tests.support.mcp_client import PLAIN
from tests.support.mcp_here import Here, here

pytestmark = pytest.mark.xdist_group("mcp")


def told(found: Here, *arguments: str) -> str:
    """Return what a command prints beside the gateway."""
    done = said(found.folder, {"BAILIWICK_MCP_PORT": "0"}, *arguments, "--policy", str(found.folder / "policy.yaml"))
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("secure", [True, False])
def test_the_url_that_is_told_is_the_one_that_answers(tmp_path: Path, secure: bool) -> None:
    chain, key = certificate(tmp_path)
    tls = {"BAILIWICK_MCP_TLS_CERT": str(chain), "BAILIWICK_MCP_TLS_KEY": str(key), "BAILIWICK_MCP_HOSTS": "localhost"}

    async def test() -> None:
        async with here(tls if secure else {}) as found:
            port = found.client.port
            url = f"https://localhost:{port}/mcp" if secure else f"http://127.0.0.1:{port}/mcp"
            opened = await asyncio.to_thread(told, found, "session", "open", "--agent", "tester")
            values = dict(line.removeprefix("export ").split("=", 1) for line in opened.splitlines())
            assert values["BAILIWICK_MCP_URL"] == url
            assert url in await asyncio.to_thread(told, found, "mcp", "connect", "--client", "vscode")

            def ask() -> object:
                body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"}).encode()
                headers = {**PLAIN, "Authorization": f"Bearer {values['BAILIWICK_TOKEN']}"}
                trusted = ssl.create_default_context(cafile=chain) if secure else None
                with urlopen(Request(url, body, headers), timeout=60, context=trusted) as answer:
                    return json.loads(answer.read())["result"]

            assert await asyncio.to_thread(ask) == {}

    asyncio.run(test())
