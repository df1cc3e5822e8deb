"""`policy test`: cases against policy and lock alone; what fails says what was expected, and why it came otherwise."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest
from typer.testing import CliRunner

from bailiwick.cli.main import app
from bailiwick.control.testing import CaseResult, results_of
from bailiwick.model.lock import Lock, LockedColumn, LockedTable
from bailiwick.policy.cases import cases_schema, plain, read_cases
from bailiwick.policy.document import read_document
from bailiwick.policy.load import load
from bailiwick.policy.lockfile import render_lock
from bailiwick.policy.problem import Report

POLICY = """
bailiwick: 1
mounts:
  crm:
    kind: postgres
    url: ${CRM_URL}
    resources:
      customers: {table: public.customers, key: id, tenant: tenant_id, labels: {ssn: restricted}}
      tickets: {table: public.tickets, key: id}
  own:
    kind: python
    functions:
      refund: {action: billing:refund, parameters: [customer_id, amount], effects: [money]}
roles:
  support:
    grants:
      - {allow: customers:read, reason: r, fields: [id, name, email], mask: {email: partial}, rows: {id: $customer_id}}
      - {allow: tickets:read, reason: r, fields: [id, status]}
      - {allow: tickets:update:status, reason: r, set: {status: [open, closed]}}
      - {allow: tickets:delete, reason: r}
      - {allow: billing:refund, reason: r, args: {customer_id: $customer_id, amount: {max: 500}}}
gates:
  money: {args: {amount: {over: 50}}, reason: small}
agents:
  bot: {owner: o, purpose: p, roles: [support]}
tasks:
  work: {agents: [bot], users: {groups: [staff]}, context: {customer_id: integer}}
"""
LOCK = Lock(
    {
        "crm": {
            ("public", "customers"): LockedTable(
                "public",
                "customers",
                "r",
                tuple(
                    LockedColumn(n, "integer" if n in ("id", "tenant_id") else "text")
                    for n in ("id", "tenant_id", "name", "email", "ssn")
                ),
                ("id",),
            ),
            ("public", "tickets"): LockedTable(
                "public", "tickets", "r", (LockedColumn("id", "integer"), LockedColumn("status", "text")), ("id",)
            ),
        }
    }
)
DEFAULTS = """
defaults:
  agent: bot
  task: work
  user: {id: grace, groups: [staff]}
  tenant: 4
  context: {customer_id: 7}
  mount: crm
