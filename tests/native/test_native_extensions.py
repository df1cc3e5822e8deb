"""Extensions in a schema of their own: with `enforce: both`, and explained without the database."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString, cast

import psycopg
import pytest
from typer.testing import CliRunner

from bailiwick.cli import accept, explain
from tests.native.native_desk import state_of
from tests.support.installed import installations
from tests.support.native import Native, loaded, session_of
from tests.support.postgres import Database, Server

VERSION = next(version for version in (15, 17, 16) if version in installations())
"""The first that comes with the extensions: the wheel's has none of these."""
pytestmark = pytest.mark.xdist_group(f"extensions-{VERSION}")
SCRIPT = """
CREATE SCHEMA apart; CREATE EXTENSION pg_trgm SCHEMA apart; CREATE EXTENSION hstore SCHEMA apart;
CREATE SCHEMA other; CREATE EXTENSION fuzzystrmatch SCHEMA other;
CREATE TABLE apart.secret (note text); INSERT INTO apart.secret VALUES ('CANARY');
CREATE TABLE people (id int PRIMARY KEY, owner text, name text, attrs apart.hstore);
INSERT INTO people VALUES (1, 'us', 'John', 'k=>v'), (2, 'them', 'CANARY', 'k=>CANARY');
"""
POLICY = """
bailiwick: 1
mounts:
  m:
    kind: postgres
    url: ${M_URL}
    enforce: both
    extensions: [pg_trgm]
    resources:
      people: {table: public.people, key: id}
roles:
  r:
    grants:
      - {allow: people:read, reason: reads, rows: {owner: us}}
agents:
  bot: {owner: o, purpose: p, roles: [r]}
"""
ALLOWED = "SELECT id FROM people WHERE name % 'Jon' AND attrs -> 'k' = 'v' AND similarity(name, 'John') > 0.9"
NOT_OPENED = "SELECT soundex(name) FROM people"


@pytest.fixture(scope="module")
def database(servers: Callable[[int], Server]) -> Iterator[Database]:
    made = servers(VERSION).create(SCRIPT)
    yield made
    made.drop()


@dataclass(frozen=True, slots=True)
class Desk:
    policy: Path

    def explained(self, sql: str) -> dict[str, object]:
        """Ask `bailiwick explain`."""
        given = [sql, "--agent", "bot", "--policy", str(self.policy), "--json"]
        (found,) = json.loads(CliRunner().invoke(explain.app, given).stdout)
        return cast("dict[str, object]", found)

    def accepted(self) -> None:
        """Run `bailiwick accept`."""
        assert CliRunner().invoke(accept.app, [str(self.policy), "--yes"]).exit_code == 0


@pytest.fixture
def desk(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    monkeypatch.setenv("M_URL", database.url())
    return Desk(policy)


def test_explain_knows_without_the_database_what_was_accepted(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.accepted()
    monkeypatch.delenv("M_URL")
    found = desk.explained(ALLOWED)
    assert found["decision"] == "allow", found
    assert "OPERATOR(apart.%)" in str(found["rewritten"])
    assert desk.explained(NOT_OPENED)["decision"] == "deny"


def test_what_the_policy_opens_no_more_is_refused_though_it_was_accepted(desk: Desk) -> None:
    desk.accepted()
    desk.policy.write_text(POLICY.replace("    extensions: [pg_trgm]\n", ""))
    assert desk.explained("SELECT similarity('a', 'b')")["decision"] == "deny"
    assert desk.explained("SELECT attrs -> 'k' FROM people")["decision"] == "allow"
    shown = CliRunner().invoke(accept.app, [str(desk.policy), "--json"])
    assert (
        "m: function apart.similarity of an extension, which gives real is gone" in json.loads(shown.stdout)["changes"]
    )


def test_the_roles_may_use_the_schemas_of_opened_extensions_and_no_more(database: Database) -> None:
    before = state_of(database)
    native = Native(database, loaded(POLICY))
    native.apply()
    assert native.drift() == ()
    with native.connect(session_of("bot")) as connection:
        used = "SELECT id, attrs OPERATOR(apart.->) 'k' FROM people WHERE apart.similarity(name, 'John') > 0.9"
        assert connection.execute(cast(LiteralString, used)).fetchall() == [(1, "v")]
        for refused in ("SELECT other.soundex('a')", "TABLE apart.secret"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege) as caught:
                connection.execute(cast(LiteralString, refused))
            assert "CANARY" not in str(caught.value)
    role = native.role(session_of("bot"))
    database.script(f'REVOKE USAGE ON SCHEMA apart FROM "{role}"')
    (lost,) = native.drift()
    assert (lost.kind, lost.name) == ("rights", f"{role} on schema apart")
    native.apply()
    assert native.drift() == ()
    native.remove()
    assert state_of(database) == before
