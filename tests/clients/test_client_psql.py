"""A person's psql beyond single statements: descriptions, copies, repeated and generated statements."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.clients.conftest import Library
from tests.support.installed import installation

SAME = [
    r"\copy (SELECT book_id, title FROM books ORDER BY 1) TO pstdout WITH (FORMAT csv, HEADER)",
    r"SELECT title, price, published, details FROM books WHERE book_id = 1 \gdesc",
    r"SELECT count(*) AS n FROM reviews \watch c=2 i=0.01",
    r"SELECT max(book_id) AS top FROM books \gset" "\nSELECT :top, title FROM books WHERE book_id = :top;",
    r"SELECT format('SELECT count(*) FROM %I WHERE book_id = %s', 'reviews', book_id) FROM books WHERE book_id < 4"
    r" \gexec",
    r"SELECT b.author_id, r.stars, count(*) FROM books b JOIN reviews r USING (book_id) GROUP BY 1, 2 ORDER BY 1, 2"
    r" \crosstabview",
    r"SELECT * FROM authors WHERE author_id = 1 \gx",
    r"SELECT title FROM books WHERE book_id = $1 \bind 4 \g",
    r"\set AUTOCOMMIT off" "\nDELETE FROM reviews WHERE stars = 1;\nROLLBACK;\nSELECT count(*) FROM reviews;\nCOMMIT;",
    r"\set ON_ERROR_ROLLBACK on" "\nBEGIN;\nSELECT 1/0;\nSELECT count(*) FROM books;\nCOMMIT;",
    r"\set FETCH_COUNT 7" "\nSELECT review_id FROM reviews ORDER BY 1;",
    r"\encoding" "\n" r"\conninfo_not_there",
    r"\if true" "\nSELECT 1;\n" r"\endif",
    r"\d nothing_of_the_name",
    r"\df pg_catalog.btrim",
]
"""What a database of the scope alone answers in the same words."""

DESCRIBING = [
    r"\d", r"\d+", r"\dt", r"\dt+", r"\d books", r"\d+ books", r"\d+ reviews", r"\di", r"\di+", r"\ds", r"\dv", r"\dm",
    r"\dn", r"\dn+", r"\dT pg_catalog.int4", r"\df", r"\df+ pg_catalog.lower",
    r"\da pg_catalog.sum", r"\do pg_catalog.=", r"\dT", r"\du", r"\dp",
    r"\l", r"\dC", r"\dF", r"\dO", r"\db", r"\dy", r"\z books", r"\dg", r"\dRp",
]  # fmt: skip


def psql(library: Library, script: str, *, scoped: bool) -> subprocess.CompletedProcess[str]:
    """Run a script. The token stands in the environment only."""
    return subprocess.run(
        [installation() / "psql", "-X", "-P", "pager=off"],
        env={**os.environ, **library.environment(scoped=scoped), "LC_ALL": "C.UTF-8"},
        input=script,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("script", SAME)
def test_psql_answers_as_before_a_database_of_the_scope_alone(library: Library, script: str) -> None:
    scoped, alone = (psql(library, script, scoped=each) for each in (True, False))
    assert (_timeless(scoped.stdout), scoped.returncode) == (_timeless(alone.stdout), alone.returncode), scoped.stderr
    assert bool(scoped.stderr) == bool(alone.stderr), scoped.stderr
    assert scoped.stdout + scoped.stderr
    library.desk.clean(scoped.stdout + scoped.stderr)


def _timeless(shown: str) -> list[str]:
    """Without the moments that `\\watch` prints."""
    return [line for line in shown.splitlines() if "(every " not in line]


@pytest.mark.parametrize("command", DESCRIBING)
def test_a_meta_command_works_and_shows_the_scope(library: Library, command: str) -> None:
    done = psql(library, command, scoped=True)
    assert "ERROR" not in done.stderr, done.stderr
    library.desk.clean(done.stdout + done.stderr)
    for hidden in ("password_hash", "margin", "moderator_note", "payroll", "librarian"):
        assert hidden not in done.stdout + done.stderr


def test_copies_into_a_file(library: Library, tmp_path: Path) -> None:
    target = tmp_path / "books.csv"
    done = psql(library, rf"\copy (SELECT title FROM books ORDER BY book_id LIMIT 2) TO '{target}' CSV", scoped=True)
    assert (done.stderr, target.read_text()) == ("", "Book 1\nBook 2\n")
