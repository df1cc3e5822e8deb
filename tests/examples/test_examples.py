"""The examples, as their README has people run them; the company's table is what its policy says."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bailiwick.cli.matrix import app
from bailiwick.decide.approvals import Approve, seated, step
from bailiwick.model.approval import Approval, Need, Requester, Reviewer, Subject, Terms
from bailiwick.model.decision import Denial
from bailiwick.policy.load import load

EXAMPLES = Path(__file__).parents[2] / "examples"
FOLDER = EXAMPLES / "support-company"
TABLE = {
    "support-bot": ("read, update status", "read (masked personal data)", "none", "none", "read"),
    "billing-agent": ("read", "read (full)", "read, create invoice", "send (templates only)", "read"),
    "onboarding-agent": ("create", "read (masked personal data)", "none", "send (templates only)", "read, write"),
}


def test_the_matrix_is_the_table_that_the_company_began_with() -> None:
    path = str(FOLDER / "company" / "policy.yaml")
    shown = CliRunner().invoke(app, [path, "--format", "markdown"])
    assert shown.exit_code == 0, shown.output
    rows = [line.strip("| ").replace("\\_", "_") for line in shown.stdout.splitlines() if line.startswith("| ")]
    assert rows[0] == "agent | tickets | customer_data | billing | email | knowledge_base"
    assert rows[2:5] == [" | ".join((agent, *cells)) for agent, cells in TABLE.items()]


def test_nobody_but_a_support_manager_approves_the_elevation_of_the_support_bot() -> None:
    policy = load({"policy.yaml": (FOLDER / "company" / "policy.yaml").read_text()}).policy
    assert policy is not None
    rule, now = policy.elevations["full-tickets"], datetime(2026, 1, 5, tzinfo=UTC)
    asked = Approval(
        id="apr_1",
        subject=Subject("elevation", "", rule.name, "{}", "d"),
        requester=Requester("ses_1", "support-bot", "grace", barred=("grace",)),
        terms=Terms((Need(f"elevation {rule.name}", rule.approvers),), timedelta(hours=4), timedelta(hours=1)),
        policy="p",
        actions=(),
        grants=(),
        purpose="",
        made_at=now,
        expires_at=now + timedelta(hours=4),
    )

    def approved(name: str, group: str) -> Approval | Denial:
        by = seated(Reviewer(name, frozenset({group}), now), policy.approvers, local=False)
        return step(asked, Approve(by, "d"), now)

    for name, group in (("hal", "support"), ("fay", "finance-leads"), ("grace", "support-managers")):
        denied = approved(name, group)
        assert isinstance(denied, Denial)
        assert denied.code == "approval_not_yours"
    found = approved("mona", "support-managers")
    assert isinstance(found, Approval)
    assert found.state == "APPROVED"


@pytest.mark.parametrize(
    ("program", "least"),
    [("support-company/day.py", 55), ("analyst/run.py", 6), ("coding-agent/run.py", 10), ("orchestrator/run.py", 8)],
)
def test_an_example_is_as_it_should_be(program: str, least: int) -> None:
    command = [sys.executable, str(EXAMPLES / program)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WRONG" not in done.stdout
    assert "everything was as it should be" in done.stdout
    assert len([line for line in done.stdout.splitlines() if line.startswith("  ok")]) >= least
    assert "canary" not in done.stdout.lower()
