"""Mounts of kind `http`: what the policy's text means, what is wrong with it, and how matrix, diff and lock tell it."""

from __future__ import annotations

import pytest

from bailiwick.model.lock import Lock
from bailiwick.model.policy import Policy, SecretRef
from bailiwick.model.route import Route
from bailiwick.policy.diff import diff
from bailiwick.policy.document import read_document
from bailiwick.policy.http import credential_keys, http_keys, route_keys
from bailiwick.policy.load import load
from bailiwick.policy.locked_tools import locked_routes
from bailiwick.policy.lockfile import lock_diff, parse_lock, render_lock
from bailiwick.policy.matrix import matrix
from bailiwick.policy.problem import Report
from bailiwick.policy.schema import policy_schema
from bailiwick.policy.validate import check_against_lock
from tests.policy.test_policy_schema import VALIDATOR, as_json

POLICY = """\
bailiwick: 1
mounts:
  billing:
    kind: http
    url: https://api.billing.example/v2
    credential: {header: {Authorization: "Bearer ${TOKEN}"}}
    networks: [10.0.0.0/8]
    limits: {bytes: 100000}
    resources: {invoices: {labels: {card: restricted}}}
    routes:
      GET /invoices/{id}: {action: invoices:read, path: {id: integer}, query: [expand]}
      POST /refunds:
        action: billing:refund
        headers: [Idempotency-Key]
        body: {customer_id: integer, amount: number, by.tenant: string}
        fixed: {body.by.tenant: $tenant}
        effects: [money]
roles:
  support:
    grants:
      - {allow: invoices:read, reason: reads, args: {path.id: $customer_id, query.expand: any}, mask: {email: partial}}
      - allow: billing:refund
        reason: small ones
        args: {body.customer_id: $customer_id, body.amount: {max: 500}}
        when: args.body.amount < 100
agents:
  bot: {owner: team, purpose: tests, roles: [support]}
tasks:
  work: {agents: [bot], context: {customer_id: integer}}
gates:
  money: {loosen: [billing:refund], reason: small sums}
"""


def loaded(text: str = POLICY) -> Policy:
    result = load({"policy.yaml": text})
    assert result.problems == ()
    assert result.policy is not None
    return result.policy


def accepted(policy: Policy) -> Lock:
    return Lock({}, {name: locked_routes(mount) for name, mount in policy.http.items()})


def test_a_mount_of_kind_http_is_read_whole() -> None:
    mount = loaded().http["billing"]
    assert mount.url == SecretRef("https://api.billing.example/v2")
    assert mount.credential is not None
    assert mount.credential.values == {"Authorization": SecretRef("Bearer ${TOKEN}")}
    assert mount.networks == ("10.0.0.0/8",)
    assert mount.routes["GET /invoices/{id}"].route == Route(
        "GET", "/invoices/{id}", {"id": "integer"}, {"expand": "string"}
    )
    refund = mount.routes["POST /refunds"].route
    assert refund is not None
    assert refund.arguments == {
        "header.idempotency-key": "string",
        "body.customer_id": "integer",
        "body.amount": "number",
        "body.by.tenant": "string",
    }


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("https://api.billing.example/v2", "ftp://x", "bad_url"),
        ("https://api.billing.example/v2", "https://x/?key=1", "bad_url"),
        ('"Bearer ${TOKEN}"', "abcdef", "secret_in_clear"),
        ("credential: {header:", "credential: {headers:", "unknown_key"),
        ("10.0.0.0/8", "10.0.0.1/8", "bad_network"),
        ("GET /invoices/{id}:", "FETCH /invoices/{id}:", "bad_route"),
        ("GET /invoices/{id}:", "GET invoices:", "bad_route"),
        ("GET /invoices/{id}:", "GET /../{id}:", "bad_route"),
        ("path: {id: integer}", "path: {no: integer}", "unknown_argument"),
        ("path: {id: integer}", "path: {id: whole}", "unknown_value"),
        ("query: [expand]", "body: [expand]", "misplaced_key"),
        ("[Idempotency-Key]", "[Host]", "bad_name"),
        ("[Idempotency-Key]", "[X-HTTP-Method-Override]", "bad_name"),
        ("by.tenant: string}", "amount.x: number}", "bad_name"),
        ("body.by.tenant: $tenant", "body.by: $tenant", "unknown_argument"),
        (
            "  POST /refunds:\n        action: billing:refund",
            "  DELETE /refunds:\n        action: billing:read",
            "bad_action",
        ),
        ("POST /refunds:", "'GET /invoices/{other}':", "duplicate_route"),
    ],
)
def test_what_is_wrong_is_said(old: str, new: str, code: str) -> None:
    assert POLICY.count(old) >= 1
    found = load({"policy.yaml": POLICY.replace(old, new)})
    assert code in {problem.code for problem in found.problems}, found.problems


def test_the_schema_takes_it_and_knows_its_keys() -> None:
    report = Report()
    root = read_document("policy.yaml", POLICY, report)
    assert root is not None
    schema = policy_schema()
    assert VALIDATOR.is_valid(as_json(root))
    text = str(schema)
    for key in (*http_keys, *route_keys, *credential_keys):
        assert f"'{key}'" in text, key


def test_the_matrix_tells_of_routes() -> None:
    cells = {cell.resource: cell for cell in matrix(loaded(), None).cells}
    assert "calls GET /billing/invoices/{id} with path.id is the session's customer_id" in cells["invoices"].words[0]
    assert "body.amount is at most 500" in cells["billing"].words[0]


def test_routes_are_accepted_with_their_arguments() -> None:
    policy = loaded()
    lock = accepted(policy)
    assert parse_lock(render_lock(lock)) == lock
    assert check_against_lock(policy, lock) == ()
    changed = loaded(POLICY.replace("amount: number,", "amount: number, note: string,"))
    assert [problem.code for problem in check_against_lock(changed, lock)] == ["unaccepted"]
    assert any("body.note" in line for line in lock_diff(lock, accepted(changed)))
    assert {problem.code for problem in check_against_lock(policy, Lock({}))} >= {"unknown_tool"}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[10.0.0.0/8]", "[10.0.0.0/8, 192.168.0.0/16]", "192.168.0.0/16"),
        ("/v2", "/v3", "points elsewhere"),
        ("${TOKEN}", "${OTHER}", "another credential"),
        ("{max: 500}", "{max: 600}", "at most 600"),
    ],
)
def test_a_change_that_widens_is_told(old: str, new: str, said: str) -> None:
    before, after = loaded(), loaded(POLICY.replace(old, new))
    changes = diff(before, after)
    assert any(said in change.text and change.widens for change in changes), changes
    assert diff(before, before) == ()
