"""pandas: `read_sql` of queries, tables and portions."""
# pandas carries no types:
# pyright: basic

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

import pytest
from sqlalchemy import Engine, create_engine, text

from tests.clients.conftest import Library

QUERIES = [
    "SELECT book_id, title, price, published, details FROM books ORDER BY book_id",
    "SELECT name, email, born FROM authors ORDER BY author_id",
    "SELECT b.title, avg(r.stars) AS stars, max(r.written) AS newest FROM books b JOIN reviews r USING (book_id)"
    " GROUP BY b.book_id, b.title ORDER BY b.title",
    "SELECT t.label, count(*) AS n FROM tags t JOIN book_tags bt USING (tag_id) GROUP BY ROLLUP (t.label) ORDER BY 1",
    "SELECT * FROM reviews ORDER BY review_id",
]


@pytest.fixture(scope="module")
def pandas() -> ModuleType:
    """The library: not imported where these tests are only collected."""
    import pandas

    return pandas


@pytest.fixture(scope="module")
def engines(library: Library) -> Iterator[tuple[Engine, Engine]]:
    made = [create_engine(library.url(scoped=scoped, scheme="postgresql+psycopg")) for scoped in (True, False)]
    yield made[0], made[1]
    for engine in made:
        engine.dispose()


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_gives_the_frame_of_a_database_of_the_scope_alone(
    pandas: ModuleType, library: Library, engines: tuple[Engine, Engine], query: str
) -> None:
    scoped, alone = (pandas.read_sql(query, engine) for engine in engines)
    pandas.testing.assert_frame_equal(scoped, alone)
    assert len(scoped) > 2
    library.desk.clean(scoped.to_csv())


def test_parameters_and_index(pandas: ModuleType, engines: tuple[Engine, Engine]) -> None:
    query = text("SELECT book_id, price FROM books WHERE price > :least ORDER BY 1")
    scoped, alone = (pandas.read_sql(query, e, params={"least": 25}, index_col="book_id") for e in engines)
    pandas.testing.assert_frame_equal(scoped, alone)
    assert list(scoped.index) == [16, 17, 18, 19, 20]


def test_a_table_by_its_name(pandas: ModuleType, library: Library, engines: tuple[Engine, Engine]) -> None:
    scoped, alone = (pandas.read_sql_table("books", engine).sort_values("book_id") for engine in engines)
    pandas.testing.assert_frame_equal(scoped.reset_index(drop=True), alone.reset_index(drop=True))
    assert "margin" not in scoped.columns
    library.desk.clean(scoped.to_csv())


def test_in_portions(pandas: ModuleType, engines: tuple[Engine, Engine]) -> None:
    scoped, alone = (
        list(pandas.read_sql("SELECT * FROM reviews ORDER BY review_id", engine, chunksize=25)) for engine in engines
    )
    assert [len(part) for part in scoped] == [25, 25, 10]
    pandas.testing.assert_frame_equal(pandas.concat(scoped), pandas.concat(alone))


def test_a_column_outside_is_refused(pandas: ModuleType, engines: tuple[Engine, Engine]) -> None:
    with pytest.raises(Exception, match=r"margin.*not in the scope"):
        pandas.read_sql("SELECT margin FROM books", engines[0])
