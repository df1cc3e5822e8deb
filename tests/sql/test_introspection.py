"""What real clients ask a catalogue, through the rewriter: each works, and shows the scope only."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from psycopg.pq import ExecStatus

from bailiwick.model.decision import Denial
from bailiwick.model.policy import Resource
from bailiwick.model.scope import ReadGrant, ResourceScope, RowFilter, Scope
from bailiwick.sql.plan import Plan
from bailiwick.sql.rewrite import Rewriter
from tests.sql.catalogue_rig import HIDDEN, SHOWN, Rig, make_rig
from tests.sql.introspection_cases import Case, cases, oids
from tests.support.installed import versions
from tests.support.postgres import Server


@pytest.fixture(scope="module", params=versions("catalogue"))
def rig(request: pytest.FixtureRequest, servers: Callable[[int], Server]) -> Rig:
    return make_rig(servers(request.param))


@pytest.fixture(scope="module")
def rewriter(rig: Rig) -> Rewriter:
    resources: dict[str, ResourceScope] = {}
    for each in rig.visible.relations:
        fields = {column.name: None for column in each.columns}
        reads = (ReadGrant("g", RowFilter(), fields),)
        resources[each.name] = ResourceScope(Resource(each.name, "crm", each.schema, each.name), reads)
    return Rewriter(Scope("s", "support-bot", resources), rig.catalogue, "crm")


@pytest.fixture(scope="module")
def numbers(rig: Rig) -> dict[str, str]:
    return oids(rig.database)


def run(rig: Rig, sql: str, parameters: tuple[str | None, ...]) -> tuple[str, list[list[str]]]:
    """Return the error, if any, and the rows as text."""
    values = [None if value is None else value.encode() for value in parameters]
    raw = rig.connection.pgconn
    result = raw.exec_params(sql.encode(), values) if values else raw.exec_(sql.encode())
    if result.status == ExecStatus.FATAL_ERROR:
        return result.error_message.decode(), []
    cells = [[result.get_value(row, place) for place in range(result.nfields)] for row in range(result.ntuples)]
    return "", [[(cell or b"").decode() for cell in row] for row in cells]


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_a_clients_question_is_answered_from_the_scope(
    rig: Rig, rewriter: Rewriter, numbers: dict[str, str], case: Case
) -> None:
    sql, parameters = case.filled(numbers)
    refused, _ = run(rig, f"SET search_path = public; {sql}" if not parameters else sql, parameters)
    rig.connection.execute("SET search_path = pg_catalog, pg_temp")
    plans = rewriter.rewrite(sql)
    if refused and not parameters:
        return  # this version of PostgreSQL does not know the question either
    for plan in plans:
        assert not isinstance(plan, Denial), f"{plan}"
        error, rows = run(rig, plan.sql, parameters)
        assert error == ""
        assert re.findall(HIDDEN, str(rows)) == []


def answer(rig: Rig, rewriter: Rewriter, sql: str) -> list[list[str]]:
    (plan,) = rewriter.rewrite(sql)
    assert isinstance(plan, Plan), plan
    error, rows = run(rig, plan.sql, ())
    assert error == ""
    return rows


def test_the_questions_find_what_is_there(rig: Rig, rewriter: Rewriter) -> None:
    listed = answer(rig, rewriter, "SELECT relname FROM pg_class WHERE relkind = 'r' AND pg_table_is_visible(oid)"
                    " AND relnamespace <> 11")  # fmt: skip
    assert {row[0] for row in listed} == set(SHOWN)
    columns = answer(
        rig,
        rewriter,
        "SELECT a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute a"
        " WHERE a.attrelid = 'public.feelings'::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
    )
    assert columns[:4] == [
        ["id", "integer"],
        ["how", "public.mood"],
        ["many", "public.mood[]"],
        ["nick", "public.shortname"],
    ]


ORACLES = [
    "SELECT to_regclass('{}')::text",
    "SELECT to_regtype('{}')::text",
    "SELECT has_table_privilege('{}', 'SELECT')",
    "SELECT pg_table_is_visible(c.oid) FROM pg_class c WHERE c.oid = to_regclass('{}')",
    "SELECT count(*) FROM pg_attribute WHERE attrelid = to_regclass('{}')",
    "SELECT count(*) FROM information_schema.tables WHERE table_schema || '.' || table_name = '{}'",
]


@pytest.mark.parametrize("question", ORACLES)
def test_a_hidden_relation_is_answered_like_one_that_does_not_exist(
    rig: Rig, rewriter: Rewriter, question: str
) -> None:
    hidden = answer(rig, rewriter, question.format("hr.employee_records"))
    assert hidden == answer(rig, rewriter, question.format("hr.nothing_there"))
    assert hidden == answer(rig, rewriter, question.format("nowhere.at_all"))
