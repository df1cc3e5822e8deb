"""The corpus through the tool `query` of a PostgreSQL mount: what is allowed answers as the wire does, the rest not."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import pytest

from tests.support.canary import PATTERN, leaks, leaks_in, leaks_in_files
from tests.support.corpus import FOLDER, ROLES, Case, Watch, cases, check
from tests.support.gateway import Credentials, running_gateway
from tests.support.mcp_client import McpClient
from tests.support.postgres import Server
from tests.support.wire import Row, Wire

SINGLE = [
    case
    for case in cases()
    if "sql" in case
    and "transport" not in case
    and case.get("category") != "resource"
    and "{" not in case.get("sql", "")
]
pytestmark = pytest.mark.xdist_group("query-corpus")
MOVING = frozenset({"now()", "current_timestamp", "random()"})


@dataclass(frozen=True, slots=True)
class Stage:
    session: Credentials
    tools: McpClient
    watch: Watch


@pytest.fixture(scope="module")
def stage(postgres: Server) -> Iterator[Stage]:
    script = (FOLDER / "fixture.sql").read_text()
    upstream = postgres.create(script, ROLES)
    watch = Watch(upstream, script, ROLES)
    environ = {"CORPUS_URL": upstream.url("gw", "gw"), "BAILIWICK_MCP_LISTEN": "always"}
    with running_gateway((FOLDER / "policy.yaml").read_text(), environ) as gateway:
        session = gateway.open_session("subquery-bot")
        yield Stage(session, McpClient(gateway.mcp_port, session.token), watch)
        watch.close()
        gateway.flush()
        assert leaks_in_files(gateway.folder) == []


def _text(case: Case) -> str:
    return case.get("sql", "")


def _asked(stage: Stage, case: Case) -> tuple[bool, dict[str, object], bytes]:
    """Return whether a case was answered, with what, and all that came."""
    answer = stage.tools.call("query", sql=_text(case), parameters=case.get("params", []))
    return answer.result["isError"] is False, answer.data, answer.body


def _as_told(kind: int, value: str | None) -> object:
    """Return what the tool makes of a text that the wire has for a type."""
    if value is None:
        return None
    if kind in (700, 701) and math.isfinite(float(value)):
        return float(value)
    if kind == 16:
        return value == "t"
    return int(value) if kind in (20, 21, 23, 26) else value


def _of_the_wire(stage: Stage, case: Case) -> list[tuple[object, ...]]:
    session = stage.session
    settings = {"TimeZone": "UTC", "DateStyle": "ISO, YMD"}
    with Wire("127.0.0.1", session.port, timeout=60) as wire:
        wire.login(session.user, session.database, session.token, settings)
        reply = wire.extended(_text(case), [str(each) for each in case.get("params", [])])
    assert not reply.errors, reply.errors
    kinds = [column.type for column in reply.columns]
    return [_told_row(kinds, row) for row in reply.rows]


def _told_row(kinds: list[int], row: Row) -> tuple[object, ...]:
    return tuple(_as_told(kind, value) for kind, value in zip(kinds, row, strict=True))


def test_what_is_allowed_has_the_rows_of_the_wire(stage: Stage) -> None:
    compared = 0
    for case in SINGLE:
        if case["must"] != "allow":
            continue
        done, data, body = _asked(stage, case)
        assert leaks(body) == [], case["id"]
        if not done:
            assert data.get("code") == "statement_not_allowed", (case["id"], data)  # no rows: a transaction, COPY, …
            continue
        assert check(case, stage.watch.upstream) == "", case["id"]
        if "affected" in data:
            stage.watch.changed()
        elif not any(word in _text(case).lower() for word in MOVING):
            told = [tuple(row) for row in cast("list[list[object]]", data["rows"])]
            assert sorted(told, key=repr) == sorted(_of_the_wire(stage, case), key=repr), case["id"]
            compared += 1
    stage.watch.changed()
    assert compared > 60


@pytest.mark.parametrize(("must", "least"), [("deny", 60), ("no_leak", 0)])
def test_what_is_not_allowed_neither_tells_nor_does_anything(stage: Stage, must: str, least: int) -> None:
    refused = 0
    for case in [case for case in SINGLE if case["must"] == must][::2]:
        done, data, body = _asked(stage, case)
        assert leaks(body, r"CANARY_[A-Z0-9]+_[A-Z0-9]+|LEAKBIT") == [], case["id"]
        told = [str(value) for row in cast("list[list[object]]", data.get("rows", [])) for value in row]
        assert leaks_in(told, case.get("leak_regex", PATTERN)) == [], case["id"]
        refused += not done
    assert not stage.watch.changed() or must != "deny"
    assert refused >= least
