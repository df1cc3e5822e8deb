"""Calls of tools: closed arguments, values that are filled in, conditions, denies, gates; twins for each denial."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bailiwick.decide.asking import Asking
from bailiwick.decide.calls import Admitted, Held, Refused, decide_call
from bailiwick.decide.scope import effective_scope
from bailiwick.model.lock import Lock
from bailiwick.model.session import Session, User
from bailiwick.policy.load import load
from bailiwick.policy.locked_tools import locked_tool

NOW = datetime(2026, 1, 5, tzinfo=UTC)
PROPERTIES: dict[str, object] = {name: {} for name in ("customer_id", "amount", "currency", "note", "tenant")}
LOCK = Lock(
    {},
    {
        "desk": {
            name: locked_tool(name, {"inputSchema": {"type": "object", "properties": PROPERTIES}})
            for name in ("refund", "search", "wipe")
        }
    },
)
HEAD = """\
bailiwick: 1
mounts:
  desk:
    kind: mcp
    command: [desk]
    tools:
      refund: {action: billing:refund, fixed: {tenant: $tenant}}
      search: {action: articles:read}
      wipe: {action: articles:delete}
      unknown: {action: articles:export}
agents: {bot: {owner: team, purpose: tests, roles: [r]}}
tasks: {work: {agents: [bot], context: {customer_id: integer}}}
"""
REFUND = "{allow: billing:refund, reason: x, args: {customer_id: $customer_id, amount: {max: 500}, note: any}}"


def asking(*grants: str, tail: str = "", task: str | None = "work") -> Asking:
    text = HEAD + "roles: {r: {grants: [" + ", ".join(grants) + "]}}\n" + tail
    result = load({"policy.yaml": text})
    assert result.policy is not None, [str(problem) for problem in result.problems]
    user = User("ada", frozenset({"leads"}))
    session = Session("s", "bot", user, task, {"customer_id": 501}, "acorn", NOW, NOW + timedelta(1), None)
    scope = effective_scope(result.policy, LOCK, session)
    return Asking(result.policy, scope, lambda ref: session.value(ref.path), {"user": {"id": "ada"}}, NOW)


def admitted(asked: Asking, name: str, **given: object) -> Admitted:
    found = decide_call(asked, name, given)
    assert isinstance(found, Admitted), found
    return found


def refused(asked: Asking, name: str, **given: object) -> str:
    found = decide_call(asked, name, given)
    assert isinstance(found, Refused), found
    assert "501" not in found.decision.denial.message + found.decision.denial.allowed
    return found.decision.denial.code


def test_a_call_gets_what_is_fixed_and_what_must_equal_a_value() -> None:
    found = admitted(asking(REFUND), "refund", amount=20)
    assert found.arguments == {"amount": 20, "customer_id": 501, "tenant": "acorn"}
    assert admitted(asking(REFUND), "refund", amount=20, customer_id=501, note="x").arguments["note"] == "x"
    assert len(found.allow.grants) == 1


@pytest.mark.parametrize(
    "given",
    [
        {"amount": 501},
        {"amount": "20"},
        {"amount": True},
        {"amount": None},
        {},
        {"amount": 20, "customer_id": 502},
        {"amount": 20, "customer_id": "501"},
        {"amount": 20, "customer_id": None},
        {"amount": 20, "currency": "USD"},
        {"amount": 20, "Amount": 5},
        {"amount": 20, "tenant": "acorn"},
        {"amount": [20]},
        {"amount": {"$gt": 1}},
    ],
)
def test_arguments_are_closed(given: dict[str, object]) -> None:
    assert refused(asking(REFUND), "refund", **given) == "argument_not_granted"


def test_without_args_a_tool_is_called_without_arguments() -> None:
    asked = asking("{allow: articles:read, reason: x}")
    assert admitted(asked, "search").arguments == {}
    assert refused(asked, "search", note="x") == "argument_not_granted"
    anything = asking("{allow: articles:read, reason: x, args: any}")
    assert admitted(anything, "search", note={"deep": [1]}).arguments == {"note": {"deep": [1]}}
    assert refused(anything, "search", other=1) == "argument_not_granted"


def test_what_is_not_mapped_accepted_or_granted_does_not_exist() -> None:
    asked = asking('{allow: "articles:*", reason: x, args: any}')
    assert set(asked.scope.tools) == {"search", "wipe"}
    for name in ("refund", "unknown", "Search", "search ", "s\u0435arch"):
        assert refused(asked, name) == "resource_unknown"


def test_a_condition_sees_the_arguments() -> None:
    asked = asking(
        "{allow: articles:read, reason: x, args: any, when: 'args.amount < 10 && session.user.id == \"ada\"'}"
    )
    assert admitted(asked, "search", amount=9)
    assert refused(asked, "search", amount=10) == "argument_not_granted"
    assert refused(asked, "search") == "argument_not_granted"


def test_one_grant_admits_the_whole_call() -> None:
    two = asking(
        "{allow: articles:read, reason: x, args: {amount: 1, note: any}}",
        "{allow: articles:read, reason: y, args: {amount: 2, currency: any}}",
    )
    assert admitted(two, "search", amount=1, note="n")
    assert admitted(two, "search", amount=2, currency="USD")
    assert refused(two, "search", amount=2, note="n") == "argument_not_granted"
    assert refused(two, "search") == "argument_not_granted"  # which amount?


def test_a_deny_wins_and_unknown_counts_against_the_agent() -> None:
    allow = "{allow: articles:read, reason: x, args: any}"
    asked = asking(allow, "{deny: articles:read, args: {amount: {over: 5}}}")
    assert admitted(asked, "search", amount=5)
    assert refused(asked, "search", amount=6) == "action_not_granted"
    assert refused(asked, "search") == "action_not_granted"
    assert refused(asking(allow, "{deny: articles:read}"), "search") == "resource_unknown"
    assert refused(asking(allow, '{deny: "*:*"}'), "search") == "resource_unknown"
    assert refused(asking(allow, "{deny: articles:read, when: 'args.note == \"x\"'}"), "search") == "action_not_granted"


def test_built_in_gates_hold_effects_deletes_and_restricted_fields() -> None:
    def code(grant: str, name: str, head: str = HEAD, tail: str = "") -> str:
        text = head + "roles: {r: {grants: [" + grant + "]}}\n" + tail
        policy = load({"p.yaml": text}).policy
        assert policy is not None
        session = Session("s", "bot", None, None, {}, "acorn", NOW, NOW, None)
        found = decide_call(
            Asking(policy, effective_scope(policy, LOCK, session), lambda ref: session.value(ref.path), {}, NOW),
            name,
            {},
        )
        if isinstance(found, Held):
            return found.hold.denial.code
        return "" if isinstance(found, Admitted) else found.decision.denial.code

    money = HEAD.replace("articles:read}", "articles:read, effects: [money]}")
    labelled = HEAD.replace("    tools:\n", "    resources: {articles: {labels: {card: restricted}}}\n    tools:\n")
    read = "{allow: articles:read, reason: x}"
    assert code(read, "search") == ""
    assert code(read, "search", money) == "needs_approval"
    assert code(read, "search", money, "gates: {money: {loosen: [articles:read], reason: small}}\n") == ""
    assert code("{allow: articles:delete, reason: x}", "wipe") == "needs_approval"
    assert code(read, "search", labelled) == ""  # not shown without being named
    assert code("{allow: articles:read, reason: x, fields: [card.number]}", "search", labelled) == "needs_approval"
    masked = "{allow: articles:read, reason: x, fields: [card], mask: {card: full}}"
    assert code(masked, "search", labelled) == ""


def test_a_task_takes_tools_away() -> None:
    grant = '{allow: "articles:*", reason: x, args: any}'
    verbs = "tasks: {work: {agents: [bot], context: {customer_id: integer}, only: {articles: {verbs: [read]}}}}\n"
    text = HEAD.replace("tasks: {work: {agents: [bot], context: {customer_id: integer}}}\n", verbs)
    policy = load({"p.yaml": text + "roles: {r: {grants: [" + grant + "]}}\n"}).policy
    assert policy is not None
    for task, tools in ((None, {"search", "wipe"}), ("work", {"search"})):
        session = Session("s", "bot", None, task, {}, None, NOW, NOW, None)
        assert set(effective_scope(policy, LOCK, session).tools) == tools


def test_a_path_that_climbs_out_of_its_prefix_is_refused_and_does_not_evade_a_deny() -> None:
    inside = "{allow: articles:read, reason: x, args: {note: {prefix: /srv/files/}}}"
    asked = asking(inside)
    admitted(asked, "search", note="/srv/files/a")
    for note in ("/srv/files/../key", "/srv/files/%2e%2e/key", "/srv/files/..\\key"):
        assert refused(asked, "search", note=note) == "argument_not_granted"
    anything = "{allow: articles:read, reason: x, args: {note: any}}"
    admitted(asking(anything), "search", note="/srv/files/../key")
    denying = asking(anything, "{deny: articles:read, args: {note: {prefix: /srv/secret/}}}")
    assert refused(denying, "search", note="/srv/files/../secret/key") == "action_not_granted"
    admitted(denying, "search", note="/srv/files/key")


def gates_of(asked: Asking, **given: object) -> tuple[str, ...]:
    found = decide_call(asked, "refund", given)
    assert not isinstance(found, Refused), found
    return found.hold.gates if isinstance(found, Held) else ()


@pytest.mark.parametrize(
    ("args", "amount", "held"),
    [
        ("{amount: {over: 50}}", 51, True),
        ("{amount: {over: 50}}", 50, False),
        ("{amount: {over: 50}}", 50.01, True),
        ("{amount: {over: 50}}", "51", True),  # a wrong type is not known to be small
        ("{amount: {over: 50}}", None, True),
        ("{amont: {over: 50}}", 1, True),  # an argument that is never there
        ("{note: vip, amount: {over: 50}}", 10, False),
        ("{}", 1, True),
    ],
)
def test_a_gate_holds_what_is_not_known_to_be_others(args: str, amount: object, held: bool) -> None:
    grant = "{allow: billing:refund, reason: x, args: any}"
    tail = f"gates: {{big: {{on: billing:refund, args: {args}, approvers: [finance]}}}}\n"
    assert gates_of(asking(grant, tail=tail), amount=amount) == (("big",) if held else ())


def test_all_gates_that_hold_a_call_have_to_be_opened() -> None:
    grant = "{allow: billing:refund, reason: x, args: any}"
    tail = (
        "gates: {a: {on: billing:refund, args: {amount: {over: 50}}, approvers: [f]},"
        " b: {on: billing:refund, args: {note: [vip]}, approvers: [g]}}\n"
    )
    asked = asking(grant, tail=tail)
    assert gates_of(asked, amount=51, note="vip") == ("a", "b")
    assert gates_of(asked, amount=51, note="x") == ("a",)
    assert gates_of(asked, amount=1, note="vip") == ("b",)
    assert gates_of(asked, amount=1, note="x") == ()
