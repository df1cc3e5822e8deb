"""Mounts of kind `files` in a policy: read, checked, compared, and shown in the matrix."""

from __future__ import annotations

import jsonschema
import pytest
import yaml

from bailiwick.model.policy import Policy
from bailiwick.policy.diff import diff
from bailiwick.policy.load import load
from bailiwick.policy.matrix import matrix
from bailiwick.policy.schema import policy_schema

POLICY = """
bailiwick: 1
mounts:
  docs:
    kind: files
    root: files
    resources:
      knowledge_base: {paths: ["kb/**"]}
      staff: {paths: ["hr/**"]}
    labels: {"hr/**": restricted}
    quota: {bytes: 500 MB, files: 1000}
    versions: {keep: 5, for: 30d}
  archive:
    kind: files
    url: s3://bucket/prefix
    credential: {key: "${S3_KEY}", secret: "${S3_SECRET}", endpoint: "http://127.0.0.1:5000", region: eu-west-1}
    resources: {reports: {paths: ["reports/*.pdf"]}}
roles:
  reader:
    grants:
      - {allow: knowledge_base:list, reason: r}
      - {allow: knowledge_base:read, reason: r, mask: [cards, email]}
  writer:
    inherits: [reader]
    grants:
      - {allow: knowledge_base:create, reason: r, args: {size: {max: 1000}, path: {prefix: kb/new/}}}
      - {allow: knowledge_base:update, reason: r}
agents:
  bot: {owner: o, purpose: p, roles: [reader]}
  editor: {owner: o, purpose: p, roles: [writer]}
"""


def _loaded(text: str) -> Policy:
    found = load({"policy.yaml": text})
    assert found.policy is not None, found.problems
    return found.policy


def test_a_mount_of_files_is_read() -> None:
    policy = _loaded(POLICY)
    docs, archive = policy.files["docs"], policy.files["archive"]
    assert (docs.is_local, docs.quota.bytes, docs.keeping.versions, docs.keeping.span.days) == (
        True,
        500_000_000,
        5,
        30,
    )
    assert (archive.is_local, archive.url.text, archive.credential["secret"].text) == (
        False,
        "s3://bucket/prefix",
        "${S3_SECRET}",
    )
    jsonschema.validate(yaml.safe_load(POLICY), policy_schema())


def test_the_matrix_says_read_and_write() -> None:
    cells = {(each.agent, each.resource): each for each in matrix(_loaded(POLICY), None).cells}
    assert cells["bot", "knowledge_base"].verbs == ("read",)
    assert cells["editor", "knowledge_base"].verbs == ("read", "write")
    assert cells["bot", "staff"].verbs == ()
    assert "reads files below confidential; cards and email masked" in cells["bot", "knowledge_base"].words


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        ("root: files", "", "neither `root` nor `url`"),
        ("root: files", "root: files\n    url: s3://b/c", "both `root` and `url`"),
        ('paths: ["kb/**"]', 'paths: ["/kb/**"]', "no pattern of paths"),
        ('paths: ["kb/**"]', 'paths: ["kb/../hr/**"]', "no pattern of paths"),
        ('paths: ["kb/**"]', 'paths: ["kb/a**"]', "stands for whole parts"),
        ('paths: ["kb/**"]', 'paths: ["hr/**"]', "is already one of"),
        ('"hr/**": restricted', '"/hr": restricted', "no pattern of paths"),
        ("bytes: 500 MB", "bytes: much", "must be a size"),
        ('secret: "${S3_SECRET}"', "secret: hunter2hunter2", "secret"),
        ("url: s3://bucket/prefix", "url: s3://key:word@bucket", "holds a credential"),
        ("mask: [cards, email]", "mask: [cards, faces]", "faces"),
        ("mask: [cards, email]", "fields: [name]", "no meaning for files"),
        ("allow: knowledge_base:update", "allow: knowledge_base:send", "no tool is mapped"),
        ("size: {max: 1000}", "colour: red", "is not an argument"),
        ("keep: 5", "keep: 0", "keep"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(before: str, after: str, problem: str) -> None:
    from bailiwick.model.lock import Lock
    from bailiwick.policy.validate import check_against_lock

    text = POLICY.replace(before, after, 1)
    assert text != POLICY
    found = load({"policy.yaml": text})
    problems = [*found.problems, *(check_against_lock(found.policy, Lock({})) if found.policy else ())]
    assert any(problem in each.message for each in problems), problems
    assert load({"policy.yaml": POLICY}).problems == ()


@pytest.mark.parametrize(
    ("before", "after", "widens", "said"),
    [
        ('paths: ["kb/**"]', 'paths: ["kb/**", "faq/**"]', True, "now has faq/** as knowledge_base"),
        ("bytes: 500 MB", "bytes: 600 MB", True, "may hold at most 600000000 bytes and 1000 files"),
        ("bytes: 500 MB", "bytes: 400 MB", False, "may hold at most 400000000 bytes and 1000 files"),
        ("root: files", "root: others", True, "points elsewhere: others"),
        ("root: files", "root: files\n    hard_links: true", True, "now serves files with several names"),
        ("mask: [cards, email]", "mask: [cards]", True, "reads files below confidential; cards masked"),
    ],
)
def test_a_comparison_says_what_widens(before: str, after: str, widens: bool, said: str) -> None:
    old, new = _loaded(POLICY), _loaded(POLICY.replace(before, after, 1))
    changes = diff(old, new)
    assert any(said in each.text and each.widens is widens for each in changes), changes
