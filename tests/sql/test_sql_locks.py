"""FOR UPDATE and its kin: only rows in the scope are locked, just those that the query returns, and nobody learns of
others by waiting or failing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import psycopg
import pytest

from bailiwick.gateway.backends.introspect import read_catalogue, read_tables
from bailiwick.model.decision import Access, Denial
from bailiwick.model.mask import Mask
from bailiwick.model.matcher import Equal
from bailiwick.model.policy import Mount, Resource, SecretRef
from bailiwick.model.scope import ReadGrant, ResourceScope, RowFilter, Scope, WriteGrant
from bailiwick.sql.plan import Plan, Prepare
from bailiwick.sql.rewrite import Rewriter
from tests.sql.rewrite_samples import denial, plan
from tests.support.postgres import Database

SCRIPT = """
CREATE TABLE jobs (job_id int PRIMARY KEY, owner text, state text, payload text, secret text);
INSERT INTO jobs SELECT i, CASE WHEN i % 2 = 0 THEN 'us' ELSE 'CANARY' END, 'new',
    CASE WHEN i % 2 = 0 THEN i::text ELSE 'CANARY' || i END, 'CANARY' FROM generate_series(1, 10) AS i;
CREATE TABLE notes (note_id int PRIMARY KEY, job_id int);
INSERT INTO notes SELECT i, i FROM generate_series(1, 10) AS i;
"""
OURS = RowFilter((("owner", Equal("us")),))
SMALL = RowFilter((("job_id", Equal(2)),))


@dataclass(frozen=True, slots=True)
class Queue:
    database: Database
    rewriter: Rewriter

    def connect(self) -> psycopg.Connection:
        """Return a connection as the gateway has it."""
        connection = psycopg.connect(self.database.url(), options="-c search_path=pg_catalog,pg_temp")
        connection.execute("SET statement_timeout = '5s'")
        return connection

    def ask(self, connection: psycopg.Connection, sql: str) -> list[tuple[object, ...]]:
        """Run what the rewriter makes of a statement, within a transaction that stays open."""
        (found,) = self.rewriter.rewrite(sql)
        assert isinstance(found, Plan), found
        assert not found.bound
        cursor = connection.execute(found.sql.encode())
        return cursor.fetchall() if cursor.description else []


def make_rewriter(database: Database, updates: RowFilter) -> Rewriter:
    """Return the rewriter of a scope that reads our jobs and may update those of a filter."""
    tables = asyncio.run(read_tables(database.url(), None))
    mapped = {table.name: Resource(table.name, "q", table.schema, table.name, table.key) for table in tables.values()}
    catalogue = asyncio.run(read_catalogue(database.url(), Mount("q", "postgres", SecretRef("${URL}"), mapped), tables))
    shown = {"job_id": None, "owner": None, "state": None, "payload": Mask("partial")}
    write = WriteGrant("w", updates, frozenset({"state"}), {})
    scopes = {
        "jobs": ResourceScope(mapped["jobs"], (ReadGrant("r", OURS, shown),), updates=(write,)),
        "notes": ResourceScope(mapped["notes"], (ReadGrant("n", RowFilter(), {"note_id": None, "job_id": None}),)),
    }
    return Rewriter(Scope("s", "bot", scopes), catalogue, "q")


@pytest.fixture(scope="module")
def queue(database: Database) -> Queue:
    database.script(SCRIPT)
    return Queue(database, make_rewriter(database, OURS))


NEXT = "SELECT job_id FROM jobs WHERE state = 'new' ORDER BY job_id LIMIT 1 FOR UPDATE SKIP LOCKED"


@pytest.mark.parametrize(
    ("sql", "locks"),
    [
        (NEXT, True),
        ("SELECT job_id FROM jobs FOR KEY SHARE", True),
        ("SELECT n.note_id FROM notes n, (SELECT job_id FROM jobs FOR SHARE) j WHERE n.job_id = j.job_id", True),
        ("WITH j AS (SELECT job_id FROM jobs FOR NO KEY UPDATE) SELECT job_id FROM j", True),
        ("SELECT note_id FROM notes WHERE job_id = (SELECT job_id FROM jobs WHERE job_id = 2 FOR UPDATE)", True),
        ("DECLARE c CURSOR FOR SELECT job_id FROM jobs FOR UPDATE", True),
        ("SELECT job_id FROM jobs", False),
        ("SELECT job_id FROM jobs WHERE state = 'FOR UPDATE'", False),
    ],
)
def test_what_locks_rows_is_known_as_such(queue: Queue, sql: str, locks: bool) -> None:
    for text in (sql, sql.replace("2", "4")):
        (plan,) = queue.rewriter.rewrite(text)
        assert isinstance(plan, Plan)
        assert (plan.locks, plan.effective) == (locks, locks)
    if not sql.startswith("DECLARE"):
        (around,) = queue.rewriter.rewrite(f"PREPARE p AS {sql}")
        assert isinstance(around, Plan)
        assert isinstance(around.act, Prepare)
        assert around.act.plan.locks == locks


def test_workers_of_a_queue_get_different_jobs(queue: Queue) -> None:
    with queue.connect() as first, queue.connect() as second, queue.connect() as third:
        assert queue.ask(first, NEXT) == [(2,)]
        assert queue.ask(second, NEXT) == [(4,)]
        assert queue.ask(third, "SELECT job_id FROM jobs ORDER BY job_id FOR SHARE SKIP LOCKED") == [(6,), (8,), (10,)]


def test_a_job_is_taken_by_the_update_around_it(queue: Queue) -> None:
    with queue.connect() as first, queue.connect() as second:
        taken = f"UPDATE jobs SET state = 'run' WHERE job_id = ({NEXT}) RETURNING job_id"
        assert [row[0] for row in queue.ask(first, taken)] == [2]
        assert [row[0] for row in queue.ask(second, taken)] == [4]
        first.rollback()
        second.rollback()


def test_locked_rows_outside_the_scope_tell_nothing(queue: Queue) -> None:
    with queue.connect() as other, queue.connect() as ours:
        other.execute("SELECT FROM public.jobs WHERE owner = 'CANARY' FOR UPDATE")
        assert len(queue.ask(ours, "SELECT * FROM jobs WHERE state = 'new' FOR UPDATE NOWAIT")) == 5
        assert queue.ask(ours, "SELECT job_id FROM jobs WHERE job_id IN (1, 2) FOR UPDATE NOWAIT") == [(2,)]
        ours.commit()
        other.execute("SELECT FROM public.jobs WHERE job_id = 2 FOR UPDATE")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            queue.ask(ours, "SELECT job_id FROM jobs WHERE job_id = 2 FOR UPDATE NOWAIT")


def test_rows_outside_the_scope_are_not_locked(queue: Queue) -> None:
    with queue.connect() as ours, queue.connect() as other:
        assert len(queue.ask(ours, "SELECT job_id FROM jobs FOR NO KEY UPDATE")) == 5
        free = "SELECT job_id FROM public.jobs FOR UPDATE SKIP LOCKED"
        assert {row[0] for row in other.execute(free).fetchall()} == {1, 3, 5, 7, 9}


@pytest.mark.parametrize(
    "condition", ["payload::int > 0", "1 / (job_id % 2 - 1) < 0 AND job_id % 2 = 0", "(SELECT payload::int) > 0"]
)
def test_a_condition_is_not_evaluated_over_hidden_rows(queue: Queue, condition: str) -> None:
    shown = condition.replace("payload", "replace(replace(payload, '***', ''), 'C', 'x')")
    with queue.connect() as ours:
        rows = queue.ask(ours, f"SELECT job_id, payload FROM jobs WHERE {shown} ORDER BY job_id FOR UPDATE")
        assert "CANARY" not in str(rows)
        ours.rollback()


def test_what_is_shown_of_locked_rows_is_the_scope(queue: Queue) -> None:
    with queue.connect() as ours:
        assert queue.ask(ours, "SELECT * FROM jobs WHERE job_id = 2 FOR UPDATE") == [(2, "us", "new", "2***")]
        assert queue.ask(ours, "SELECT j.* FROM public.jobs j WHERE j.payload = '4***' FOR UPDATE OF j") == [
            (4, "us", "new", "4***")
        ]
        assert queue.ask(
            ours,
            "SELECT job_id AS id, (SELECT count(*) FROM notes n WHERE n.job_id = jobs.job_id) FROM jobs"
            " WHERE EXISTS (SELECT FROM notes n WHERE n.note_id = jobs.job_id) ORDER BY id DESC LIMIT 1 FOR SHARE",
        ) == [(10, 1)]
        ours.rollback()


def test_only_what_may_be_updated_is_locked(queue: Queue) -> None:
    narrow = make_rewriter(queue.database, SMALL)
    (found,) = narrow.rewrite("SELECT job_id FROM jobs FOR UPDATE")
    assert isinstance(found, Plan)
    assert queue.database.rows(found.sql) == [(2,)]
    (refused,) = narrow.rewrite("SELECT j.job_id FROM jobs j JOIN notes n USING (job_id) FOR UPDATE OF j")
    assert isinstance(refused, Denial)
    (twin,) = queue.rewriter.rewrite("SELECT j.job_id FROM jobs j JOIN notes n USING (job_id) FOR UPDATE OF j")
    assert isinstance(twin, Plan)


@pytest.mark.parametrize(
    ("refused", "twin"),
    [
        ("SELECT * FROM customers FOR UPDATE", "SELECT * FROM tickets FOR UPDATE"),
        ("SELECT ssn FROM tickets FOR UPDATE", "SELECT subject FROM tickets FOR SHARE NOWAIT"),
        ("SELECT * FROM tickets FOR UPDATE OF other", "SELECT * FROM tickets FOR UPDATE OF tickets"),
        ("SELECT * FROM tickets t, customers c FOR UPDATE", "SELECT * FROM tickets t, customers c FOR UPDATE OF t"),
        ("SELECT * FROM secrets FOR KEY SHARE", "SELECT * FROM public.tickets FOR KEY SHARE"),
        ("SELECT to_jsonb(t) FROM tickets t FOR UPDATE", "SELECT to_jsonb(t.subject) FROM tickets t FOR UPDATE"),
    ],
)
def test_the_neighbour_of_a_refused_lock_passes(refused: str, twin: str) -> None:
    assert "ssn" not in denial(refused).allowed
    assert "FOR " in plan(twin).sql


def test_what_is_read_of_locked_rows_is_on_record() -> None:
    assert plan("SELECT subject FROM tickets WHERE status = 'open' FOR UPDATE").accesses == (
        Access("tickets", "read", ("status", "subject")),
    )
