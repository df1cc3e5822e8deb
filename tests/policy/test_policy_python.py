"""Mounts of kind `python`: what the policy's text means, what is wrong with it, and how matrix and diff tell it."""

from __future__ import annotations

import pytest

from bailiwick.model.action import Action
from bailiwick.model.lock import Lock
from bailiwick.model.policy import Policy
from bailiwick.model.value import Ref
from bailiwick.policy.diff import diff
from bailiwick.policy.effective import unsupported
from bailiwick.policy.executed import left_to_retries
from bailiwick.policy.load import load
from bailiwick.policy.matrix import matrix
from bailiwick.policy.validate import check_against_lock

POLICY = """\
bailiwick: 1
mounts:
  desk:
    kind: python
    limits: {bytes: 100000, timeout: 5s}
    resources:
      billing: {labels: {card: restricted, "*": internal}}
    functions:
      search: {action: knowledge_base:read, parameters: [query], items: results, description: finds articles}
      refund: {action: billing:refund, parameters: [tenant, customer_id, amount], fixed: {tenant: $tenant}}
roles:
  support:
    grants:
      - {allow: knowledge_base:read, reason: articles, args: any}
      - {allow: billing:refund, reason: small ones, args: {customer_id: $customer_id, amount: {max: 500}}}
agents:
  bot: {owner: team, purpose: tests, roles: [support]}
tasks:
  work: {agents: [bot], context: {customer_id: integer}}
"""


def loaded(text: str = POLICY) -> Policy:
    result = load({"policy.yaml": text})
    assert result.problems == ()
    assert result.policy is not None
    return result.policy


def test_a_mount_of_kind_python_is_read_whole() -> None:
    mount = loaded().python["desk"]
    assert [limit.name for limit in mount.limits] == ["bytes", "timeout"]
    assert mount.tools["search"].items == ("results",)
    assert mount.tools["refund"].action == Action("billing", "refund")
    assert mount.tools["refund"].parameters == ("tenant", "customer_id", "amount")
    assert mount.tools["refund"].fixed == {"tenant": Ref(("tenant",))}
    assert mount.resources["billing"].labels["card"] == {"restricted"}
    assert loaded().every_mount == ("desk",)
    assert unsupported(loaded()) == ()


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("    functions:\n      search: {", "    tools:\n      search: {", "unknown_key"),
        ("kind: python\n", "kind: python\n    module: app.tools\n", "unknown_key"),
        ("parameters: [query]", "parameters: [a b]", "bad_name"),
        ("parameters: [query]", "parameters: [query, query]", "duplicate_name"),
        ("parameters: [tenant, customer_id, amount]", "parameters: [customer_id, amount]", "unknown_argument"),
        ("action: knowledge_base:read", "action: knowledge_base:*", "bad_action"),
        ("      search: {", "      my_permissions: {", "duplicate_tool"),
        ("allow: billing:refund", "allow: billing:pay", "unknown_verb"),
    ],
)
def test_what_is_wrong_is_said(old: str, new: str, code: str) -> None:
    assert old in POLICY
    result = load({"policy.yaml": POLICY.replace(old, new)})
    assert code in {problem.code for problem in result.problems}
    assert result.policy is None


def test_a_function_needs_no_lock_but_grants_name_its_parameters() -> None:
    assert check_against_lock(loaded(), Lock({})) == ()
    problems = check_against_lock(loaded(POLICY.replace("amount: {max: 500}", "amuont: {max: 500}")), Lock({}))
    assert [(each.code, each.suggestion) for each in problems] == [("unknown_argument", "did you mean `amount`?")]


def test_one_name_stands_for_one_tool_or_function() -> None:
    server = "  other:\n    kind: mcp\n    command: [x]\n    tools: {Refund: {action: more:refund}}\nroles:"
    result = load({"policy.yaml": POLICY.replace("roles:", server, 1)})
    assert "duplicate_tool" in {problem.code for problem in result.problems}


def test_the_matrix_says_what_functions_may_be_called() -> None:
    words = [line for cell in matrix(loaded(), Lock({})).cells for line in cell.words]
    assert any(line.startswith("calls refund with ") and "at most 500" in line for line in words)
    assert "every call: at most 100000 bytes at a time" in words


def test_another_mapping_of_a_function_is_a_change() -> None:
    other = loaded(POLICY.replace("parameters: [query]", "parameters: [query, page]"))
    told = [change.text for change in diff(loaded(), other, Lock({}), Lock({}))]
    assert any("function search of mount desk is mapped in another way" in text for text in told)
    assert diff(loaded(), loaded()) == ()


@pytest.mark.parametrize(
    ("gate", "warned"),
    [
        ("large: {on: billing:refund, mode: execute, approvers: [a]}", True),
        ("large: {on: billing:refund, approvers: [a]}", False),
    ],
)
def test_a_gate_that_leaves_functions_to_their_callers_is_warned_of(gate: str, warned: bool) -> None:
    found = left_to_retries(loaded(f"{POLICY}gates:\n  {gate}\n"))
    assert [(each.severity, "functions of `desk` (`billing:refund`)" in each.message) for each in found] == [
        ("warning", True)
    ] * warned
