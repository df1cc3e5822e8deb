"""Every byte of a ledger's file that says something, changed by one bit: found, with the right diagnosis.

The ledger has 300 records: a tile of 256 and 44 more; one was pruned. Checkpoints were kept at 299, 300 and the end.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from os import environ
from pathlib import Path
from typing import cast

import pytest

from bailiwick.errors import LedgerError
from bailiwick.ledger.facts import Facts
from bailiwick.ledger.report import Finding
from bailiwick.model.record import Record
from tests.gateway.ledger_rig import START, checked, drop_triggers, fill, intruding, new_store, record

STRIDE = 1 if environ.get("BAILIWICK_EXAMPLES") == "new" else 7
"""How far apart the bytes are that are changed: `make nightly` takes every one."""
PRUNING = Record(id="rec_p", kind="ledger.pruned", at=START, detail={"records": "5", "count": 1, "by": "tests"})
Placed = tuple[str, int | None, int | None]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bytes") / "ledger.db"
    store = new_store(path)
    fill(store, [record(number) for number in range(299)], batch=299)
    store.resign()
    fill(store, [PRUNING])
    store.resign()
    store.prune([(5, 5)])
    store.close()
    return path


@pytest.fixture
def ledger(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(original, tmp_path / "ledger.db"))


def placed(findings: Sequence[Finding]) -> list[Placed]:
    return sorted({(each.kind, each.first, each.last) for each in findings})


def in_a_body(found: list[Placed]) -> bool:
    """The record is named, as changed or as another one; what it told the index may differ too, and nothing else."""
    about = {kind for kind, first, last in found if first is not None and last is not None and first <= 7 <= last}
    kinds = {kind for kind, _, _ in found}
    return bool(about & {"changed", "reordered"}) and kinds <= {
        *("changed", "reordered", "index", "inserted", "removed", "unprovable")
    }


def exactly(*wanted: Placed) -> Callable[[list[Placed]], bool]:
    return lambda found: found == sorted(wanted)


CELLS: list[tuple[str, str, str, Callable[[list[Placed]], bool]]] = [
    ("records", "body", "seq = 7", in_a_body),
    ("records", "hash", "seq = 7", exactly(("changed", 7, 7))),
    ("records", "hash", "seq = 5", exactly(("changed", 0, 255))),
    ("records", "hash", "seq = 270", exactly(("changed", 270, 270))),
    ("subtrees", "root", "level = 8 AND idx = 0", exactly(("index", 0, 255))),
    ("checkpoints", "note", "size = 299", exactly(("checkpoint", None, None))),
    ("head", "note", "one = 1", exactly(("checkpoint", None, None))),
    ("log", "origin", "one = 1", exactly(("checkpoint", None, None))),
    ("accesses", "action", "seq = 7", exactly(("index", 7, 7))),
    *(("facts", name, "seq = 7", exactly(("index", 7, 7))) for name in Facts._fields),
]


@pytest.mark.parametrize(("table", "column", "where", "right"), CELLS, ids=[f"{c[0]}.{c[1]}-{c[2]}" for c in CELLS])
def test_a_changed_byte_is_found(
    ledger: Path, table: str, column: str, where: str, right: Callable[[list[Placed]], bool]
) -> None:
    with closing(sqlite3.connect(ledger, isolation_level=None)) as connection:
        drop_triggers(connection)
        select = f"SELECT CAST({column} AS BLOB), typeof({column}) FROM {table} WHERE {where}"
        content, kind = cast("tuple[bytes, str]", connection.execute(select).fetchone())
        update = f"UPDATE {table} SET {column} = CAST(? AS {kind}) WHERE {where}"
        for at in sorted({0, *range(0, len(content), STRIDE), max(0, len(content) - 1)}):
            changed = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :] if content else b"x"
            connection.execute(update, (changed,))
            found = placed(checked(ledger).findings)
            assert right(found), (at, changed[max(0, at - 20) : at + 20], found)
        connection.execute(update, (content,))
    assert checked(ledger).sound


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("UPDATE records SET seq = 1000 WHERE seq = 7", {"reordered"}),
        ("UPDATE records SET seq = 1000 WHERE seq = 5", {"removed", "reordered", "changed", "inserted", "unprovable"}),
        ("UPDATE subtrees SET idx = 1", {"index"}),
        ("UPDATE subtrees SET level = 16", {"index"}),
        ("UPDATE checkpoints SET size = 298 WHERE size = 299", {"checkpoint"}),
        ("UPDATE facts SET seq = 1000 WHERE seq = 7", {"index"}),
        ("INSERT INTO facts SELECT 1000, id, kind, at, agent, user, session, task, mount, decision, code, refers "
         "FROM facts WHERE seq = 7", {"index"}),
        ("UPDATE accesses SET seq = 5 WHERE seq = 7", {"index"}),
        ("UPDATE accesses SET seq = 1000 WHERE seq = 7", {"index"}),
        ("INSERT INTO accesses VALUES ('tickets:read', 1000)", {"index"}),
        ("INSERT INTO accesses VALUES ('tickets:read', -1)", {"index"}),
        ("INSERT INTO pruned VALUES (9, 9)", {"index"}),
        ("UPDATE pruned SET last = 6", {"index"}),
        ("DROP INDEX facts_by_agent", {"index"}),
        ("DROP TABLE accesses", set[str]()),
    ],
)  # fmt: skip
def test_a_changed_number_is_found(ledger: Path, statement: str, expected: set[str]) -> None:
    with intruding(ledger) as intruder:
        intruder.run(statement)
    if not expected:
        with pytest.raises(LedgerError, match="cannot be read"):
            checked(ledger)
        return
    kinds = {each.kind for each in checked(ledger).findings}
    assert kinds
    assert kinds <= expected


def test_an_index_that_hides_a_record_from_queries_is_found(ledger: Path) -> None:
    with intruding(ledger) as intruder:
        intruder.run("PRAGMA writable_schema = ON")
        intruder.run(
            "UPDATE sqlite_master SET sql = 'CREATE INDEX facts_by_agent ON facts (agent) WHERE seq <> 7' "
            "WHERE name = 'facts_by_agent'"
        )
    with intruding(ledger) as intruder:
        intruder.run("REINDEX facts_by_agent")
    with intruding(ledger) as intruder:
        intruder.run("PRAGMA writable_schema = ON")
        intruder.run(
            "UPDATE sqlite_master SET sql = 'CREATE INDEX facts_by_agent ON facts (agent)' "
            "WHERE name = 'facts_by_agent'"
        )
    with closing(sqlite3.connect(ledger)) as connection:
        connection.execute("PRAGMA trusted_schema = OFF")
        seen = connection.execute("SELECT seq FROM facts WHERE agent = 'support-bot' AND seq < 9").fetchall()
        assert (7,) not in seen  # it is hidden in fact
    findings = checked(ledger).findings
    assert {each.kind for each in findings} == {"index"}
    assert any("missing from index facts_by_agent" in each.text for each in findings)


def test_any_changed_byte_of_the_file_is_found_or_says_nothing(original: Path, tmp_path: Path) -> None:
    whole = original.read_bytes()
    before = contents(original)
    path = tmp_path / "ledger.db"
    for at in range(0, len(whole), len(whole) // 37):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        try:
            sound = checked(path).sound
        except LedgerError:
            continue  # SQLite says that the file is damaged
        assert not sound or contents(path) == before, at


def contents(path: Path) -> list[object]:
    """Return all that a file says."""
    with closing(sqlite3.connect(path)) as connection:
        connection.text_factory = bytes
        tables = ("log", "records", "subtrees", "head", "facts", "accesses", "pruned")
        return [connection.execute(f"SELECT * FROM {table}").fetchall() for table in tables]
