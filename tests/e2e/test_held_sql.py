"""Statements that gates hold, through the real gateway: approved they run once, no further than they were previewed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any, cast

import psycopg
import pytest
from psycopg import errors

from bailiwick.errors import BailiwickError
from tests.support.canary import leaks_in_files
from tests.support.desk import Desk, clean
from tests.support.gateway import running_gateway
from tests.support.postgres import GATEWAY_ROLE, Server

Connection = psycopg.Connection[tuple[Any, ...]]
Told = dict[str, Any]

SCRIPT = """
CREATE TABLE public.items (id int PRIMARY KEY, owner int NOT NULL, note text, secret text);
CREATE TABLE public.papers (id int PRIMARY KEY, title text);
CREATE TABLE public.parts (
  item int REFERENCES public.items DEFERRABLE INITIALLY DEFERRED, name text
);
CREATE TABLE public.made (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text);
CREATE SEQUENCE public.fired;
CREATE FUNCTION public.fire() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
  $$ BEGIN PERFORM nextval('public.fired'); RETURN old; END $$;
CREATE TABLE public.chores (id int PRIMARY KEY, note text, due timestamptz, done boolean);
CREATE TABLE public.watched (id int PRIMARY KEY, note text);
CREATE TABLE public.people (id int PRIMARY KEY, owner int, name text, ssn text);
INSERT INTO public.people SELECT g, g % 2, 'p' || g, CASE g % 2 WHEN 0 THEN 'CANARY_SSN_' ELSE 'ssn ' END || g
  FROM generate_series(1, 6) g;
CREATE TRIGGER fire BEFORE DELETE ON public.watched FOR EACH ROW EXECUTE FUNCTION public.fire();
"""
DATA = """
TRUNCATE public.items, public.chores, public.papers, public.parts, public.made, public.watched;
INSERT INTO public.items SELECT g, g % 2, 'n' || g, 'CANARY_ITEM_' || g FROM generate_series(1, 40) g;
INSERT INTO public.papers SELECT g, 'paper ' || g FROM generate_series(1, 5) g;
INSERT INTO public.chores SELECT g, 'chore', '2026-02-01', g % 2 = 0 FROM generate_series(1, 9) g;
INSERT INTO public.parts VALUES (39, 'bolt');
INSERT INTO public.watched VALUES (1, 'x'), (2, 'y');
"""
POLICY = """
bailiwick: 1
mounts:
  m:
    kind: postgres
    url: ${HELD_URL}
    resources:
      items: {table: public.items, key: id}
      papers: {table: public.papers, key: id}
      made: {table: public.made, key: id}
      chores: {table: public.chores, key: id}
      watched: {table: public.watched, key: id}
      people: {table: public.people, key: id, labels: {ssn: restricted}}
roles:
  r:
    grants:
      - {allow: items:read, reason: looks, fields: [id, owner, note], rows: {owner: 1}}
      - {allow: items:update:note, reason: edits}
      - {allow: items:delete, reason: removes}
      - {allow: papers:read, reason: reads}
      - {allow: made:read, reason: looks}
      - {allow: made:create:note, reason: adds}
      - {allow: chores:read, reason: looks}
      - {allow: chores:update, fields: [note, due], reason: plans, set: {note: any, due: any}}
      - {allow: watched:read, reason: looks}
      - {allow: people:read, reason: pays them, fields: [id, name, ssn], rows: {owner: 1}}
      - {allow: people:update:name, reason: corrects}
      - {allow: watched:delete, reason: removes, preview: "off"}
agents:
  bot: {owner: o, purpose: p, roles: [r]}
gates:
  planning: {on: chores:update, approvers: [owners], mode: execute}
  reading: {on: papers:read, approvers: [owners], message: papers are read by appointment}
  making: {on: made:create, args: {note: {prefix: big}}, approvers: [owners]}
approvers:
  owners: {users: [ann]}
