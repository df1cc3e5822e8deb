"""The capability matrix in words, and in every format that it is printed in."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bailiwick.cli.main import app
from bailiwick.match.in_words import matcher_in_words
from bailiwick.model.lock import Lock, LockedColumn, LockedTable
from bailiwick.model.matcher import Anything, Bound, Empty, Equal, Every, Glob, Matcher, Not, OneOf, Prefix, Within
from bailiwick.model.policy import Policy
from bailiwick.model.value import Ref
from bailiwick.policy.load import load
from bailiwick.policy.lockfile import render_lock
from bailiwick.policy.matrix import NO_LOCK, Cell, matrix
from bailiwick.policy.matrix_formats import Format, render

TEXT = """
bailiwick: 1
mounts:
  crm:
    kind: postgres
    url: ${CRM_URL}
    resources:
      customers:
        table: customers
        key: customer_id
        tenant: tenant_id
        labels: {ssn: restricted, email: confidential}
      tickets: {table: tickets, key: ticket_id}
roles:
  support:
    grants:
      - allow: customers:read
        reason: addresses people
        fields: [customer_id, name, email, ssn]
        mask: {email: partial}
        rows: {customer_id: $customer_id}
      - {allow: tickets:read, reason: answers them}
      - allow: tickets:update:status
        reason: closes them
        set: {status: [open, pending, closed]}
        rows: {ticket_id: $ticket_id}
        limits: {batch: 1}
      - {allow: tickets:delete, reason: purges spam, when: session.user.id == "ann"}
      - {deny: tickets:read, rows: {status: secret}}
      - {deny: tickets:update, when: session.user.region == "eu"}
agents:
  bot: {owner: team, purpose: helps, roles: [support]}
  idle: {owner: team, purpose: waits, roles: []}
tasks:
  look: {agents: [bot], context: {customer_id: integer, ticket_id: integer}, only: {tickets: {verbs: [read]}}}
"""


def table(name: str, *columns: str) -> LockedTable:
    return LockedTable("public", name, "r", tuple(LockedColumn(column, "text") for column in columns))


LOCK = Lock(
    {
        "crm": {
            ("public", each.name): each
            for each in (
                table("customers", "customer_id", "tenant_id", "name", "email", "ssn"),
                table("tickets", "ticket_id", "status", "body"),
            )
        }
    }
)


def loaded(text: str = TEXT) -> Policy:
    result = load({"policy.yaml": text})
    assert result.policy is not None, result.problems
    return result.policy


def cell(agent: str, resource: str, *, task: str | None = None, lock: Lock | None = LOCK) -> Cell:
    (found,) = matrix(loaded(), lock, agent=agent, resource=resource, task=task).cells
    return found


def test_a_cell_says_fields_masks_rows_gates_and_tenant() -> None:
    found = cell("bot", "customers")
    assert found.verbs == ("read",)
    assert found.words == (
        "reads customer_id, name, ssn; email partly masked; only rows where customer_id is the session's customer_id",
        "reading ssn in clear needs approval (gate restricted)",
        "only rows of the session's tenant (tenant_id)",
    )


@pytest.mark.parametrize(
    ("labels", "mask", "fields", "short"),
    [
        ("{email: pii}", "{email: partial}", "[customer_id, email]", "read (masked personal data)"),
        ("{email: pii}", "{}", "[customer_id, name]", "read (without personal data)"),
        ("{email: pii, name: pii}", "{email: partial}", "[name, email]", "read"),
        ("{email: pii}", "{}", "[customer_id, tenant_id, name, email, ssn]", "read (full)"),
        ("{}", "{}", "[customer_id, tenant_id, name, email, ssn]", "read"),
        ("{email: pii}", "{}", "[customer_id, email]", "read"),
    ],
)
def test_a_cell_in_short_says_how_much_of_personal_data_is_seen(
    labels: str, mask: str, fields: str, short: str
) -> None:
    text = f"""
bailiwick: 1
mounts:
  crm:
    kind: postgres
    url: ${{CRM_URL}}
    resources: {{customers: {{table: public.customers, labels: {labels}}}}}
roles:
  r: {{grants: [{{allow: customers:read, reason: test, fields: {fields}, mask: {mask}}}]}}
