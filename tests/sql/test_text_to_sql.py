"""Analysts' and text-to-SQL queries over several schemas: within a scope that shows everything each answers what it
answers without us, and none is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sql.analyst_queries import questions
from tests.sql.same_answers_rig import Pair, Query, statements
from tests.support.postgres import Server

FOLDER = Path(__file__).parent / "text_to_sql"
SCHEMAS = sorted(path.stem for path in FOLDER.glob("*.sql"))
WRITTEN = 430
GENERATED = 140
"""For each schema."""


def parts(schema: str) -> tuple[str, list[Query]]:
    """Return the script that makes a schema, and the queries that people wrote for it."""
    script, _, asked = (FOLDER / f"{schema}.sql").read_text().partition("\n-- queries\n")
    return f"CREATE SCHEMA {schema}; SET search_path = {schema};\n{script}\nANALYZE;", statements(asked)


@pytest.fixture(scope="module", params=SCHEMAS)
def pair(request: pytest.FixtureRequest, postgres: Server) -> Iterator[tuple[str, Pair]]:
    schema: str = request.param
    made = Pair(postgres.create(), parts(schema)[0], [schema])
    yield schema, made
    made.close()


def test_written_queries_answer_the_same(pair: tuple[str, Pair]) -> None:
    schema, both = pair
    said = ((each.sql, both.difference(each)) for each in parts(schema)[1])
    assert not [f"{sql}\n  {difference}" for sql, difference in said if difference]


def test_generated_questions_answer_the_same(pair: tuple[str, Pair]) -> None:
    schema, both = pair
    asked = list(questions(both.database, schema, GENERATED))
    assert len({each.sql for each in asked}) == GENERATED
    said = ((each.sql, both.difference(each)) for each in asked)
    assert not [f"{sql}\n  {difference}" for sql, difference in said if difference]


def test_there_are_many_schemas_and_questions() -> None:
    assert len(SCHEMAS) >= 6
    assert sum(len(parts(schema)[1]) for schema in SCHEMAS) >= WRITTEN
