"""The corpus of attacks and legitimate statements: how a case is run over the wire, and how it is judged."""

from __future__ import annotations

import json
import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NotRequired, TypedDict, cast

import psycopg

from tests.support.canary import PATTERN, leaks_in
from tests.support.postgres import SUPERUSER, Database
from tests.support.wire import Reply, Row, Wire, message

FOLDER = Path(__file__).parents[1] / "sql" / "corpus"
ROLES = "ALTER ROLE gw PASSWORD 'gw'"
"""Runs beside the fixture: the upstream login gets the password that the tests know."""

Transport = Literal["simple", "extended"]

TABLES = """
SELECT format('(SELECT string_agg(t::text, %L ORDER BY t::text) FROM ONLY %I.%I t)', ',', nspname, relname)
FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
WHERE relkind = 'r' AND nspname !~ '^(pg_|information_schema)' ORDER BY 1
"""

STATE = """
SELECT md5(concat_ws('|', {contents},
  (SELECT string_agg(concat(schemaname, sequencename, last_value), ',' ORDER BY 1) FROM
    (SELECT schemaname, sequencename, last_value FROM pg_sequences
      WHERE sequencename <> 'messages_message_id_seq' ORDER BY 1, 2) s),  -- no roll-back gives a drawn number back
  (SELECT string_agg(oid::text || relname || coalesce(relacl::text, ''), ',' ORDER BY oid) FROM pg_class
    WHERE relnamespace::regnamespace::text !~ '^(pg_temp|pg_toast)'),
  (SELECT string_agg(oid::text || proname || coalesce(proacl::text, ''), ',' ORDER BY oid) FROM pg_proc
    WHERE pronamespace <> 'pg_catalog'::regnamespace),
  (SELECT count(*) FROM pg_roles), (SELECT count(*) FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp'),
  (SELECT string_agg(oid::text, ',' ORDER BY oid) FROM pg_largeobject_metadata),
  (SELECT count(*) FROM pg_prepared_xacts), (SELECT string_agg(setconfig::text, ',') FROM pg_db_role_setting)))
"""


class Check(TypedDict):
    sql: str
    expect: list[list[str]]


class Expected(TypedDict, total=False):
    ordered: bool
    columns: list[str]
    rows: list[list[str | None]]
    tag: str
    copy: str
    steps: list[Expected]


class Case(TypedDict):
    id: str
    must: Literal["deny", "no_leak", "allow"]
    category: NotRequired[str]
    sql: NotRequired[str]
    steps: NotRequired[list[str]]
    gen: NotRequired[str]
    transport: NotRequired[dict[str, object]]
    params: NotRequired[list[str | int]]
    leak_regex: NotRequired[str]
    check: NotRequired[Check]
    expect: NotRequired[Expected]
    expect_mode: NotRequired[Literal["exact", "runs", "catalog"]]
    must_contain: NotRequired[list[str]]
    must_not_contain: NotRequired[list[str]]


@dataclass(frozen=True, slots=True)
class Target:
    """Where a case is run: a gateway's port and the credentials of a session."""

    port: int
    user: str
    database: str
    token: str
    upstream: Database


def cases(path: Path = FOLDER / "cases.jsonl") -> list[Case]:
    """Read the cases of a file."""
    return [cast(Case, json.loads(line)) for line in path.read_text().splitlines() if line.strip()]


def transports(case: Case) -> tuple[Transport, ...]:
    """Return the ways in which a case can be sent: extended takes one statement, simple takes no parameters."""
    if "params" in case:
        return ("extended",)
    single = "sql" in case and ";" not in case["sql"].rstrip("; \n")
    return ("simple", "extended") if single else ("simple",)


def _statements(case: Case, target: Target) -> list[str]:
    if "gen" in case:
        return [str(eval(case["gen"]))]  # the corpus is ours
    texts = case.get("steps") or [case.get("sql", "")]
    port = str(target.upstream.server.port)
    return [text.replace("{DB}", target.upstream.name).replace("{PORT}", port) for text in texts]


def _fast_path(wire: Wire, target: Target, transport: Mapping[str, object]) -> Reply:
    oid = target.upstream.rows("SELECT %s::regprocedure::oid", [str(transport["proc"]).replace("int4", "integer")])
    arguments = [str(each).encode() for each in cast(list[object], transport["args"])]
    body = struct.pack("!ihh", int(str(oid[0][0])), 0, len(arguments))
    body += b"".join(struct.pack("!i", len(each)) + each for each in arguments) + struct.pack("!h", 0)
    wire.send(message(b"F", body))
    return wire.collect()


