"""`explain "METHOD /mount/path"`: what would be decided about a request to an API that nobody sends."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest
from typer.testing import CliRunner, Result

from bailiwick.cli.main import app
from bailiwick.model.lock import Lock
from bailiwick.policy.load import load
from bailiwick.policy.locked_tools import locked_routes
from bailiwick.policy.lockfile import render_lock

POLICY = """\
bailiwick: 1
mounts:
  billing:
    kind: http
    url: https://api.billing.example/v2
    credential: {header: {Authorization: "Bearer ${TOKEN}"}}
    routes:
      GET /invoices: {action: invoices:read, query: {customer_id: integer, page: integer}}
      GET /invoices/{id}: {action: invoices:read, path: {id: integer}}
      DELETE /invoices/{id}: {action: invoices:cancel, path: {id: integer}}
      POST /refunds:
        action: billing:refund
        body: {customer_id: integer, amount: number}
        fixed: {body.customer_id: $customer_id}
      POST /letters: {action: letters:send, body: {text: string}}
roles:
  support:
    grants:
      - {allow: invoices:read, reason: lists theirs, args: {query.customer_id: $customer_id, query.page: {max: 9}}}
      - {allow: invoices:read, reason: looks one up, args: {path.id: {min: 1, max: 99}}}
      - {allow: billing:refund, reason: small ones, args: {body.amount: {max: 500}}}
      - {allow: letters:send, reason: answers, args: any}
agents:
  bot: {owner: team, purpose: tests, roles: [support]}
tasks:
  work: {agents: [bot], context: {customer_id: integer}}
gates:
  letters: {on: letters:send, approvers: [office], reason: they leave the house}
approvers:
  office: {users: [ann@corp]}
"""


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY)
    loaded = load({"policy.yaml": POLICY})
    assert loaded.policy is not None, loaded.problems
    routes = {name: locked_routes(mount) for name, mount in loaded.policy.http.items()}
    (tmp_path / "bailiwick.lock").write_text(render_lock(Lock({}, routes)))
    return path


def explained(policy: Path, *asked: str) -> Result:
    session = ["--agent", "bot", "--task", "work", "--set", "customer_id=7", "--policy", str(policy)]
    return CliRunner().invoke(app, ["explain", *asked, *session])


def told(policy: Path, *asked: str) -> tuple[int, Mapping[str, object]]:
    result = explained(policy, *asked, "--json")
    (found,) = cast("list[Mapping[str, object]]", json.loads(result.output))
    return result.exit_code, found


@pytest.mark.parametrize(
    ("asked", "tool"),
    [
        (("GET /billing/invoices/5",), 'billing: GET /billing/invoices/{id} with {"path.id": 5}'),
        (
            ("GET /billing/invoices?customer_id=7&page=2",),
            'billing: GET /billing/invoices with {"query.customer_id": 7, "query.page": 2}',
        ),
        (
            ("POST /billing/refunds", "--args", '{"amount": 30}'),
            'billing: POST /billing/refunds with {"body.amount": 30, "body.customer_id": 7}',
        ),
    ],
)
def test_a_request_within_the_grants_is_allowed(policy: Path, asked: tuple[str, ...], tool: str) -> None:
    code, found = told(policy, *asked)
    assert (code, found["decision"], found["tools"]) == (0, "allow", [tool]), found


@pytest.mark.parametrize(
    ("asked", "denial"),
    [
        (("GET /billing/invoices/500",), "argument_not_granted"),
        (("GET /billing/invoices?customer_id=8",), "argument_not_granted"),
        (("GET /billing/invoices/five",), "protocol_violation"),
        (("POST /billing/refunds", "--args", '{"amount": 501}'), "argument_not_granted"),
        (("POST /billing/refunds", "--args", '{"amount": 30, "customer_id": 8}'), "argument_not_granted"),
        (("POST /billing/refunds", "--args", '{"amount": 30, "amount": 31}'), "protocol_violation"),
        (("DELETE /billing/invoices/5",), "resource_unknown"),
        (("GET /billing/customers",), "resource_unknown"),
        (("GET /elsewhere/invoices/5",), "resource_unknown"),
        (("GET /billing/x/../invoices/5",), "protocol_violation"),
        (("GET /billing/invoices%2f5",), "protocol_violation"),
    ],
)
def test_a_request_beyond_the_grants_is_denied(policy: Path, asked: tuple[str, ...], denial: str) -> None:
    code, found = told(policy, *asked)
    assert (code, found["decision"]) == (1, "deny"), found
    assert cast("Mapping[str, str]", found["denial"])["code"] == denial, found


def test_a_request_that_a_gate_holds_is_held(policy: Path) -> None:
    code, found = told(policy, "POST /billing/letters", "--args", '{"text": "hello"}')
    assert (code, found["decision"], found["gate"]) == (1, "hold", "letters"), found


def test_the_words_for_people_name_the_grant_or_what_would_be_allowed(policy: Path) -> None:
    allowed = explained(policy, "GET /billing/invoices/5").output
    assert "allowed  GET /billing/invoices/5" in allowed
    assert "looks one up" in allowed
    denied = explained(policy, "GET /billing/invoices/500").output
    assert "denied  GET /billing/invoices/500" in denied
    assert "(argument_not_granted)" in denied
    assert "allowed    `path.id`" in denied
