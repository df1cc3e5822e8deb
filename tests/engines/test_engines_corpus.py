"""The corpus of attacks and ordinary statements on each engine: no leak, no effect, the answers of the scope alone."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, cast

import duckdb
import pytest
import pytest_asyncio

from bailiwick.mounts.sql.results import Result
from tests.engines.engines_rig import Desk
from tests.engines.stages import ENGINES, in_duckdb, refill, stage
from tests.support.canary import PATTERN, leaks

HERE = Path(__file__).parent
SCRIPT = (HERE / "corpus.sql").read_text()
SCOPE = (HERE / "corpus_scope.sql").read_text()
CASES = [
    cast("dict[str, Any]", json.loads(line))
    for line in (HERE.parent / "sql" / "corpus" / "cases.jsonl").read_text().splitlines()
]
SCHEMA = {"sqlite": "main.", "duckdb": "main.", "mariadb": "shop."}
_COMMENT = "what would be read stands in a comment"
_OUTPUT = "in a relation without the hidden column the name is that of the output, as in the scope"
ANSWERED = {
    "sqlite": {"lexing-21": _COMMENT, "column_resolution-10": _OUTPUT},
    "duckdb": {"column_resolution-10": _OUTPUT},
    "mariadb": {
        "lexing-21": _COMMENT,
        "column_resolution-10": _OUTPUT,
        "resource-09": "MariaDB itself ends a recursion after 1,000 steps",
    },
}
"""Attacks that are ordinary statements there."""
REFUSED = {
    "sqlite": {
        "allow_dml-11": "transactions",
        "allow_session-43": "an empty text",
    },
    "duckdb": {
        "allow_basic-31": "FETCH",
        "allow_basic-41": "row_to_json",
        "allow_analytic-02": "AT TIME ZONE",
        "allow_dml-08": "SET (column) = ROW(…)",
        "allow_dml-11": "transactions",
        "allow_session-06": "SET",
        "allow_session-24": "version",
        "allow_session-27": "current_user",
        "allow_session-40": "transactions",
        "allow_session-41": "COPY",
    },
    "mariadb": {},
}
"""Ordinary statements that the engine could do and the mount does not, or not yet."""
LEAST = {"sqlite": (25, 5), "duckdb": (25, 3), "mariadb": (20, 3)}
"""How many queries and written rows there are at least that are done."""
HIDDEN = """
SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM customers) + 3,
  (SELECT count(*) FROM tickets WHERE customer_id <> 4521 AND ticket_id < 7760000 AND status <> 'open')
"""
"""What no statement of the corpus' session may change."""


@pytest_asyncio.fixture(params=ENGINES)
async def corpus(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[tuple[str, Desk]]:
    server = request.getfixturevalue("mariadb") if request.param == "mariadb" else None
    policy = (HERE / "corpus.yaml").read_text()
    async with stage(request.param, tmp_path, policy, SCRIPT, server) as found:
        yield request.param, found


def statements(case: dict[str, Any], engine: str) -> Iterator[str]:
    """Yield the texts of a case, as they are and with the engine's name for the schema."""
    for text in case.get("steps") or [case["sql"]] if "sql" in case or "steps" in case else []:
        known = str(text).replace("{DB}", "shop").replace("{PORT}", "1")
        yield known
        if "public." in known or "$1" in known:
            yield re.sub(r"\$\d", "?", known.replace("public.", SCHEMA[engine]))


async def test_no_attack_leaks_or_has_an_effect(corpus: tuple[str, Desk]) -> None:
    engine, stage = corpus
    live = await stage.session("reader")
    before, all_of_it = stage.state(), stage.dump()
    answered: set[str] = set()
    for case in CASES:
        if case["must"] == "allow":
            continue
        found = [await stage.ask(live, sql, *case.get("params", ())) for sql in statements(case, engine)]
        for each in found:
            assert leaks(json.dumps(each.json()), case.get("leak_regex") or PATTERN) == [], case["id"]
        done = [isinstance(each, Result) for each in found]
        # Each step stands alone here: those that are granted are done, and one at least is not.
        if case["must"] == "deny" and (all(done) if "steps" in case else any(done)) and done:
            answered.add(case["id"])
        wrote = any(isinstance(each, Result) and each.affected for each in found)
        assert wrote or stage.state() == before, case["id"]
        if wrote:
            if "check" in case and "::" not in case["check"]["sql"]:
                told = stage.direct(re.sub(r"[{}]", "", case["check"]["sql"]))
                assert [[str(value) for value in row] for row in told] == case["check"]["expect"], case["id"]
            assert stage.direct(HIDDEN) == [(304, 306, 0)], case["id"]
            refill(stage, SCRIPT)
            before = stage.state()
    assert stage.dump() == all_of_it
    assert answered == set(ANSWERED[engine])


Direct = Callable[[str, list[Any]], list[tuple[object, ...]] | None]
"""Returns what a text answers in a database of the scope alone; None when the engine cannot do it."""


async def test_ordinary_statements_answer_as_in_a_database_of_the_scope_alone(corpus: tuple[str, Desk]) -> None:
    engine, stage = corpus
    live = await stage.session("reader")
    same, written, refused = 0, 0, set[str]()
    with DIRECT[engine]() as direct:
        for case in CASES:
            if case["must"] != "allow" or (engine == "duckdb" and "introspection" in case["id"]):
                continue  # DuckDB shows PostgreSQL's catalogues, the mount none
            for sql in statements(case, engine):
                told = direct(sql, case.get("params", []))
                found = await stage.ask(live, sql, *case.get("params", ()))
                assert leaks(json.dumps(found.json())) == [], case["id"]
                if isinstance(found, Result) and found.affected is not None:
                    written += found.affected
                    refill(stage, SCRIPT)
                if isinstance(found, Result) and found.has_rows:
                    assert told is None or _plain(found.rows) == _plain(told), case["id"]
                    same += 1
                elif told is not None and not isinstance(found, Result):
                    refused.add(case["id"])
    assert refused == set(REFUSED[engine])
    assert same >= LEAST[engine][0]
    assert written >= LEAST[engine][1]


def _plain(rows: Any) -> list[str]:
    """Return rows as text in an order of their own, without what JSON tells otherwise than an engine's objects."""
    return sorted(re.sub(r"[^0-9A-Za-z]", "", json.dumps(list(row), default=str)) for row in rows)


@contextmanager
def _in_sqlite() -> Generator[Direct]:
    with closing(sqlite3.connect(":memory:")) as source:
        source.executescript(SCOPE)

        def direct(sql: str, parameters: list[Any]) -> list[tuple[object, ...]] | None:
            with closing(sqlite3.connect(":memory:")) as connection:
                source.backup(connection)
                try:
                    return connection.execute(sql, parameters).fetchall()
                except (sqlite3.Error, sqlite3.Warning):
                    return None

        yield direct


@contextmanager
def _in_duckdb() -> Generator[Direct]:
    with duckdb.connect(":memory:") as scope:
        scope.execute(in_duckdb(SCOPE))

        def direct(sql: str, parameters: list[Any]) -> list[tuple[object, ...]] | None:
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

        yield direct


@contextmanager
def _nowhere() -> Generator[Direct]:
    """There is no such database for MariaDB: its answers are only searched for what must not be in them."""
    yield _cannot


def _cannot(_sql: str, _parameters: list[Any]) -> list[tuple[object, ...]] | None:
    return None


DIRECT = {"sqlite": _in_sqlite, "duckdb": _in_duckdb, "mariadb": _nowhere}
