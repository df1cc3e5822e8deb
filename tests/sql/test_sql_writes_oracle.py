"""A random write through a random scope changes exactly the rows that it may, or none at all."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator

import psycopg
import pytest
from hypothesis import Phase, assume, given, settings
from psycopg.rows import class_row

from bailiwick.gateway.backends.introspect import read_catalogue, read_tables
from bailiwick.model.decision import Denial
from bailiwick.model.policy import Mount, SecretRef
from bailiwick.model.scope import Scope
from bailiwick.sql.rewrite import Rewriter
from tests.sql.writes_oracle import (
    FILL,
    SCRIPT,
    TABLE,
    DeniedError,
    Policy,
    Row,
    State,
    Statement,
    Table,
    policies,
    statements,
)
from tests.sql.writes_rig import execute
from tests.support.postgres import Database, Server


class Bench:
    def __init__(self, database: Database) -> None:
        mount = Mount("crm", "postgres", SecretRef("${URL}"), {"t": TABLE}, sql=True)
        locked = asyncio.run(read_tables(database.url(), {("public", "t")}))
        self._catalogue = asyncio.run(read_catalogue(database.url(), mount, locked))
        self.connection = psycopg.connect(database.url(), options="-c search_path=pg_catalog,pg_temp")
        self.seen: Counter[str] = Counter()

    def run(self, policy: Policy, statement: Statement) -> tuple[str, State]:
        """Run a write; return why it was not done, and the rows behind it."""
        (plan,) = Rewriter(Scope("s", "bot", {"t": policy.scope()}), self._catalogue, "crm").rewrite(statement.sql)
        if isinstance(plan, Denial):
            return f"plan: {plan.message}", {}
        said = execute(self.connection.pgconn, plan)
        rows: list[Row] = []
        if not said.code:
            with self.connection.cursor(row_factory=class_row(Row)) as cursor:
                rows = cursor.execute("SELECT tenant, id, a, b FROM public.t").fetchall()
        self.connection.pgconn.exec_(b"ROLLBACK")
        return f"{said.code} {said.message}" if said.code else "", {(row.tenant, row.id): row for row in rows}


@pytest.fixture(scope="module")
def bench(postgres: Server) -> Iterator[Bench]:
    made = Bench(postgres.create(SCRIPT + FILL))
    yield made
    made.connection.close()
    assert made.seen["done"] > made.seen["refused"] / 2, made.seen


@settings(max_examples=250, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(policy=policies(), statement=statements())
def test_a_write_changes_exactly_the_rows_that_it_may(bench: Bench, policy: Policy, statement: Statement) -> None:
    assume(not statement.leaky or policy.hides_the_bomb())
    table = Table(policy, statement.returns)
    expected: State | None = table.rows
    try:
        statement.run(table)
    except DeniedError:
        expected = None
    why, rows = bench.run(policy, statement)
    bench.seen["refused" if why else "done"] += 1
    if why:
        assert (
            expected is None
            or statement.strict
            or why.startswith(("plan: ON CONFLICT", "plan: WHEN NOT MATCHED", "plan: MERGE with both"))
        ), f"{statement.sql}\n{why}"
        return
    assert expected is not None, f"{statement.sql} should have been denied"
    assert rows == expected, statement.sql
