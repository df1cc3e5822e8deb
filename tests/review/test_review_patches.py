"""Patches of reviews over generated policies: they hold what was decided, nothing else, and keep what people wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.errors import PolicyError
from bailiwick.model.lock import Lock
from bailiwick.model.mask import Mask
from bailiwick.model.policy import Grant, Policy
from bailiwick.model.review import Decision, Review, Verdict
from bailiwick.policy.canonical import digest
from bailiwick.policy.editing import Drop, Put, edited
from bailiwick.policy.load import load
from bailiwick.review.lines import Evidence, Looked, lines_of
from bailiwick.review.patching import patch_of
from bailiwick.review.usage import Usage

NOW = datetime(2026, 11, 23, tzinfo=UTC)
COLUMNS = ("id", "name", "email", "note")
VERDICTS: tuple[Verdict, ...] = ("keep", "revoke", "narrow", "ask")
HEAD = """\
# The head stays.
bailiwick: 1   # and this
mounts:
  crm:
    kind: postgres
    url: ${CRM_URL}
    resources:
      a: {table: public.a, key: id, labels: {email: confidential}}
      b: {table: public.b, key: id, labels: {email: confidential}}
"""


@st.composite
def grants(draw: st.DrawFn, number: int) -> str:
    """Return a grant as a list's item: on one line or on several, with and without comments."""
    resource = draw(st.sampled_from(("a", "b")))
    verb = draw(st.sampled_from(("read", "update", "delete")))
    fields = draw(st.lists(st.sampled_from(COLUMNS), unique=True, max_size=4)) if verb != "delete" else []
    masked = [name for name in fields if verb == "read" and draw(st.booleans())]
    entries = [f"allow: {resource}:{verb}", f"id: g{number}", "reason: because"]
    block = draw(st.booleans())
    comment = draw(st.sampled_from(("", "   # why - not, [a, b]: {c}")))
    if fields:
        entries.append(f"fields: [{', '.join(fields)}]")
    if masked:
        entries.append("mask: {" + ", ".join(f"{name}: full" for name in masked) + "}")
    order = draw(st.permutations(entries))
    above = draw(st.sampled_from(("", "      # evidence: 3 calls\n", "\n", "      # one\n      # two\n")))
    if not block:
        return f"{above}      - {{{', '.join(order)}}}{comment}\n"
    lines: list[str] = []
    for entry in order:
        if entry.startswith("fields") and draw(st.booleans()):
            lines.append("fields:\n" + "\n".join(f"          - {name}{comment}" for name in fields))
        elif entry.startswith("mask") and draw(st.booleans()):
            lines.append("mask:\n" + "\n".join(f"          {name}: full" for name in masked))
        elif entry.startswith("reason") and draw(st.booleans()):
            lines.append("reason: >-\n          because\n")
        else:
            lines.append(entry + comment)
    return f"{above}      - " + "\n        ".join(lines) + "\n"


@st.composite
def policies(draw: st.DrawFn) -> str:
    parts = [HEAD, "roles:\n"]
    number = 0
    for role in ("one", "two")[: draw(st.integers(1, 2))]:
        parts.append(f"  {role}:\n    grants:\n")
        for _ in range(draw(st.integers(1, 4))):
            parts.append(draw(grants(number)))
            number += 1
    roles = "[one, two]" if "  two:" in "".join(parts) else "[one]"
    parts.append(
        f"agents:\n  bot: {{owner: desk, purpose: p, roles: {roles}}}\n  idle: {{owner: x, purpose: p, roles: []}}\n"
    )
    if draw(st.booleans()):
        loosened = draw(st.lists(st.sampled_from(("a:delete", "b:delete")), min_size=1, unique=True))
        style = draw(st.sampled_from(("flow", "block")))
        more = draw(st.sampled_from(("", "    approvers: [leads]\n")))
        listed = (
            f" [{', '.join(loosened)}]"
            if style == "flow"
            else "".join(f"\n      - {each}  # {each}" for each in loosened)
        )
        parts.append(f"gates:\n  delete:\n    loosen:{listed}\n    reason: fine\n{more}")
    if draw(st.booleans()):
        agents = draw(st.sampled_from(("[bot]", "[bot, idle]", "[idle, bot]")))
        parts.append(f"elevations:\n  up: {{role: one, for: {agents}, max: 1h, approvers: [leads]}}\n")
    parts.append("review: {every: 90d}\n# The end.")
    return "".join(parts) + draw(st.sampled_from(("", "\n", "\n\n")))


