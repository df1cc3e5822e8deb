"""A policy against what was accepted of its databases."""

from __future__ import annotations

from pathlib import Path

import pytest

from bailiwick.model.lock import Lock, LockedColumn, LockedTable
from bailiwick.policy.load import load
from bailiwick.policy.validate import check_against_lock

SPINE = (Path(__file__).parent / "spine.yaml").read_text()


def table(name: str, /, **columns: str) -> LockedTable:
    kinds = {"public.mood": "e", "public.percent": "d"}
    found = tuple(LockedColumn(column, kind, kinds.get(kind, "b")) for column, kind in columns.items())
    return LockedTable("public", name, "r", found)


CUSTOMERS = table(
    "customers",
    customer_id="integer",
    tenant_id="uuid",
    name="text",
    email="character varying(200)",
    region="text",
    ssn="text",
    payment_method="text",
    score="numeric(5,2)",
)
TICKETS = table(
    "tickets",
    ticket_id="bigint",
    tenant_id="uuid",
    customer_id="integer",
    tier="smallint",
    created_at="timestamp with time zone",
    status="public.mood",
    subject="text",
    body="text",
    assignee_id="uuid",
    team_id="integer",
    tags="text[]",
    share="public.percent",
    born="date",
    open="boolean",
)
LOCK = Lock({"crm": {("public", found.name): found for found in (CUSTOMERS, TICKETS)}})


def told(text: str, lock: Lock = LOCK) -> list[str]:
    loaded = load({"p.yaml": text})
    assert loaded.policy is not None, loaded.problems
    found = check_against_lock(loaded.policy, lock)
    lines = text.splitlines()
    assert all(1 <= problem.position.line <= len(lines) for problem in found)
    return [f"{problem.code}: {problem.message} ({problem.suggestion})" for problem in found]


def test_a_policy_that_agrees_has_no_problem() -> None:
    assert told(SPINE) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("table: tickets", "table: tikets"), "unknown_table: table `public.tikets` of resource `tickets`"),
        (("key: customer_id", "key: custmer_id"), "unknown_field: `custmer_id` is not a column"),
        (("tenant: tenant_id", "tenant: tenant"), "(did you mean `tenant_id`?)"),
        (("labels: {ssn:", "labels: {sn:"), "unknown_field: `sn`"),
        (("assignee_id, team_id", "assignee_id, teem_id"), "(did you mean `team_id`?)"),
        (("groups: {assignment:", "groups: {subject:"), "ambiguous_group"),
        (("fields: [ssn]", "fields: [snn]"), "(did you mean `ssn`?)"),
        (("rows: {ticket_id:", "rows: {tiket_id:"), "(did you mean `ticket_id`?)"),
        (
            ("set: {status: [open, pending, closed]}", "set: {status: [1]}"),
            "`1` is a number, and `status` is public.mood",
        ),
        (("mask: {email: partial}", "mask: {email: year}"), "mask `year` does not fit `email`"),
        (("tier: 1", "tier: one"), "`one` is text, and `tier` is smallint"),
        (("tier: 1", "tier: true"), "`true` is true or false, and `tier` is smallint"),
        (("tier: 1", "open: 1"), "`1` is a number, and `open` is boolean"),
        (("tier: 1", "tenant_id: abc"), "`abc` is not a UUID"),
        (("tier: 1", "tags: x"), "a list of values can only be tested with `empty`"),
        (("tier: 1", "subject: {min: 1}"), "`1` is a number, and `subject` is text"),
        (("tier: 1", "tier: {within: 90d}"), "`within` needs a date or a moment"),
        (("tier: 1", "tier: {prefix: a}"), "`prefix` needs text"),
        (("tier: 1", "open: {max: 3}"), "its values have no order"),
        (("tier: 1", "born: 3"), "`3` is a number, and `born` is date"),
        (("tier: 1", "assignee_id: $ticket_id"), "`$ticket_id` is integer in task `handle-ticket`"),
        (("ticket_id: integer", "ticket_id: uuid"), "`$ticket_id` is uuid in task `handle-ticket`"),
        (("by: ticket_id", "by: ticket_id, column: subject"), "`customer_id` is integer, but `subject`"),
        (("only: {tickets: {},", "only: {tickets: {fields: [bodi]},"), "(did you mean `body`?)"),
        (("only: {tickets: {},", "only: {tickets: {rows: {open: 1}},"), "`open` is boolean"),
        (("ticket_id: integer", "tenant: integer\n      ticket_id: integer"), "`tenant` is integer, but `tenant_id`"),
    ],
)
def test_disagreements_are_told(change: tuple[str, str], expected: str) -> None:
    assert change[0] in SPINE
    found = told(SPINE.replace(*change, 1))
    assert any(expected in line for line in found)


@pytest.mark.parametrize(
    "rows",
    [
        "status: open",
        "tags: {empty: true}",
        "share: {min: 1}",
        "share: anything",
        "born: {min: 2024-01-01}",
        "assignee_id: {empty: true}, born: {under: 2024-01-01T00:00:00Z}",
        "subject: {glob: 'a*'}",
        "open: true",
        "tenant_id: 6f0e4d0e-58a4-4b4e-9a55-0d9d7a1b2c3d",
        "tier: [1, 2, $user.tier]",
    ],
)
def test_values_that_fit_their_column_are_taken(rows: str) -> None:
    assert told(SPINE.replace("tier: 1", rows)) == []


@pytest.mark.parametrize(
    ("sql", "problems"),
    [
        ("score > 1 AND region = $user.region AND lower(name) <> 'x'", 0),
        ("scor > 1", 1),
        ("EXISTS (SELECT 1 FROM public.tickets AS t WHERE t.subject = anything)", 0),
    ],
)
def test_columns_in_sql_are_checked(sql: str, problems: int) -> None:
    switched = SPINE.replace("url: ${CRM_URL}", "url: ${CRM_URL}\n    sql: true")
    predicate = switched.replace("mask: {email: partial}", f'mask: {{email: partial}}\n        sql: "{sql}"')
    mask = switched.replace("mask: {email: partial}", f'mask: {{email: {{sql: "{sql}"}}}}')
    assert len(told(predicate)) == problems
    assert len(told(mask)) == problems


def test_a_missing_table_is_told_once_and_not_again_for_each_use() -> None:
    assert len(told(SPINE, Lock({"crm": {("public", "customers"): CUSTOMERS}}))) == 1


def test_a_grant_for_every_resource_may_name_columns_that_some_have() -> None:
    every = "      - {allow: '*:read', reason: x y, fields: [%s]}\n  support:\n"
    assert told(SPINE.replace("  support:\n", every % "subject", 1)) == []
    assert len(told(SPINE.replace("  support:\n", every % "subjekt", 1))) == 1
