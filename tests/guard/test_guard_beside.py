"""A guard whose gateway is another process: the same path over the admin socket."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from bailiwick.errors import ConfigError, LedgerError
from bailiwick.guard import DeniedError, Guard
from tests.guard.conftest import POLICY, App
from tests.support.gateway import RunningGateway, prepare_gateway

pytestmark = pytest.mark.xdist_group("guard")


@pytest.fixture(scope="module")
def gateway() -> Generator[RunningGateway]:
    folder = Path(tempfile.mkdtemp(prefix="bwsdk"))
    running = prepare_gateway(folder, POLICY, {})
    try:
        running.start()
        yield running
    finally:
        running.stop()
        shutil.rmtree(folder, ignore_errors=True)


async def test_a_gateway_that_runs_beside_is_used_and_denies_once_it_is_gone(gateway: RunningGateway) -> None:
    with pytest.raises(LedgerError, match="in use by another gateway"):
        Guard(gateway.policy, gateway="here").__enter__()
    paid: list[int] = []
    guard = Guard(gateway.policy)

    @guard.function
    def refund(customer_id: int, amount: int, note: str = "") -> str:
        paid.append(amount)
        if note == "stop":
            gateway.kill()
        return f"{customer_id}"

    @guard.function
    async def orders(kind: str) -> dict[str, object]:
        return {"found": [{"customer_id": 7, "of": kind}, {"customer_id": 8}]}

    with guard.session("bot", task="work", user="grace", values={"customer_id": 7}):
        assert refund(7, 1) == "7"
        assert await orders("books") == {"found": [{"customer_id": 7, "of": "books"}]}
        with pytest.raises(DeniedError, match="argument_not_granted"):
            refund(7, 501)
        told = gateway.say("ledger", "query", "--json")
        assert "CANARY" not in told.stdout
        assert "refund" in told.stdout
        with pytest.raises(DeniedError, match="what was done stays done"):
            refund(7, 2, "stop")
        with pytest.raises(DeniedError, match="nothing was done"):
            refund(7, 3)
    assert paid == [1, 2]
    guard.close()


def test_a_process_beside_an_embedded_gateway_shares_it(app: App) -> None:
    program = """
import sys
from bailiwick.guard import Guard
guard = Guard(sys.argv[1])
@guard.function
def refund(customer_id: int, amount: int, note: str = "") -> str:
    return "paid " + str(amount)
with guard, guard.session("bot", task="work", values={"customer_id": 7}):
    print(refund(7, 5))
"""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("BAILIWICK_")}
    before = len(app.records())
    ran = subprocess.run(
        [sys.executable, "-c", program, str(app.folder / "policy.yaml")],
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (ran.stdout, ran.stderr) == ("paid 5\n", "")
    assert len(app.records()) > before


def test_nothing_beside_is_said(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(POLICY)
    with pytest.raises(ConfigError, match="no gateway answers"):
        Guard(tmp_path / "policy.yaml", gateway="beside", environ={}).__enter__()