"""


@pytest.fixture(scope="module")
def gate(postgres: Server) -> Iterator[Desk]:
    upstream = postgres.create(SCRIPT, GATEWAY_ROLE)
    with running_gateway(POLICY, {"HELD_URL": upstream.url("gw", "gw")}) as gateway:
        yield Desk(gateway, gateway.open_session("bot"), upstream, clean)
        gateway.flush()
        assert leaks_in_files(gateway.folder) == []


@pytest.fixture
def connection(gate: Desk) -> Iterator[Connection]:
    gate.upstream.script(DATA)
    session = gate.gateway.open_session("bot")
    with psycopg.connect(session.url(), autocommit=True) as made:
        yield made
    gate.gateway.revoke(session)


def refused(connection: Connection, sql: str, values: list[object] | None = None) -> psycopg.Error:
    """Send a statement that is not run; return the error, in which nothing hidden stands."""
    with pytest.raises(psycopg.Error) as error:
        connection.execute(sql.encode(), values)
    diag = error.value.diag
    clean((diag.message_primary, diag.message_detail, diag.message_hint))
    return error.value


def held(connection: Connection, gate: Desk, sql: str, values: list[object] | None = None) -> Told:
    """Send a statement that is held; return it as people see it."""
    error = refused(connection, sql, values)
    assert error.sqlstate == "55P03", error
    return shown(gate, id_in(error))


def id_in(error: psycopg.Error) -> str:
    return (error.diag.message_primary or "").split("held as `")[1].split("`")[0]


def shown(gate: Desk, approval: str) -> Told:
    found = gate.gateway.admin.ask("approval.show", {"approval": approval})["approval"]
    clean(found)
    return cast("Told", found)


def approve(gate: Desk, told: Told) -> None:
    gate.gateway.admin.ask("approval.approve", {"approval": told["id"], "digest": told["digest"]})


def ids(gate: Desk) -> set[int]:
    return {cast("int", row[0]) for row in gate.upstream.rows("SELECT id FROM public.items WHERE owner = 1")}


def state(gate: Desk, told: Told) -> str:
    return str(shown(gate, told["id"])["state"])


DELETE = "DELETE FROM items WHERE id = %s"


def test_a_delete_is_held_and_once_approved_runs_once(connection: Connection, gate: Desk) -> None:
    told = held(connection, gate, DELETE, [7])
    assert (told["rows"], told["shown"][0]["before"]["note"]) == (1, "n7")
    assert 7 in ids(gate)
    approve(gate, told)
    assert connection.execute(DELETE.encode(), [7]).rowcount == 1
    assert 7 not in ids(gate)
    assert state(gate, told) == "EXECUTED"
    gate.upstream.script("INSERT INTO items VALUES (7, 1, 'again')")
    again = held(connection, gate, DELETE, [7])  # a replayed approval approves nothing
    assert again["id"] != told["id"]
    assert 7 in ids(gate)


def test_rows_come_back_as_the_agent_asked_for_them(connection: Connection, gate: Desk) -> None:
    sql = "DELETE FROM items WHERE id IN (9, 11) RETURNING id, note"
    approve(gate, held(connection, gate, sql))
    cursor = connection.execute(sql.encode())
    assert [column.name for column in cursor.description or ()] == ["id", "note"]
    assert sorted(cursor.fetchall()) == [(9, "n9"), (11, "n11")]
    binary = "DELETE FROM items WHERE id = %s RETURNING id, note"
    approve(gate, held(connection, gate, binary, [13]))
    assert connection.execute(binary.encode(), [13], binary=True).fetchall() == [(13, "n13")]


def test_another_parameter_statement_or_session_is_another_request(connection: Connection, gate: Desk) -> None:
    told = held(connection, gate, DELETE, [7])
    approve(gate, told)
    assert held(connection, gate, DELETE, [9])["id"] != told["id"]
    assert held(connection, gate, "DELETE FROM items WHERE id=%s", [7])["id"] != told["id"]
    other = gate.gateway.open_session("bot")
    with psycopg.connect(other.url(), autocommit=True) as second:
        assert held(second, gate, DELETE, [7])["id"] != told["id"]
    gate.gateway.revoke(other)
    assert {7, 9} <= ids(gate)
    with psycopg.connect(gate.session.url(), autocommit=True) as third:
        assert third.execute("SELECT count(*) FROM items").fetchone() == (20,)
    assert connection.execute(DELETE.encode(), [7]).rowcount == 1


def test_what_was_denied_is_denied_with_its_reason(connection: Connection, gate: Desk) -> None:
    told = held(connection, gate, DELETE, [7])
    gate.gateway.admin.ask("approval.deny", {"approval": told["id"], "reason": "still needed"})
    error = refused(connection, DELETE, [7])
    assert (error.sqlstate, "still needed" in str(error)) == ("42501", True)
    assert "code approval_denied" in (error.diag.message_detail or "")
    assert connection.execute("UPDATE items SET note = 'x' WHERE id = 7").rowcount == 1


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("SELECT id, ssn FROM people ORDER BY id", [(1, "ssn 1"), (3, "ssn 3"), (5, "ssn 5")]),
        ("SELECT name FROM people WHERE ssn = 'ssn 3'", [("p3",)]),
        ("SELECT count(*) FROM (SELECT p.ssn FROM people AS p) AS q", [(3,)]),
        (
            "WITH q AS (SELECT max(ssn) AS m FROM people) SELECT m FROM q UNION SELECT 'CANARY' WHERE false",
            [("ssn 5",)],
        ),
    ],
)
def test_a_restricted_field_is_read_once_people_have_approved_it(
    connection: Connection, gate: Desk, sql: str, rows: list[tuple[object, ...]]
) -> None:
    assert [column.name for column in connection.execute("SELECT * FROM people").description or ()] == ["id", "name"]
    told = held(connection, gate, sql)
    assert (told["actions"], told["gates"]) == (["people:read"], ["restricted"])
    assert "restricted" in told["labels"]
    approve(gate, told)
    assert connection.execute(sql.encode()).fetchall() == rows
    assert held(connection, gate, sql)["id"] != told["id"]


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE people SET name = ssn",
        "UPDATE people SET name = 'x' WHERE ssn = 'ssn 1'",
        "UPDATE people SET name = 'x' RETURNING ssn",
        "SELECT ssn FROM people FOR UPDATE",
        "COPY (SELECT ssn FROM people) TO STDOUT",
        "DECLARE c CURSOR WITH HOLD FOR SELECT ssn FROM people",
        "PREPARE p AS SELECT ssn FROM people",
    ],
)
def test_a_restricted_field_is_not_read_beside_something_else(connection: Connection, sql: str) -> None:
    error = refused(connection, sql)
    assert (error.sqlstate, "needs_approval" in (error.diag.message_detail or "")) == ("42501", True)
    assert connection.execute("UPDATE people SET name = 'p1' WHERE id = 1").rowcount == 1


def waiting(connection: Connection, sql: str, values: list[object]) -> tuple[Future[int], ThreadPoolExecutor]:
    pool = ThreadPoolExecutor(1)
    connection.execute("SET bailiwick.wait = '5min'")
    return pool.submit(lambda: connection.execute(sql.encode(), values).rowcount), pool


def _locks_nothing(gate: Desk) -> bool:
    """Whether the gateway's connections come to hold no lock on the table, while somebody waits."""
    mine = "SELECT l.pid FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE a.usename = 'gw'"
    until = time.monotonic() + 30
    while time.monotonic() < until:
        if not gate.upstream.rows(f"{mine} AND l.relation = 'public.items'::regclass"):
            return True
    return False


