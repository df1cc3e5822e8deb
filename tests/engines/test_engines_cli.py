"""`accept`, `policy check --connect` and `explain` over a SQLite file, with nothing else installed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bailiwick.cli.main import app
from tests.engines.engines_rig import make_database

HERE = Path(__file__).parent


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    make_database(tmp_path / "shop.db", (HERE / "shop.sql").read_text())
    found = tmp_path / "policy.yaml"
    found.write_text((HERE / "shop.yaml").read_text().replace("../shop.db", "shop.db"))
    assert CliRunner().invoke(app, ["accept", str(found), "--yes"]).exit_code == 0
    return found


def test_a_file_is_accepted_and_agrees_with_its_policy(policy: Path) -> None:
    lock = (policy.parent / "bailiwick.lock").read_text()
    assert "main.orders" in lock
    assert "placed: {type: timestamp without time zone}" in lock
    assert "payroll" not in lock
    assert CliRunner().invoke(app, ["policy", "check", str(policy), "--connect"]).exit_code == 0


@pytest.mark.parametrize("connect", [(), ("--connect",)])
def test_explain_shows_what_would_run(policy: Path, connect: tuple[str, ...]) -> None:
    asked = ["--agent", "clerk-bot", "--tenant", "1", "--policy", str(policy), "--json", *connect]
    result = CliRunner().invoke(app, ["explain", "SELECT name FROM customers WHERE id = 1", *asked])
    assert result.exit_code == 0, result.output
    (told,) = json.loads(result.output)
    assert '"bw"."tenant" = ?1' in told["rewritten"]
    assert told["accesses"] == [{"resource": "customers", "verb": "read", "fields": ["id", "name"]}]
    denied = CliRunner().invoke(app, ["explain", "SELECT ssn FROM customers", *asked])
    assert (denied.exit_code, json.loads(denied.output)[0]["denial"]["code"]) == (1, "field_not_granted")


def test_explain_says_of_which_engines_it_knows_nothing(policy: Path) -> None:
    text = policy.read_text()
    text = text.replace("engine: sqlite", "engine: mysql").replace("file: shop.db", "url: ${SHOP_URL}")
    policy.write_text(re.sub(r"table: (\w+)", r"table: main.\1", text))
    asked = ["--agent", "clerk-bot", "--tenant", "1", "--policy", str(policy)]
    result = CliRunner().invoke(app, ["explain", "SELECT name FROM customers WHERE id = 1", *asked])
    assert result.exit_code != 0
    assert "engine `mysql`" in str(result.exception)
