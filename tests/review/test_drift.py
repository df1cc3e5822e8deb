"""`bailiwick drift`: what differs from the lock is said of every mount, and what cannot be reached as well."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.forked import said

pytestmark = pytest.mark.xdist_group("drift")
SERVER = """\
import sys
from mcp.server import MCPServer

server = MCPServer("desk")


@server.tool(description=sys.argv[1])
def refund(number: int) -> str:
    return "done"


@server.tool()
def other() -> str:
    return "done"


server.run()
"""
POLICY = """\
bailiwick: 1
mounts:
  shop:
    kind: sql
    engine: sqlite
    file: shop.db
    resources:
      orders: {table: orders, key: order_id}
  desk:
    kind: mcp
    command: [PYTHON, server.py, "gives money back"]
    tools:
      refund: {action: refunds:create}
"""


@pytest.fixture(scope="module")
def accepted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("drift")
    (made / "server.py").write_text(SERVER)
    (made / "policy.yaml").write_text(POLICY.replace("PYTHON", sys.executable))
    changed(made, "CREATE TABLE orders (order_id INTEGER PRIMARY KEY, note TEXT)", "CREATE TABLE spare (id INTEGER)")
    done = ran(made, "accept", "--yes")
    assert done.returncode == 0, done.stderr
    return made


@pytest.fixture
def folder(accepted: Path, tmp_path: Path) -> Path:
    """A copy of what was accepted, to change at will."""
    return shutil.copytree(accepted, tmp_path / "copy")


def changed(folder: Path, *statements: str) -> None:
    with closing(sqlite3.connect(folder / "shop.db")) as connection:
        for each in statements:
            connection.execute(each)
        connection.commit()


def ran(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("BAILIWICK")}
    return said(folder, environ, *arguments)


def test_what_changed_is_said_and_what_did_not_is_said_too(folder: Path) -> None:
    same = ran(folder, "drift")
    assert (same.returncode, same.stderr) == (0, "")
    assert "shop: as it was accepted" in same.stdout
    assert "mapped by nothing: main.spare" in same.stdout
    assert "desk: as it was accepted" in same.stdout
    assert "mapped by nothing: other" in same.stdout
    changed(folder, "ALTER TABLE orders ADD COLUMN card TEXT")
    policy = folder / "policy.yaml"
    policy.write_text(policy.read_text().replace("gives money back", "gives money to anybody"))
    lock = (folder / "bailiwick.lock").read_text()
    told = ran(folder, "drift", "--json")
    mounts = {each["mount"]: each for each in json.loads(told.stdout)["mounts"]}
    assert (told.returncode, mounts["shop"]["drifted"], mounts["desk"]["drifted"]) == (1, True, True)
    assert mounts["shop"]["changes"] == ["shop: main.orders: new column card text"]
    assert "gives money to anybody" in " ".join(mounts["desk"]["changes"])
    assert (folder / "bailiwick.lock").read_text() == lock


def test_what_cannot_be_reached_is_said_and_counts(folder: Path) -> None:
    (folder / "server.py").unlink()
    told = ran(folder, "drift")
    assert told.returncode == 1
    assert "desk: cannot be compared" in told.stdout
    assert "shop: as it was accepted" in told.stdout
