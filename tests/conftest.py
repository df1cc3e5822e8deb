"""Fixtures for every test: real PostgreSQL servers (one of a version a test process) and fresh databases on them."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from os import environ

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer

from tests.support.installed import NEWEST, SUPPORTED, installations, programs
from tests.support.postgres import Database, Server, running_server
from tests.support.spread import ByModule

# How long an example takes says nothing where others use the processors too.
_unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
# A run of the suite judges the change, not the luck of the draw: new examples are for `make nightly`.
settings.register_profile("same examples every time", _unhurried, derandomize=True)
settings.register_profile("new examples", _unhurried, print_blob=True)
settings.load_profile("new examples" if environ.get("BAILIWICK_EXAMPLES") == "new" else "same examples every time")


def pytest_report_header() -> list[str]:
    """Say which versions and clients the tests run on: not every machine can have every one."""
    missing = [str(version) for version in SUPPORTED if version not in installations()]
    there = ", ".join(f"{version} ({folder})" for version, folder in installations().items())
    absent = [name for name, here in programs().items() if not here]
    return [
        f"postgresql: {there}" + (f"; not here: {', '.join(missing)}" if missing else ""),
        f"clients: {', '.join(f'{name} is not here' for name in absent) or 'all are here'}",
    ]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByModule | None:
    """Hand out tests by module where they are handed out by group: `--dist loadgroup`."""
    if config.getoption("dist") != "loadgroup":
        return None
    config.option.loadscopereorder = False
    return ByModule(config, log)


def pytest_collection_finish() -> None:
    """Keep the tests themselves, more than half a million objects, out of every search for garbage from now on."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def servers() -> Iterator[Callable[[int], Server]]:
    """Give the running PostgreSQL of a version, started when it is first asked for."""
    with ExitStack() as stack:
        running: dict[int, Server] = {}

        def server(version: int) -> Server:
            if version not in running:
                chosen = None if version == NEWEST else version
                running[version] = stack.enter_context(running_server(version=chosen))
            return running[version]

        yield server


@pytest.fixture(scope="session")
def postgres(servers: Callable[[int], Server]) -> Server:
    """A running PostgreSQL; `postgres.create(script)` gives a fresh database."""
    return servers(NEWEST)


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
