"""Aggregates only, through a gateway as it runs: what analysts get, and what an attacker does not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import LiteralString, cast

import asyncpg
import psycopg
import pytest
from aggregates_rig import CANARY, MOST, SMALLEST, Office, an_office

from tests.support.canary import leaks_in_files
from tests.support.postgres import Server

Connection = psycopg.Connection[tuple[object, ...]]
EARTH = "region IN ('north', 'south', 'east')"


@pytest.fixture(scope="module")
def office(postgres: Server) -> Iterator[Office]:
    with an_office(postgres) as made:
        yield made
        made.gateway.flush()
        assert leaks_in_files(made.gateway.folder) == []


def ask(connection: Connection, sql: str) -> list[tuple[object, ...]]:
    return connection.execute(cast(LiteralString, sql)).fetchall()


def code_of(connection: Connection, sql: str) -> str:
    """Return the denial's code of a statement that must be denied."""
    with pytest.raises(psycopg.Error) as caught:
        ask(connection, sql)
    told = f"{caught.value} {caught.value.diag.message_detail}"
    assert "BWCANARY" not in told
    assert str(CANARY) not in told
    return told.partition("code ")[2].partition(",")[0]


GROUPED = [
    ("region", "count(*), avg(salary), sum(salary)"),
    ("team, level", "count(person_id), avg(salary)"),
    ("date_trunc('month', hired)", "count(*)"),
    ("date_trunc('day', seen)", "count(*), sum(salary)"),
    ("extract(year from hired), extract(month from hired)", "count(*)"),
    ("seen::date", "count(*)"),
    ("to_char(hired, 'YYYY-MM')", "avg(salary)"),
    ("CASE WHEN salary < 31000 THEN 'low' ELSE 'high' END", "count(*)"),
    ("active, level", "sum(salary), count(*)"),
    ("salary", "count(*)"),
]


@pytest.mark.parametrize(("keys", "figures"), GROUPED)
def test_groups_are_those_of_the_data_that_are_large_enough(office: Office, keys: str, figures: str) -> None:
    own = f"SELECT {keys}, {figures} FROM people GROUP BY {keys}"
    found = office.ask(own)
    counted = office.truth(f"SELECT count(*), {keys}, {figures} FROM mine GROUP BY {keys}")
    wanted = [rest for size, *rest in counted if cast(int, size) >= SMALLEST]
    assert sorted(map(repr, found)) == sorted(repr(tuple(each)) for each in wanted)


def test_a_group_of_fields_without_values_is_told_if_neither_part_is_small(office: Office) -> None:
    assert office.ask("SELECT count(*), count(bonus) FROM people") == [(720, 480)]
    assert office.ask("SELECT count(*), count(bonus) FROM people WHERE hired < '2025-01-10'") == []  # few of each


def test_a_small_group_and_none_are_the_same(office: Office) -> None:
    assert office.ask("SELECT count(*) FROM people WHERE region = 'moon'") == []
    assert office.ask("SELECT count(*) FROM people WHERE region = 'mars'") == []


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM people",
        "SELECT salary FROM people LIMIT 1",
        "SELECT max(salary) FROM people",
        "SELECT array_agg(salary) FROM people",
        "SELECT person_id, avg(salary) FROM people GROUP BY person_id",
        "SELECT sum(CASE WHEN person_id = 7 THEN salary END) FROM people",
        "SELECT avg(salary) FROM people WHERE person_id <> 7",
        "SELECT avg(secret::int) FROM people",
        "SELECT count(*) FROM people p JOIN regions r USING (region)",
        "COPY (SELECT count(*) FROM people) TO STDOUT",
        "UPDATE people SET salary = 1",
        "DELETE FROM people",
        "INSERT INTO people (person_id) VALUES (1)",
        "EXPLAIN SELECT count(*) FROM people",
    ],
)
def test_rows_are_never_told(office: Office, sql: str) -> None:
    with office.connected() as connection:
        assert code_of(connection, sql)


def test_a_dashboard_passes_in_one_session(office: Office) -> None:
    widgets = [
        "SELECT count(*), avg(salary) FROM {people} WHERE {earth}",
        "SELECT region, count(*), avg(salary) FROM {people} WHERE {earth} GROUP BY region ORDER BY 1",
        "SELECT team, sum(salary) FROM {people} WHERE {earth} GROUP BY team ORDER BY 1",
        "SELECT level, count(*) FROM {people} WHERE {earth} GROUP BY level ORDER BY 1",
        "SELECT date_trunc('month', hired), count(*) FROM {people} WHERE {earth} GROUP BY 1 ORDER BY 1",
        "SELECT region, team, avg(salary) FROM {people} WHERE {earth} GROUP BY 1, 2 ORDER BY 1, 2",
        "SELECT s.region, s.pay / t.pay FROM (SELECT region, avg(salary) AS pay FROM {people} WHERE {earth}"
        " GROUP BY region) s, (SELECT avg(salary) AS pay FROM {people} WHERE {earth}) t ORDER BY 1",
    ]
    with office.connected() as connection:
        for widget in widgets:
            found = ask(connection, widget.format(people="people", earth=EARTH))
            assert found
            assert found == office.truth(widget.format(people="mine", earth=EARTH))


