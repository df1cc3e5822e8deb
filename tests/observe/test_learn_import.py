"""Logs that exist already, as observations: what is understood, and that nothing else is guessed."""

from __future__ import annotations

import csv
import io
import json
import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from bailiwick.errors import PolicyError
from bailiwick.learn.importing import http_logs, traces
from bailiwick.learn.importing.imported import Counted, Ground, Reader, moment
from bailiwick.learn.importing.postgres_logs import reader_of
from bailiwick.match.masks import keyed_digest
from bailiwick.model.lock import Lock, LockedColumn, LockedTable
from bailiwick.model.observation import Argument, Condition, Held, Observation, Origin, Seen
from bailiwick.model.observation_json import from_json
from bailiwick.policy.load import load
from bailiwick.policy.lockfile import render_lock
from tests.support.forked import said

POLICY = """
bailiwick: 1
mounts:
  crm:
    kind: postgres
    url: ${CRM_URL}
    resources: {tickets: {table: public.tickets, key: ticket_id, labels: {body: confidential}}}
  desk:
    kind: mcp
    url: https://desk.example/mcp
    resources: {secrets: {labels: {"*": confidential}}}
    tools:
      search: {action: articles:read}
      refund: {action: billing:refund, effects: [money]}
      dig: {action: secrets:read}
  shop:
    kind: http
    url: https://shop.example/v1
    routes:
      GET /orders/{id}: {action: orders:read, path: {id: integer}, query: {page: integer, tag: strings}}
      POST /orders: {action: orders:create, body: {total: number}}
"""
TYPES = {"ticket_id": "integer", "customer_id": "integer", "status": "text", "body": "text"}
COLUMNS = tuple(LockedColumn(name, kind) for name, kind in TYPES.items())
LOCK = Lock({"crm": {("public", "tickets"): LockedTable("public", "tickets", "r", COLUMNS, ("ticket_id",))}})


def ground(agent: str = "") -> Ground:
    loaded = load({"policy.yaml": POLICY})
    assert loaded.policy is not None, loaded.problems
    return Ground(loaded.policy, LOCK, keyed_digest(b"k"), agent)


def read(reader: Reader, text: str, around: Ground | None = None) -> tuple[list[Observation], Counted]:
    counted = Counted()
    lines: Iterator[str] = iter(text.splitlines(keepends=True))
    return list(reader(lines, "log", around or ground(), counted)), counted


def logged(*rows: tuple[str, str], session: str = "6601.2", severity: str = "LOG", state: str = "00000") -> str:
    """Return csvlog as PostgreSQL writes it: of each row the message and its detail."""
    out = io.StringIO()
    for number, (message, detail) in enumerate(rows, 1):
        head = ["2026-11-22 10:00:00.123 UTC", "web", "crm", "77", "127.0.0.1:5", session, str(number), "SELECT"]
        tail = ["2026-11-22 09:00:00 UTC", "3/1", "0", severity, state, message, detail, *([""] * 7), "psql", "client"]
        csv.writer(out).writerow([*head, *tail, "", "0"])
    return out.getvalue()


def test_statements_that_postgresql_logged_are_taken_apart() -> None:
    text = logged(
        ("statement: SELECT status FROM tickets WHERE customer_id = 7 AND body = 'CANARY'", ""),
        (
            "execute <unnamed>: UPDATE tickets SET status = $1 WHERE ticket_id = $2",
            "parameters: $1 = 'it''s', $2 = '9'",
        ),
        ("duration: 1.500 ms  execute s1: SELECT body FROM tickets WHERE status = $1", "Parameters: $1 = NULL"),
    )
    found, counted = read(reader_of("", ground()), text)
    assert (counted.lines, counted.observations, dict(counted.left_out)) == (3, 3, {})
    first, second, third = (each.tables[0] for each in found)
    assert (first.read, first.reach) == (("status",), "scan")
    assert first.conditions[0] == Condition("customer_id", "equal", (Seen("integer", 7, origin=Origin("constant")),))
    assert (first.conditions[1].values[0].value, first.conditions[1].values[0].shape) == (None, "a")
    assert second.sets == (Held("status", (Seen("string", "it's"),)),)
    assert (second.conditions[0].values, second.reach) == ((Seen("integer", 9),), "key")
    assert third.conditions == (Condition("status", "equal", (Seen("null"),)),)
    assert (found[2].duration_us, found[0].agent, found[0].session, found[0].mount) == (1500, "web", "6601.2", "crm")
    assert "CANARY" not in repr(found)
    assert found[0].record == "log:1"


def test_lines_of_pgaudit_are_one_observation_a_statement() -> None:
    sql = '"SELECT status FROM tickets WHERE ticket_id = $1"'
    line = f"AUDIT: SESSION,4,1,READ,SELECT,TABLE,public.tickets,{sql}"
    again = line.replace("public.tickets", "public.customers")
    found, counted = read(reader_of("crm", ground("app")), logged((f"{line},9", ""), (f"{again},9", "")), ground("app"))
    assert [each.tables[0].conditions[0].values for each in found] == [(Seen("integer", 9),)]
    assert found[0].agent == "app"
    assert dict(counted.left_out) == {"the same statement again": 1}


