"""Pages of the console with a hundred thousand records behind them, and with a thousand approvals that wait.

A gateway of its own; each page is asked for over HTTP, one after the other, by somebody who is logged in.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# At the end: `http.py` beside this file is not to stand for the standard library's `http`.
sys.path[:] = [*(each for each in sys.path if Path(each).name != "bench"), str(ROOT / "bench")]

import argparse  # noqa: E402  # the path is set above
import asyncio  # noqa: E402  # the path is set above
import http.client  # noqa: E402  # the path is set above
import os  # noqa: E402  # the path is set above
import subprocess  # noqa: E402  # the path is set above
import tempfile  # noqa: E402  # the path is set above
import time  # noqa: E402  # the path is set above
from collections.abc import Mapping  # noqa: E402  # the path is set above
from datetime import UTC, datetime, timedelta  # noqa: E402  # the path is set above
from urllib.parse import urlencode  # noqa: E402  # the path is set above

from common import Report, machine, median, record  # noqa: E402  # the path is set above

from bailiwick.errors import BailiwickError  # noqa: E402  # the path is set above
from bailiwick.gateway.admin_client import AdminClient  # noqa: E402  # the path is set above
from bailiwick.gateway.approvals.store import ApprovalStore  # noqa: E402  # the path is set above
from bailiwick.gateway.keys import load_keys, make_data_dir  # noqa: E402  # the path is set above
from bailiwick.gateway.ledger.store import open_store  # noqa: E402  # the path is set above
from bailiwick.gateway.state import open_state  # noqa: E402  # the path is set above
from bailiwick.model.approval import Approval, Need, Requester, Step, Subject, Terms  # noqa: E402  # the path is set above
from bailiwick.model.record import Record  # noqa: E402  # the path is set above

BAILIWICK = Path(sys.executable).with_name("bailiwick")
POLICY = """\
bailiwick: 1
mounts:
  shop: {kind: python, functions: {refund: {action: billing:refund, parameters: [amount]}}}
