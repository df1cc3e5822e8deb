"""What, who, which data, which permission, what outcome, when: answered for every kind of mount by the ledger alone."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import cast

import psycopg
import pytest

from bailiwick.guard import DeniedError, FunctionError, Guard
from tests.e2e.six_questions_world import SECRET, VALUE, Told, World, open_world
from tests.support.mcp_client import McpClient
from tests.support.postgres import Server

pytestmark = pytest.mark.xdist_group("six-questions")
UPDATE = "UPDATE tickets SET status = %s WHERE ticket_id = %s"


@pytest.fixture(scope="module")
def world(postgres: Server) -> Iterator[World]:
    with open_world(postgres) as opened:
        yield opened


def sql(world: World, *statements: str, end: str = "") -> None:
    """Do statements of one transaction, or each by itself; a denial is what is wanted."""
    with psycopg.connect(world.session.url(), autocommit=not end) as connection:
        for each in statements:
            try:
                connection.execute(each.encode(), [VALUE, 1] if "%s" in each else None)
            except psycopg.Error:
                return
        if end == "rollback":
            connection.rollback()


def query(world: World, mount: str, statement: str, *parameters: str) -> None:
    """Ask a database by MCP."""
    world.mcp.call("query", mount=mount, sql=statement, parameters=[*parameters])


def pay(world: World, amount: int) -> None:
    """Call a function of an application."""

    def paying(amount: int, note: str) -> str:
        if amount == 13:
            raise ValueError(note)
        return "paid"

    with Guard(world.gateway.policy, gateway="beside", environ=world.gateway.environ) as guard:
        paid = guard.function(name="pay")(paying)
        with guard.use(world.session.token):
            try:
                paid(amount, VALUE)
            except (DeniedError, FunctionError, ValueError):
                return


def post(world: World, target: str, body: object) -> None:
    """Post JSON."""
    world.http("POST", target, body)


def graph(operation: str) -> Mapping[str, str]:
    return {"query": operation}


REFUND = 'mutation {{ refund(input: {{orderId: "o1", money: {{amount: {0}}}, tags: ["{1}"]}}) {{ id }} }}'
Deed = Callable[[World], object]
CASES: Sequence[tuple[str, Deed, Sequence[str], str, str, Sequence[str], str]] = [
    # mount, what is done, kinds of its records, what it is called, resource, grants, code in the end
    (
        "crm",
        lambda w: sql(w, "SELECT subject FROM tickets"),
        ["call"],
        "SELECT subject",
        "tickets",
        ["reads-tickets"],
        "",
    ),
    (
        "crm",
        lambda w: sql(w, UPDATE),
        ["intent", "outcome"],
        "UPDATE tickets",
        "tickets",
        ["closes", "reads-tickets"],
        "",
    ),
    (
        "crm",
        lambda w: sql(w, "SELECT text FROM letters WHERE text = 'CANARY'"),
        ["call"],
        "SELECT text FROM letters WHERE",
        "",
        [],
        "resource_unknown",
    ),
    (
        "shop",
        lambda w: query(w, "shop", "SELECT note FROM orders"),
        ["call"],
        "SELECT note",
        "orders",
        ["reads-orders"],
        "",
    ),
    (
        "shop",
        lambda w: query(w, "shop", "UPDATE orders SET note = ?", VALUE),
        ["intent", "outcome"],
        "UPDATE orders",
        "orders",
        ["notes-orders"],
        "",
    ),
    (
        "shop",
        lambda w: query(w, "shop", "DELETE FROM orders WHERE total > 7345127"),
        ["call"],
        "DELETE FROM orders WHERE total > $1",
        "",
        [],
        "action_not_granted",
    ),
    (
        "stock",
        lambda w: query(w, "stock", "SELECT note FROM orders"),
        ["call"],
        "SELECT note",
        "stocked",
        ["reads-stock"],
        "",
    ),
    (
        "stock",
        lambda w: query(w, "stock", "UPDATE orders SET note = $1 WHERE order_id = 1", VALUE),
        ["intent", "outcome"],
        "UPDATE orders SET note = $1 WHERE order_id = $2",
        "stocked",
        ["notes-stock", "reads-stock"],
        "",
    ),
    ("desk", lambda w: w.mcp.call("search", query=VALUE), ["call"], "search", "articles", ["searches"], ""),
    ("desk", lambda w: w.mcp.call("echo", text=VALUE), ["intent", "outcome"], "echo", "remarks", ["remarks"], ""),
    (
        "desk",
        lambda w: w.mcp.call("misbehave", how="fail"),
        ["intent", "outcome"],
        "misbehave",
        "tests",
        ["tests"],
        "tool_error",
    ),
    (
        "desk",
        lambda w: w.mcp.call("echo", text="x", more=VALUE),
        ["call"],
        "echo",
        "remarks",
        [],
        "argument_not_granted",
    ),
    (
        "billing",
        lambda w: w.http("GET", "/billing/invoices?customer_id=501"),
        ["call"],
        "GET /billing/invoices",
        "invoices",
        ["reads-invoices"],
        "",
    ),
    (
        "billing",
        lambda w: post(w, "/billing/refunds", {"customer_id": 501, "amount": 5, "note": VALUE}),
        ["intent", "outcome"],
        "POST /billing/refunds",
        "invoices",
        ["refunds-invoices"],
        "",
    ),
    (
        "billing",
        lambda w: post(w, "/billing/refunds", {"customer_id": 501, "amount": 500, "note": VALUE}),
        ["call"],
        'POST /billing/refunds {"body.amount":"hmac:',
        "invoices",
        [],
        "argument_not_granted",
    ),
    (
        "graph",
        lambda w: post(w, "/graph/graphql", graph("{ customer(id: 501) { name } }")),
        ["call"],
        "graph/Query.customer",
        "people",
        ["reads-people"],
        "",
    ),
    (
        "graph",
        lambda w: post(w, "/graph/graphql", graph(REFUND.format(5, VALUE))),
        ["intent", "outcome"],
        "graph/Mutation.refund",
        "money",
        ["refunds-money"],
        "",
    ),
    (
        "graph",
        lambda w: post(w, "/graph/graphql", graph(REFUND.format(500, VALUE))),
        ["call"],
        'graph/Mutation.refund {"input.money.amount":"hmac:',
        "money",
        [],
        "argument_not_granted",
    ),
    (
        "mail",
        lambda w: w.mcp.call("send", to=["bo@acme.example"], subject=VALUE, body="x"),
        ["intent", "outcome"],
        "send",
        "email",
        ["writes"],
        "",
    ),
    (
        "mail",
        lambda w: w.mcp.call("send", to=["bo@evil.example"], subject=VALUE, body="x"),
        ["call"],
        "send",
        "email",
        [],
        "argument_not_granted",
    ),
    (
        "docs",
        lambda w: w.mcp.call("read_file", path="kb/a.md"),
        ["call"],
        "read docs/kb/a.md",
        "articles_kept",
        ["reads-files"],
        "",
    ),
    (
        "docs",
        lambda w: w.mcp.call("write_file", path="kb/b.md", content=VALUE),
        ["intent", "outcome"],
        "create docs/kb/b.md",
        "articles_kept",
        ["writes-files"],
        "",
    ),
    (
        "docs",
        lambda w: w.mcp.call("write_file", path="kb/a.md", content=VALUE),
        ["call"],
        "write docs/kb/a.md",
        "articles_kept",
        [],
        "action_not_granted",
    ),
    ("app", lambda w: pay(w, 5), ["intent", "outcome"], "pay", "payments", ["pays"], ""),
    ("app", lambda w: pay(w, 13), ["intent", "outcome"], "pay", "payments", ["pays"], "tool_error"),
    ("app", lambda w: pay(w, 500), ["call"], "pay", "payments", [], "argument_not_granted"),
]
_about_itself = ("connection.", "session.", "gateway.", "policy.")


def of(world: World, session: str, after: int = -1) -> list[Told]:
    """Return what a session did."""
    found = [each for each in world.records(after) if each.get("session") == session]
    return [each for each in found if not str(each["kind"]).startswith(_about_itself)]


def newest(world: World) -> int:
    return cast("int", world.records()[-1]["seq"])


@pytest.mark.parametrize(
    ("mount", "deed", "kinds", "called", "resource", "grants", "code"),
    CASES,
    ids=[f"{case[0]}-{case[3].partition(' ')[0]}-{case[6] or 'done'}" for case in CASES],
)
def test_the_six_questions_are_answered(
    world: World,
    mount: str,
    deed: Deed,
    kinds: Sequence[str],
    called: str,
    resource: str,
    grants: Sequence[str],
    code: str,
) -> None:
    before, began = newest(world), datetime.now(UTC)
    deed(world)
    told = of(world, world.session.id, before)
    assert [each["kind"] for each in told] == kinds
    first, last = told[0], told[1] if len(told) > 1 else told[0]
    # what
    assert first["mount"] == mount
    assert str(first["statement"]).startswith(called)
    # who
    for each in told:
        assert (each["agent"], each["user"], each["session"], each["task"]) == (
            "bot",
            "grace",
            world.session.id,
            "work",
        )
    # which data
    assert [*cast("Mapping[str, object]", first.get("fields", {}))] == ([resource] if resource else [])
    assert all(str(action).startswith(f"{resource}:") for action in cast("list[str]", first.get("actions", [])))
    assert "rows" in last or "bytes" in last or last["decision"] == "deny" or code or mount == "app"
    # which permission
    assert sorted(cast("list[str]", first.get("grants", []))) == sorted(grants)
    assert all(f"id: {each}," in policy_text(world, str(first["policy"])) for each in grants)
    # what outcome
    assert first["decision"] == ("allow" if grants else "deny")
    assert last.get("code", "") == code
    assert bool(last.get("message")) == (last["decision"] == "deny")
    assert last is first or (last["kind"], last["refers"]) == ("outcome", first["id"])
    # when
    moments = [datetime.fromisoformat(str(each["at"])) for each in told]
    assert began <= moments[0] <= moments[-1] <= datetime.now(UTC)
    assert last["decision"] == "deny" or cast("int", last["duration_us"]) > 0
    assert "CANARY" not in json.dumps(told)


def policy_text(world: World, version: str) -> str:
    """Return the policy of a version, as the ledger has it."""
    found = [each for each in world.records() if each["kind"] == "policy.text" and each["policy"] == version]
    (files,) = [cast("Mapping[str, Mapping[str, str]]", each["detail"])["files"] for each in found]
    return "".join(files.values())


def ended(world: World, *statements: str, end: str) -> Told:
    """Return what the ledger tells of the end of a transaction, whose intents it names."""
    before = newest(world)
    sql(world, *statements, end=end)
    told = of(world, world.session.id, before)
    (last,) = [each for each in told if each["kind"] == "transaction.ended"]
    detail = cast("Mapping[str, object]", last["detail"])
    assert detail["intents"] == [each["id"] for each in told if each["kind"] == "intent"]
    return last


@pytest.mark.parametrize(
    ("statements", "end", "fate"),
    [
        ([UPDATE], "commit", "committed"),
        ([UPDATE], "rollback", "rolled_back"),
        ([UPDATE, "SAVEPOINT s", UPDATE, "ROLLBACK TO SAVEPOINT s"], "commit", "in_part"),
    ],
)
def test_what_became_of_a_transaction(world: World, statements: Sequence[str], end: str, fate: str) -> None:
    assert cast("Mapping[str, object]", ended(world, *statements, end=end)["detail"])["fate"] == fate


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 120
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_cancellation(world: World) -> None:
    before = newest(world)
    waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with psycopg.connect(world.upstream.url()) as holder, psycopg.connect(world.session.url()) as connection:
        holder.execute("LOCK TABLE tickets")
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(connection.execute, UPDATE, [VALUE, 1])
            until(lambda: world.upstream.rows(waits)[0][0] == "1" or world.upstream.rows(waits)[0][0] == 1)
            connection.cancel()
            with pytest.raises(psycopg.errors.QueryCanceled):
                running.result(120)
    intent, outcome = (each for each in of(world, world.session.id, before) if each["kind"] in ("intent", "outcome"))
    assert (outcome["refers"], outcome["code"]) == (intent["id"], "57014")


def test_a_message_that_one_of_two_was_not_sent(world: World) -> None:
    before = newest(world)
    world.mcp.call("send", to=["bo@acme.example", "no@refused.example"], subject=VALUE, body="x")
    intent, outcome = of(world, world.session.id, before)
    came = cast("Mapping[str, object]", outcome["detail"])
    assert (outcome["refers"], outcome["code"]) == (intent["id"], "message_not_delivered")
    assert (came["delivery"], came["recipients"]) == ("refused", 2)  # to nobody: it goes to all or none


def test_a_hold_and_its_chain(world: World) -> None:
    before = newest(world)
    held = world.mcp.call("refund", customer_id=501, amount=5)
    approval = str(cast("Mapping[str, object]", held.data["approval_status"])["approval"])
    said = world.gateway.say("approvals", "approve", approval)
    assert said.returncode == 0, said.stderr
    assert world.mcp.call("refund", customer_id=501, amount=5).code == ""
    chain = [
        each
        for each in world.records(before)
        if cast("Mapping[str, object]", each.get("detail", {})).get("approval") == approval
    ]
    steps = [str(cast("Mapping[str, object]", each["detail"]).get("step", each["kind"])) for each in chain]
    assert steps == ["call", "approved", "begun", "intent", "outcome", "executed"]
    held_call, intent = (next(each for each in chain if each["kind"] == kind) for kind in ("call", "intent"))
    assert (held_call["decision"], held_call["code"], intent["grants"]) == ("hold", "needs_approval", ["refunds-held"])
    verdict = json.dumps(next(each for each in chain if each["kind"] == "approval.verdict"))
    assert "approved" in verdict
    assert "local:" in verdict  # by whom


def test_the_use_of_an_elevation(world: World) -> None:
    before = newest(world)
    asked = world.mcp.call("request_elevation", elevation="letters", duration="2h", reason="a letter is missing")
    number = str(asked.data["id"])
    assert world.gateway.say("elevation", "approve", number).returncode == 0
    until(lambda: [each for each in world.records(before) if each["kind"] == "elevation.granted"])
    sql(world, "SELECT text FROM letters")
    assert world.gateway.say("elevation", "revoke", number, "--reason", "done").returncode == 0
    told = world.records(before)
    (used,) = [each for each in told if each.get("grants") == ["reads-letters"]]
    assert cast("Mapping[str, object]", used["detail"])["elevation"] == [number]
    about = [each for each in told if number in json.dumps(each) and str(each["kind"]).startswith("elevation.")]
    assert [each["kind"] for each in about] == ["elevation.granted", "elevation.ended"]
    (held,) = [each for each in told if each["kind"] == "approval.held"]
    asked_for = cast("Mapping[str, object]", held["detail"])
    assert (held["purpose"], asked_for["name"], asked_for["approval"]) == ("a letter is missing", "letters", number)


def test_a_chain_of_delegation(world: World) -> None:
    before = newest(world)
    McpClient(world.gateway.mcp_port, world.delegated("helper")).call("echo", text=VALUE)
    told = [each for each in world.records(before) if each.get("agent") == "helper"]
    opened = next(each for each in told if each["kind"] == "session.opened")
    assert cast("Mapping[str, object]", opened["detail"])["parent"] == world.session.id
    did = [each for each in told if each["kind"] in ("intent", "outcome")]
    assert len(did) == 2
    assert all((each["chain"], each["user"], each["session"]) == (["bot"], "grace", opened["session"]) for each in did)


def test_nothing_of_it_tells_a_value_or_a_secret(world: World) -> None:
    told = json.dumps(world.records())
    assert "CANARY" not in told
    assert SECRET not in told
