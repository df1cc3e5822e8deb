"""`bailiwick init`: a starter policy from a live database."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from typer.testing import CliRunner

from bailiwick.cli.init import app
from bailiwick.cli.main import app as main
from bailiwick.errors import BailiwickError
from bailiwick.gateway.config import load_config
from bailiwick.gateway.policies.starter import guessed_labels, place_by_url, starter_policy, starter_settings
from bailiwick.model.lock import LockedColumn, LockedTable
from bailiwick.policy.load import load
from bailiwick.policy.lockfile import parse_lock
from bailiwick.policy.validate import check_against_lock
from tests.support.postgres import Database, Server

SCRIPT = """
CREATE SCHEMA hr;
CREATE TABLE public.customers (customer_id int PRIMARY KEY, tenant_id int, name text, email text, ssn text,
  card_number text, birth_date date, phone text, address text, iban text, api_token text, notes text, tier int);
CREATE TABLE public.products (product_id int PRIMARY KEY, name text, description text);
CREATE TABLE hr.customers (a int, b int, PRIMARY KEY (a, b));
CREATE TABLE hr."null" ("yes" int, "odd: ""x"" # y" text, "$name" int);
CREATE VIEW public.v AS SELECT 1 AS one;
"""


@pytest.fixture(scope="module")
def crm(postgres: Server) -> Iterator[Database]:
    made = postgres.create(SCRIPT)
    yield made
    made.drop()


@pytest.fixture
def folder(crm: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what init wrote."""
    monkeypatch.setenv("CRM_URL", crm.url())
    result = CliRunner().invoke(app, ["--url-env", "CRM_URL", "--out", str(tmp_path / "new")])
    assert result.exit_code == 0, result.output
    return tmp_path / "new"


def test_the_policy_has_no_problem_also_against_the_lock(folder: Path) -> None:
    text = (folder / "policy.yaml").read_text()
    loaded = load({"policy.yaml": text})
    assert loaded.problems == ()
    assert loaded.policy is not None
    lock = parse_lock((folder / "bailiwick.lock").read_text())
    assert list(check_against_lock(loaded.policy, lock)) == []


def test_nothing_is_granted(folder: Path) -> None:
    policy = load({"policy.yaml": (folder / "policy.yaml").read_text()}).policy
    assert policy is not None
    assert not policy.roles
    assert not policy.agents
    assert not policy.mounts["crm"].sql
    assert policy.mounts["crm"].url.text == "${CRM_URL}"


def test_every_table_is_mapped_under_a_name_of_its_own(folder: Path) -> None:
    policy = load({"policy.yaml": (folder / "policy.yaml").read_text()}).policy
    assert policy is not None
    tables = {name: (each.schema, each.table) for name, each in policy.mounts["crm"].resources.items()}
    assert tables == {
        "customers": ("public", "customers"),
        "hr_customers": ("hr", "customers"),
        "null": ("hr", "null"),
        "products": ("public", "products"),
        "v": ("public", "v"),
    }
    assert policy.mounts["crm"].resources["hr_customers"].key == ("a", "b")
    assert policy.mounts["crm"].resources["customers"].tenant == "tenant_id"


def test_columns_are_labelled_by_guess(folder: Path) -> None:
    policy = load({"policy.yaml": (folder / "policy.yaml").read_text()}).policy
    assert policy is not None
    labels = policy.mounts["crm"].resources["customers"].labels
    personal, restricted = frozenset({"confidential", "pii"}), frozenset({"restricted"})
    assert labels == {
        "name": personal, "email": personal, "birth_date": personal, "phone": personal, "address": personal,
        "ssn": restricted, "card_number": restricted, "iban": restricted, "api_token": restricted,
        "notes": frozenset({"untrusted"}),
    }  # fmt: skip
    assert "name" not in policy.mounts["crm"].resources["products"].labels


def test_the_example_in_it_works_once_uncommented(folder: Path) -> None:
    text = (folder / "policy.yaml").read_text()
    head, _, tail = text.partition("# roles:")
    example = "\n".join(line.removeprefix("#").removeprefix(" ") for line in f"# roles:{tail}".splitlines())
    loaded = load({"policy.yaml": head + example + "\n"})
    assert loaded.problems == ()
    assert loaded.policy is not None
    assert set(loaded.policy.agents) == {"support-bot"}


