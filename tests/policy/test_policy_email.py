"""Mounts of kind `email` in the policy: keys, the matrix, what changes, and what a call would be."""

from __future__ import annotations

import pytest

from bailiwick.model.email import Template, Variable
from bailiwick.model.lock import Lock
from bailiwick.model.policy import Policy
from bailiwick.policy.diff import diff
from bailiwick.policy.effective import unsupported
from bailiwick.policy.email import locked_send
from bailiwick.policy.load import load
from bailiwick.policy.matrix import matrix
from bailiwick.policy.validate import check_against_lock

TEXT = """\
bailiwick: 1
mounts:
  mail:
    kind: email
    smtp: ${SMTP_URL}
    from: support@acme.example
    internal: [acme.example]
    limits: {batch: 20, actions: 100/h}
roles:
  templates:
    grants:
      - {allow: email:send, reason: invoices, args: {template: [invoice], to: $customer_email}, limits: {batch: 2}}
  writer:
    grants:
      - {allow: email:send, reason: letters, args: {subject: any, body: any, to: {glob: "*@acme.example"}, external: 0}}
agents:
  bot: {owner: ops, purpose: invoices, roles: [templates]}
  writer: {owner: ops, purpose: letters, roles: [writer]}
  none: {owner: ops, purpose: nothing, roles: []}
tasks:
  bill: {agents: [bot], context: {customer_email: string}}
"""
INVOICE = Template("invoice", "Invoice {{ number }}", "x", "", {"number": Variable("string", 20)})
LOCK = Lock({}, {"mail": {"send": locked_send([INVOICE])}})


def policy(text: str = TEXT) -> Policy:
    found = load({"policy.yaml": text})
    assert found.policy is not None, found.problems
    return found.policy


def test_it_is_read_agrees_with_the_lock_and_has_effect() -> None:
    mount = policy().email["mail"]
    assert (mount.sender, mount.internal, mount.offered[0].action.verb) == (
        "support@acme.example",
        ("acme.example",),
        "send",
    )
    assert check_against_lock(policy(), LOCK) == ()
    assert unsupported(policy()) == ()


@pytest.mark.parametrize(
    ("before", "after", "code"),
    [
        ("from: support@acme.example", "from: support", "bad_address"),
        ("    from: support@acme.example\n", "", "missing_key"),
        ("smtp: ${SMTP_URL}", "smtp: smtp://user:secret@host", "secret_in_clear"),
        ("smtp: ${SMTP_URL}", "smtp: http://host", "bad_url"),
        ("internal: [acme.example]", "internal: ['*']", "bad_domain"),
        ("internal: [acme.example]", "interna: [acme.example]", "unknown_key"),
        ("allow: email:send, reason: letters", "allow: email:read, reason: letters", "unknown_verb"),
    ],
)
def test_what_is_wrong_is_said(before: str, after: str, code: str) -> None:
    assert TEXT.count(before) == 1
    assert code in {each.code for each in load({"policy.yaml": TEXT.replace(before, after)}).problems}


def test_an_argument_that_no_message_has_is_an_error_and_facts_and_variables_are_none() -> None:
    wrong = policy(TEXT.replace("external: 0", "externl: 0"))
    assert [each.code for each in check_against_lock(wrong, LOCK)] == ["unknown_argument"]
    facts = "args: {template: [invoice], variables.number: {prefix: R}, recipients: {max: 2}, "
    facts += "domains: [a.example], links: any, to: $customer_email}"
    assert (
        check_against_lock(policy(TEXT.replace("args: {template: [invoice], to: $customer_email}", facts)), LOCK) == ()
    )


def test_a_cell_of_the_matrix_says_whether_texts_may_be_sent() -> None:
    cells = {cell.agent: cell for cell in matrix(policy(), LOCK).cells if cell.resource == "email"}
    assert cells["bot"].verbs == ("send (templates only)",)
    assert cells["writer"].verbs == ("send",)
    assert cells["none"].verbs == ()
    assert "gate external with external is more than 0" in " ".join(cells["bot"].words)


def test_what_widens_is_told() -> None:
    wider = policy(TEXT.replace("internal: [acme.example]", "internal: [acme.example, other.example]"))
    found = str(diff(policy(), wider, LOCK, LOCK))
    assert "other.example is internal to mount mail" in found
