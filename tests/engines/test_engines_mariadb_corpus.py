"""The corpus of attacks and ordinary statements on MariaDB: no leak, no effect."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from bailiwick.mounts.sql.results import Result
from tests.engines.engines_rig import make_database
from tests.engines.mariadb_rig import MariaDesk, as_mariadb, maria_desk
from tests.engines.test_engines_corpus import CASES, HIDDEN
from tests.support.canary import PATTERN, leaks
from tests.support.mariadb import MariaDB

HERE = Path(__file__).parent
pytestmark = pytest.mark.xdist_group("mariadb")


@pytest_asyncio.fixture
async def stage(mariadb: MariaDB, tmp_path: Path) -> AsyncGenerator[MariaDesk]:
    policy = (
        (HERE / "corpus.yaml")
        .read_text()
        .replace("engine: sqlite\n    file: ../shop.db", "engine: mariadb\n    url: ${SHOP_URL}")
    )
    make_database(tmp_path / "corpus.db", (HERE / "corpus.sql").read_text())
    async with maria_desk(
        mariadb, tmp_path, re.sub(r"table: (\w+)", r"table: shop.\1", policy), as_mariadb(tmp_path / "corpus.db")
    ) as found:
        yield found


def statements(case: dict[str, Any]) -> Iterator[str]:
    """Yield the texts of a case, as they are and with MariaDB's name for the schema."""
    for text in case.get("steps") or [case["sql"]] if "sql" in case or "steps" in case else []:
        known = str(text).replace("{DB}", "shop").replace("{PORT}", "1")
        yield known
        if "public." in known or "$1" in known:
            yield re.sub(r"\$\d", "?", known.replace("public.", "shop."))


ANSWERED = {
    "lexing-21": "what would be read stands in a comment",
    "column_resolution-10": "in a relation without the hidden column the name is that of the output, as in the scope",
    "resource-09": "MariaDB itself ends a recursion after 1,000 steps",
}
"""Attacks that are ordinary statements here."""


async def test_no_attack_leaks_or_has_an_effect(stage: MariaDesk) -> None:
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
            stage.server.execute(
                f"USE shop; DROP TABLE IF EXISTS {', '.join(TABLES)};" + as_mariadb(stage.folder / "corpus.db")
            )
    assert answered == set(ANSWERED)
    assert stage.dump() == before


TABLES = ("customers", "orders", "tickets", "kb_articles", "employee_records", "agent_scope")


async def test_ordinary_statements_are_answered_without_leaks(stage: MariaDesk) -> None:
    live = await stage.session("reader")
    read = written = 0
    for case in CASES:
        if case["must"] != "allow":
            continue
        for sql in statements(case):
            found = await stage.ask(live, sql, *case.get("params", ()))
            assert leaks(json.dumps(found.json())) == [], case["id"]
            read += isinstance(found, Result) and found.affected is None
            written += isinstance(found, Result) and bool(found.affected)
    assert read >= 20
    assert written >= 3
    assert stage.direct(HIDDEN) == [(304, 306, 0)]