def test_the_same_statement_twice_is_two_observations() -> None:
    row = ("statement: SELECT status FROM tickets", "")
    assert len(read(reader_of("crm", ground()), logged(row, row))[0]) == 2


def test_what_a_log_of_postgresql_has_besides_is_counted() -> None:
    text = logged(
        ("connection authorized: user=web", ""),
        ("statement: SELEC status FROM tickets", ""),
        ("statement: SELECT 1", ""),
        ("duration: 0.1 ms  parse <unnamed>: SELECT status FROM tickets", ""),
    )
    text += logged(("statement: SELECT status FROM tickets", ""), severity="ERROR", state="42501") + "plain words\n"
    found, counted = read(reader_of("crm", ground()), text)
    assert found == []
    assert dict(counted.left_out) == {
        "not a statement": 2,
        "SQL that cannot be understood": 1,
        "a statement without tables": 1,
        "a statement that failed": 1,
        "not a line of csvlog": 1,
    }
    assert counted.examples["SQL that cannot be understood"] == ["log:2"]


def test_a_log_needs_its_mount() -> None:
    with pytest.raises(PolicyError, match="there is no mount `desk` of kind postgres"):
        reader_of("desk", ground())


def span(name: str, began: int, trace: str = "t1", status: int = 1, **attributes: Any) -> dict[str, Any]:
    def value(given: object) -> dict[str, Any]:
        if isinstance(given, dict):
            pairs = [{"key": key, "value": value(each)} for key, each in cast("dict[str, object]", given).items()]
            return {"kvlistValue": {"values": pairs}}
        return {"intValue": str(given)} if isinstance(given, int) else {"stringValue": given}

    attributes = {key.replace("__", "."): each for key, each in attributes.items()}
    times = {
        "startTimeUnixNano": f"{1_763_800_000 + began}000000000",
        "endTimeUnixNano": f"{1_763_800_001 + began}000000000",
    }
    told = [{"key": key, "value": value(each)} for key, each in attributes.items()]
    return {"name": name, "traceId": trace, "spanId": "1", **times, "attributes": told, "status": {"code": status}}


def otlp(*spans: dict[str, Any]) -> dict[str, Any]:
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "helper"}}]}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": {}, "spans": list(spans)}]}]}


TRACE = otlp(
    span("chat", 0, gen_ai__input__messages=json.dumps([{"role": "user", "content": "refund order A-17 please"}])),
    span(
        "execute_tool search",
        1,
        gen_ai__operation__name="execute_tool",
        gen_ai__tool__name="search",
        gen_ai__tool__call__arguments='{"query": "A-17"}',
        gen_ai__tool__call__result='{"hits": [{"customer": 5501}]}',
    ),
    span(
        "execute_tool refund",
        2,
        gen_ai__operation__name="execute_tool",
        gen_ai__tool__name="refund",
        gen_ai__tool__call__arguments={"customer": 5501, "amount": 20},
    ),
    span("query", 3, db__system__name="postgresql", db__query__text="SELECT status FROM tickets WHERE ticket_id = 4"),
    span("GET", 4, http__request__method="GET", url__full="https://shop.example/orders/12?page=2"),
    span("execute_tool dig", 5, gen_ai__tool__name="dig", gen_ai__tool__call__arguments='{"where": "CANARY"}'),
    span("execute_tool own", 6, gen_ai__tool__name="own", gen_ai__tool__call__arguments='{"text": "CANARY"}'),
    span("execute_tool search", 7, status=2, gen_ai__tool__name="search"),
)


@pytest.mark.parametrize("indent", [None, 2])
def test_spans_tell_of_tools_statements_and_requests(indent: int | None) -> None:
    found, counted = read(traces.read_otlp, json.dumps(TRACE, indent=indent))
    search, refund, query, request, dig, own = found
    assert search.tool is not None
    assert search.tool.arguments == (Argument("query", Seen("string", "A-17", origin=Origin("prompt"))),)
    assert refund.tool is not None
    assert refund.tool.arguments[0].value == Seen("integer", 5501, origin=Origin("result", "articles.hits.customer"))
    assert (refund.tool.effects, refund.mount, refund.agent, refund.session) == (("money",), "desk", "helper", "t1")
    assert query.tables[0].reach == "key"
    assert request.tool is not None
    assert (request.tool.name, request.tool.kind, request.mount) == ("GET /orders/{id}", "route", "shop")
    assert own.tool is not None
    assert (own.tool.resource, own.mount, own.tool.name) == ("", "", "own"), "it is mapped to nothing"
    assert dig.tool is not None
    assert dig.tool.arguments[0].value.value is None
    assert "CANARY" not in repr(found)
    assert dict(counted.left_out) == {"a span about something else": 1, "a span that failed": 1}


