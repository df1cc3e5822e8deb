"""sqlsmith for a minute (`make test`) or ten (`make nightly`): nothing breaks, nothing leaks, little is refused."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.sqlsmith.smith import FOLDER, Door, Smith, Tally
from tests.support.canary import leaks_in_files
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.postgres import Database, Server

SECONDS = float(os.environ.get("BAILIWICK_SQLSMITH_SECONDS", "45"))
SEED = int(os.environ.get("BAILIWICK_SQLSMITH_SEED", "20261"))
LEAST = 10
"""Statements, on the slowest machine."""
ENOUGH = 60
"""Statements from which on their shares mean something."""


@dataclass(frozen=True, slots=True)
class Shop:
    """Where sqlsmith works."""

    gateway: RunningGateway
    upstream: Database
    narrow: Door
    wide: Door
    direct: Door


@pytest.fixture(scope="module")
def shop(postgres: Server) -> Iterator[Shop]:
    upstream = postgres.create((FOLDER / "sqlsmith.sql").read_text())
    policy = (FOLDER / "sqlsmith.yaml").read_text()
    own = upstream.url("smith", "smith")
    with running_gateway(policy, {"SMITH_URL": own}) as gateway:
        doors = [Door(gateway.open_session(name).url()) for name in ("narrow", "wide")]
        made = Shop(gateway, upstream, doors[0], doors[1], Door(own))
        yield made
        for door in (*doors, made.direct):
            door.close()


def test_sqlsmith_finds_no_crash_no_leak_and_no_error_of_our_making(
    shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    smith = Smith(shop.gateway.open_session("narrow"), tmp_path, SEED)
    tally = Tally()
    for sql in smith.statements(SECONDS):
        tally.count(sql, shop.narrow.tried(sql), shop.wide.tried(sql), shop.direct.tried(sql))
    alive = smith.stop()
    with capsys.disabled():
        sys.stdout.write("\n" + tally.report())
    assert alive, smith.errors.read_text()
    assert tally.faults == [], "\n\n".join(tally.faults[:5])
    assert tally.kinds.total() >= LEAST
    if tally.kinds.total() >= ENOUGH:
        assert tally.share("narrow") >= 0.7
        assert tally.share("wide") >= 0.7
        assert tally.share_of_valid() >= 0.8
    log = shop.gateway.log()
    assert "level=error" not in log, log[-3000:]
    shop.gateway.flush()
    assert leaks_in_files(shop.gateway.folder) == []
