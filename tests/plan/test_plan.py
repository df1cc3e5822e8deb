"""`policy plan` over the ledger of a real gateway: each kind of change, and nothing where nothing changes."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from plan_rig import POLICY, SCRIPT, Past, about, work

from tests.support.canary import leaks
from tests.support.gateway import RunningGateway, prepare_gateway
from tests.support.postgres import GATEWAY_ROLE, Server

pytestmark = pytest.mark.xdist_group("plan")


@pytest.fixture(scope="module")
def gateway(postgres: Server) -> Iterator[RunningGateway]:
    upstream = postgres.create(SCRIPT, GATEWAY_ROLE)
    folder = Path(tempfile.mkdtemp(prefix="bwplan"))
    made = prepare_gateway(folder, POLICY, {"PLAN_URL": upstream.url("gw", "gw")})
    try:
        made.start()
        work(made)
        made.stop()
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def past(gateway: RunningGateway) -> Past:
    return Past(gateway.folder)


def changed(*pairs: tuple[str, str]) -> str:
    text = POLICY
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return text


def test_the_policy_that_was_in_force_changes_nothing(past: Past) -> None:
    found = past.planned(POLICY)
    assert found.changes == ()
    assert found.requests >= 35
    assert found.counts["unchanged"] + found.counts["elsewhere"] == found.requests


NAMED = changed(
    ("[id, name, email, tier], rows", "[tier, id, name, email], rows"),
    ("reason: answers, fields", "id: a, reason: answers, fields"),
    ("reason: closes", "id: b, reason: closes"),
    ("reason: small ones", "reason: small ones, as ever"),
    ("{allow: mail:send, ", "{allow: mail:send, id: c, "),
    ("{allow: papers:read, ", "{allow: papers:read, id: d, "),
    ("{allow: notes:read, ", "{allow: notes:read, id: e, "),
)


def test_what_is_only_written_in_another_way_changes_nothing(past: Past) -> None:
    assert past.planned(NAMED).changes == ()


FIELDS = "status, customer_id]}"
WIPE = "      - {allow: jobs:wipe, reason: x, args: any}\n  spare:"
REFUND = "action: billing:refund,"
GRANT = "      - {allow: customers:read, reason: names, fields: [id, name, email, tier], rows: {id: $customer_id}}\n"
ROWS = "rows: {id: $customer_id}}"
CASES: list[tuple[str, tuple[tuple[str, str], ...], str, dict[str, int]]] = [
    ("a grant that is gone", ((GRANT, ""),), "FROM customers", {"denied": 8}),
    ("an agent that is gone", (("bot", "robot"),), "refund", {"denied": 2}),
    ("a mask", ((ROWS, "rows: {id: $customer_id}, mask: {email: partial}}"),), "email", {"masked": 4}),
    ("a mask elsewhere", ((ROWS, "rows: {id: $customer_id}, mask: {tier: null}}"),), "email", {}),
    ("fewer rows", ((ROWS, "rows: {id: $customer_id, tier: 1}}"),), "customers", {"narrowed": 8}),
    ("more rows", ((", " + ROWS, "}"),), "customers", {"widened": 8}),
    ("a column less", (("[id, status, customer_id]", "[id, status]"),), "*", {"masked": 2}),
    ("a restricted column, held now", (("email, tier]", "email, tier, ssn]"),), "ssn", {"allowed": 2}),
    ("a column more", (("[id, status, customer_id]", "[id, status, customer_id, body]"),), "body", {"allowed": 2}),
    ("another gate", (("on: papers:read", "on: tickets:update"),), "", {"held": 2, "released": 2}),
    ("fewer rows at once", ((FIELDS, FIELDS[:-1] + ", limits: {rows: 10}}"),), "LIMIT", {"denied": 2}),
    ("what may be written", (("[open, closed]", "[open]"),), "UPDATE", {"unknown": 2}),
    ("a smaller sum", (("max: 500", "max: 100"),), "refund", {"denied": 1}),
    ("a larger sum", (("max: 500", "max: 1000"),), "refund", {"unknown": 1}),
    ("a currency less", (("[EUR, USD]", "[EUR]"),), "refund", {"denied": 1}),
    ("an argument that is not recorded", (("note: any", "note: {prefix: x}"),), "refund", {"unknown": 2}),
    ("an argument of any value", (('{glob: "*@mail.example"}', "any"),), "send", {"allowed": 1}),
    ("an argument of fewer", (('{glob: "*@mail', '{glob: "a*@mail'),), "send", {"unknown": 2}),
    ("a gate on a tool", ((REFUND, REFUND + " effects: [money],"),), "refund", {"held": 2}),
    (
        "a gate on large sums",
        (
            (REFUND, REFUND + " effects: [money],"),
            ("gates:", "gates:\n  money: {args: {amount: {over: 50}}, reason: small}"),
        ),
        "refund",
        {"held": 1},
    ),
    (
        "a mask of a result",
        (("reason: names, args", "reason: names, mask: {email: partial}, args"),),
        "",
        {"masked": 1},
    ),
    (
        "a new function",
        (("  spare:", "      - {allow: jobs:wipe, reason: x, args: any}\n  spare:"),),
        "",
        {"allowed": 1},
    ),
    ("a value that sessions lacked", (("integer}}", "integer, ticket_id: integer}}"),), "send", {"denied": 1}),
    ("another condition", (('g == "team"', 'g == "other"'),), "notes", {"unknown": 2}),
]


@pytest.mark.parametrize(("pairs", "words", "kinds"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_each_kind_of_change_is_told(
    past: Past, pairs: tuple[tuple[str, str], ...], words: str, kinds: dict[str, int]
) -> None:
    found: Counter[str] = Counter()
    for each in about(past.planned(changed(*pairs)), words):
        found[each.kind] += each.count
    assert found == kinds


def test_what_was_refused_and_would_wait_for_people_is_told_as_that(past: Past) -> None:
    told = about(past.planned(changed(("email, tier]", "email, tier, ssn]"))), "ssn")
    assert told
    assert all(each.why.startswith("it would wait for people") for each in told)


def test_a_change_says_who_and_shows_an_example(past: Past) -> None:
    denied = past.planned(changed((GRANT, ""))).changes[0]
    assert (denied.agent, denied.task, denied.actions) == ("bot", "work", ("customers:read",))
    assert denied.people == {"grace": 3, "henry": 3}
    assert len(denied.sessions) == 2
    assert denied.examples[0][0].startswith("rec_")
    assert "customers" in denied.why


def test_without_the_policy_of_then_nothing_is_called_unchanged_that_is_not(past: Past) -> None:
    same = past.planned(POLICY, lambda _: None)
    assert same.refused == 0
    lost = past.planned(changed((GRANT, "")), lambda _: None)
    assert lost.counts["denied"] == 8
    masked = past.planned(changed((ROWS, "rows: {id: $customer_id}, mask: {email: partial}}")), lambda _: None)
    assert {each.kind for each in about(masked, "email")} == {"unknown"}


@pytest.mark.parametrize(("pairs", "code"), [((), 0), (((GRANT, ""),), 2)], ids=["same", "less"])
def test_the_command_tells_ci(
    gateway: RunningGateway, past: Past, pairs: tuple[tuple[str, str], ...], code: int
) -> None:
    past.side(changed(*pairs))
    found = gateway.say("policy", "plan", "new/policy.yaml", "--since", "30d", "--json")
    assert (found.returncode, found.stderr) == (code, "")
    told = json.loads(found.stdout)
    assert told["requests"] == sum(told["counts"].values())
    assert leaks(found.stdout) == []


def test_the_command_speaks_to_people(gateway: RunningGateway, past: Past) -> None:
    past.side(changed(("max: 500", "max: 1000")))
    found = gateway.say("policy", "plan", "new/policy.yaml", "--strict")
    assert found.returncode == 2
    assert "? unknown" in found.stdout
    assert "cannot be told" in found.stdout


def test_cases_written_from_the_ledger_pass_and_hold_no_person(gateway: RunningGateway) -> None:
    recorded = gateway.say("policy", "test", "--record")
    assert recorded.returncode == 0, recorded.stderr
    (gateway.folder / "cases.yaml").write_text(recorded.stdout)
    found = gateway.say("policy", "test", "cases.yaml", "--json")
    assert found.returncode == 0, found.stdout
    told = json.loads(found.stdout)
    assert {each["expected"].split(" ")[0] for each in told} == {"allow", "deny", "hold"}
    assert "customer_id: $customer_id" in recorded.stdout
    assert "$user" in recorded.stdout
    for value in ("grace", "henry", "ada@", "eve@", ": 7", ":7"):
        assert value not in recorded.stdout
    fewest = gateway.say("policy", "test", "--record", "--most", "2")
    assert fewest.stdout.count("expect:") == 2