def test_what_is_no_trace_is_counted() -> None:
    found, counted = read(traces.read_otlp, '{"hello": 1}\nnot json\n')
    assert (found, dict(counted.left_out)) == ([], {"not OTLP as JSON": 2})


def test_messages_of_mcp_are_calls_with_their_answers() -> None:
    def line(second: int, message: dict[str, Any]) -> str:
        return json.dumps(
            {"time": f"2026-11-22T10:00:{second:02}Z", "session": "s1", "agent": "bot", "message": message}
        )

    def asked(number: int, name: str, **arguments: object) -> dict[str, Any]:
        params = {"name": name, "arguments": arguments}
        return {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}

    def answer(number: int, **result: object) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": number, "result": result}

    messages = [
        asked(1, "search", query="x"),
        answer(1, content=[{"type": "text", "text": '{"customer": 71}'}]),
        asked(2, "refund", customer=71),
        answer(2, isError=False),
        asked(3, "search", query="y"),
        answer(3, isError=True),
        asked(4, "search", query="z"),
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
    ]
    text = "\n".join(line(place, each) for place, each in enumerate(messages)) + "\nno json\n"
    found, counted = read(traces.read_mcp, text)
    refund = found[1].tool
    assert refund is not None
    assert refund.arguments == (
        Argument("customer", Seen("integer", 71, origin=Origin("result", "articles.customer"))),
    )
    assert [(each.agent, each.session) for each in found] == [("bot", "s1")] * 2
    assert dict(counted.left_out) == {
        "a call that failed": 1,
        "a call without an answer": 1,
        "a message about something else": 1,
        "not a line of JSON": 1,
    }


LINES = (
    '10.0.0.1 - ann [22/Nov/2026:10:00:00 +0000] "GET /orders/7?page=2&tag=a&tag=b&x=1 HTTP/1.1" 200 512 "-" "curl"',
    '10.0.0.1 - ann [22/Nov/2026:10:01:00 +0000] "GET /orders/8 HTTP/1.1" 200 -',
    '10.0.0.1 - ann [22/Nov/2026:11:01:00 +0000] "GET /orders/9 HTTP/1.1" 200 12',
    json.dumps(
        {
            "time": "2026-11-22T10:00:00Z",
            "method": "post",
            "url": "https://x.example/orders",
            "status": 201,
            "user": "bob",
        }
    ),
    '10.0.0.1 - - [22/Nov/2026:10:00:00 +0000] "GET /nowhere HTTP/1.1" 200 5',
    '10.0.0.1 - - [22/Nov/2026:10:00:00 +0000] "GET /orders/1 HTTP/1.1" 404 5',
    "not a request",
)


def test_access_logs_are_requests_of_routes() -> None:
    found, counted = read(http_logs.read, "\n".join(LINES))
    first = found[0].tool
    assert first is not None
    assert first.arguments == (
        Argument("path.id", Seen("integer", 7)),
        Argument("query.page", Seen("integer", 2)),
        Argument("query.tag", Seen("list", items=(Seen("string", "a"), Seen("string", "b")))),
    )
    assert [each.session for each in found] == ["10.0.0.1#1", "10.0.0.1#1", "10.0.0.1#2", "bob#1"]
    assert [(each.agent, each.bytes) for each in found] == [("ann", 512), ("ann", None), ("ann", 12), ("bob", None)]
    assert dict(counted.left_out) == {
        "a request that no route of the policy has, or several have": 1,
        "a request that failed": 1,
        "not a line of an access log": 1,
    }


@pytest.mark.parametrize(
    "given", [1_763_800_000, "1763800000000000000", 1_763_800_000_000, "2025-11-22 09:26:40.000+01"]
)
def test_moments_are_read_as_logs_write_them(given: object) -> None:
    found = moment(given)
    assert found is not None
    assert found.isoformat().startswith("2025-11-22T08:26:40")


@pytest.mark.parametrize("given", [None, True, "", "yesterday", "2026-11-22 10:00:00", {}, "9" * 40])
def test_what_is_no_moment_is_none(given: object) -> None:
    assert moment(given) is None


def imported(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return said(folder, os.environ, "learn", "import", *arguments)


def test_the_command_writes_what_learn_reads(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(POLICY)
    (tmp_path / "bailiwick.lock").write_text(render_lock(LOCK))
    log = logged(("statement: SELECT status FROM tickets WHERE customer_id = 7", ""), ("connection received", ""))
    (tmp_path / "pg.csv").write_text(log)
    done = imported(tmp_path, "postgres", "pg.csv", "--out", "seen.jsonl", "--agent", "app")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "1 observations from 2 lines: seen.jsonl\nleft out: 1, not a statement (pg.csv:2)\n"
    (line,) = (tmp_path / "seen.jsonl").read_text().splitlines()
    assert from_json(json.loads(line)).agent == "app"
    assert stat.S_IMODE((tmp_path / "seen.jsonl").stat().st_mode) == 0o600
    refused = imported(tmp_path, "postgres", "nowhere.csv", "--out", "more.jsonl")
    assert refused.returncode != 0
    assert "`nowhere.csv` cannot be read" in refused.stderr