ATTACKS = [
    (["SELECT count(*) FROM people"], f"SELECT count(*) FROM people WHERE {EARTH}"),
    (["SELECT count(*), sum(salary) FROM people"], "SELECT region, count(*), sum(salary) FROM people GROUP BY region"),
    (
        ["SELECT sum(salary) FROM people WHERE salary <= 31000"],
        "SELECT sum(salary) FROM people WHERE salary <= 31008",
    ),
    (
        ["SELECT count(*) FROM people WHERE region IN ('north', 'moon')"],
        "SELECT count(*) FROM people WHERE region = 'north'",
    ),
    (
        ["SELECT sum(salary) FROM people WHERE team = 'red'"],
        "SELECT sum(salary) FROM people WHERE team = 'red' OR (region = 'moon' AND team = 'green')",
    ),
    (
        ["SELECT team, count(*) FROM people GROUP BY team"],
        "SELECT team, count(*) FROM people WHERE NOT region = 'moon' GROUP BY team",
    ),
    (
        ["SELECT count(*) FROM people WHERE hired <= '2025-03-01'"],
        "SELECT count(*) FROM people WHERE hired <= '2025-03-02'",
    ),
]


@pytest.mark.parametrize(("before", "last"), ATTACKS)
def test_a_difference_that_is_a_small_group_is_not_told(office: Office, before: list[str], last: str) -> None:
    with office.connected() as connection:
        for sql in before:
            assert ask(connection, sql)
        assert code_of(connection, last) == "group_too_small"
        for sql in before:
            assert ask(connection, sql)  # again what was told, and nothing is spoilt
    assert office.ask(last)  # the same is told where nothing was told before


def test_what_was_refused_does_not_stand_against_what_follows(office: Office) -> None:
    with office.connected() as connection:
        assert ask(connection, f"SELECT count(*) FROM people WHERE {EARTH}")
        assert code_of(connection, "SELECT count(*) FROM people") == "group_too_small"
        assert ask(connection, f"SELECT team, count(*) FROM people WHERE {EARTH} GROUP BY team")


def test_an_error_of_the_statement_tells_as_much_as_its_result(office: Office) -> None:
    with office.connected() as connection:
        with pytest.raises(psycopg.errors.DivisionByZero):
            ask(connection, "SELECT 1 / (count(*) - 720) FROM people")
        assert code_of(connection, f"SELECT count(*) FROM people WHERE {EARTH}") == "group_too_small"


def test_no_error_tells_of_a_small_group(office: Office) -> None:
    asked = "SELECT region, 1 / (avg(salary) - {pay}) FROM people GROUP BY region HAVING 1 / (avg(salary) - {pay}) > 9"
    (pay,) = office.truth("SELECT avg(salary) FROM mine WHERE region = 'moon'")[0]
    assert office.ask(asked.format(pay=pay)) == []
    around = "SELECT * FROM (SELECT salary, count(*) FROM people GROUP BY salary) s WHERE 1 / (s.salary - {pay}) < 9"
    (single,) = office.truth("SELECT min(salary) FROM mine GROUP BY salary HAVING count(*) < 10 LIMIT 1")[0]
    assert isinstance(office.ask(around.format(pay=single)), list)


def test_settings_of_the_connection_do_not_move_the_borders_of_groups(office: Office) -> None:
    moved = "SELECT date_trunc('day', seen AT TIME ZONE 'Asia/Tokyo'), count(*) FROM people GROUP BY 1"
    keyed = "SELECT date_trunc('day', seen), count(*) FROM people GROUP BY 1 ORDER BY 1"
    since = "SELECT count(*) FROM people WHERE seen >= '2026-01-02'"
    with office.connected() as connection:
        before = ask(connection, keyed), ask(connection, since)
        connection.execute("SET TimeZone = 'Asia/Tokyo'")
        assert (ask(connection, keyed), ask(connection, since)) == before
        assert code_of(connection, moved) == "statement_not_allowed"