def first_waiting(gate: Desk, session: str) -> Told:
    """Return what a session has waiting, as soon as there is something."""
    seen: object = None
    while True:
        answer = gate.gateway.admin.ask("approval.watch", {} if seen is None else {"seen": cast("int", seen)})
        seen = answer["seen"]
        found = [each for each in cast("list[Told]", answer["approvals"]) if each["session"] == session]
        if found:
            return shown(gate, found[0]["id"])


def test_a_statement_waits_and_no_transaction_is_held_open_meanwhile(gate: Desk) -> None:
    gate.upstream.script(DATA)
    session = gate.gateway.open_session("bot")
    with (
        psycopg.connect(session.url(), autocommit=True) as made,
        psycopg.connect(session.url(), autocommit=True) as beside,
    ):
        done, pool = waiting(made, DELETE, [7])
        told = first_waiting(gate, session.id)
        assert beside.execute("SELECT count(*) FROM items").fetchone() == (20,)
        assert _locks_nothing(gate)
        approve(gate, told)
        assert done.result(60) == 1
        pool.shutdown()
        assert made.execute("SELECT 1").fetchone() == (1,)
    assert 7 not in ids(gate)
    assert state(gate, told) == "EXECUTED"
    gate.gateway.revoke(session)


def test_a_waiting_statement_can_be_cancelled_and_goes_on_waiting_for_people(gate: Desk) -> None:
    gate.upstream.script(DATA)
    session = gate.gateway.open_session("bot")
    with psycopg.connect(session.url(), autocommit=True) as made:
        done, pool = waiting(made, DELETE, [7])
        told = first_waiting(gate, session.id)
        made.cancel_safe()
        with pytest.raises(errors.QueryCanceled):
            done.result(60)
        pool.shutdown()
        assert state(gate, told) == "PENDING"
        made.execute("SET bailiwick.wait = 0")
        assert held(made, gate, DELETE, [7])["id"] == told["id"]
    gate.gateway.revoke(session)