roles: {support: {grants: [{allow: billing:refund, reason: bench, args: any}]}}
agents: {bot: {owner: team, purpose: bench, roles: [support]}}
"""
NOW = datetime.now(UTC)
TARGET = 200
PAGES = {
    "now": "/console",
    "ledger, newest": "/console/ledger",
    "ledger, of an agent": "/console/ledger?agent=bot",
    "ledger, of an action": "/console/ledger?action=billing%3Arefund",
    "ledger, denied, old ones": "/console/ledger?decision=deny&before=40000",
    "ledger, of a rare kind": "/console/ledger?kind=gateway.started",
    "ledger, one record": "/console/ledger/777",
    "agents": "/console/agents",
    "matrix": "/console/matrix",
    "one cell": "/console/matrix/cell?agent=bot&resource=billing",
    "approvals, 1,000 wait": "/console/approvals?which=waiting",
    "approvals, the last page": "/console/approvals?which=waiting&from=950",
}


def of_number(number: int, count: int) -> Record:
    """Return a record as a gateway makes them, spread over the last day."""
    return Record(
        id=f"rec_{number:026d}",
        kind="call",
        at=NOW - timedelta(seconds=86400 * (count - number) / count),
        agent="bot",
        user=f"user{number % 97}",
        session=f"ses_{number % 301:026d}",
        mount="shop",
        actions=("billing:refund",),
        statement="refund",
        decision="deny" if number % 10 == 9 else "allow",
        code="action_not_granted" if number % 10 == 9 else "",
        grants=("support/billing:refund/1",),
        duration_us=1234,
    )


def waiting(number: int) -> Approval:
    """Return an approval that waits for people."""
    subject = Subject("elevation", "", f"role {number}", "{}", f"{number:064x}")
    terms = Terms((Need("bench", ("finance",)),), timedelta(hours=9), timedelta(hours=1))
    begun = (Step("held", NOW, "agent"),)
    made = NOW - timedelta(seconds=number)
    return Approval(
        f"apr_{number:026d}",
        *(subject, Requester("", "bot"), terms, "1", ("billing:refund",), (), "bench", made, NOW + timedelta(hours=9)),
        steps=begun,
    )


def prepare(folder: Path, count: int) -> None:
    """Write what a gateway of that age has behind it."""
    (folder / "policy.yaml").write_text(POLICY)
    (folder / "gateway.yaml").write_text("environment: staging\napi: {port: 0}\npostgres: {port: 0}\n")
    data = folder / ".bailiwick"
    make_data_dir(data)
    store = open_store(data / "ledger.db", load_keys(data).signing)
    for first in range(0, count, 2000):
        store.append([of_number(number, count) for number in range(first, min(first + 2000, count))])
        store.drain()
    store.close()
    asyncio.run(held(data / "state.db"))


async def held(file: Path) -> None:
    """Have a thousand approvals wait."""
    state = await open_state(file)
    approvals = ApprovalStore(state)
    for number in range(1000):
        await approvals.insert(waiting(number))
    await state.close()


def logged_in(admin: AdminClient) -> tuple[int, str]:
    """Return the port of a gateway that has started, and the cookie of somebody who is logged in."""
    deadline = time.monotonic() + 60
    while True:
        try:
            url = str(admin.ask("console.link", {})["url"])
            break
        except BailiwickError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
    port = int(url.split(":")[2].partition("/")[0])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": f"http://127.0.0.1:{port}"}
    connection.request("POST", "/console/login/link", urlencode({"token": url.rpartition("=")[2]}), headers)
    answer = connection.getresponse()
    answer.read()
    return port, str(answer.headers["set-cookie"]).partition(";")[0]


def took(port: int, cookie: str, path: str) -> float:
    """Return the milliseconds that a page takes, from the request to its last byte."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.connect()
    began = time.perf_counter()
    connection.request("GET", path, headers={"Cookie": cookie})
    answer = connection.getresponse()
    answer.read()
    spent = (time.perf_counter() - began) * 1000
    connection.close()
    if answer.status != 200:
        raise SystemExit(f"{path} answers {answer.status}")
    return spent


def main() -> int:
    """Measure, print, and return the exit code."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="few rounds: under 40 seconds")
    options.add_argument("--rounds", type=int, default=30)
    options.add_argument("--records", type=int, default=100_000)
    options.add_argument("--write", action="store_true", help="put the figures into docs/benchmarks.md")
    chosen = options.parse_args()
    rounds, report = (5 if chosen.quick else int(chosen.rounds)), Report()
    report.say(machine())
    with tempfile.TemporaryDirectory(prefix="bw") as made:
        folder = Path(made)
        prepare(folder, int(chosen.records))
        process = subprocess.Popen([BAILIWICK, "serve", "policy.yaml"], cwd=folder, env={**os.environ})  # noqa: S603  # our own program
        try:
            port, cookie = logged_in(AdminClient(folder / ".bailiwick" / "admin.sock", "bailiwick serve"))
            report.line(
                f"first look, {chosen.records:,} records", took(port, cookie, "/console"), "ms", TARGET, most=True
            )
            while b"still being counted" in fetched(port, cookie, "/console"):
                time.sleep(0.05)
            for name, figures in measured(port, cookie, rounds).items():
                report.line(name, median(figures), "ms", TARGET, most=True)
        finally:
            process.terminate()
            process.wait(30)
    if chosen.write:
        record("console", report)
    return int(report.short)


def measured(port: int, cookie: str, rounds: int) -> Mapping[str, list[float]]:
    """Return the milliseconds of each page in each round."""
    found: dict[str, list[float]] = {name: [] for name in PAGES}
    for _ in range(rounds):
        for name, path in PAGES.items():
            found[name].append(took(port, cookie, path))
    return found


def fetched(port: int, cookie: str, path: str) -> bytes:
    """Return a page."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path, headers={"Cookie": cookie})
    body = connection.getresponse().read()
    connection.close()
    return body


if __name__ == "__main__":
    sys.exit(main())
