"""What of the tests of engines needs a server that is not on every machine, and that server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.installed import programs
from tests.support.mariadb import MariaDB, running_mariadb

collect_ignore_glob = [] if programs()["mariadb"] else ["test_engines_mariadb*.py"]


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    """One server for all tests; those that use it are of the group `mariadb`, which runs in one process."""
    with running_mariadb() as found:
        yield found