def test_the_end_of_the_session_ends_the_waiting(gate: Desk) -> None:
    gate.upstream.script(DATA)
    session = gate.gateway.open_session("bot")
    with psycopg.connect(session.url(), autocommit=True) as made:
        done, pool = waiting(made, DELETE, [7])
        told = first_waiting(gate, session.id)
        gate.gateway.revoke(session)
        with pytest.raises(psycopg.Error):
            done.result(60)
        pool.shutdown()
    assert state(gate, told) == "WITHDRAWN"
    with pytest.raises(BailiwickError):
        approve(gate, told)
    assert 7 in ids(gate)


def test_data_that_changed_since_the_preview_is_left_alone_and_held_anew(connection: Connection, gate: Desk) -> None:
    sql = "DELETE FROM items WHERE note = 'gone' RETURNING id"
    gate.upstream.script("UPDATE items SET note = 'gone' WHERE id IN (7, 9)")
    told = held(connection, gate, sql)
    approve(gate, told)
    gate.upstream.script("UPDATE items SET note = 'n9' WHERE id = 9; UPDATE items SET note = 'gone' WHERE id = 11")
    again = held(connection, gate, sql)  # as many rows, but others
    assert again["id"] != told["id"]
    assert sorted(row["key"] for row in again["shown"]) == [["11"], ["7"]]
    assert state(gate, told) == "FAILED"
    assert {7, 9, 11} <= ids(gate)
    approve(gate, again)
    assert sorted(connection.execute(sql.encode()).fetchall()) == [(7,), (11,)]
    assert 9 in ids(gate)


def test_in_a_transaction_nothing_waits_and_only_its_rollback_gives_the_approval_back(
    connection: Connection, gate: Desk
) -> None:
    connection.execute("SET bailiwick.wait = '5min'")
    connection.execute("BEGIN")
    told = held(connection, gate, DELETE, [7])
    with pytest.raises(errors.InFailedSqlTransaction):
        connection.execute("SELECT 1")
    connection.execute("ROLLBACK")
    approve(gate, told)
    connection.execute("BEGIN")
    assert connection.execute(DELETE.encode(), [7]).rowcount == 1
    assert state(gate, told) == "RUNNING"
    assert 7 in ids(gate)
    connection.execute("ROLLBACK")
    assert state(gate, told) == "APPROVED"
    connection.execute("BEGIN")
    assert connection.execute(DELETE.encode(), [7]).rowcount == 1
    connection.execute("COMMIT")
    assert state(gate, told) == "EXECUTED"
    assert 7 not in ids(gate)


def test_what_is_rolled_back_in_part_is_not_given_back(connection: Connection, gate: Desk) -> None:
    told = held(connection, gate, DELETE, [7])
    approve(gate, told)
    connection.execute("BEGIN")
    connection.execute("SAVEPOINT mine")
    connection.execute(DELETE.encode(), [7])
    connection.execute("ROLLBACK TO mine")
    connection.execute("COMMIT")
    assert state(gate, told) == "FAILED"
    assert 7 in ids(gate)


def test_a_commit_that_fails_gives_the_approval_back(connection: Connection, gate: Desk) -> None:
    sql = "DELETE FROM items WHERE id = 39"
    assert "nothing is held" in (refused(connection, sql).diag.message_hint or "")  # the preview knows it beforehand
    gate.upstream.script("DELETE FROM parts")
    told = held(connection, gate, sql)
    approve(gate, told)
    gate.upstream.script("INSERT INTO parts VALUES (39, 'nut')")
    with pytest.raises(errors.IntegrityError):
        connection.execute(sql.encode())
    assert state(gate, told) == "APPROVED"
    gate.upstream.script("DELETE FROM parts")
    assert connection.execute(sql.encode()).rowcount == 1
    assert state(gate, told) == "EXECUTED"


