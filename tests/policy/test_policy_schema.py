"""The JSON Schema agrees with the loader."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Protocol, cast

import pytest
from jsonschema import Draft202012Validator, ValidationError

from bailiwick.policy import agents, grants, mounts, rules
from bailiwick.policy.document import Block, Leaf, Listing, Node, read_document
from bailiwick.policy.load import load
from bailiwick.policy.problem import Report
from bailiwick.policy.schema import policy_schema

HERE = Path(__file__).parent


class Validator(Protocol):
    def iter_errors(self, instance: object) -> Iterator[ValidationError]: ...
    def is_valid(self, instance: object) -> bool: ...


VALIDATOR = cast("Validator", Draft202012Validator(policy_schema()))


def as_json(node: Node) -> object:
    """Return what an editor's YAML parser makes of a document."""
    if isinstance(node, Block):
        return {entry.key: as_json(entry.value) for entry in node.entries.values()}
    if isinstance(node, Listing):
        return [as_json(item) for item in node.items]
    assert isinstance(node, Leaf)
    if isinstance(node.value, Decimal):
        return float(node.value)
    return node.value if node.value is None or isinstance(node.value, (bool, int, str)) else node.text


def read(text: str) -> object:
    report = Report()
    root = read_document("policy.yaml", text, report)
    assert root is not None
    assert report.problems == []
    return as_json(root)


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(policy_schema())
    assert json.loads(json.dumps(policy_schema())) == policy_schema()


@pytest.mark.parametrize("name", ["design.yaml", "spine.yaml", "every_key.yaml"])
def test_policies_that_load_satisfy_it(name: str) -> None:
    found = [f"{list(e.path)}: {e.message}" for e in VALIDATOR.iter_errors(read((HERE / name).read_text()))]
    assert found == []


def keys_of(name: str) -> set[str]:
    found = cast("dict[str, dict[str, dict[str, object]]]", policy_schema()["$defs"])[name]
    return set(found["properties"])


def test_it_knows_the_keys_that_the_loader_knows() -> None:
    assert keys_of("grant") == set(grants.grant_keys)
    assert keys_of("role") == set(grants.role_keys)
    assert keys_of("resource") == set(mounts.resource_keys)
    assert keys_of("agent") == set(agents.agent_keys)
    assert keys_of("task") == set(agents.task_keys)
    assert keys_of("gate") == set(rules.gate_keys) - {"loosen"}
    assert keys_of("elevation") == set(rules.elevation_keys)
    assert keys_of("flow") == set(rules.flow_keys)
    assert keys_of("review") == set(rules.review_keys)


@pytest.mark.parametrize(
    "change",
    [
        ("allow: tickets:read\n", "alow: tickets:read\n"),
        ("reason: answers them\n", "id: x\n"),
        ("    owner: support-platform\n", ""),
        ("ttl: 30m", "ttl: 30 minutes"),
        ("{email: partial}", "{email: partly}"),
        ("ticket_id: integer", "ticket_id: int"),
        ("table: public.customers", "tabel: public.customers"),
    ],
)
def test_what_the_loader_refuses_in_one_file_it_refuses_too(change: tuple[str, str]) -> None:
    text = (HERE / "spine.yaml").read_text()
    assert text.count(change[0]) >= 1
    broken = text.replace(*change)
    assert load({"policy.yaml": broken}).policy is None
    assert not VALIDATOR.is_valid(read(broken))
