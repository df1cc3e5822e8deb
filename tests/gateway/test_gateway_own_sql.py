"""SQL of the policy's author is checked by the database before a policy is put in force."""

from __future__ import annotations

from pathlib import Path

import pytest

from bailiwick.gateway.backends.introspect import read_catalogue, read_tables
from bailiwick.gateway.policies.ready import PolicyRefusedError, Ready, make_ready
from bailiwick.model.lock import Lock
from bailiwick.policy.lockfile import render_lock
from tests.support.postgres import Database

SCHEMA = """
CREATE TABLE public.items (id int PRIMARY KEY, owner text, price numeric);
CREATE TABLE public.members (owner text, agent text);
"""
POLICY = """
bailiwick: 1
mounts:
  shop:
    kind: postgres
    url: ${SHOP_URL}
    sql: true
    resources:
      items: {table: public.items, key: id}
roles:
  reader:
    grants:
      - allow: items:read
        reason: sells them
        fields: [id, owner]
        sql: "PREDICATE"
        mask: {owner: {sql: "MASK"}}
agents:
  bot: {owner: shop, purpose: sells, roles: [reader]}
"""
GOOD = "owner IN (SELECT m.owner FROM public.members m WHERE m.agent = $user.id)"


async def ready(database: Database, folder: Path, predicate: str, mask: str) -> Ready:
    """Put a policy with this SQL of its author in force."""
    tables = await read_tables(database.url(), None)
    (folder / "policy.yaml").write_text(POLICY.replace("PREDICATE", predicate).replace("MASK", mask))
    (folder / "bailiwick.lock").write_text(render_lock(Lock({"shop": tables})))
    return await make_ready(folder / "policy.yaml", {"SHOP_URL": database.url()}, read_catalogue)


@pytest.fixture(scope="module")
def shop(database: Database) -> Database:
    """A database with two tables."""
    database.script(SCHEMA)
    return database


async def test_sql_that_the_database_understands_is_put_in_force(shop: Database, tmp_path: Path) -> None:
    made = await ready(shop, tmp_path, GOOD, "left(owner, 1)")
    assert made.catalogues["shop"].relations


@pytest.mark.parametrize(
    ("predicate", "mask", "named"),
    [
        ("ownr = 'x'", "left(owner, 1)", "ownr"),
        (GOOD, "left(ownr, 1)", "ownr"),
        ("owner IN (SELECT m.owner FROM public.member m)", "left(owner, 1)", "member"),
        ("price + owner", "left(owner, 1)", "operator"),
        ("owner IN (SELECT m.owner FROM members m)", "left(owner, 1)", "not qualified"),
        ("true) OR (true", "left(owner, 1)", "not an expression"),
        ("true, true", "left(owner, 1)", "not one expression"),
        ("true FROM public.items", "left(owner, 1)", "not one expression"),
        ("true; DROP TABLE items", "left(owner, 1)", "semicolon"),
    ],
)
async def test_sql_that_it_does_not_is_refused_with_its_place(
    shop: Database, tmp_path: Path, predicate: str, mask: str, named: str
) -> None:
    with pytest.raises(PolicyRefusedError) as refused:
        await ready(shop, tmp_path, predicate, mask)
    (problem,) = refused.value.problems
    assert named in problem.message
    assert problem.position.line > 10