def test_the_connections_end_in_the_middle_leaves_it_consumed(gate: Desk) -> None:
    gate.upstream.script(DATA)
    session = gate.gateway.open_session("bot")
    with (
        psycopg.connect(session.url(), autocommit=True) as made,
        psycopg.connect(session.url(), autocommit=True) as second,
    ):
        told = held(made, gate, DELETE, [7])
        approve(gate, told)
        made.execute("BEGIN")
        made.execute(DELETE.encode(), [7])
        made.close()
        while state(gate, told) == "RUNNING":  # until the gateway has noticed
            pass
        assert state(gate, told) == "FAILED"
        assert held(second, gate, DELETE, [7])["id"] != told["id"]
    gate.gateway.revoke(session)


def test_two_connections_run_it_once(gate: Desk) -> None:
    gate.upstream.script(DATA)
    session = gate.gateway.open_session("bot")
    sql = "DELETE FROM items WHERE id BETWEEN 20 AND 30"
    with (
        psycopg.connect(session.url(), autocommit=True) as made,
        psycopg.connect(session.url(), autocommit=True) as second,
    ):
        told = held(made, gate, sql)
        approve(gate, told)

        def run(one: Connection) -> int:
            try:
                return one.execute(sql.encode()).rowcount
            except psycopg.Error as error:
                return 0 if error.sqlstate in ("55P03", "42501") else -1

        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(run, (made, second))) == [0, 5]
    assert state(gate, told) == "EXECUTED"
    gate.gateway.revoke(session)


def test_a_pipeline_goes_on_behind_what_was_approved(connection: Connection, gate: Desk) -> None:
    told = held(connection, gate, DELETE, [7])

    def run() -> list[object]:
        with connection.pipeline():
            first = connection.execute("UPDATE items SET note = 'p' WHERE id = 1")
            second = connection.execute(DELETE.encode(), [7])
            third = connection.execute("SELECT note FROM items WHERE id = 1")
        return [first.rowcount, second.rowcount, third.fetchall()]

    with pytest.raises(errors.LockNotAvailable):
        run()
    assert gate.upstream.rows("SELECT note FROM items WHERE id = 1") == [("n1",)]
    approve(gate, told)
    assert run() == [1, 1, [("p",)]]
    assert state(gate, told) == "EXECUTED"
    assert 7 not in ids(gate)


def test_beside_others_in_one_text_nothing_is_held(connection: Connection, gate: Desk) -> None:
    error = refused(connection, "UPDATE items SET note = 'z' WHERE id = 1; DELETE FROM items WHERE id = 7")
    assert "code statement_not_allowed" in (error.diag.message_detail or "")
    assert gate.upstream.rows("SELECT note FROM items WHERE id = 1") == [("n1",)]


def test_a_read_that_a_gate_holds_can_be_approved(connection: Connection, gate: Desk) -> None:
    sql = "SELECT title FROM papers WHERE id < %s ORDER BY id"
    told = held(connection, gate, sql, [3])
    assert (told["rows"], told["shown"], told["statement"]) == (
        None,
        [],
        "SELECT title FROM papers WHERE id < $1 ORDER BY id",
    )
    assert "by appointment" in json.dumps(told)
    approve(gate, told)
    assert connection.execute(sql.encode(), [3]).fetchall() == [("paper 1",), ("paper 2",)]
    assert held(connection, gate, sql, [3])["id"] != told["id"]
    assert connection.execute("SELECT count(*) FROM items").fetchone() == (20,)


def test_held_reads_have_no_way_around(connection: Connection) -> None:
    for sql in (
        "DECLARE c CURSOR FOR SELECT title FROM papers",
        "PREPARE p AS SELECT title FROM papers",
        "COPY (SELECT title FROM papers) TO STDOUT",
    ):
        assert refused(connection, sql).sqlstate == "42501"
    for _ in range(2):
        assert refused(connection, "SELECT title FROM papers").sqlstate == "55P03"
        assert refused(connection, "SELECT title FROM papers WHERE id = %s", [1]).sqlstate == "55P03"


def test_what_a_gate_asks_of_values_holds_whatever_they_are(connection: Connection, gate: Desk) -> None:
    sql = "INSERT INTO made (note) VALUES (%s) RETURNING note"
    told = held(connection, gate, sql, ["small"])
    assert told["rows"] == 1
    approve(gate, told)
    assert connection.execute(sql.encode(), ["small"]).fetchall() == [("small",)]  # its key is another than previewed
    assert gate.upstream.rows("SELECT count(*) FROM made") == [(1,)]