class TestTheBound:
    def test_only_so_many_groupings_are_told_and_they_survive_a_restart(self, office: Office) -> None:
        session = office.session()
        asked = [f"SELECT count(*) FROM people WHERE salary < {31_000 + 200 * step}" for step in range(MOST)]
        with office.connected(session) as connection:
            for sql in asked:
                assert ask(connection, sql)
            assert code_of(connection, "SELECT count(*) FROM people WHERE active") == "limit_exceeded"
        office.gateway.stop()
        office.gateway.start()
        moved = office.gateway.port
        again = psycopg.connect(session.url().replace(f":{session.port}/", f":{moved}/"), autocommit=True)
        with again as connection:
            assert code_of(connection, "SELECT count(*) FROM people WHERE active") == "limit_exceeded"
            assert ask(connection, asked[3])
        assert office.ask("SELECT count(*) FROM people WHERE active")  # of another session

    def test_what_was_told_before_a_restart_still_guards(self, office: Office) -> None:
        session = office.session()
        with office.connected(session) as connection:
            assert ask(connection, "SELECT count(*) FROM people")
        office.gateway.stop()
        office.gateway.start()
        again = psycopg.connect(session.url().replace(f":{session.port}/", f":{office.gateway.port}/"), autocommit=True)
        with again as connection:
            assert code_of(connection, f"SELECT count(*) FROM people WHERE {EARTH}") == "group_too_small"

    def test_the_same_grouping_counts_once_however_it_is_written(self, office: Office) -> None:
        with office.connected() as connection:
            for _ in range(MOST + 3):
                assert ask(connection, "SELECT team, count(*) FROM people GROUP BY team")
                assert ask(connection, "select p.team as t, 2 * count(*) from public.people p group by 1")

    def test_each_is_in_the_ledger(self, office: Office) -> None:
        with office.connected() as connection:
            assert ask(connection, "SELECT team, avg(salary) FROM people WHERE active GROUP BY team")
        found = office.gateway.say("ledger", "tail", "--json", "-n", "20").stdout
        assert '"grouping"' in found
        assert '"aggregated"' in found
        assert "people:aggregate" in found


class TestParameters:
    def test_their_values_make_the_grouping(self, office: Office) -> None:
        with office.connected() as connection:
            sql = "SELECT count(*) FROM people WHERE salary > %s AND hired >= %s AND level = %s AND active = %b"
            found = connection.execute(sql, (31_000, "2025-02-01", "lead", True)).fetchall()
            assert found == office.truth(
                "SELECT count(*) FROM mine WHERE salary > 31000 AND hired >= '2025-02-01' AND level = 'lead' AND active"
            )
            inside = "SELECT count(*) FROM people WHERE salary > 31004 AND hired >= '2025-02-01'"
            assert code_of(connection, inside + " AND level = 'lead' AND active") == "group_too_small"

    def test_one_row_more_by_a_parameter_is_not_told(self, office: Office) -> None:
        with office.connected() as connection:
            sql = "SELECT sum(salary) FROM people WHERE salary <= %s"
            assert connection.execute(sql, (31_000,), prepare=True).fetchall()
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(sql, (31_008,), prepare=True)
            assert connection.execute(sql, (31_000,), prepare=True).fetchall()
            assert connection.execute(sql, (32_000,), prepare=True).fetchall()

    def test_null_compares_with_nothing(self, office: Office) -> None:
        with office.connected() as connection:
            assert connection.execute("SELECT count(*) FROM people WHERE salary > %s", (None,)).fetchall() == []

    def test_a_binary_driver_asks_alike(self, office: Office) -> None:
        async def run() -> list[object]:
            connection = await asyncpg.connect(office.session().url())
            try:
                sql = "SELECT count(*) FROM people WHERE salary > $1 AND region = $2 AND hired > $3 AND seen < $4"
                values = (31_000, "north", date(2025, 2, 1), datetime(2026, 1, 5, tzinfo=UTC))
                first = await connection.fetchval(sql, *values)
                second = await connection.fetchval(sql, *values)
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.fetchval(sql, 31_010, *values[1:])
                return [first, second]
            finally:
                await connection.close()

        (count,) = office.truth(
            "SELECT count(*) FROM mine WHERE salary > 31000 AND region = 'north' AND hired > '2025-02-01'"
        )[0]
        assert asyncio.run(run()) == [count, count]


def test_the_catalogue_shows_the_fields_that_may_be_aggregated(office: Office) -> None:
    names = office.ask("SELECT column_name FROM information_schema.columns WHERE table_name = 'people'")
    assert ("salary",) in names
    assert ("secret",) not in names
