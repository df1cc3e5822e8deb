from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from tests.support.canary import leaks, leaks_in_files
from tests.support.postgres import Database


def test_a_fresh_database_is_empty_and_answers(database: Database) -> None:
    assert database.rows("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]


def test_a_database_from_a_script_is_independent_of_its_twin(new_database: Callable[[str], Database]) -> None:
    one, two = (new_database("CREATE TABLE t (a int); INSERT INTO t VALUES (1)") for _ in range(2))
    one.script("DELETE FROM t")
    assert (one.rows("SELECT * FROM t"), two.rows("SELECT * FROM t")) == ([], [(1,)])


def test_the_server_asks_for_a_password(database: Database) -> None:
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(database.url(password="wrong"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x CANARY_SSN_4521 y CANARY_SSN_4521", ["CANARY_SSN_4521"]),
        (b"tier 7700003 and 17700003", ["7700003"]),
        ("at 1987-06-05 04:03:02+00", ["1987-06"]),
        ("Xenia Marsh 4521 2026-01-10", []),
        (None, []),
    ],
)
def test_canaries_are_found_and_the_permitted_is_not(text: str | bytes | None, expected: list[str]) -> None:
    assert leaks(text) == expected


def test_canaries_are_found_in_binary_files(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(b"\x00\x01CANARY_SSN_4521\x00")
    assert leaks_in_files(tmp_path) == ["a.db: CANARY_SSN_4521"]