def test_a_preview_that_reaches_outside_is_switched_off(connection: Connection, gate: Desk) -> None:
    told = held(connection, gate, "DELETE FROM watched WHERE id = 1")
    assert (told["rows"], told["preview"]) == (None, "off")
    assert gate.upstream.rows("SELECT is_called FROM fired") == [(False,)]
    approve(gate, told)
    assert connection.execute("DELETE FROM watched WHERE id = 1").rowcount == 1
    assert gate.upstream.rows("SELECT last_value, is_called FROM fired") == [(1, True)]


def test_a_preview_takes_numbers_of_a_sequence_but_for_preview_off(connection: Connection, gate: Desk) -> None:
    """What PostgreSQL itself does not roll back: numbers are skipped, and no row is there before it was approved."""
    last = "SELECT coalesce(last_value, 0) FROM pg_sequences WHERE sequencename = 'made_id_seq'"
    before = gate.upstream.rows(last)
    told = held(connection, gate, "INSERT INTO made (note) VALUES ('big one')")
    assert gate.upstream.rows("SELECT count(*) FROM public.made") == [(0,)]
    assert gate.upstream.rows(last) != before
    fired = gate.upstream.rows("SELECT last_value, is_called FROM public.fired")
    held(connection, gate, "DELETE FROM watched WHERE id = 2")  # whose grant says `preview: off`
    assert gate.upstream.rows("SELECT last_value, is_called FROM public.fired") == fired
    approve(gate, told)
    assert connection.execute("INSERT INTO made (note) VALUES ('big one')").rowcount == 1
    assert gate.upstream.rows("SELECT count(*) FROM public.made") == [(1,)]


def test_the_run_is_on_record_with_its_approval(connection: Connection, gate: Desk) -> None:
    told = held(connection, gate, DELETE, [15])
    approve(gate, told)
    connection.execute(DELETE.encode(), [15])
    lines = gate.gateway.say("ledger", "query", "--json").stdout.splitlines()
    mine = [each for each in map(json.loads, lines) if told["id"] in json.dumps(each)]
    story = [(each["kind"], each.get("decision", "")) for each in mine if each.get("session") == told["session"]]
    at = story.index(("intent", "allow"))
    assert ("approval.verdict", "") in [(kind, "") for kind, _ in story[:at]]
    assert ("outcome", "allow") in story[at:]


def test_after_a_crash_nobody_runs_again_what_was_begun_and_what_was_not_is_run_once(postgres: Server) -> None:
    upstream = postgres.create(SCRIPT, GATEWAY_ROLE)
    upstream.script(DATA)
    policy = POLICY.replace("set: {note: any, due: any}", "set: {note: any, due: any}, limits: {actions: 1/min}")
    with running_gateway(policy, {"HELD_URL": upstream.url("gw", "gw")}) as gateway:
        session = gateway.open_session("bot")
        gate = Desk(gateway, session, upstream, clean)
        made = psycopg.connect(session.url(), autocommit=True)
        told = held(made, gate, DELETE, [7])
        approve(gate, told)
        made.execute("BEGIN")
        made.execute(DELETE.encode(), [7])
        assert state(gate, told) == "RUNNING"
        with psycopg.connect(session.url(), autocommit=True) as beside:
            later = held(beside, gate, PLAN, ["once", 3])  # which uses up the limit, so that it cannot begin yet
        approve(gate, later)
        gateway.kill()
        made.close()
        gateway.start()
        assert state(gate, told) == "FAILED"
        assert "interrupted" in json.dumps(shown(gate, told["id"]))
        assert 7 in ids(gate)
        # what the gateway itself was to run is neither lost nor run twice
        assert once_over(gate, later)["state"] == "EXECUTED"
        assert chores(gate) == [(1, "once"), (2, "once")]
        upstream.script("UPDATE public.chores SET note = 'chore'")
        gateway.kill()
        gateway.start()
        assert state(gate, later) == "EXECUTED"
        again = replace(session, port=gateway.port)
        with psycopg.connect(again.url(), autocommit=True) as beside:
            assert len(beside.execute(PLAN.encode(), ["once", 3]).fetchall()) == 2  # its result outlived it, too
        assert chores(gate) == []


