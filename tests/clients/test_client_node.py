"""node-postgres with pg-cursor and pg-query-stream."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.clients.conftest import FOLDER, Library


def test_cursors_and_streams_see_a_database_of_the_scope_alone(library: Library) -> None:
    prefix = Path(sys.prefix)
    scoped, alone = library.both(prefix / "bin" / "node", FOLDER / "session.mjs", prefix / "node")
    assert {name for name in scoped if scoped[name] != alone[name]} == {"cursor outside"}
    assert scoped["cursor outside"]["refused"] == "42501"
    assert [name for name, value in scoped.items() if "refused" in str(value)] == ["cursor outside"]
    assert len(scoped) == 10