def review_of(policy: Policy) -> Review:
    looked = Looked(policy, Lock({}), ("bot",), Evidence(Usage(), NOW, {}, NOW), None)
    lines = tuple(
        replace(line, narrow={"fields": (policy_fields(policy, line.subject)[0],)})
        if line.kind == "grant" and len(policy_fields(policy, line.subject)) > 1
        else line
        for line in lines_of(looked)
    )
    return Review("rev_1", "desk", ("bot",), NOW, "ann", NOW, NOW, policy.version, lines)


def policy_fields(policy: Policy, grant_id: str) -> tuple[str, ...]:
    found = next((each for role in policy.roles.values() for each in role.grants if each.id == grant_id), None)
    return (found.fields or ()) if found is not None else ()


def wanted(policy: Policy, review: Review, left: Mapping[str, str]) -> Policy:
    """Return what the policy has to be, made from its values, not from its text."""
    verdicts: dict[str, str | None] = {line.id: review.verdict(line) for line in review.lines if line.id not in left}
    roles = {
        name: replace(
            role, grants=tuple(new for each in role.grants if (new := _grant(each, review, verdicts)) is not None)
        )
        for name, role in policy.roles.items()
    }
    gone = {line.subject for line in review.lines if verdicts.get(line.id) == "revoke"}
    gates = dict(policy.gates)
    for name, gate in policy.gates.items():
        loosen = tuple(action for action in gate.loosen if f"gate {name} {action}" not in gone)
        gates[name] = replace(gate, loosen=loosen, reason=gate.reason if loosen else "")
        if not loosen and not gate.approvers:
            del gates[name]
    elevations = dict(policy.elevations)
    for name, rule in policy.elevations.items():
        agents = tuple(agent for agent in rule.agents if f"elevation {name} {agent}" not in gone)
        elevations[name] = replace(rule, agents=agents)
        if not agents:
            del elevations[name]
    return replace(policy, roles=roles, gates=gates, elevations=elevations)


def _grant(grant: Grant, review: Review, verdicts: Mapping[str, str | None]) -> Grant | None:
    lines = [line for line in review.lines if line.subject.split(" ")[0] == grant.id]
    head = lines[0]
    if verdicts.get(head.id) == "revoke":
        return None
    if grant.fields is None:
        return grant
    narrowed = verdicts.get(head.id) == "narrow"
    given = [name for name in head.narrow["fields"] if isinstance(name, str)] if narrowed else []
    left = {*given} if narrowed else {*grant.fields}
    masks: list[str] = []
    for line in lines[1:]:
        own = review.decisions.get(line.id)
        name = line.subject.split(" ")[1]
        if own is not None and line.id in verdicts:
            if own.verdict == "revoke":
                left.discard(name)
            elif own.verdict in ("keep", "narrow"):
                left.add(name)
            if own.verdict == "narrow":
                masks.append(name)
    fields = tuple(name for name in grant.fields if name in left)
    mask = {name: each for name, each in grant.mask.items() if name in fields}
    return replace(grant, fields=fields, mask=mask | {name: Mask("full") for name in masks if name in fields})


def loaded(text: str) -> Policy:
    found = load({"policy.yaml": text})
    assert found.policy is not None, (found.problems, text)
    return found.policy


@given(policies(), st.data())
def test_a_patch_is_what_was_decided_and_nothing_else(text: str, data: st.DataObject) -> None:
    policy = loaded(text)
    review = review_of(policy)
    decisions = {
        line.id: Decision(verdict, "ann", NOW)
        for line in review.lines
        if (verdict := data.draw(st.sampled_from(VERDICTS))) != "narrow" or line.narrow
        if line.whole or data.draw(st.booleans())
    }
    review = replace(review, decisions=decisions)
    patch = patch_of({"policy.yaml": text}, review)
    after = patch.files["policy.yaml"]
    assert all("no field would be left" in why for why in patch.left.values()), patch.left
    assert digest(replace(loaded(after), version="")) == digest(
        replace(wanted(policy, review, patch.left), version="")
    ), after
    kept = [line for line in after.splitlines() if line not in text.splitlines()]
    assert not any("#" in line and line.split("#")[1] not in text for line in kept)
    assert after.startswith("# The head stays.\nbailiwick: 1   # and this\n")
    assert after.rstrip("\n").endswith("# The end.")
    assert applied(text, patch.text) == after


