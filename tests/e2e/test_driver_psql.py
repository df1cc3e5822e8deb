"""A person with psql: queries, meta-commands, COPY, refusals."""

from __future__ import annotations

import subprocess

import pytest

from tests.support.desk import TABLES, Desk
from tests.support.installed import installation


def psql(desk: Desk, *commands: str, script: bool = False) -> subprocess.CompletedProcess[str]:
    """Run psql with each command after the other on one connection. The token stands in the environment only."""
    flags = [] if script else [part for command in commands for part in ("-c", command)]
    return subprocess.run(
        [installation() / "psql", "-X", "-A", "-t", *flags],
        env={**desk.session.environment(), "LC_ALL": "C"},
        input="\n".join(commands) if script else None,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_selects_what_is_in_scope(desk: Desk) -> None:
    done = psql(desk, "SELECT customer_id, name, email FROM customers")
    assert (done.stdout, done.stderr) == ("4521|Xenia Marsh|x***@example.com\n", "")


def test_lists_exactly_the_tables_of_the_scope(desk: Desk) -> None:
    done = psql(desk, r"\dt")
    assert {line.split("|")[1] for line in done.stdout.splitlines()} == TABLES, done.stderr


@pytest.mark.parametrize("command", [r"\d", r"\d+", r"\dt+", r"\dn", r"\dv", r"\ds", r"\dm", r"\d public.*"])
def test_meta_commands_show_nothing_else(desk: Desk, command: str) -> None:
    done = psql(desk, command)
    shown = done.stdout + done.stderr
    desk.clean(shown)
    for hidden in ("ssn", "password_hash", "internal_notes", "employee_records", "v_all_customers", "agent_scope"):
        assert hidden not in shown


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("customers", ["customer_id", "name", "email", "region"]),
        ("tickets", ["ticket_id", "customer_id", "subject", "body", "status", "assignee", "tier"]),
    ],
)
def test_describes_a_table_by_its_granted_columns(desk: Desk, table: str, columns: list[str]) -> None:
    done = psql(desk, rf"\d {table}")
    assert done.stderr == ""
    described = [line.split("|")[0] for line in done.stdout.splitlines() if line.count("|") >= 4]
    assert described == columns
    desk.clean(done.stdout)


def test_a_hidden_table_does_not_exist(desk: Desk) -> None:
    done = psql(desk, r"\d hr.employee_records")
    assert "Did not find any relation" in done.stderr


def test_copies_a_query_to_stdout(desk: Desk) -> None:
    done = psql(desk, r"\copy (SELECT ticket_id, status FROM tickets ORDER BY 1) TO STDOUT WITH (FORMAT csv)")
    assert (done.stdout, done.stderr) == ("501,open\n502,pending\n503,closed\n", "")


def test_copying_from_stdin_is_refused(desk: Desk) -> None:
    done = psql(desk, r"\copy tickets FROM /dev/null")
    assert done.returncode != 0
    assert "ERROR" in done.stderr


def test_a_refusal_has_its_code_and_a_hint(desk: Desk) -> None:
    done = psql(desk, r"\set VERBOSITY verbose", "SELECT ssn FROM customers")
    assert "ERROR:  42501:" in done.stderr
    assert "HINT:" in done.stderr
    desk.clean(done.stderr)


def test_writes_in_a_transaction_that_is_rolled_back(desk: Desk) -> None:
    done = psql(desk, "BEGIN", "UPDATE tickets SET status = 'closed' WHERE ticket_id = 501", "ROLLBACK")
    assert done.stdout.split("\n") == ["BEGIN", "UPDATE 1", "ROLLBACK", ""]
    assert desk.upstream.rows("SELECT status FROM public.tickets WHERE ticket_id = 501") == [("open",)]


def test_updates_the_rows_of_its_scope_only(desk: Desk) -> None:
    before = desk.upstream.rows("SELECT count(*) FROM public.tickets WHERE status = 'closed'")
    done = psql(desk, "UPDATE tickets SET status = 'closed'")
    after = desk.upstream.rows("SELECT count(*) FROM public.tickets WHERE status = 'closed'")
    assert (done.stdout, done.stderr) == ("UPDATE 3\n", "")
    assert int(str(after[0][0])) - int(str(before[0][0])) == 2


def test_fetches_in_portions(desk: Desk) -> None:
    done = psql(desk, r"\set FETCH_COUNT 2", "SELECT ticket_id FROM tickets ORDER BY 1")
    assert done.stdout == "501\n502\n503\n"


def test_binds_parameters(desk: Desk) -> None:
    done = psql(desk, "SELECT subject FROM tickets WHERE ticket_id = $1 \\bind 502 \\g", script=True)
    assert done.stdout == "Invoice copy\n"