# --- mode: execute: the gateway runs it itself ---


def once_over(gate: Desk, told: Told) -> Told:
    """Return an approval once it is final; the gateway runs it by itself."""
    deadline = time.monotonic() + 60
    while (found := shown(gate, told["id"]))["state"] not in ("EXECUTED", "FAILED", "WITHDRAWN"):
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return found


def chores(gate: Desk) -> list[tuple[Any, ...]]:
    return gate.upstream.rows("SELECT id, note FROM public.chores WHERE note <> 'chore' ORDER BY id")


PLAN = "UPDATE chores SET note = %s WHERE id < %s RETURNING id, done, note"


def test_the_gateway_runs_what_was_approved_and_hands_the_rows_over_once(connection: Connection, gate: Desk) -> None:
    told = held(connection, gate, PLAN, ["über", 3])
    assert (told["mode"], told["rows"]) == ("execute", 2)
    assert chores(gate) == []
    approve(gate, told)
    assert once_over(gate, told)["state"] == "EXECUTED"
    assert chores(gate) == [(1, "über"), (2, "über")]
    gate.upstream.script("UPDATE public.chores SET note = 'other' WHERE id = 1")
    done = connection.execute(PLAN.encode(), ["über", 3])
    assert sorted(done.fetchall()) == [(1, False, "über"), (2, True, "über")]
    assert (done.statusmessage, chores(gate)[0]) == ("UPDATE 2", (1, "other"))
    again = held(connection, gate, PLAN, ["über", 3])  # handed over, so that it is a new request now
    assert again["id"] != told["id"]
    said = gate.gateway.say("ledger", "query", "--json", "--limit", "1000", "--session", told["session"])
    records = [cast("Told", json.loads(line)) for line in said.stdout.splitlines()]
    kinds = [(each["kind"], each["detail"].get("step")) for each in records if told["id"] in str(each)]
    steps = [step for _, step in kinds if step]
    assert steps == ["approved", "begun", "executed", "delivered"]
    assert kinds.index(("intent", None)) < kinds.index(("approval.moved", "executed"))


def test_who_waits_gets_what_the_gateway_did(connection: Connection, gate: Desk) -> None:
    session = held(connection, gate, "UPDATE chores SET note = 'waits' WHERE id = 3")
    gate.gateway.admin.ask("approval.deny", {"approval": session["id"], "reason": "first the other"})
    connection.execute("SET bailiwick.wait = '60s'")
    sql = b"UPDATE chores SET note = 'waited' WHERE id = 4"
    with ThreadPoolExecutor(1) as pool:
        done: Future[Any] = pool.submit(connection.execute, sql)
        approve(gate, first_waiting(gate, session["session"]))
        assert done.result(60).statusmessage == "UPDATE 1"
    assert chores(gate) == [(4, "waited")]


def test_it_is_run_under_the_settings_of_who_asked(gate: Desk) -> None:
    gate.upstream.script(DATA)
    session = gate.gateway.open_session("bot")
    sql = "UPDATE chores SET due = '03/04/2026 00:00+00' WHERE id = 1"
    with psycopg.connect(session.url(), autocommit=True) as connection:
        other = held(connection, gate, sql)
        connection.execute("SET datestyle = 'ISO, DMY'")
        told = held(connection, gate, sql)  # the same text means another day now
        assert (other["shown"][0]["after"]["due"][5:7], told["shown"][0]["after"]["due"][5:7]) == ("03", "04")
    approve(gate, told)
    assert once_over(gate, told)["state"] == "EXECUTED"
    found = gate.upstream.rows("SELECT extract(month FROM due AT TIME ZONE 'UTC')::int FROM public.chores WHERE id = 1")
    assert found == [(4,)]
    gate.gateway.revoke(session)


def test_data_that_changed_is_not_written_over_but_held_anew(connection: Connection, gate: Desk) -> None:
    told = held(connection, gate, PLAN, ["stale", 3])
    gate.upstream.script("DELETE FROM public.chores WHERE id = 2")
    approve(gate, told)
    assert once_over(gate, told)["state"] == "FAILED"
    assert chores(gate) == []
    fresh = first_waiting(gate, told["session"])
    assert (fresh["rows"], fresh["id"] != told["id"]) == (1, True)


