"""`bailiwick accept`: the difference between the databases and the lock, and its acceptance."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bailiwick.cli.accept import app
from bailiwick.errors import BackendError
from bailiwick.policy.lockfile import parse_lock
from tests.support.postgres import Database

POLICY = """
bailiwick: 1
mounts:
  crm:
    kind: postgres
    url: ${CRM_URL}
    resources:
      customers: {table: public.customers, key: customer_id}
      orders: {table: public.orders}
"""
SCRIPT = """
CREATE TABLE public.customers (customer_id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE public.orders (order_id int);
CREATE TABLE public.unmapped (x int);
"""


@pytest.fixture
def crm(new_database: Callable[[str], Database], monkeypatch: pytest.MonkeyPatch) -> Database:
    made = new_database(SCRIPT)
    monkeypatch.setenv("CRM_URL", made.url())
    return made


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY)
    return path


def test_the_first_acceptance_writes_what_is_mapped_and_nothing_else(crm: Database, policy: Path) -> None:  # noqa: ARG001  # its url is in the environment
    result = CliRunner().invoke(app, [str(policy), "--yes"])
    assert result.exit_code == 0
    assert "crm: public.customers: new table with 2 columns: customer_id, name" in result.stdout
    lock = parse_lock(policy.with_name("bailiwick.lock").read_text())
    assert set(lock.mounts["crm"]) == {("public", "customers"), ("public", "orders")}
    assert CliRunner().invoke(app, [str(policy)]).stdout.strip() == "nothing changed since it was accepted"


def test_nothing_is_written_without_consent(crm: Database, policy: Path) -> None:  # noqa: ARG001  # its url is in the environment
    result = CliRunner().invoke(app, [str(policy)], input="y\n")
    assert result.exit_code == 1
    assert "no terminal to ask on" in result.output
    assert not policy.with_name("bailiwick.lock").exists()


@pytest.mark.parametrize(("answer", "written"), [(True, True), (False, False)])
def test_the_answer_of_a_person_decides(
    crm: Database,  # noqa: ARG001  # its url is in the environment
    policy: Path,
    monkeypatch: pytest.MonkeyPatch,
    answer: bool,
    written: bool,
) -> None:
    monkeypatch.setattr("bailiwick.cli.accept._agreed", lambda: answer)
    result = CliRunner().invoke(app, [str(policy)])
    assert policy.with_name("bailiwick.lock").exists() is written
    assert result.exit_code == (0 if written else 1)


def test_changes_are_told_in_words_and_accepted(crm: Database, policy: Path) -> None:
    assert CliRunner().invoke(app, [str(policy), "--yes"]).exit_code == 0
    crm.script(
        "ALTER TABLE customers ADD ssn text; ALTER TABLE customers ALTER name TYPE varchar(9);"
        " ALTER TABLE orders DROP COLUMN order_id; ALTER TABLE orders ADD id bigint NOT NULL"
    )
    shown = CliRunner().invoke(app, [str(policy), "--json"])
    assert shown.exit_code == 1
    found = json.loads(shown.stdout)
    assert found["written"] is False
    assert found["changes"] == [
        "crm: public.customers: column name was text, is character varying(9)",
        "crm: public.customers: new column ssn text",
        "crm: public.orders: new column id bigint",
        "crm: public.orders: column order_id is gone",
    ]
    accepted = CliRunner().invoke(app, [str(policy), "--json", "--yes"])
    assert accepted.exit_code == 0
    assert json.loads(accepted.stdout)["written"] is True
    lock = parse_lock(policy.with_name("bailiwick.lock").read_text())
    table = lock.table("crm", "public", "customers")
    assert table is not None
    assert table.column("ssn") is not None


def test_a_mapped_table_that_is_not_there_is_told_and_fails(crm: Database, policy: Path) -> None:
    crm.script("DROP TABLE orders")
    result = CliRunner().invoke(app, [str(policy), "--yes"])
    assert result.exit_code == 1
    assert "public.orders, mapped to `orders`, is not in the database" in result.output
    assert ("public", "customers") in parse_lock(policy.with_name("bailiwick.lock").read_text()).mounts["crm"]


def test_a_policy_with_problems_is_not_accepted(crm: Database, policy: Path) -> None:  # noqa: ARG001  # its url is in the environment
    policy.write_text(POLICY.replace("table: public.orders", "tabel: public.orders"))
    result = CliRunner().invoke(app, [str(policy), "--yes"])
    assert result.exit_code == 2
    assert "tabel" in result.output
    assert not policy.with_name("bailiwick.lock").exists()


def test_an_unreachable_database_leaves_the_lock_as_it_was(
    crm: Database, policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert CliRunner().invoke(app, [str(policy), "--yes"]).exit_code == 0
    before = policy.with_name("bailiwick.lock").read_text()
    crm.script("DROP TABLE orders")
    monkeypatch.setenv("CRM_URL", "postgresql://gateway:s3cr3t@127.0.0.1:1/crm")
    result = CliRunner().invoke(app, [str(policy), "--yes"])
    assert isinstance(result.exception, BackendError)
    assert "s3cr3t" not in result.output + result.exception.message
    assert policy.with_name("bailiwick.lock").read_text() == before
