"""What the command line says of functions: explain, matrix, and the words of sessions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from bailiwick.cli.main import app as program
from bailiwick.guard import Allowed
from tests.guard.conftest import POLICY, App

pytestmark = pytest.mark.xdist_group("guard")


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY)
    return path


def explained(policy: Path, *asked: str) -> Result:
    session = ["--agent", "bot", "--task", "work", "--set", "customer_id=7", "--policy", str(policy)]
    return CliRunner().invoke(program, ["explain", *asked, *session])


def test_an_action_of_functions_is_explained(policy: Path) -> None:
    found = explained(policy, "billing:refund")
    assert found.exit_code == 0
    assert "allowed  billing:refund" in found.output
    assert "amount is at most 500" in found.output
    assert explained(policy, "mail:send").exit_code == 1
    assert "gate       external" in explained(policy, "mail:send").output
    assert "denied  billing:pay" in explained(policy, "billing:pay").output


def test_a_call_of_a_function_is_explained(policy: Path) -> None:
    found = json.loads(explained(policy, "refund", "--args", '{"amount": 30}', "--json").output)
    assert found[0]["decision"] == "allow"
    assert found[0]["tools"] == ['app: refund with {"amount": 30, "customer_id": 7}']
    denied = explained(policy, "refund", "--args", '{"amount": 501}')
    assert denied.exit_code == 1
    assert "argument_not_granted" in denied.output


def test_the_matrix_shows_functions(policy: Path) -> None:
    found = CliRunner().invoke(program, ["matrix", str(policy), "--json"])
    assert "calls refund with customer_id is the session's customer_id" in found.output


def test_a_session_is_opened_for_an_application(app: App) -> None:
    place = ["--policy", str(app.folder / "policy.yaml")]
    opened = CliRunner().invoke(
        program, ["session", "open", "--agent", "bot", "--task", "work", "--set", "customer_id=9", *place]
    )
    assert opened.exit_code == 0, opened.output
    token = opened.stdout.strip().removeprefix("export BAILIWICK_TOKEN=")
    with app.guard.use(token) as session:
        assert session.decide("refund", {"amount": 1}) == Allowed({"amount": 1, "customer_id": 9})


def test_the_words_of_a_session_tell_its_functions(app: App) -> None:
    with app.work() as session:
        assert session.opened is not None
        shown = CliRunner().invoke(
            program, ["session", "show", session.opened.info.id, "--policy", str(app.folder / "policy.yaml")]
        )
        assert "calls refund with customer_id is the session's customer_id" in shown.output