def test_the_settings_written_are_the_defaults(folder: Path) -> None:
    text = (folder / "gateway.yaml").read_text()
    assert yaml.safe_load(text) is None
    bare = "\n".join(line.removeprefix("# ") for line in text.splitlines()[3:])
    (folder / "gateway.yaml").write_text(bare)
    with_file = load_config(folder / "policy.yaml", {})
    (folder / "gateway.yaml").unlink()
    assert with_file.file == folder / "gateway.yaml"
    assert replace(with_file, file=None) == load_config(folder / "policy.yaml", {})
    assert text == starter_settings()


def test_nothing_is_overwritten(folder: Path) -> None:
    before = {path.name: path.read_text() for path in folder.iterdir()}
    result = CliRunner().invoke(app, ["--url-env", "CRM_URL", "--out", str(folder)])
    assert isinstance(result.exception, BailiwickError)
    assert "exists already" in result.exception.message
    assert {path.name: path.read_text() for path in folder.iterdir()} == before


def test_the_credential_is_in_no_file_and_no_output(crm: Database, folder: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app, ["--url-env", "CRM_URL", "--mount", "shop", "--out", str(tmp_path / "b"), "--json"]
    )
    assert json.loads(result.stdout)["mount"] == "shop"
    written = [path.read_text() for path in (*folder.iterdir(), *(tmp_path / "b").iterdir())]
    assert len(written) == 6
    secret = crm.url().split(":")[2].split("@")[0]
    assert not [text for text in (*written, result.output) if secret in text]


def test_an_unset_variable_and_a_bad_name_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_URL", raising=False)
    result = CliRunner().invoke(app, ["--url-env", "NO_URL", "--out", str(tmp_path)])
    assert isinstance(result.exception, BailiwickError)
    assert "`NO_URL` is not set" in result.exception.message
    assert CliRunner().invoke(app, ["--url-env", "NO_URL", "--mount", "a b"]).exit_code == 2
    assert list(tmp_path.iterdir()) == []


FILE_SCRIPT = """
CREATE TABLE customers (id integer PRIMARY KEY, tenant_id integer, email text, born date, total numeric);
CREATE TABLE "order lines" (a integer, b integer, note text, PRIMARY KEY (a, b));
INSERT INTO customers VALUES (1, 10, 'ann@mail.example', '1990-01-02', 12.5);
"""


