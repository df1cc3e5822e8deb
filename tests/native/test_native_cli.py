"""`bailiwick postgres`: printing, the plan before anything happens, drift's exit code, removal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bailiwick.cli.postgres import app
from tests.native.native_desk import POLICY, SCRIPT
from tests.support.gateway import accept
from tests.support.postgres import Database, Server

RUN = CliRunner()
OWN_ROLES = "SELECT rolname::text FROM pg_roles WHERE rolname LIKE 'bw%crm%' ORDER BY 1"
"""Roles are the server's, not a database's: other tests may have left some."""


@pytest.fixture
def desk(postgres: Server) -> Iterator[Database]:
    made = postgres.create(SCRIPT)
    yield made
    made.drop()


@pytest.fixture
def policy(desk: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("CRM_URL", desk.url())
    (tmp_path / "policy.yaml").write_text(POLICY)
    accept(tmp_path, {"CRM_URL": desk.url()})
    return str(tmp_path / "policy.yaml")


def test_compile_prints_and_connects_to_nothing(policy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CRM_URL")
    result = RUN.invoke(app, ["compile", policy, "--database", "crm", "--login", "gateway"])
    assert result.exit_code == 0
    for word in ("CREATE ROLE", "security_barrier", "CHECK OPTION", "CREATE TRIGGER", "GRANT SELECT (", "REVOKE"):
        assert word in result.stdout
    again = RUN.invoke(app, ["compile", policy, "--database", "crm", "--login", "gateway"])
    assert again.stdout == result.stdout
    as_json = RUN.invoke(app, ["compile", policy, "--database", "crm", "--login", "gateway", "--json"])
    assert json.loads(as_json.stdout)["mount"] == "crm"


def test_apply_shows_a_plan_and_waits_for_consent(policy: str, desk: Database) -> None:
    before = desk.rows("SELECT count(*) FROM pg_roles")
    shown = RUN.invoke(app, ["apply", policy, "--dry-run"])
    assert (shown.exit_code, "+ role bwo_crm_" in shown.stdout, "to create" in shown.stdout) == (0, True, True)
    refused = RUN.invoke(app, ["apply", policy], input="y\n")
    assert (refused.exit_code, "no terminal to ask on" in refused.output) == (1, True)
    assert desk.rows("SELECT count(*) FROM pg_roles") == before


def test_applied_drifted_and_removed(policy: str, desk: Database) -> None:
    before = desk.rows(OWN_ROLES)
    assert RUN.invoke(app, ["drift", policy]).exit_code == 1
    applied = RUN.invoke(app, ["apply", policy, "--yes"])
    assert (applied.exit_code, "in one transaction" in applied.stdout) == (0, True)
    calm = RUN.invoke(app, ["drift", policy])
    assert (calm.exit_code, calm.stdout) == (0, "nothing differs\n")
    (view,) = desk.rows("SELECT oid::regclass::text FROM pg_class WHERE relname = 'notes' AND relkind = 'v' LIMIT 1")
    desk.script(f"GRANT SELECT ON {view[0]} TO PUBLIC")
    told = RUN.invoke(app, ["drift", policy, "--json"])
    (change,) = json.loads(told.stdout)["changes"]
    assert (told.exit_code, change["action"], change["differences"]) == (1, "change", ["PUBLIC may SELECT"])
    removed = RUN.invoke(app, ["remove", policy, "--yes", "--json"])
    assert (removed.exit_code, json.loads(removed.stdout)["done"]) == (0, True)
    assert RUN.invoke(app, ["remove", policy]).stdout == "nothing to do\n"
    assert desk.rows(OWN_ROLES) == before
