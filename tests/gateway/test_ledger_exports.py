"""`bailiwick ledger export` and `sql`: the same records, in other forms."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest
from typer.testing import CliRunner, Result

from bailiwick.cli.ledger import app
from bailiwick.errors import LedgerError
from bailiwick.gateway.ledger.reader import Query, Stored, open_reader
from bailiwick.gateway.ledger.tables import COLUMNS, Tables
from bailiwick.ledger.encode import encode
from bailiwick.model.record import Record
from tests.gateway.ledger_rig import START, VERIFIER, fill, new_store, record


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Generator[Path]:
    """A ledger with 40 calls, of which the last are in the journal only, and a write that was begun twice."""
    folder = tmp_path_factory.mktemp("exports")
    store = new_store(folder / "ledger.db")
    fill(store, [record(number) for number in range(37)])
    store.append([record(number, statement="=1+1") for number in range(37, 40)])
    done = Record(id="rec_a", kind="intent", at=START, agent="writer", actions=("tickets:update",), decision="allow")
    end = Record(id="rec_b", kind="outcome", at=START, agent="writer", refers="rec_a", rows=3, detail={"a": {"b": 1}})
    touched = {"tickets": ("subject", "status"), "customers": ("name",)}
    store.append([done._replace(fields=touched), end, done._replace(id="rec_c")])
    (folder / "ledger.vkey").write_text(f"{VERIFIER}\n")
    yield folder / "ledger.db"
    store.close()


def ledger(path: Path, *arguments: str, given: str | None = None) -> Result:
    return CliRunner().invoke(app, [*arguments, "--ledger", str(path)], input=given)


def asked(path: Path, statement: str, *options: str) -> list[dict[str, object]]:
    result = ledger(path, "sql", statement, "--json", *options)
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_json_lines_are_the_stored_bytes_oldest_first(path: Path) -> None:
    lines = ledger(path, "export").stdout_bytes.splitlines()
    assert lines[:37] == [encode(record(number), number) for number in range(37)]
    assert [json.loads(line)["seq"] for line in lines] == list(range(43))


def test_an_export_takes_filter_and_period(path: Path) -> None:
    exported = ledger(path, "export", "decision:deny", "--since", "2026-11-22T08:00:10Z").stdout.splitlines()
    assert [json.loads(line)["seq"] for line in exported] == [19, 29, 39]
    assert ledger(path, "export", "--since", "soon").exit_code == 2


def test_reading_in_order_goes_through_file_and_journal_in_pages(path: Path) -> None:
    with closing(open_reader(path)) as reader:
        assert [each.seq for each in reader.each(Query(), at_once=3)] == list(range(43))
        assert [each.seq for each in reader.each(Query(filter="rows:1 seq>30"), at_once=4)] == [*range(31, 40)]
        assert [each.seq for each in reader.query(Query(oldest=True, limit=2))] == [0, 1]


def test_csv_is_no_formula(path: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(ledger(path, "export", "--format", "csv").stdout)))
    assert len(rows) == 43
    assert (rows[3]["agent"], rows[3]["actions"]) == ("support-bot", '["tickets:read"]')
    assert rows[38]["statement"] == "'=1+1"


def test_ocsf_has_one_event_for_each_record(path: Path) -> None:
    events = [json.loads(line) for line in ledger(path, "export", "--format", "ocsf").stdout.splitlines()]
    assert [json.loads(event["raw_data"])["seq"] for event in events] == list(range(43))
    assert {event["metadata"]["version"] for event in events} == {"1.8.0"}


def test_parquet_is_read_back_as_the_same_table(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "records.parquet"
    assert ledger(path, "export", "--format", "parquet").exit_code == 2
    assert ledger(path, "export", "--format", "parquet", "--out", str(out)).exit_code == 0
    with Tables() as tables:
        tables.take_parquet(str(out))
        tables.take_parquet(str(out))  # what is here already is not taken twice
        tables.lock()
        columns = tables.ask("DESCRIBE records").rows
        assert {str(column[0]): str(column[1]) for column in columns} == {
            **COLUMNS,
            "time": "TIMESTAMP WITH TIME ZONE",
        }
        assert tables.ask("SELECT count(*), min(seq), max(seq) FROM records").rows == [(43, 0, 42)]


def test_sql_sees_records_calls_accesses_and_what_was_touched(path: Path) -> None:
    assert asked(path, "SELECT count(*) AS n FROM records WHERE decision = 'deny'") == [{"n": 4}]
    calls = asked(path, "SELECT id, rows, outcome FROM calls WHERE agent = 'writer' ORDER BY id")
    assert calls == [
        {"id": "rec_a", "rows": 3, "outcome": "known"},
        {"id": "rec_c", "rows": None, "outcome": "unknown"},
    ]
    verbs = asked(path, "SELECT resource, verb, count(*) AS n FROM accesses GROUP BY ALL ORDER BY n DESC")
    assert verbs == [
        {"resource": "tickets", "verb": "read", "n": 40},
        {"resource": "tickets", "verb": "update", "n": 2},
    ]
    fields = asked(path, "SELECT DISTINCT resource, field FROM touched ORDER BY ALL")
    assert [tuple(each.values()) for each in fields] == [
        ("customers", "name"),
        ("tickets", "status"),
        ("tickets", "subject"),
    ]
    assert asked(path, "SELECT detail->'a'->>'b' AS b FROM records WHERE id = 'rec_b'") == [{"b": "1"}]
    assert asked(path, "SELECT min(time) AS first FROM records", "--filter", "seq>=3 agent:support-bot") == [
        {"first": "2026-11-22T08:00:03.000001Z"}
    ]


def test_sql_is_asked_from_standard_input_too(path: Path) -> None:
    shown = ledger(path, "sql", "--format", "csv", given="SELECT count(*) AS n\nFROM records;\nSELECT 'x' AS y")
    assert shown.stdout == "n\n43\ny\nx\n"
    table = ledger(path, "sql", "SELECT 7 AS seven").stdout
    assert "seven" in table
    assert "1 row" in table


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "COPY records TO '/tmp/bailiwick-canary.csv'",
        "ATTACH '/tmp/bailiwick-canary.db'",
        "SET enable_external_access = true",
        "INSTALL httpfs",
        "SELECT nothing FROM records",
    ],
)
def test_sql_reaches_nothing_but_the_tables(path: Path, statement: str) -> None:
    refused = ledger(path, "sql", statement)
    assert isinstance(refused.exception, LedgerError)
    assert not Path("/tmp/bailiwick-canary.csv").exists()
    assert not Path("/tmp/bailiwick-canary.db").exists()
    assert asked(path, "SELECT 1 AS one") == [{"one": 1}]


def test_what_is_no_record_is_left_out() -> None:
    with Tables() as tables:
        seen: list[int] = []
        assert tables.take([Stored(0, encode(record(0), 0)), Stored(1, b"\xff{")], seen.append) == 1
        assert seen == [1]
        assert cast("int", tables.ask("SELECT count(*) FROM records").rows[0][0]) == 1


def test_violations_are_added_up_with_the_newest_example(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "violations.html"
    shown = ledger(path, "report", "violations", "--month", "2026-11", "--json", "--html", str(out)).stdout
    found = json.loads(shown)
    assert (found["total"], found["before"]) == (4, 0)
    assert found["agents"] == [{"name": "support-bot", "count": 4}]
    assert found["resources"] == [{"name": "tickets", "count": 4}]
    assert found["persons"] == [
        {"name": "user0", "count": 2},
        {"name": "user1", "count": 1},
        {"name": "user2", "count": 1},
    ]
    assert [day for day in found["days"] if day["count"]] == [{"name": "2026-11-22", "count": 4}]
    assert found["causes"][0] == {
        "agent": "support-bot",
        "action": "tickets:read",
        "code": "action_not_granted",
        "count": 4,
        "example": "rec_00000000000000000000000039",
        "message": "",
    }
    assert "support-bot" in out.read_text()
    table = ledger(path, "report", "violations", "--month", "2026-11").stdout
    assert "4 denials from 2026-11-01" in table
    assert "action_not_granted" in table


def test_violations_of_a_period_are_compared_with_the_one_before(path: Path) -> None:
    period = ("--since", "2026-11-22T08:00:20Z", "--until", "2026-11-22T08:00:40Z", "--json")
    found = json.loads(ledger(path, "report", "violations", *period).stdout)
    assert (found["total"], found["before"]) == (2, 2)
    nobody = json.loads(ledger(path, "report", "violations", *period, "--agent", "writer").stdout)
    assert (nobody["total"], nobody["causes"]) == (0, [])
    assert ledger(path, "report", "violations", "--month", "2026-13").exit_code == 2
    assert ledger(path, "report", "violations", "--since", "2026-12-01", "--until", "2026-11-01").exit_code == 2


def test_a_session_is_told_in_plain_words_with_those_it_delegated_to(tmp_path: Path) -> None:
    store = new_store(tmp_path / "ledger.db")
    opened = Record(
        id="rec_p", kind="session.opened", at=START, agent="lead", session="ses_a", detail={"opener": "ann"}
    )
    child = opened._replace(id="rec_c", agent="sub", session="ses_b", detail={"opener": "lead", "parent": "ses_a"})
    store.append([opened, child])
    store.close()
    shown = ledger(tmp_path / "ledger.db", "story", "ses_a").stdout
    assert "ses_a: lead for nobody in particular" in shown
    assert "ann opened the session" in shown
    assert "It delegated to sub in ses_b." in shown
    told = json.loads(ledger(tmp_path / "ledger.db", "story", "ses_b", "--json").stdout)
    assert told["steps"][0]["text"] == "lead opened the session within ses_a"
    assert told["delegated"] == []
    missing = ledger(tmp_path / "ledger.db", "story", 'ses_"x').exception
    assert isinstance(missing, LedgerError)
    assert missing.message.startswith("there is no session")