cases:
"""


NO_AGENT = "cases: [{sql: x, expect: allow}]"


def run(text: str) -> list[CaseResult]:
    policy = load({"policy.yaml": POLICY}).policy
    cases, problems = read_cases("cases.yaml", DEFAULTS + text)
    assert policy is not None
    assert problems == ()
    return list(results_of(policy, LOCK, cases))


@pytest.mark.parametrize(
    ("ask", "right", "wrong", "got"),
    [
        ("sql: SELECT name FROM customers WHERE id = $1", "allow", "deny", "allow"),
        (
            "sql: SELECT ssn FROM customers",
            "{deny: field_not_granted}",
            "{deny: resource_unknown}",
            "field_not_granted",
        ),
        ("sql: SELECT 1 FROM salaries", "deny", "hold", "resource_unknown"),
        ("sql: DELETE FROM tickets WHERE id = 1", "{hold: delete}", "{hold: money}", "delete"),
        ("action: tickets:update:status", "allow", "hold", "allow"),
        ("action: customers:update:name", "{deny: action_not_granted}", "allow", "action_not_granted"),
        ("{tool: refund, args: {amount: 30.5}}", "allow", "deny", "allow"),
        ("{tool: refund, args: {amount: 60, customer_id: $customer_id}}", "{hold: money}", "allow", "money"),
        ("{tool: refund, args: {amount: 600}}", "{deny: argument_not_granted}", "allow", "argument_not_granted"),
        ("{tool: refund, args: {amount: 5, customer_id: 8}}", "deny", "allow", "argument_not_granted"),
        (
            "{action: tickets:read, user: {id: eve, groups: [others]}}",
            "{deny: action_not_granted}",
            "allow",
            "may not be",
        ),
        ("{action: tickets:read, context: {}}", "{deny: context_missing}", "allow", "is missing"),
        ("{http: GET /billing/x}", "{deny: resource_unknown}", "allow", "resource_unknown"),
    ],
)
def test_a_case_passes_or_says_what_came(ask: str, right: str, wrong: str, got: str) -> None:
    inner = (
        ask
        if ask.startswith("{")
        else "{" + json.dumps(ask.partition(": ")[0]) + ": " + json.dumps(ask.partition(": ")[2]) + "}"
    )
    good, bad = (f"  - {inner[:-1]}, expect: {expected}}}\n" for expected in (right, wrong))
    passed, failed = run(good + bad)
    assert passed.wrong == ()
    assert len(failed.wrong) == 1
    assert got in failed.got


def test_rows_masks_and_values_are_part_of_a_case() -> None:
    head = "  - {action: customers:read, expect: allow, "
    status = "  - {action: tickets:read, expect: allow, rows: {tickets: all}, set: {tickets: {status: "
    guessed = run(head + "rows: {customers: x}}\n" + status + "x}}}\n")
    rows, values = (each.wrong[0].partition("; got: ")[2] for each in guessed)
    assert "customer_id" in rows
    assert "closed" in values
    right = run(
        head + f"masked: {{customers: [email]}}, rows: {{customers: {json.dumps(rows)}}}}}\n"
        f"{head}masked: {{customers: {{email: partial}}}}}}\n{status}{json.dumps(values)}}}}}}}\n"
    )
    assert [each.wrong for each in right] == [(), (), ()]
    wrong = run(
        f"{head}masked: {{customers: [name]}}}}\n{head}masked: {{customers: {{email: hash}}}}}}\n"
        f"{status}anything}}}}}}\n"
    )
    assert all(len(each.wrong) == 1 for each in wrong)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("cases: [{agent: bot, expect: allow}]", "missing_key"),
        ("cases: [{agent: bot, sql: x, tool: y, expect: allow}]", "misplaced_key"),
        (NO_AGENT, "missing_key"),
        ("cases: [{agent: bot, sql: x}]", "missing_key"),
        ("cases: [{agent: bot, sql: x, expect: {deny: no_such_code}}]", "unknown_value"),
        ("cases: [{agent: bot, sql: x, expect: {grant: y}}]", "unknown_key"),
        ("cases: [{agent: bot, sql: x, expect: perhaps}]", "unknown_value"),
        ("cases: [{agent: bot, sql: x, expect: allow, tasks: y}]", "unknown_key"),
        ("cases: {agent: bot}", "wrong_type"),
        ("tests: []", "unknown_key"),
    ],
)
def test_what_is_wrong_in_a_file_of_cases_is_said(text: str, code: str) -> None:
    _, problems = read_cases("cases.yaml", text)
    assert code in {each.code for each in problems}
    root = read_document("cases.yaml", text, Report())
    assert root is not None
    if text != NO_AGENT:  # `defaults` may have it, so that is not the schema's to say
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(plain(root), cases_schema())


def folder(path: Path, cases: str) -> list[str]:
    """Write policy, lock and cases; return the options that name them."""
    (path / "policy.yaml").write_text(POLICY)
    (path / "bailiwick.lock").write_text(render_lock(LOCK))
    (path / "cases.yaml").write_text(DEFAULTS + cases)
    return ["policy", "test", str(path / "cases.yaml"), "--policy", str(path / "policy.yaml")]


def test_the_command_fails_with_the_explanation(tmp_path: Path) -> None:
    options = folder(
        tmp_path,
        "  - {name: reads, action: tickets:read, expect: allow}\n  - {sql: SELECT ssn FROM customers, expect: allow}\n",
    )
    report = tmp_path / "junit.xml"
    found = CliRunner().invoke(app, [*options, "--junit", str(report)])
    assert found.exit_code == 1
    assert "FAILED" in found.output
    assert "expected allow" in found.output
    assert "field_not_granted" in found.output
    assert "1 passed, 1 failed" in found.output
    suite = ElementTree.parse(report).getroot()[0]
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    told = json.loads(CliRunner().invoke(app, [*options, "--json"]).output)
    assert [each["passed"] for each in told] == [True, False]


def test_the_command_passes(tmp_path: Path) -> None:
    options = folder(tmp_path, "  - {action: tickets:read, expect: allow}\n")
    found = CliRunner().invoke(app, options)
    assert (found.exit_code, found.output) == (0, "1 passed, 0 failed\n")


def test_a_file_with_mistakes_is_not_run(tmp_path: Path) -> None:
    found = CliRunner().invoke(app, folder(tmp_path, "  - {action: tickets:read, expct: allow}\n"))
    assert found.exit_code == 2


def test_the_schema_takes_what_is_read() -> None:
    printed = json.loads(CliRunner().invoke(app, ["policy", "test", "--schema"]).output)
    text = (
        DEFAULTS + "  - {name: n, sql: SELECT 1, expect: {deny: field_not_granted}, masked: {t: [a]}, rows: {t: all}}\n"
    )
    root = read_document("cases.yaml", text, Report())
    assert root is not None
    jsonschema.validate(plain(root), printed)