def run(case: Case, transport: Transport, target: Target) -> list[Reply]:
    """Run a case on a fresh connection and return everything that came back, the start-up included."""
    special = case.get("transport", {})
    extra = cast(dict[str, str], special.get("params", {}))
    with Wire("127.0.0.1", target.port, timeout=60) as wire:
        replies = [wire.login(target.user, target.database, target.token, extra)]
        if replies[0].errors or not replies[0].status:
            return replies
        if special.get("kind") == "function_call":
            return [*replies, _fast_path(wire, target, special)]
        if special:
            return [*replies, wire.simple(str(special["then"]))]
        for sql in _statements(case, target):
            values = [str(value) for value in case.get("params", [])]
            replies.append(wire.simple(sql) if transport == "simple" else wire.extended(sql, values))
        return replies


def _matches(reply: Reply, expected: Expected) -> str:
    rows: list[Row] = [tuple(row) for row in expected.get("rows", [])]
    same = reply.rows == rows if expected.get("ordered") else Counter(reply.rows) == Counter(rows)
    if not same:
        return f"rows {reply.rows} instead of {rows}"
    names = [column.name for column in reply.columns]
    if names != expected.get("columns", names):
        return f"columns {names} instead of {expected.get('columns')}"
    if reply.tags[-1:] != [expected.get("tag", "")]:
        return f"tag {reply.tags} instead of {expected.get('tag')}"
    if "copy" in expected and reply.copied.decode() != expected["copy"]:
        return f"copy data {reply.copied!r}"
    return ""


def _allowed(case: Case, replies: Sequence[Reply]) -> str:
    mode, expected = case.get("expect_mode", "runs"), case.get("expect", Expected())
    if mode == "exact":
        each = expected.get("steps", [expected])
        return next((wrong for pair in zip(replies, each, strict=True) if (wrong := _matches(*pair))), "")
    if mode == "catalog":
        text = "\n".join(part for reply in replies for part in reply.texts())
        wrong = [word for word in case.get("must_contain", []) if word not in text]
        wrong += ["not " + word for word in case.get("must_not_contain", []) if word in text]
        return f"expected {', '.join(wrong)} in {text!r}" if wrong else ""
    return ""


def judge(case: Case, replies: Sequence[Reply]) -> str:
    """Return what is wrong with the outcome, or an empty string.

    `answered` (a denial expected, nothing leaked), `endless` (not stopped by a limit) and `refused` (an answer
    expected) are the only verdicts that a known deviation can excuse.
    """
    found = leaks_in((text for reply in replies for text in reply.texts()), case.get("leak_regex", PATTERN))
    if found:
        return f"leak: {found}"
    refused = any(reply.errors for reply in replies)
    if not refused and not replies[-1].status:
        return "endless" if case.get("category") == "resource" else "cut: the connection ended without an error"
    if case["must"] == "deny":
        return "" if refused else "answered"
    if case["must"] == "no_leak":
        return ""
    if refused:
        return "refused"
    wrong = _allowed(case, replies[1:])
    return f"wrong: {wrong}" if wrong else ""


def check(case: Case, upstream: Database) -> str:
    """Return how the base tables differ from what the case demands, or an empty string."""
    if "check" not in case:
        return ""
    sql = case["check"]["sql"].replace("{tickets}", "public.tickets").replace("{orders}", "public.orders")
    sql = sql.replace("{kb_articles}", "public.kb_articles").replace("{customers}", "public.customers")
    found = [[str(value) for value in row] for row in upstream.rows(sql)]
    return "" if found == case["check"]["expect"] else f"state: {found} instead of {case['check']['expect']}"


class Watch:
    """Tells whether anything in a database has changed; puts it back when it has."""

    def __init__(self, upstream: Database, script: str, roles: str) -> None:
        self.upstream = upstream
        self._template = upstream.server.template(script, roles)
        self._connect()
        self.baseline = self.state()

    def _connect(self) -> None:
        self._connection = psycopg.connect(self.upstream.url(), autocommit=True)
        contents = ", ".join(str(row[0]) for row in self._connection.execute(TABLES).fetchall())
        self._query = STATE.replace("{contents}", contents).encode()

    def state(self) -> str:
        """Return a fingerprint of everything that a statement could have changed."""
        row = self._connection.execute(self._query).fetchone()
        return str(row and row[0])

    def changed(self) -> bool:
        """Whether something changed; if so it is put back (by a fresh copy under the same name)."""
        if self.state() == self.baseline:
            return False
        self._connection.close()
        self.upstream.drop()
        copy = f'CREATE DATABASE "{self.upstream.name}" TEMPLATE "{self._template}"'
        self.upstream.server.database(SUPERUSER).script(copy)
        self._connect()
        return True

    def close(self) -> None:
        """Let the database go."""
        self._connection.close()


def explain(replies: Sequence[Reply]) -> str:
    """Put a run into words, for a failing test."""
    lines = [f"{each.tags} {each.rows[:5]} {each.errors} {each.notices}" for each in replies[-3:]]
    return "\n".join(line[:2000] for line in lines)
