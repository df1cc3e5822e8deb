"""The corpus of attacks and ordinary statements on DuckDB: no leak, no effect, the answers of the scope alone."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, cast

import duckdb
import pytest
import pytest_asyncio

from bailiwick.mounts.sql.results import Result
from tests.engines.duckdb_rig import DuckDesk, make_duckdb
from tests.engines.engines_rig import desk
from tests.engines.test_engines_corpus import CASES, statements
from tests.support.canary import PATTERN, leaks

HERE = Path(__file__).parent
pytestmark = pytest.mark.xdist_group("duckdb")


def script(name: str) -> str:
    """Return one of the corpus' scripts in DuckDB's words."""
    found = (HERE / name).read_text().replace(" REFERENCES customers(customer_id)", "")
    return found.replace("NUMERIC", "DECIMAL(18, 3)").replace("||g||", "||g::VARCHAR||")


SCRIPT = script("corpus.sql")
FILL = (
    "".join(
        f"DELETE FROM {name};"
        for name in ("customers", "orders", "tickets", "kb_articles", "employee_records", "agent_scope")
    )
    + SCRIPT[SCRIPT.index("INSERT INTO customers") :]
)
ANSWERED = {"column_resolution-10"}
"""Attacks that are ordinary statements here."""
REFUSED = {
    "allow_basic-31": "FETCH",
    "allow_basic-41": "row_to_json",
    "allow_analytic-02": "AT TIME ZONE",
    "allow_analytic-03": "ROLLUP",
    "allow_analytic-04": "GROUPING SETS",
    "allow_analytic-26": "array_agg",
    "allow_dml-02": "RETURNING",
    "allow_dml-08": "RETURNING",
    "allow_dml-09": "UPDATE … FROM, RETURNING",
    "allow_dml-11": "transactions",
    "allow_session-06": "SET",
    "allow_session-24": "version",
    "allow_session-27": "current_user",
    "allow_session-40": "transactions",
    "allow_session-41": "COPY",
    "allow_orm-19": "RETURNING",
}
"""Ordinary statements that DuckDB could do and the mount does not, or not yet."""


@pytest_asyncio.fixture
async def stage(tmp_path: Path) -> AsyncGenerator[DuckDesk]:
    policy = (HERE / "corpus.yaml").read_text().replace("sqlite", "duckdb")
    async with desk(tmp_path, policy, SCRIPT, make=make_duckdb, kind=DuckDesk) as found:
        yield found


async def test_no_attack_leaks_or_has_an_effect(stage: DuckDesk) -> None:
    live = await stage.session("reader")
    before = stage.dump()
    answered: set[str] = set()
    for case in CASES:
        if case["must"] == "allow":
            continue
        found = [await stage.ask(live, sql, *case.get("params", ())) for sql in statements(case)]
        for each in found:
            assert leaks(json.dumps(each.json()), case.get("leak_regex") or PATTERN) == [], case["id"]
        done = [isinstance(each, Result) for each in found]
        if case["must"] == "deny" and (all(done) if "steps" in case else any(done)) and done:
            answered.add(case["id"])
        if any(isinstance(each, Result) and each.affected for each in found):
            assert stage.direct(HIDDEN) == [(304, 306, 0)], case["id"]
            stage.restore(FILL)
            assert stage.dump() == before
    assert stage.dump() == before
    assert answered == ANSWERED


HIDDEN = """
SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM customers) + 3,
  (SELECT count(*) FROM tickets WHERE customer_id <> 4521 AND ticket_id < 7760000 AND status <> 'open')
"""
"""What no statement of the corpus' session may change."""


async def test_ordinary_statements_answer_as_in_a_database_of_the_scope_alone(stage: DuckDesk) -> None:
    live = await stage.session("reader")
    same, written, refused = 0, 0, set[str]()
    with duckdb.connect(":memory:") as scope:
        scope.execute(script("corpus_scope.sql"))
        for case in CASES:
            if case["must"] != "allow" or "introspection" in case["id"]:
                continue  # DuckDB shows PostgreSQL's catalogues, the mount none
            for sql in statements(case):
                direct = _direct(scope, sql, case.get("params", ()))
                found = await stage.ask(live, sql, *case.get("params", ()))
                assert leaks(json.dumps(found.json())) == [], case["id"]
                if isinstance(found, Result) and found.affected is not None:
                    written += found.affected
                    stage.restore(FILL)
                elif direct is not None and isinstance(found, Result):
                    assert len(found.rows) == len(direct), case["id"]
                    assert _plain(found.rows) == _plain(direct), case["id"]
                    same += 1
                elif direct is not None:
                    refused.add(case["id"])
    assert refused <= set(REFUSED)
    assert same >= 25
    assert written >= 3


def _plain(rows: Any) -> list[str]:
    """Return rows as text in an order of their own, without what JSON tells otherwise than DuckDB's objects."""
    return sorted(re.sub(r"[^0-9A-Za-z]", "", json.dumps(list(row), default=str)) for row in rows)


def _direct(scope: duckdb.DuckDBPyConnection, sql: str, parameters: list[Any]) -> list[tuple[object, ...]] | None:
    """Return what a text answers directly; None when DuckDB cannot do it."""
    if sql.startswith("COPY"):
        return []  # it would write where the tests' own output goes
    try:
        scope.execute("BEGIN")
        found = cast("duckdb.DuckDBPyConnection | None", scope.execute(sql, parameters or None))
        return None if found is None else found.fetchall()  # None: a text without a statement
    except duckdb.Error:
        return None
    finally:
        try:
            scope.execute("ROLLBACK")
        except duckdb.Error:
            scope.execute("SELECT 1")  # the text had ended it
