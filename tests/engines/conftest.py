"""What of the tests of engines needs a server that is not on every machine."""

from __future__ import annotations

from tests.support.installed import programs

collect_ignore_glob = [] if programs()["mariadb"] else ["test_engines_mariadb*.py"]
