"""Every driver, briefly, before every older PostgreSQL; the files beside this one do it at length on the newest."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import psycopg2
import pytest
from sqlalchemy import create_engine, inspect

from tests.support.corpus import Watch
from tests.support.desk import TABLES, Desk, open_desk
from tests.support.installed import NEWEST, SUPPORTED, installation, versions
from tests.support.postgres import Server

SQL = "SELECT ticket_id, status FROM tickets ORDER BY ticket_id"
ROWS = [(501, "open"), (502, "pending"), (503, "closed")]
HIDDEN = "SELECT ssn FROM customers"


@pytest.fixture(scope="module", params=versions("desk", *(v for v in SUPPORTED if v != NEWEST)))
def _older(request: pytest.FixtureRequest, servers: Callable[[int], Server]) -> Iterator[tuple[Desk, Watch]]:
    with open_desk(servers(request.param)) as opened:
        yield opened


@pytest.fixture
def desk(_older: tuple[Desk, Watch]) -> Iterator[Desk]:
    yield _older[0]
    _older[1].changed()


async def test_asyncpg(desk: Desk) -> None:
    connection = await asyncpg.connect(desk.session.url())
    try:
        assert [tuple(row) for row in await connection.fetch(SQL)] == ROWS
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch(HIDDEN)
    finally:
        await connection.close()


def test_psycopg(desk: Desk) -> None:
    with psycopg.connect(desk.session.url(), autocommit=True) as connection:
        assert connection.execute(SQL, prepare=True, binary=True).fetchall() == ROWS
        changed = "UPDATE tickets SET status = %s WHERE ticket_id = 501 RETURNING status"
        assert connection.execute(changed, ("closed",)).fetchall() == [("closed",)]
        with connection.cursor().copy("COPY (SELECT ticket_id FROM tickets ORDER BY 1) TO STDOUT") as copy:
            assert b"".join(copy) == b"501\n502\n503\n"
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(HIDDEN)


def test_psycopg2(desk: Desk) -> None:
    connection = psycopg2.connect(desk.session.url())
    with connection, connection.cursor() as cursor:
        cursor.execute(SQL)
        assert cursor.fetchall() == ROWS
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cursor.execute(HIDDEN)
    connection.close()


def test_sqlalchemy_reflects_the_scope(desk: Desk) -> None:
    engine = create_engine(desk.session.url(scheme="postgresql+psycopg"))
    found = inspect(engine)
    assert set(found.get_table_names()) == TABLES
    assert [column["name"] for column in found.get_columns("customers")] == ["customer_id", "name", "email", "region"]
    assert found.get_pk_constraint("tickets")["constrained_columns"] == ["ticket_id"]
    engine.dispose()


def test_psql(desk: Desk) -> None:
    done = subprocess.run(
        [installation() / "psql", "-X", "-A", "-t", "-c", r"\d tickets", "-c", SQL],
        env={**desk.session.environment(), "LC_ALL": "C"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines()[-3:] == ["501|open", "502|pending", "503|closed"]
    assert any(line.startswith("subject|text") for line in done.stdout.splitlines())


def test_node_postgres(desk: Desk) -> None:
    done = subprocess.run(
        [Path(sys.prefix) / "bin/node", str(Path(__file__).with_name("driver.mjs")), str(Path(sys.prefix) / "node")],
        env={**desk.session.environment(), "PATH": "/usr/local/bin:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    steps: dict[str, Any] = {line["step"]: line["value"] for line in map(json.loads, done.stdout.splitlines())}
    assert steps["parameters"] == [{"subject": "Invoice copy"}]
    assert steps["denied"]["code"] == "42501"
