"""The gateway before the corpus' data, as drivers meet it: tables of the schema `public`, one session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.canary import leaks_in_files
from tests.support.corpus import FOLDER, ROLES, Watch
from tests.support.desk import Desk, clean
from tests.support.gateway import running_gateway
from tests.support.postgres import Server


@pytest.fixture(scope="module")
def _desk(postgres: Server) -> Iterator[tuple[Desk, Watch]]:
    script = (FOLDER / "fixture.sql").read_text()
    upstream = postgres.create(script, ROLES)
    watch = Watch(upstream, script, ROLES)
    with running_gateway((FOLDER / "policy.yaml").read_text(), {"CORPUS_URL": upstream.url("gw", "gw")}) as gateway:
        yield Desk(gateway, gateway.open_session("constant-bot"), upstream, clean), watch
        watch.close()
        gateway.flush()
        assert leaks_in_files(gateway.folder) == []


@pytest.fixture
def desk(_desk: tuple[Desk, Watch]) -> Iterator[Desk]:
    """An open session; whatever a test changes in the database is put back after it."""
    yield _desk[0]
    _desk[1].changed()