def applied(text: str, patch: str) -> str:
    """Apply a unified diff as its rules say, strictly."""
    if not patch:
        return text
    lines, at = text.split("\n"), 0
    out: list[str] = []
    hunks = patch.split("\n")[2:]
    place = 0
    while place < len(hunks) and hunks[place].startswith("@@"):
        start = int(hunks[place].split(" ")[1].split(",")[0][1:])
        length = hunks[place].split(" ")[1].partition(",")[2] or "1"
        begin = start - 1 if int(length) else start
        out += lines[at:begin]
        at = begin
        place += 1
        while place < len(hunks) and not hunks[place].startswith("@@"):
            mark, rest = hunks[place][:1], hunks[place][1:]
            if mark in (" ", "-") and not hunks[place].startswith("\\"):
                assert lines[at] == rest
                at += 1
            if mark in (" ", "+"):
                out.append(rest)
            place += 1
    return "\n".join([*out, *lines[at:]])


def test_an_override_is_left_to_people_and_so_is_a_grant_that_changed() -> None:
    text = HEAD + (
        "roles:\n  one: {grants: [{allow: a:read, id: g0, reason: x}]}\n"
        "  two:\n    inherits: [one]\n    grants:\n"
        "      - {allow: a:read, id: g1, reason: less, override: true, fields: [id]}\n"
        "agents:\n  bot: {owner: desk, purpose: p, roles: [two]}\n"
    )
    review = review_of(loaded(text))
    review = replace(review, decisions={"1": Decision("revoke", "ann", NOW)})
    assert "would come back" in patch_of({"policy.yaml": text}, review).left["1"]
    changed = text.replace("fields: [id]", "fields: [id, name]")
    assert "another grant" in patch_of({"policy.yaml": changed}, review).left["1"]
    assert patch_of({"policy.yaml": changed}, review).text == ""


def test_the_patch_names_the_file_of_a_folder_that_it_changes() -> None:
    files = {
        "main.yaml": HEAD + "agents:\n  bot: {owner: desk, purpose: p, roles: [one]}\n",
        "roles.yaml": "bailiwick: 1\nroles:\n  one:\n    grants:\n      - {allow: a:read, id: g0, reason: x}\n"
        "      - {allow: b:read, id: g1, reason: x}\n",
    }
    policy = load(files).policy
    assert policy is not None
    review = replace(review_of(policy), decisions={"2": Decision("revoke", "ann", NOW)})
    patch = patch_of(files, review)
    assert patch.text.startswith("--- a/roles.yaml\n+++ b/roles.yaml\n")
    assert "main.yaml" not in patch.text


@pytest.mark.parametrize(
    ("text", "edits", "after"),
    [
        ("a: [x, y, z]\n", [Drop(("a", "0")), Drop(("a", "2"))], "a: [y]\n"),
        ("a:\n  - x # one\n  - y\nb: 1\n", [Drop(("a", "1"))], "a:\n  - x # one\nb: 1\n"),
        ("a:\n  - x\nb: 1", [Drop(("a", "0"))], "a: []\nb: 1"),
        ("a:\n  - b: 1 # x\n    c: 2\n", [Drop(("a", "0", "b"))], "a:\n  - c: 2\n"),
        ("a: {b: 1, c: 2}", [Put(("a", "d"), ("x", "no")), Drop(("a", "b"))], 'a: {c: 2, d: [x, "no"]}'),
        ("a:\n  b: 1\n\n# end\n", [Put(("a", "c"), {"k": "v: w"})], 'a:\n  b: 1\n  c: {k: "v: w"}\n\n# end\n'),
        ("a:\r\n  - x\r\n  - y\r\n", [Drop(("a", "0"))], "a:\r\n  - y\r\n"),
    ],
)
def test_edits_touch_nothing_else(text: str, edits: Sequence[Drop | Put], after: str) -> None:
    assert edited(text, edits) == after


@pytest.mark.parametrize(
    ("text", "edit"),
    [("a: 1\n", Drop(("b",))), ("a: [x]\n", Drop(("a", "1"))), ("a:\n  - - x\n    - y\n", Drop(("a", "0", "0")))],
)
def test_what_cannot_be_edited_is_refused(text: str, edit: Drop) -> None:
    with pytest.raises(PolicyError):
        edited(text, [edit])
