"""The corpus of attacks and ordinary statements on SQLite: no leak, no effect, the answers of the scope alone."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any, cast

import pytest_asyncio

from bailiwick.mounts.sql.results import Result
from tests.engines.engines_rig import Desk, desk, make_database
from tests.support.canary import PATTERN, leaks

HERE = Path(__file__).parent
CASES = [
    cast("dict[str, Any]", json.loads(line))
    for line in (HERE.parent / "sql" / "corpus" / "cases.jsonl").read_text().splitlines()
]


def statements(case: dict[str, Any]) -> Iterator[str]:
    """Yield the texts of a case, as they are and with SQLite's name for the schema."""
    for text in case.get("steps") or [case["sql"]] if "sql" in case or "steps" in case else []:
        known = str(text).replace("{DB}", "shop").replace("{PORT}", "1")
        yield known
        if "public." in known or "$1" in known:
            yield re.sub(r"\$\d", "?", known.replace("public.", "main."))


ANSWERED = {
    "lexing-21": "what would be read stands in a comment",
    "column_resolution-10": "in a relation without the hidden column the name is that of the output, as in the scope",
}
"""Attacks that are ordinary statements here."""
REFUSED = {
    "allow_dml-09": "UPDATE … FROM, RETURNING",
    "allow_dml-11": "transactions",
    "allow_session-43": "an empty text",
    "allow_orm-18": "`::VARCHAR` reads differently once written",
    "allow_orm-19": "RETURNING",
}
"""Ordinary statements that SQLite could do and the mount does not."""


@pytest_asyncio.fixture
async def stage(tmp_path: Path) -> AsyncGenerator[Desk]:
    async with desk(tmp_path, (HERE / "corpus.yaml").read_text(), (HERE / "corpus.sql").read_text()) as found:
        yield found


async def test_no_attack_leaks_or_has_an_effect(stage: Desk) -> None:
    live = await stage.session("reader")
    before = stage.bytes()
    answered: set[str] = set()
    for case in CASES:
        if case["must"] == "allow":
            continue
        found = [await stage.ask(live, sql, *case.get("params", ())) for sql in statements(case)]
        for each in found:
            assert leaks(json.dumps(each.json()), case.get("leak_regex") or PATTERN) == [], case["id"]
        done = [isinstance(each, Result) for each in found]
        # Each step stands alone here: those that are granted are done, and one at least is not.
        if case["must"] == "deny" and (all(done) if "steps" in case else any(done)) and done:
            answered.add(case["id"])
        if stage.bytes() != before:
            assert any(isinstance(each, Result) and each.affected for each in found), case["id"]
            if "check" in case and "::" not in case["check"]["sql"]:
                told = stage.direct(re.sub(r"[{}]", "", case["check"]["sql"]))
                assert [[str(value) for value in row] for row in told] == case["check"]["expect"], case["id"]
            assert stage.direct(HIDDEN) == [(304, 306, 0)], case["id"]
            stage.restore((HERE / "corpus.sql").read_text())
            before = stage.bytes()
    assert answered == set(ANSWERED)


HIDDEN = """
SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM customers) + 3,
  (SELECT count(*) FROM tickets WHERE customer_id <> 4521 AND ticket_id < 7760000 AND status <> 'open')
"""
"""What no statement of the corpus' session may change."""


async def test_ordinary_statements_answer_as_in_a_database_of_the_scope_alone(stage: Desk, tmp_path: Path) -> None:
    live = await stage.session("reader")
    make_database(tmp_path / "scope.db", (HERE / "corpus_scope.sql").read_text())
    same, written, refused = 0, 0, set[str]()
    for case in CASES:
        if case["must"] != "allow":
            continue
        for sql in statements(case):
            direct = _direct(tmp_path / "scope.db", sql, case.get("params", ()))
            found = await stage.ask(live, sql, *case.get("params", ()))
            assert leaks(json.dumps(found.json())) == [], case["id"]
            if isinstance(found, Result) and found.affected is not None:
                written += found.affected
                stage.restore((HERE / "corpus.sql").read_text())
            elif isinstance(direct, list) and isinstance(found, Result):
                assert sorted(map(repr, found.rows)) == sorted(map(repr, direct)), case["id"]
                same += 1
            elif isinstance(direct, list):
                refused.add(case["id"])
    assert refused == set(REFUSED)
    assert same >= 25
    assert written >= 5


def _direct(path: Path, sql: str, parameters: list[Any]) -> list[tuple[object, ...]] | None:
    """Return what a text answers directly; None when SQLite cannot do it."""
    source, connection = sqlite3.connect(path), sqlite3.connect(":memory:")
    try:
        source.backup(connection)
        return connection.execute(sql, parameters).fetchall()
    except (sqlite3.Error, sqlite3.Warning):
        return None
    finally:
        source.close()
        connection.close()
