"""A pytest plug-in for `make check`: leaves out what starts a database, is end to end, or draws many examples.

`pytest -p tests.support.unit`. What is left needs no server and takes seconds; `make test` runs everything.
"""

from __future__ import annotations

from pathlib import Path

import pytest

_SERVERS = frozenset({"postgres", "servers", "database", "new_database", "kept", "rig", "office"})
"""Fixtures that start something."""
_ELSEWHERE = ("tests/engines/test_engines_mariadb",)
_UNREAD = frozenset({"clients", "e2e", "guard", "mcp", "oracle", "sqlsmith"})
"""Folders of tests that hold nothing else: reading them would be most of the work."""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even read what is left out as a whole."""
    inside = collection_path.is_dir() and collection_path.parent == config.rootpath / "tests"
    return True if inside and collection_path.name in _UNREAD else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what is not a unit test."""
    left_out = [item for item in items if _starts_something(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


def _starts_something(item: pytest.Item) -> bool:
    fixtures: list[str] = getattr(item, "fixturenames", [])
    drawn = item.get_closest_marker("hypothesis") is not None
    return drawn or item.nodeid.startswith(_ELSEWHERE) or not _SERVERS.isdisjoint(fixtures)
