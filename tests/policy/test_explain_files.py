"""`explain read_file --args …`: what would be decided about a file that nobody opens."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest
from typer.testing import CliRunner

from bailiwick.cli.main import app

POLICY = """\
bailiwick: 1
mounts:
  docs:
    kind: files
    root: files
    resources: {articles: {paths: [kb/**]}, plans: {paths: [plans/**]}}
    labels: {plans/**: restricted}
roles:
  support:
    grants:
      - {allow: articles:read, reason: answers, mask: [cards], args: {size: {max: 100}}}
      - {allow: articles:create, reason: drafts, args: {path: {prefix: kb/drafts/}}}
      - {allow: plans:read, reason: knows them, args: any}
      - {deny: articles:read, args: {path: {glob: "kb/private/*"}}}
agents:
  bot: {owner: team, purpose: tests, roles: [support]}
"""


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY)
    return path


def told(policy: Path, asked: str, arguments: Mapping[str, object]) -> list[Mapping[str, object]]:
    command = ["explain", asked, "--agent", "bot", "--policy", str(policy), "--json", "--args", json.dumps(arguments)]
    result = CliRunner().invoke(app, command)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return cast("list[Mapping[str, object]]", json.loads(result.stdout))


@pytest.mark.parametrize(
    ("asked", "arguments", "decided"),
    [
        ("read_file", {"path": "kb/a.md", "size": 9}, "allow"),
        ("articles:read", {"path": "kb/a.md", "size": 9, "mount": "docs"}, "allow"),
        ("read_file", {"path": "kb/a.md", "size": 900}, "deny"),
        ("read_file", {"path": "kb/a.md"}, "deny"),
        ("read_file", {"path": "KB/Private/a.md", "size": 9}, "deny"),
        ("read_file", {"path": "kb/private/a.md", "size": 9}, "deny"),
        ("read_file", {"path": "kb/../plans/a.md", "size": 9}, "deny"),
        ("read_file", {"path": "other/a.md", "size": 9}, "deny"),
        ("read_file", {"path": "plans/a.md", "size": 9}, "hold"),
        ("delete_file", {"path": "kb/a.md", "size": 9}, "deny"),
    ],
)
def test_a_file_is_decided_on_by_what_is_given_of_it(
    policy: Path, asked: str, arguments: Mapping[str, object], decided: str
) -> None:
    (found,) = told(policy, asked, arguments)
    assert found["decision"] == decided, found
    if decided == "allow":
        assert "masked: cards" in cast("list[str]", found["tools"])


def test_a_write_is_decided_on_as_either_of_what_it_can_be(policy: Path) -> None:
    found = told(policy, "write_file", {"path": "kb/drafts/a.md", "size": 9})
    assert [(each["asked"], each["decision"]) for each in found] == [
        ("write_file (create)", "allow"),
        ("write_file (update)", "deny"),
    ]


def test_what_grants_ask_for_and_nobody_gave_is_told(policy: Path) -> None:
    (found,) = told(policy, "read_file", {"path": "kb/a.md"})
    assert "not given, and asked for by grants: size" in cast("list[str]", found["tools"])
    wrong = CliRunner().invoke(app, ["explain", "read_file", "--agent", "bot", "--policy", str(policy), "--args", "{}"])
    assert wrong.exit_code != 0
