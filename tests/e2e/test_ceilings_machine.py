"""Random statements under ceilings against a model: never more rows changed than the ceiling, and every count exact."""

from __future__ import annotations

import re
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from psycopg import errors

from tests.support.desk import Desk, clean
from tests.support.gateway import Credentials, running_gateway
from tests.support.postgres import GATEWAY_ROLE, Server

Connection = psycopg.Connection[tuple[Any, ...]]
Rows = dict[int, str]

BATCH, ROWS, SIZE = 4, 6, 20
SCRIPT = f"""
CREATE TABLE public.items (id int PRIMARY KEY, owner int NOT NULL, note text NOT NULL);
INSERT INTO public.items SELECT g, 1, 'n' FROM generate_series(1, {SIZE}) g;
INSERT INTO public.items SELECT g, 2, 'CANARY_ITEM_' || g FROM generate_series(101, 120) g;
"""
POLICY = f"""
bailiwick: 1
mounts:
  m: {{kind: postgres, url: "${{MACHINE_URL}}", resources: {{items: {{table: public.items, key: id}}}}}}
roles:
  r:
    grants:
      - {{allow: items:read, reason: looks, rows: {{owner: 1}}, limits: {{rows: {ROWS}}}}}
      - {{allow: items:update:note, reason: edits, limits: {{batch: {BATCH}}}}}
      - {{allow: items:create, reason: adds, fields: [id, owner, note], set: {{owner: 1}}, limits: {{batch: {BATCH}}}}}
      - {{allow: items:delete, reason: removes, limits: {{batch: {BATCH}}}}}
gates: {{delete: {{loosen: [items:delete], reason: test data only}}}}
agents: {{bot: {{owner: o, purpose: p, roles: [r]}}}}
"""


@pytest.fixture(scope="module")
def gate(postgres: Server) -> Iterator[Desk]:
    upstream = postgres.create(SCRIPT, GATEWAY_ROLE)
    with running_gateway(POLICY, {"MACHINE_URL": upstream.url("gw", "gw")}) as gateway:
        yield Desk(gateway, gateway.open_session("bot"), upstream, clean)


def matching(rows: Rows, low: int, high: int) -> list[int]:
    return [key for key in rows if low <= key <= high]


