"""`bailiwick policy check --connect`: what is worth knowing of a database beside its tables."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.forked import said
from tests.support.installed import installations
from tests.support.postgres import Server

VERSION = next(version for version in (15, 17, 16) if version in installations())
"""The first that has citext and ICU: the wheel's has neither."""
pytestmark = pytest.mark.xdist_group(f"extensions-{VERSION}")
SURROUNDED = """
bailiwick: 1
mounts:
  m:
    kind: postgres
    url: ${M_URL}
    enforce: both
    extensions: [pg_trgm, citext]
    resources:
      people: {table: public.people, key: person_id}
roles:
  r:
    grants:
      - {allow: people:read, reason: reads, rows: {name: {prefix: A}, note: {prefix: b}}}
      - {deny: people:read, rows: {name: {not: {glob: "A*"}}}}
      - {allow: people:read, reason: reads, rows: {name: Ada}}
agents:
  bot: {owner: o, purpose: p, roles: [r]}
tasks:
  t: {agents: [bot], only: {people: {rows: {name: {prefix: B, not: Bob}}}}}
"""


def checked(policy: Path, url: str) -> subprocess.CompletedProcess[str]:
    """Check a policy against its database."""
    return said(policy.parent, {**os.environ, "M_URL": url}, "policy", "check", str(policy), "--connect")


def test_connect_warns_of_extensions_and_collations_that_are_not_what_they_seem(
    tmp_path: Path, servers: Callable[[int], Server]
) -> None:
    script = """
    CREATE SCHEMA apart;
    CREATE EXTENSION citext SCHEMA apart;
    CREATE COLLATION folding (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
    CREATE TABLE people (person_id int PRIMARY KEY, name text COLLATE folding, note text);
    """
    path = tmp_path / "policy.yaml"
    path.write_text(SURROUNDED)
    database = servers(VERSION).create(script)
    url = database.url()
    done = checked(path, url)
    assert done.returncode == 0, done.stdout + done.stderr
    found = [line.split("warning: ")[1].split(" (")[0] for line in done.stdout.splitlines() if "warning" in line]
    unknown = "`name` has a nondeterministic collation: start and shape are unknown, so this"
    assert found == [
        "extension `pg_trgm` is not installed in the database of mount `m`",
        f"{unknown} admits no row",
        f"{unknown} takes every row",
        f"{unknown} admits no row",
    ]
    twin = SURROUNDED.replace("pg_trgm, ", "").replace("    enforce: both\n", "")
    for shape, value in (("{prefix: A}", "Ada"), ('{glob: "A*"}', "Ada"), ("{prefix: B, not: Bob}", "Ada")):
        twin = twin.replace(shape, value)
    path.write_text(twin)
    assert "warning" not in checked(path, url).stdout
    database.drop()