def test_a_revoked_session_takes_with_it_what_the_gateway_would_have_run(gate: Desk) -> None:
    gate.upstream.script(DATA)
    session = gate.gateway.open_session("bot")
    with psycopg.connect(session.url(), autocommit=True) as connection:
        told = held(connection, gate, "UPDATE chores SET note = 'revoked' WHERE id = 1")
    gate.gateway.revoke(session)
    assert once_over(gate, told)["state"] == "WITHDRAWN"
    with pytest.raises(BailiwickError):
        approve(gate, told)
    assert chores(gate) == []


def test_within_a_transaction_nothing_is_handed_over(connection: Connection, gate: Desk) -> None:
    sql = "UPDATE chores SET note = 'inside' WHERE id = 5"
    told = held(connection, gate, sql)
    approve(gate, told)
    once_over(gate, told)
    with connection.transaction(force_rollback=True):
        assert "outside a transaction" in str(refused(connection, sql).diag.message_hint)
    assert connection.execute(sql.encode()).statusmessage == "UPDATE 1"


# --- what a reviewer puts in the place of a statement ---


def modify(gate: Desk, told: Told, **wanted: Any) -> Told:
    fields = {"approval": told["id"], "digest": told["digest"], "set": wanted}
    return cast("Told", gate.gateway.admin.ask("approval.modify", fields)["approval"])


def test_a_reviewer_narrows_a_statement_and_the_gateway_runs_that(connection: Connection, gate: Desk) -> None:
    notices: list[str] = []
    connection.add_notice_handler(lambda each: notices.append(each.message_primary or ""))
    sql = "DELETE FROM items WHERE id < 10"
    told = held(connection, gate, sql)
    assert told["rows"] == 5
    after = modify(gate, told, statement="DELETE FROM items WHERE id = 7")
    assert (after["state"], after["rows"], after["mode"]) == ("PENDING", 1, "execute")
    assert [row["key"] for row in after["shown"]] == [["7"]]
    with pytest.raises(BailiwickError, match="not what it was"):
        approve(gate, told)  # what they have seen is not this
    assert held(connection, gate, sql)["id"] == told["id"]
    approve(gate, after)
    assert once_over(gate, told)["state"] == "EXECUTED"
    done = connection.execute(sql.encode())
    assert done.statusmessage == "DELETE 1"
    assert "DELETE FROM items WHERE id = 7" in notices[0]
    assert (7 in ids(gate), 9 in ids(gate)) == (False, True)


def test_a_reviewer_keeps_the_values_of_a_statement_or_gives_others(connection: Connection, gate: Desk) -> None:
    told = held(connection, gate, "DELETE FROM items WHERE id < %s", [10])
    after = modify(gate, told, statement="DELETE FROM items WHERE id < $1 AND note = 'n3'")
    assert (after["rows"], after["parameters"]["values"]) == (1, told["parameters"]["values"])
    other = modify(gate, after, statement="DELETE FROM items WHERE id = $1", parameters=[5])
    assert (other["rows"], [row["key"] for row in other["shown"]]) == (1, [["5"]])
    said = gate.gateway.say("approvals", "modify", told["id"], "--statement", "DELETE FROM items WHERE id = 1")
    assert said.returncode == 0, said.stderr
    assert "DELETE FROM items WHERE id = 1" in said.stdout
    assert {1, 3, 5} <= ids(gate)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ("DELETE FROM items WHERE id < 30", "would write"),
        ("DELETE FROM papers WHERE id = 1", "not granted"),
        ("UPDATE items SET note = 'x' WHERE id = 7", "would do more"),
        ("DELETE FROM items WHERE secret = 'CANARY_ITEM_7'", "secret"),
        ("SELECT id FROM items", "would not wait"),
        ("DELETE FROM items WHERE id = 1; DELETE FROM items WHERE id = 3", "one statement"),
        ("COMMIT", "one statement"),
        ("DELETE FROM items WHERE id = $1", "parameters"),
        ("no statement", "syntax"),
    ],
)
def test_a_change_cannot_widen_a_statement(connection: Connection, gate: Desk, changed: str, why: str) -> None:
    told = held(connection, gate, "DELETE FROM items WHERE id < 10")
    before = ids(gate)
    with pytest.raises(BailiwickError, match=why) as error:
        modify(gate, told, statement=changed)
    clean((str(error.value), error.value.remedy))
    assert (shown(gate, told["id"])["digest"], ids(gate)) == (told["digest"], before)