class Machine(RuleBasedStateMachine):
    """One connection: what is committed, and what its open transaction and savepoint would add."""

    desk: Desk

    def __init__(self) -> None:
        super().__init__()
        self.desk.upstream.script(f"DELETE FROM items WHERE owner = 1; {SCRIPT.split(';')[1]}")
        self.connection: Connection = psycopg.connect(self.desk.session.url(), autocommit=True)
        self.committed: Rows = dict.fromkeys(range(1, SIZE + 1), "n")
        self.rows = dict(self.committed)
        self.saved: Rows | None = None
        self.state = "idle"

    def teardown(self) -> None:
        self.connection.close()

    def write(self, sql: str, count: int, after: Rows) -> None:
        """Run a write that reaches `count` rows, and hold it to its ceiling."""
        if self.state == "failed":
            with pytest.raises(errors.InFailedSqlTransaction):
                self.connection.execute(sql.encode())
        elif count <= BATCH:
            assert self.connection.execute(sql.encode()).rowcount == count
            self.rows = after
            self.committed = dict(after) if self.state == "idle" else self.committed
        else:
            with pytest.raises(errors.InsufficientPrivilege) as error:
                self.connection.execute(sql.encode())
            found = re.search(r"would write (\d+) rows", str(error.value))
            assert found is not None
            assert int(found[1]) == count
            clean(str(error.value))
            self.state = "idle" if self.state == "idle" else "failed"

    spans = st.tuples(st.integers(1, SIZE), st.integers(0, 8))

    @rule(span=spans, note=st.sampled_from("abc"), returning=st.booleans())
    def update(self, span: tuple[int, int], note: str, returning: bool) -> None:
        keys = matching(self.rows, span[0], span[0] + span[1])
        tail = " RETURNING id, note" if returning else ""
        sql = f"UPDATE items SET note = '{note}' WHERE id BETWEEN {span[0]} AND {span[0] + span[1]}{tail}"
        self.write(sql, len(keys), {**self.rows, **dict.fromkeys(keys, note)})

    @rule(span=spans)
    def delete(self, span: tuple[int, int]) -> None:
        keys = matching(self.rows, span[0], span[0] + span[1])
        sql = f"DELETE FROM items WHERE id BETWEEN {span[0]} AND {span[0] + span[1]}"
        self.write(sql, len(keys), {key: note for key, note in self.rows.items() if key not in keys})

    @rule(count=st.integers(1, 7))
    def insert(self, count: int) -> None:
        first = max([SIZE, *(key for key in self.rows if key < 100)]) + 1
        if first + count < 100:
            values = ", ".join(f"({first + n}, 1, 'i')" for n in range(count))
            after = {**self.rows, **{first + n: "i" for n in range(count)}}
            self.write(f"INSERT INTO items (id, owner, note) VALUES {values}", count, after)

    @rule(limit=st.integers(0, 12))
    def read(self, limit: int) -> None:
        sql = f"SELECT id, note FROM items WHERE id > 0 ORDER BY id LIMIT {limit}"
        if self.state == "failed":
            with pytest.raises(errors.InFailedSqlTransaction):
                self.connection.execute(sql.encode())
        elif min(limit, len(self.rows)) <= ROWS:
            assert self.connection.execute(sql.encode()).fetchall() == sorted(self.rows.items())[:limit]
        else:
            with pytest.raises(errors.InsufficientPrivilege, match=f"more than {ROWS} rows"):
                self.connection.execute(sql.encode())
            self.state = "idle" if self.state == "idle" else "failed"

    @precondition(lambda self: self.state == "idle")
    @rule()
    def begin(self) -> None:
        self.connection.execute("BEGIN")
        self.state, self.saved = "open", None

    @precondition(lambda self: self.state == "open")
    @rule()
    def save(self) -> None:
        self.connection.execute("SAVEPOINT s")
        self.saved = dict(self.rows)

    @precondition(lambda self: self.saved is not None and self.state != "idle")
    @rule()
    def back(self) -> None:
        self.connection.execute("ROLLBACK TO s")
        self.rows, self.state = dict(self.saved or {}), "open"

    @precondition(lambda self: self.state != "idle")
    @rule(commit=st.booleans())
    def end(self, commit: bool) -> None:
        self.connection.execute("COMMIT" if commit else "ROLLBACK")
        if commit and self.state == "open":
            self.committed = dict(self.rows)
        self.rows, self.state, self.saved = dict(self.committed), "idle", None

    @invariant()
    def what_is_committed_is_what_was_allowed(self) -> None:
        found = self.desk.upstream.rows("SELECT id, note FROM items WHERE owner = 1 ORDER BY id")
        assert found == sorted(self.committed.items())


def test_random_statements_never_write_more_than_their_ceiling(gate: Desk) -> None:
    Machine.desk = gate
    run_state_machine_as_test(  # pyright: ignore[reportUnknownMemberType] - hypothesis does not type its machines
        Machine,
        settings=settings(
            max_examples=12, stateful_step_count=20, deadline=None, suppress_health_check=(HealthCheck.too_slow,)
        ),
    )


def _writer(session: Credentials, low: int, high: int) -> None:
    """Write under a fresh mark until the gateway is gone."""
    try:
        with psycopg.connect(session.url(), autocommit=True) as connection:
            while True:
                try:
                    connection.execute(
                        "UPDATE items SET note = %s WHERE id BETWEEN %s AND %s", [str(uuid.uuid4()), low, high]
                    )
                except errors.InsufficientPrivilege:
                    continue
    except psycopg.Error:
        return


def test_kill_9_leaves_nothing_committed_beyond_a_ceiling(postgres: Server) -> None:
    upstream = postgres.create(SCRIPT, GATEWAY_ROLE)
    with running_gateway(POLICY, {"MACHINE_URL": upstream.url("gw", "gw")}) as gateway:
        session = gateway.open_session("bot")
        spans = [(1, 20), (1, 4), (5, 16), (17, 20)]
        threads = [threading.Thread(target=_writer, args=(session, *span), daemon=True) for span in spans]
        for each in threads:
            each.start()
        time.sleep(1.5)
        gateway.kill()
        for each in threads:
            each.join(20)
    marks = upstream.rows("SELECT note, count(*) FROM items WHERE owner = 1 AND note <> 'n' GROUP BY note")
    assert marks, "nothing was written at all"
    assert max(int(str(count)) for _, count in marks) <= BATCH