agents: {{bot: {{owner: o, purpose: p, roles: [r]}}}}
"""
    assert matrix(loaded(text), LOCK).cells[0].short == short


def test_a_cell_says_what_may_be_written_when_and_what_is_denied() -> None:
    assert cell("bot", "tickets").words == (
        "reads every column",
        "updates status to open, pending or closed; only rows where ticket_id is the session's ticket_id; "
        "at most 1 row at a time",
        'deletes rows; when `session.user.id == "ann"`; needs approval (gate delete)',
        "never rows where status is secret",
        'never update; when `session.user.region == "eu"`',
    )


def test_an_agent_without_grants_may_do_nothing() -> None:
    assert cell("idle", "tickets") == Cell("idle", "tickets", (), (), None)


def test_a_task_narrows_and_leaves_out_other_agents() -> None:
    found = matrix(loaded(), LOCK, task="look")
    assert found.agents == ("bot",)
    assert [(each.resource, each.verbs) for each in found.cells] == [("customers", ()), ("tickets", ("read",))]


def test_without_a_lock_named_columns_are_taken_to_exist_and_it_says_so() -> None:
    found = matrix(loaded(), None, agent="bot", resource="tickets")
    assert found.notes == (NO_LOCK,)
    assert found.cells[0].words[0] == "reads ticket_id, status, every other column"
    assert not matrix(loaded(), LOCK).notes


@pytest.mark.parametrize(
    ("matcher", "words"),
    [
        (Anything(), "x is anything"),
        (Equal(1), "x is 1"),
        (Equal("1"), "x is '1'"),
        (Equal("open"), "x is open"),
        (Equal("a, b"), "x is 'a, b'"),
        (Equal("true"), "x is 'true'"),
        (Equal(True), "x is true"),
        (Equal(Ref(("n",))), "x is the session's n"),
        (Equal(Ref(("user", "region"))), "x is the user's region"),
        (OneOf(("a", "b", "c")), "x is a, b or c"),
        (OneOf(("a",)), "x is a"),
        (OneOf(()), "x never fits"),
        (Bound(min=1, under=5), "x is at least 1 and less than 5"),
        (Within(timedelta(days=90)), "x is within the last 90 days"),
        (Within(timedelta(hours=36)), "x is within the last 36 hours"),
        (Prefix("ab"), "x starts with ab"),
        (Glob("a*"), "x looks like `a*`"),
        (Empty(False), "x is not empty"),
        (Not(Equal("closed")), "x is not closed"),
        (Not(OneOf(("a", "b"))), "x is none of a and b"),
        (Not(Prefix("a")), "not (x starts with a)"),
        (Every((Bound(min=1), Not(Equal(5)))), "x is at least 1 and x is not 5"),
    ],
)
def test_matchers_have_words(matcher: Matcher, words: str) -> None:
    assert matcher_in_words("x", matcher) == words


HOSTILE = TEXT.replace("status: secret", "status: \"=<script>alert('|')</script>\\n\"")


def test_html_is_whole_and_escaped() -> None:
    text = render(matrix(loaded(HOSTILE), LOCK), "html")
    assert text.startswith("<!doctype html>")
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "http" not in text


def test_markdown_keeps_its_columns() -> None:
    text = render(matrix(loaded(HOSTILE), LOCK), "markdown")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert rows[:4] == [
        "| agent | customers | tickets |",
        "| --- | --- | --- |",
        "| bot | read | read, update status, delete |",
        "| idle | none | none |",
    ]
    assert len(rows) == 4 + 2 * (2 + 1)
    assert all(line.replace("\\|", "").count("|") == 4 for line in rows)
    assert "<script" not in text.replace("\\<", "")


def test_csv_has_one_row_a_cell() -> None:
    rows = list(csv.DictReader(io.StringIO(render(matrix(loaded(HOSTILE), LOCK), "csv"))))
    assert [(row["agent"], row["resource"], row["verbs"]) for row in rows] == [
        ("bot", "customers", "read"),
        ("bot", "tickets", "read update delete"),
        ("idle", "customers", ""),
        ("idle", "tickets", ""),
    ]


def test_json_holds_the_scope() -> None:
    found = json.loads(render(matrix(loaded(), LOCK, agent="bot"), "json"))
    customers, tickets = found["cells"]
    assert customers["read"][0]["fields"] == {
        "customer_id": "clear",
        "name": "clear",
        "email": "partly masked",
        "ssn": "clear",
    }
    assert customers["gates"] == {"read:ssn": "restricted"}
    assert tickets["update"][0]["batch"] == 1
    assert tickets["denied"][0]["rows"] == "status is secret"


class TestCommand:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        (tmp_path / "policy.yaml").write_text(TEXT)
        (tmp_path / "bailiwick.lock").write_text(render_lock(LOCK))
        return tmp_path / "policy.yaml"

    def run(self, *arguments: str) -> str:
        result = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["matrix", *arguments])
        assert result.exit_code == 0, result.output
        return result.output

    def test_it_prints_a_table(self, path: Path) -> None:
        text = self.run(str(path), "--agent", "bot")
        assert "updates status to open, pending or closed" in text
        assert "idle" not in text

    def test_it_reads_the_lock_beside_the_policy(self, path: Path) -> None:
        assert "note:" not in self.run(str(path))
        (path.parent / "bailiwick.lock").unlink()
        assert "note: without a lock" in self.run(str(path))

    @pytest.mark.parametrize("form", ["markdown", "html", "csv", "json"])
    def test_it_prints_every_format(self, path: Path, form: Format) -> None:
        assert self.run(str(path), "--format", form) == render(matrix(loaded(), LOCK), form)

    def test_unknown_names_are_refused(self, path: Path) -> None:
        for option, name in (("--agent", "bott"), ("--task", "looks"), ("--resource", "ticket")):
            result = CliRunner().invoke(app, ["matrix", str(path), option, name])
            assert result.exit_code == 1
            assert f"`{name}`" in str(result.exception)

    def test_a_policy_with_a_problem_is_refused(self, path: Path) -> None:
        path.write_text(TEXT.replace("roles: [support]", "roles: [supportt]"))
        result = CliRunner().invoke(app, ["matrix", str(path)])
        assert result.exit_code == 1
        assert "supportt" in str(result.exception)
