"""The gateway before the corpus' data, as drivers meet it: tables of the schema `public`, one session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.corpus import Watch
from tests.support.desk import Desk, open_desk
from tests.support.postgres import Server


@pytest.fixture(scope="module")
def _desk(postgres: Server) -> Iterator[tuple[Desk, Watch]]:
    with open_desk(postgres) as opened:
        yield opened


@pytest.fixture
def desk(_desk: tuple[Desk, Watch]) -> Iterator[Desk]:
    """An open session; whatever a test changes in the database is put back after it."""
    yield _desk[0]
    _desk[1].changed()
