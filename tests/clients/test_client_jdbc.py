"""JDBC: statements, cursors, metadata, batches, generated keys; its extended and its simple protocol."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.clients.conftest import FOLDER, Library
from tests.support.installed import JDBC

UNABLE = {"binaryTransfer=true": set[str](), "preferQueryMode=simple": {"described"}}
"""What the driver itself cannot do in a mode, directly neither."""


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the session and return the class path."""
    folder = tmp_path_factory.mktemp("jdbc")
    source = FOLDER / "JdbcSession.java"
    subprocess.run(["ecj", "-17", "-nowarn", "-proc:none", "-cp", JDBC, "-d", folder, source], check=True, timeout=120)
    return folder


@pytest.mark.parametrize("option", ["binaryTransfer=true", "preferQueryMode=simple"])
def test_jdbc_sees_a_database_of_its_scope_alone(library: Library, classes: Path, option: str) -> None:
    scoped, alone = library.both("java", "-XX:TieredStopAtLevel=1", "-cp", f"{classes}:{JDBC}", "JdbcSession", option)
    assert len(scoped) > 30
    assert {name for name in scoped if scoped[name] != alone[name]} - UNABLE[option] == {"refused"}
    assert scoped["refused"].startswith("refused 42501")
    failed = {name for name, value in scoped.items() if str(value).startswith(("refused", "failed"))}
    assert failed == UNABLE[option] | {"refused"}
    assert {name for name in UNABLE[option] if not alone[name].startswith("refused")} == set()
    assert scoped["hidden columns"] == []
    assert scoped["select"][0] == ["Author 1", "a***@mail.example"]
