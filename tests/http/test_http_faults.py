"""What nobody foresaw: a fault in the HTTP front itself denies, is on record, and leaves the next request alone.

The gateway runs in the tests' process, so that faults can be put into it.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NoReturn, cast

import pytest

from bailiwick.gateway.config import load_config
from bailiwick.gateway.http_client import HttpClient, Origin
from bailiwick.gateway.ledger.reader import Query, open_reader
from bailiwick.gateway.run import Running, running
from bailiwick.gateway.sessions.opening import Opened, Wanted
from bailiwick.model.session import User
from bailiwick.mounts.http import asgi, exchange, requests
from bailiwick.mounts.http.front import HttpFront
from tests.http.conftest import API, POLICY, SECRET, listens
from tests.support.gateway import prepare_gateway
from tests.support.postgres import free_port

pytestmark = pytest.mark.xdist_group("http")


class FaultError(Exception):
    """A fault whose text must reach nobody."""


def broken(*_: object, **__: object) -> NoReturn:
    raise FaultError("CANARY in a fault")


@pytest.fixture(scope="module")
def port() -> Generator[int]:
    """Run the API; give its port."""
    folder, port = Path(tempfile.mkdtemp(prefix="bwfault")), free_port()
    api = subprocess.Popen([sys.executable, API, str(port), str(folder / "reached")])
    try:
        listens(port)
        yield port
    finally:
        api.kill()
        api.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def here(port: int) -> AsyncGenerator[tuple[Running, str]]:
    """Run a gateway in this process; give it, and a session's token."""
    folder, environ = Path(tempfile.mkdtemp(prefix="bwfault")), {"API_TOKEN": SECRET}
    try:
        await asyncio.to_thread(prepare_gateway, folder, POLICY.replace("PORT", str(port)), environ)
        config = load_config(folder / "policy.yaml", environ)
        async with running(folder / "policy.yaml", config, environ, [HttpFront(config)]) as gateway:
            wanted = Wanted(
                agent="bot",
                task="work",
                user=User("ada"),
                tenant="acorn",
                values={"customer_id": "501"},
                opener="tests",
            )
            opened = await gateway.opener.open(wanted)
            assert isinstance(opened, Opened)
            yield gateway, opened.token
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def asked(gateway: Running, token: str, reason: str = "") -> tuple[int, dict[str, object]]:
    """Ask for an invoice. With another reason it is not the same request again."""
    client = HttpClient(Origin("http", *gateway.addresses()["http"]))
    said = [("Bailiwick-Reason", reason)] if reason else []
    try:
        answer = await client.send("GET", "/billing/invoices/5", [("Authorization", f"Bearer {token}"), *said])
        body = bytearray()
        while part := await answer.part():
            body += part
        return answer.status, cast("dict[str, object]", json.loads(body))
    finally:
        await client.close()


def told(gateway: Running) -> list[dict[str, object]]:
    reader = open_reader(gateway.config.ledger)
    try:
        every = [cast("dict[str, object]", json.loads(each.body)) for each in reader.query(Query(limit=1000))]
    finally:
        reader.close()
    assert "CANARY" not in str(every)
    return [each for each in every if each.get("code") == "internal_error"]


@pytest.mark.parametrize(
    ("where", "name", "agent"),
    [
        pytest.param(asgi, "read_head", None, id="before the session is known"),
        pytest.param(requests.Requests, "route", "bot", id="routing"),
        pytest.param(exchange, "filtered", "bot", id="the answer"),
    ],
)
def test_a_fault_is_a_denial_on_record(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    port: int,
    where: object,
    name: str,
    agent: str | None,
) -> None:
    async def test() -> None:
        async with here(port) as (gateway, token):
            assert (await asked(gateway, token))[0] == 200
            with monkeypatch.context() as patch:
                patch.setattr(where, name, broken)
                status, answer = await asked(gateway, token, "another one")
            assert (status, answer["code"]) == (500, "internal_error")
            assert "CANARY" not in str(answer)
            records = told(gateway)
            assert answer["decision"] in [each["id"] for each in records]
            assert all(each.get("agent") == agent for each in records)
            assert (await asked(gateway, token))[0] == 200
            assert len(told(gateway)) == len(records)

    asyncio.run(test())
    assert "FaultError at test_http_faults.py" in caplog.text
    assert "CANARY" not in caplog.text
