"""Fixtures for every test: a real PostgreSQL (one a test process) and fresh databases on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.support.postgres import Database, Server, running_server

settings.register_profile("shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared machine")  # how long an example takes says nothing where others use the processors too


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A running PostgreSQL; `postgres.create(script)` gives a fresh database."""
    with running_server() as server:
        yield server


@pytest.fixture(scope="module")
def database(postgres: Server) -> Iterator[Database]:
    """A fresh, empty database for the module."""
    made = postgres.create()
    yield made
    made.drop()


@pytest.fixture
def new_database(postgres: Server) -> Iterator[Callable[[str], Database]]:
    """Make databases from scripts; each script is run once, then copied. Dropped after the test."""
    made: list[Database] = []

    def create(script: str = "") -> Database:
        made.append(postgres.create(script))
        return made[-1]

    yield create
    for each in made:
        each.drop()
