"""node-postgres, installed into the virtual environment by `make test`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.desk import Desk

MODULES = Path(sys.prefix) / "node"
NODE = Path(sys.prefix) / "bin" / "node"


@pytest.fixture
def steps(desk: Desk) -> dict[str, Any]:
    """Run the session of driver.mjs and return what each of its steps gave."""
    done = subprocess.run(
        [NODE, str(Path(__file__).with_name("driver.mjs")), str(MODULES)],
        env={**desk.session.environment(), "PATH": "/usr/local/bin:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    desk.clean(done.stdout)
    return {line["step"]: line["value"] for line in map(json.loads, done.stdout.splitlines())}


def test_a_session_by_node_postgres(steps: dict[str, Any]) -> None:
    assert steps["select"] == [{"name": "Xenia Marsh", "email": "x***@example.com"}]
    assert steps["parameters"] == [{"subject": "Invoice copy"}]
    assert steps["prepared"] == [[{"status": "open"}], [{"status": "pending"}], []]
    assert [row["order_id"] for row in steps["portion"]] == [90001, 90002, 90003, 90004]
    assert [row["ticket_id"] for row in steps["binary"]] == [501, 502, 503]
    assert steps["rollback"] == [1, [{"status": "open"}]]
    assert steps["update"] == [{"status": "closed"}]
    assert steps["after"] == [{"one": 1}]
    assert steps["pool"] == [4, 5, 6, 7, 8, 9]


@pytest.mark.parametrize("step", ["denied", "denied prepared"])
def test_a_refusal_reaches_node_with_code_and_hint(steps: dict[str, Any], step: str) -> None:
    assert steps[step]["code"] == "42501"
    assert steps[step]["hint"]
