"""What holds for any text and any way of writing a policy down."""

from __future__ import annotations

import json
import re
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bailiwick.policy.document import Block, Leaf, Listing, Node, read_document
from bailiwick.policy.load import load
from bailiwick.policy.problem import Report

HERE = Path(__file__).parent
TEXTS = [(HERE / name).read_text() for name in ("design.yaml", "spine.yaml", "every_key.yaml")]
BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")

WORDS = """bailiwick 1 mounts roles grants allow tickets:read rows $x $ any [ ] { } &a *a !!str << ' " | # ? null 1.5 no
mask when limits 30/min within 90d kind postgres url 2024-13-01 % --- : -"""
words = st.sampled_from([*WORDS.split(), "\t", "\n", "\n  ", "\n    ", ": ", "- ", "1 +"])
junk = st.one_of(
    st.text(max_size=200),
    st.lists(words, max_size=60).map("".join),
    st.lists(words, max_size=40).map(" ".join).map(lambda tail: "bailiwick: 1\n" + tail),
)


def version_of(text: str) -> str:
    policy = load({"policy.yaml": text}).policy
    assert policy is not None
    return policy.version


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """Return a good policy with some places cut out, doubled or overwritten."""
    text = draw(st.sampled_from(TEXTS))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(text)))
        end = draw(st.integers(at, min(len(text), at + 20)))
        text = (
            text[:at] + draw(st.one_of(words, st.text(max_size=3), st.just(""), st.just(text[at:end] * 2))) + text[end:]
        )
    return text


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(junk, damaged()))
def test_no_text_raises_and_every_problem_stands_inside_its_file(text: str) -> None:
    result = load({"a.yaml": text})
    assert (result.policy is None) == any(problem.severity == "error" for problem in result.problems)
    lines = BREAK.split(text.removeprefix("\ufeff"))
    for problem in result.problems:
        at = problem.position
        assert at.file == "a.yaml"
        assert 1 <= at.line <= len(lines)
        assert 1 <= at.column <= len(lines[at.line - 1]) + 2
        assert "\n" not in str(problem)


def rewritten(node: Node, random: Random) -> str:
    """Return the same document in flow style, with the keys of all mappings in another order and all text quoted."""
    if isinstance(node, Block):
        entries = list(node.entries.values())
        random.shuffle(entries)
        return "{" + ", ".join(f"{json.dumps(entry.key)}: {rewritten(entry.value, random)}" for entry in entries) + "}"
    if isinstance(node, Listing):
        return "[" + ", ".join(rewritten(item, random) for item in node.items) + "]"
    assert isinstance(node, Leaf)
    return json.dumps(node.value) if isinstance(node.value, str) and node.text != "any" else node.text


@settings(max_examples=30, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_version_does_not_depend_on_the_order_of_keys_or_the_format(random: Random) -> None:
    root = read_document("p", TEXTS[1], Report())
    assert root is not None
    assert version_of(rewritten(root, random)) == version_of(TEXTS[1])


def test_the_version_does_not_depend_on_comments_or_how_numbers_are_written() -> None:
    text = TEXTS[1]
    assert version_of("# a comment\n" + text.replace("min: 0.5", "min: 0.50")) == version_of(text)


MEANINGFUL = [
    ("tier: 1", "tier: 2"),
    ("tier: 1", 'tier: "1"'),
    ("tier: 1", "tier: true"),
    ("within: 90d", "within: 91d"),
    ("reason: answers them", "reason: reads them"),
    ("inherits: [base]", "inherits: []"),
    ("[ssn]", "[name]"),
    ("email: partial", "email: hash"),
    ("30/min", "30/h"),
    ("tenant: tenant_id\n        labels: {ssn", "labels: {ssn"),
    ("ssn: restricted", "ssn: internal"),
    ("groups: [support]", "groups: [other]"),
    ("ticket_id: integer", "ticket_id: string"),
    ("only: {tickets: {}, customers: {}}", "only: {tickets: {}}"),
    ("only: {tickets: {}, customers: {}}", ""),
    ("only: {tickets: {}, customers: {}}", "only: {}"),
    ("${CRM_URL}", "${OTHER_URL}"),
    ("url: ${CRM_URL}", "url: ${CRM_URL}\n    plaintext: true"),
    ("url: ${CRM_URL}", "url: ${CRM_URL}\n    enforce: both"),
    ("07:00-19:00", "07:00-19:01"),
    ("tickets:delete], ", "customers:delete], "),
    ("purpose: answers", "purpose: replies to"),
    ('"team-leads"', '"others"'),
    ("set: {status: [open, pending, closed]}", "set: {status: [open]}"),
    ("deny: customers:read", "deny: customers:update"),
]


@pytest.mark.parametrize("change", MEANINGFUL)
def test_the_version_depends_on_everything_that_means_something(change: tuple[str, str]) -> None:
    assert change[0] in TEXTS[1]
    assert version_of(TEXTS[1].replace(*change, 1)) != version_of(TEXTS[1])
