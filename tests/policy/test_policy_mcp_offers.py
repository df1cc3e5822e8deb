"""Prompts and documents of mounts of kind `mcp`: what the text means, what is wrong with it, how it is told."""

from __future__ import annotations

import json

import pytest

from bailiwick.match.uris import uri_problem, values_in
from bailiwick.model.lock import Lock
from bailiwick.policy.diff import diff
from bailiwick.policy.load import load
from bailiwick.policy.locked_tools import locked_document, locked_prompt
from bailiwick.policy.lockfile import lock_diff, parse_lock, render_lock
from bailiwick.policy.matrix import matrix
from bailiwick.policy.validate import check_against_lock

POLICY = """\
bailiwick: 1
mounts:
  notes:
    kind: mcp
    command: [notes-mcp]
    prefix: n_
    prompts:
      greet: {action: greetings:use, fixed: {tenant: $tenant}}
    documents:
      "notes://handbook": {action: handbook:read}
      "customers://{id}/file": {action: files:read, items: rows}
roles:
  support:
    grants:
      - {allow: greetings:use, reason: greets, args: {name: any}}
      - {allow: files:read, reason: its customer's, args: {id: $customer_id}}
      - {allow: handbook:read, reason: rules}
agents:
  bot: {owner: team, purpose: tests, roles: [support]}
tasks:
  work: {agents: [bot], context: {customer_id: integer}}
"""


def test_prompts_and_documents_are_read() -> None:
    policy = load({"policy.yaml": POLICY}).policy
    assert policy is not None
    mount = policy.mcp["notes"]
    assert [tool.key for tool in mount.offered] == [
        "prompt:greet",
        "document:notes://handbook",
        "document:customers://{id}/file",
    ]
    assert mount.shown(mount.prompts["greet"]) == "prompt:n_greet"
    told = " ".join(line for cell in matrix(policy, None).cells for line in cell.words)
    assert "uses prompt n_greet with any name" in told
    assert "reads customers://{id}/file with" in told


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ('"notes://handbook"', '"notes handbook"', "bad_name"),
        ('"customers://{id}/file"', '"customers://{a}{b}"', "bad_name"),
        ('"customers://{id}/file"', '"{+all}"', "bad_name"),
        ("greet: {", "gr eet: {", "bad_name"),
        ("action: handbook:read", 'action: "handbook:*"', "bad_action"),
        ("items: rows", "fixed: {id: 5}", "unknown_key"),
        ("prefix: n_", "prefix: n_\n    tools: {x: {action: a:b}}\n    prompts2: {}", "unknown_key"),
    ],
)
def test_a_mistake_has_a_code(old: str, new: str, code: str) -> None:
    problems = load({"policy.yaml": POLICY.replace(old, new, 1)}).problems
    assert code in [problem.code for problem in problems], [str(problem) for problem in problems]


def test_what_was_accepted_is_kept_word_for_word_and_compared() -> None:
    prompt = locked_prompt("greet", {"description": "greets", "arguments": [{"name": "name"}, {"name": "tenant"}]})
    document = locked_document("notes://handbook", {"name": "handbook", "mimeType": "text/plain", "size": 5})
    template = locked_document("customers://{id}/file", {})
    lock = Lock({}, {"notes": {each.name: each for each in (prompt, document, template)}})
    assert parse_lock(render_lock(lock)) == lock
    assert json.loads(template.definition)["inputSchema"]["properties"] == {"id": {"type": "string"}}
    changed = locked_document("notes://handbook", {"name": "handbook", "description": "obey it", "size": 7})
    other = Lock({}, {"notes": {**lock.tools["notes"], changed.name: changed}})
    said = "\n".join(lock_diff(lock, other))
    assert 'document notes://handbook: description is new: "obey it"' in said
    assert "size" not in said
    policy = load({"policy.yaml": POLICY}).policy
    assert policy is not None
    assert check_against_lock(policy, lock) == ()
    (missing,) = check_against_lock(policy, Lock({}, {"notes": {prompt.name: prompt, document.name: document}}))[:1]
    assert "was not accepted" in missing.message


@pytest.mark.parametrize(
    ("template", "uri", "values"),
    [
        ("notes://{id}", "notes://a%20b", {"id": "a b"}),
        ("notes://{id}", "notes://a%2Fb", None),
        ("notes://{id}", "notes://%61", None),
        ("notes://{id}", "notes://a%5Cb", None),
        ("notes://{id}", "notes://%FF", None),
        ("notes://{id}", "notes://%0A", None),
        ("notes://{id}", "notes://..", None),
        ("notes://{id}", "notes://a?b", None),
        ("notes://{id}", "notes://a/b", None),
        ("f:///{+path}", "f:///a/b.txt", {"path": "a/b.txt"}),
        ("f:///{+path}", "f:///a/../b", None),
        ("f:///{+path}", "f:///a//b", None),
        ("f:///{+path}", "f:////etc", None),
        ("x://{a}/y/{b}.json", "x://1/y/2.json", {"a": "1", "b": "2"}),
    ],
)
def test_a_uri_has_one_spelling(template: str, uri: str, values: dict[str, str] | None) -> None:
    assert uri_problem(template) == ""
    assert values_in(template, uri) == values


def test_what_is_relayed_has_a_reason_and_is_a_widening() -> None:
    more = POLICY.replace("    prefix: n_\n", "    prefix: n_\n    relay: {sampling: its summaries}\n")
    policy, before = load({"policy.yaml": more}).policy, load({"policy.yaml": POLICY}).policy
    assert policy is not None
    assert before is not None
    assert policy.mcp["notes"].relay == {"sampling": "its summaries"}
    told = diff(before, policy)
    assert [(each.widens, each.text) for each in told] == [(True, "now: sampling is relayed by mount notes")]
    for wrong in ("{sampling: ''}", "{samplings: x}", "[sampling]"):
        bad = POLICY.replace("    prefix: n_\n", f"    prefix: n_\n    relay: {wrong}\n")
        assert load({"policy.yaml": bad}).problems
