"""What an agent, or whoever writes a log, can put into observations: it stays text, and nobody waits for it forever."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
import yaml
from learn_world import AGENT, MOUNTS, call, customer, grant, learned, read, written

from bailiwick.errors import ObservationError
from bailiwick.learn import facts
from bailiwick.learn.draft import Draft
from bailiwick.learn.gathering import gather
from bailiwick.learn.keys import key_of
from bailiwick.learn.propose import propose
from bailiwick.learn.report import report
from bailiwick.learn.surroundings import Around
from bailiwick.learn.writing import write
from bailiwick.model.matcher import Anything, Equal
from bailiwick.model.observation import Argument, Condition, Held, Observation, Seen, TableUse, ToolUse
from bailiwick.model.observation_json import read_seen
from bailiwick.policy.load import load
from tests.support.forked import said

HOSTILE = (
    "x\n      - {allow: '*:*', reason: smuggled}\n#",
    'x", reason: y}\n  evil: {roles: [admin]}',
    "x # y\n\nroles: {admin: {grants: [{allow: '*:*', reason: r}]}}",
    "</textarea></script><script>alert(1)</script><svg onload=alert(1)>",
    "x\u2028roles:\u0085  y\r- z",
    "${CRM_URL} $tenant {{ 7*7 }} {% raw %}",
    "null",
    "in",
)


def made_of(text: str) -> Draft:
    """Return what is learned where every text is the hostile one."""
    found: list[Observation] = []
    for n in range(30):
        values = {"customer_id": Seen("integer", n), text: Seen("string", text)}
        own = (Seen("string", text),)
        table = TableUse(
            *(text, "read", text),
            read=(text, "plain"),
            filtered=(text,),
            conditions=(Condition(text, "equal", own),),
            holds=(Held(text, own),),
        )
        change = TableUse(text, "update", text, written=(text,), sets=(Held(text, own),))
        listed = Seen("list", items=own)
        given = (Argument(text, own[0]), Argument("tags", listed), Argument("in", listed))
        tool = ToolUse(text, arguments=given, effects=(text,))
        at = datetime(2026, 1, 5, 9, n, tzinfo=UTC)
        head = (AGENT, f"{text}{n}", at, text, text, text, text, values)
        found += [Observation(*head, (table, change)), Observation(*head, (), tool)]
    lone = replace(found[0], session="lone", tables=(TableUse(text + "2", "delete", text),))
    return propose(gather(AGENT, [*found, lone]), Around())


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_of_an_observation_becomes_policy_or_markup(text: str) -> None:
    draft = made_of(text)
    assert draft.kept_out
    whole = write(draft, Around())
    found = yaml.safe_load(whole)
    assert sorted(found) == ["agents", "bailiwick", "mounts", "roles", "tasks"]
    assert ([*found["agents"]], [*found["roles"]]) == ([AGENT], [f"{AGENT}-learned"])
    assert found["agents"][AGENT]["roles"] == [f"{AGENT}-learned"]
    granted = found["roles"][f"{AGENT}-learned"]["grants"]
    assert [each["allow"] for each in granted] == [str(each.action) for each in draft.grants]
    assert {each["reason"][:12] for each in granted} == {"learned from"}
    page = report([draft], whole, "today")
    assert "<script" not in page
    assert "<svg onload" not in page


def test_a_hostile_value_of_an_argument_stays_a_value() -> None:
    for text in HOSTILE:
        draft = learned([call(n, "search", query=text, tags=[text]) for n in range(40)])
        loaded = load({"mounts.yaml": MOUNTS, "draft.yaml": written(draft)})
        assert loaded.policy is not None, loaded.problems
        (allow,) = loaded.policy.roles[f"{AGENT}-learned"].grants
        assert allow.args is not None
        assert allow.args["query"] in (Equal(text), Anything())


@pytest.mark.parametrize("text", ["1e999999999", "-1e-999999999", "1E+400"])
def test_a_number_of_a_thousand_million_digits_is_refused_and_costs_nothing(text: str) -> None:
    with pytest.raises(ObservationError):
        read_seen({"type": "number", "value": text})
    assert len(key_of(Decimal(text))) < 40
    assert read_seen({"type": "number", "value": "1e3"}).value == Decimal(1000)
    assert key_of(Decimal("1e3")) == key_of(1000)


def test_ever_new_arguments_are_left_out_and_the_rest_is_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bailiwick.learn.gathering.MOST_PARTS", 40)
    assert facts.MOST_PARTS > 10_000
    good = [read(n, "tickets", "body", customer_id=customer(n)) for n in range(30)]
    made_up = [ToolUse("search", arguments=(Argument(f"made_up_{n}", Seen("integer", 1)),)) for n in range(500)]
    flood = [replace(call(n, "search"), session="flood", tool=each) for n, each in enumerate(made_up)]
    draft = learned([*good, *flood, *good])
    assert grant(draft, "tickets:read").evidence.calls == 60
    assert any("left out" in each.text for each in draft.questions)
    assert len(draft.grants) < 10


def test_a_line_that_never_ends_or_nests_without_end_is_named(tmp_path: Path) -> None:
    head = '{"v":1,"agent":"desk-bot","session":"s","at":"2026-01-05T09:00:00+00:00","tool":{"name":"t","arguments":'
    deep = '[{"name":"a","value":' + '{"type":"list","items":[' * 400 + "]}" * 400 + "}]}}"
    for text in (head + deep, "x" * (17 * 1024 * 1024)):
        (tmp_path / "seen.jsonl").write_text(text + "\n")
        done = said(tmp_path, {}, "learn", "--agent", AGENT, "--from", "seen.jsonl")
        assert done.returncode != 0
        assert "seen.jsonl:1:" in done.stderr
        assert "Traceback" not in done.stderr
