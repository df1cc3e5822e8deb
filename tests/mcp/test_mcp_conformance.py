"""The public conformance suite of MCP: through the gateway everything comes out as it does directly."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from tests.support.gateway import RunningGateway, running_gateway
from tests.support.postgres import free_port
from tests.support.relay import relay

pytestmark = pytest.mark.xdist_group("mcp-conformance")
NODE = Path(sys.prefix) / "bin" / "node"
SUITE = Path(sys.prefix) / "node/node_modules/@modelcontextprotocol/conformance/dist/index.js"
SERVER = Path(__file__).parents[1] / "support" / "conformance_server.py"
_source = SERVER.read_text()
TOOLS = re.findall(r"^@server\.tool\(.*\)\n(?:async )?def (\w+)", _source, re.MULTILINE)
PROMPTS = re.findall(r"^@server\.prompt\(.*\)\n(?:async )?def (\w+)", _source, re.MULTILINE)
DOCUMENTS = re.findall(r'^@server\.resource\("([^"]+)"', _source, re.MULTILINE)
DENIED = "test_image_content"
POLICY = f"""\
bailiwick: 1
mounts:
  suite:
    kind: mcp
    url: http://127.0.0.1:PORT/mcp
    relay: {{logging: the suite, sampling: the suite, elicitation: the suite, roots: the suite}}
    tools:
{chr(10).join(f"      {name}: {{action: suite:{name}}}" for name in TOOLS)}
    prompts:
{chr(10).join(f"      {name}: {{action: suite:{name}}}" for name in PROMPTS)}
    documents:
{chr(10).join(f'      "{uri}": {{action: documents:read}}' for uri in DOCUMENTS)}
roles:
  full:
    grants:
{chr(10).join(f"      - {{allow: suite:{name}, reason: the suite calls it, args: any}}" for name in TOOLS + PROMPTS)}
      - {{allow: documents:read, reason: the suite reads them, args: any}}
  lacking:
    inherits: [full]
    grants:
      - {{deny: suite:{DENIED}, reason: to see what fails}}
agents:
  full: {{owner: tests, purpose: everything, roles: [full]}}
  lacking: {{owner: tests, purpose: everything but one tool, roles: [lacking]}}
"""
REVISIONS = ("2025-11-25", "2026-07-28")
Failures = Mapping[str, frozenset[str]]
"""Scenario → the checks of it that failed."""


@dataclass(frozen=True, slots=True)
class Rig:
    """The suite's server and a gateway in front of it."""

    port: int
    gateway: RunningGateway
    shown: Mapping[str, int]
    """Agent → the port that the suite is given for the gateway: pages of that origin are allowed, as it expects."""
    folder: Path

    def direct(self, revision: str) -> Failures:
        """Run the suite without the gateway."""
        return _run(self.port, revision, self.folder / f"direct-{revision}")

    def through(self, revision: str, agent: str, only: Iterable[str] = ()) -> Failures:
        """Run it through the gateway, or only those scenarios of it."""
        token = self.gateway.open_session(agent).token
        out = self.folder / f"{agent}-{revision}-{time.monotonic_ns()}"
        with relay(self.gateway.mcp_port, token, self.shown[agent]) as found:
            if not only:
                return _run(found.port, revision, out)
            runs = [_run(found.port, revision, out.with_name(f"{out.name}-{name}"), name) for name in only]
            return {name: failed for run in runs for name, failed in run.items()}


def _run(port: int, revision: str, out: Path, scenario: str = "") -> Failures:
    url = f"http://127.0.0.1:{port}/mcp"
    which = ["--scenario", scenario, "--spec-version", revision] if scenario else ["--requirements", revision]
    subprocess.run(
        [NODE, SUITE, "server", "--url", url, *which, "-o", out],
        capture_output=True,
        timeout=900,
        check=False,  # it tells of failures by its exit code
    )
    found: dict[str, frozenset[str]] = {}
    for folder in out.iterdir():
        checks = cast("list[dict[str, str]]", json.loads((folder / "checks.json").read_text()))
        name = re.sub(r"-\d{4}-\d\d-\d\dT.*$", "", folder.name.removeprefix("server-"))
        found[name] = frozenset(each["id"] for each in checks if each["status"] == "FAILURE")
    return found


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Generator[Rig]:
    port, folder = free_port(), tmp_path_factory.mktemp("suite")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, SERVER, str(port)], stdout=log, stderr=log)
    try:
        _wait(process, port)
        shown = {agent: free_port() for agent in ("full", "lacking")}
        origins = ",".join(f"http://{host}:{each}" for host in ("127.0.0.1", "localhost") for each in shown.values())
        with running_gateway(POLICY.replace("PORT", str(port)), {"BAILIWICK_MCP_ORIGINS": origins}) as gateway:
            yield Rig(port, gateway, shown, folder)
    finally:
        process.kill()
        process.wait(60)


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/mcp", timeout=60)
        except urllib.error.HTTPError:
            return  # it answers
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("the suite's server did not start")


@pytest.mark.parametrize("revision", REVISIONS)
def test_every_scenario_comes_out_as_it_does_directly(rig: Rig, revision: str) -> None:
    agents = ["full", *(["lacking"] if revision == "2026-07-28" else [])]  # once: a denied tool is denied in every era
    with ThreadPoolExecutor(2) as side_by_side:  # most of the time the suite waits
        beside = side_by_side.submit(rig.direct, revision)
        runs = [side_by_side.submit(rig.through, revision, agent) for agent in agents]
        direct, through, *lacking = (each.result() for each in (beside, *runs))
    assert direct.keys() == through.keys()
    assert not direct["tools-call-simple-text"]
    assert not _confirmed(rig, revision, "full", _worse(direct, through))
    for found in lacking:
        assert _confirmed(rig, revision, "lacking", _worse(through, found)).keys() == {"tools-call-image"}


def _confirmed(rig: Rig, revision: str, agent: str, worse: Failures) -> Failures:
    """Run again, by themselves, the scenarios that came out worse; return what did every time.

    The suite itself gives up on what a slow machine answers late: that is not the gateway's."""
    for _ in range(_again):
        if worse:
            worse = _both_times(worse, rig.through(revision, agent, worse))
    return worse


_again = 2


def _worse(before: Failures, after: Failures) -> dict[str, frozenset[str]]:
    return {name: after[name] - before[name] for name in before if after[name] - before[name]}


def _both_times(one: Failures, other: Failures) -> dict[str, frozenset[str]]:
    return {name: one[name] & other[name] for name in one if one[name] & other.get(name, frozenset())}
