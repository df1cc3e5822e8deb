"""Within a scope that shows everything, every query answers what it answers without us. Nothing is refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from tests.sql.query_grammar import queries
from tests.sql.same_answers_rig import Pair, Query, awkward
from tests.support.postgres import Database

GENERATED = 660
BATCHES = 4


@pytest.fixture(scope="module")
def pair(database: Database) -> Iterator[Pair]:
    made = Pair(database)
    yield made
    made.close()


def differing(pair: Pair, asked: Sequence[Query]) -> list[str]:
    """Return what differs, one text for each query."""
    said = ((each, pair.difference(each)) for each in asked)
    return [f"{each.sql}\n  {each.values}: {difference}" for each, difference in said if difference]


def test_awkward_queries_answer_the_same(pair: Pair) -> None:
    asked = awkward()
    assert len(asked) > 300
    assert not differing(pair, asked)


@pytest.mark.parametrize("seed", range(BATCHES))
def test_generated_queries_answer_the_same(pair: Pair, seed: int) -> None:
    asked = list(queries(seed, GENERATED // BATCHES))
    assert len({each.sql for each in asked}) == len(asked)
    assert not differing(pair, asked)