def _sqlite(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as made:
        made.executescript(FILE_SCRIPT)


def _duckdb(path: Path) -> None:
    with duckdb.connect(str(path)) as made:
        made.execute(FILE_SCRIPT)


@pytest.mark.parametrize(("engine", "make"), [("sqlite", _sqlite), ("duckdb", _duckdb)])
def test_a_file_gets_a_policy_that_agrees_with_it(engine: str, make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / "My shop.db")
    result = CliRunner().invoke(app, ["--file", str(tmp_path / "My shop.db"), "--out", str(tmp_path / "new")])
    assert result.exit_code == 0, (result.output, result.exception)
    loaded = load({"policy.yaml": (tmp_path / "new" / "policy.yaml").read_text()})
    assert loaded.problems == ()
    assert loaded.policy is not None
    mount = loaded.policy.mounts["My_shop"]
    assert (mount.kind, mount.engine, mount.url.text) == ("sql", engine, "../My shop.db")
    assert {(each.schema, each.table, each.key) for each in mount.resources.values()} == {
        ("main", "customers", ("id",)),
        ("main", "order lines", ("a", "b")),
    }
    assert mount.resources["customers"].labels == {"email": frozenset({"confidential", "pii"})}
    assert mount.resources["customers"].tenant == "tenant_id"
    assert not loaded.policy.roles
    lock = parse_lock((tmp_path / "new" / "bailiwick.lock").read_text())
    assert list(check_against_lock(loaded.policy, lock)) == []
    assert "ann@" not in "".join(path.read_text() for path in (tmp_path / "new").iterdir())
    checked = CliRunner().invoke(main, ["policy", "check", str(tmp_path / "new" / "policy.yaml"), "--connect"])
    assert checked.exit_code == 0, checked.output


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("not a database")
    for name in ("x.db", "none.db"):
        result = CliRunner().invoke(app, ["--file", str(tmp_path / name), "--out", str(tmp_path / "new")])
        assert isinstance(result.exception, BailiwickError)
        assert name in result.exception.message
    assert CliRunner().invoke(app, ["--out", str(tmp_path / "new")]).exit_code == 2
    both = ["--file", str(tmp_path / "x.db"), "--url-env", "X", "--out", str(tmp_path / "new")]
    assert CliRunner().invoke(app, both).exit_code == 2
    assert not (tmp_path / "new").exists()


names = st.text(st.characters(exclude_characters="\x00", exclude_categories=("Cs",)), min_size=1, max_size=20)
schemas = names.filter(lambda name: not name.startswith("pg_") and name != "information_schema")  # init finds no others


@given(st.dictionaries(st.tuples(schemas, names), st.lists(names, max_size=5, unique=True), max_size=5))
@example({("INFORMATION_SCHEMA", "sqlite_x"): ["id"]})
def test_a_policy_of_any_names_is_valid_and_says_just_those(found: dict[tuple[str, str], list[str]]) -> None:
    tables = {
        key: LockedTable(*key, "r", tuple(LockedColumn(name, "text") for name in columns), tuple(columns[:1]))
        for key, columns in found.items()
    }
    loaded = load({"policy.yaml": starter_policy("crm", place_by_url("CRM_URL"), tables)})
    assert loaded.problems == ()
    assert loaded.policy is not None
    resources = loaded.policy.mounts["crm"].resources.values()
    printable = {key for key in tables if "".join(key).isprintable()}
    assert {(each.schema, each.table) for each in resources} == printable
    for each in resources:
        key = tables[each.schema, each.table].key
        assert each.key == (key if "".join(key).isprintable() else ())


@pytest.mark.parametrize(
    ("table", "column", "type_", "expected"),
    [
        ("users", "passwordHash", "text", ("restricted",)),
        ("payments", "card", "text", ("restricted",)),
        ("users", "name", "text", ("confidential", "pii")),
        ("products", "name", "text", ()),
        ("tickets", "body", "text", ("untrusted",)),
        ("tickets", "note", "character varying(200)", ("untrusted",)),
        ("tickets", "body", "bytea", ()),
        ("orders", "amount", "numeric(12,2)", ()),
        ("people", "birthdate", "date", ("confidential", "pii")),
    ],
)
def test_a_guess_comes_from_the_column_its_type_and_its_table(
    table: str, column: str, type_: str, expected: tuple[str, ...]
) -> None:
    guessed = LockedColumn(column, type_)
    assert guessed_labels(LockedTable("public", table, "r", (guessed,)), guessed) == expected


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (["--folder", "files"], "files"),
        (["--folder", "empty"], "files"),
        (["--bucket", "s3://company/shared", "--mount", "docs"], "files"),
        (["--smtp-env", "SMTP_URL", "--from", "bot@acme.example"], "email"),
    ],
)
def test_folders_buckets_and_mail_servers_are_mapped_and_nothing_is_granted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: list[str], kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("kb", "hr", 'odd: "x" # y', "*", "2026 plans", ".hidden"):
        (tmp_path / "files" / name).mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    result = CliRunner().invoke(app, [*given, "--out", "new"])
    assert result.exit_code == 0, result.output
    text = (tmp_path / "new/policy.yaml").read_text()
    loaded = load({"policy.yaml": text})
    assert loaded.problems == ()
    assert loaded.policy is not None
    assert len(loaded.policy.files if kind == "files" else loaded.policy.email) == 1
    assert not loaded.policy.roles
    if given[1] == "files":
        (mount,) = loaded.policy.files.values()
        assert {"kb", "hr", "f_2026_plans"} <= set(mount.paths)
        assert mount.paths["kb"] == ("kb/**",)
    opened = "\n".join(line.removeprefix("# ") for line in text.splitlines() if not line.startswith("# A starter"))
    assert load({"policy.yaml": opened}).problems == ()  # the example is one
    assert CliRunner().invoke(app, [*given, "--out", "new"]).exit_code != 0


def test_one_place_is_named_and_it_must_be_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for wrong in ([], ["--folder", "none"], ["--bucket", "nothing"], ["--smtp-env", "X", "--from", "nobody"]):
        assert CliRunner().invoke(app, [*wrong, "--out", "new"]).exit_code != 0
        assert not (tmp_path / "new").exists()
