"""A ledger in PostgreSQL: lost connections, answers that never came, rights of roles, several logs in one database."""

from __future__ import annotations

import itertools
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import closing
from typing import cast
from urllib.parse import urlsplit

import psycopg
import pytest
from typer.testing import CliRunner

from bailiwick.cli.ledger import app
from bailiwick.errors import ConfigError, LedgerError
from bailiwick.gateway.doctor.ledger import ledger_findings
from bailiwick.gateway.ledger.address import PostgresAddress, read_address
from bailiwick.gateway.ledger.pg_link import Link
from bailiwick.gateway.ledger.pg_schema import grants, setup
from bailiwick.gateway.ledger.reader import Query, open_reader
from bailiwick.gateway.ledger.store import LedgerStore, open_store
from bailiwick.ledger.facts import Facts
from tests.gateway.ledger_rig import KEY, ORIGIN, checked, fill, fixed_now, intruding, new_store, record
from tests.support.postgres import Database

_logs = itertools.count()


@pytest.fixture
def address(database: Database) -> PostgresAddress:
    found = read_address(f"{database.url()}?log=own_{next(_logs)}")
    assert isinstance(found, PostgresAddress)
    return found


@pytest.fixture
def store(address: PostgresAddress) -> Generator[LedgerStore]:
    opened = new_store(address)
    yield opened
    opened.close()


def ids(address: PostgresAddress) -> list[str]:
    with closing(open_reader(address)) as reader:
        return [stored.body.partition(b'"rec_')[2][:26].lstrip(b"0").decode() for stored in reader.query(Query())]


def cut(database: Database) -> None:
    """Cut every connection of the ledger's, as a failover does."""
    database.rows(
        "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity "
        "WHERE application_name = 'bailiwick ledger' AND datname = current_database()"
    )


def append_at_last(store: LedgerStore, number: int) -> int:
    """Append a record as soon as the store takes one; return how often it refused."""
    end = time.monotonic() + 60
    for refused in itertools.count():
        try:
            store.append([record(number)])
        except LedgerError:
            assert time.monotonic() < end
            time.sleep(0.05)
        else:
            return refused
    raise AssertionError


def test_a_lost_connection_denies_and_is_made_anew(
    store: LedgerStore, address: PostgresAddress, database: Database
) -> None:
    store.append([record(1)])
    cut(database)
    with pytest.raises(LedgerError, match="cannot be written"):
        store.append([record(2)])
    append_at_last(store, 3)
    store.drain()
    assert ids(address) == ["1", "3"]
    assert checked(address).sound


def test_a_commit_whose_answer_was_lost_is_there_once_and_the_tree_goes_on(
    store: LedgerStore, address: PostgresAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, lost = Link.run, [True]

    def losing(link: Link, statement: str, *values: object) -> str:
        answer = run(link, statement, *values)
        if "unnest" in statement and lost.pop():
            raise ConnectionResetError("gone")
        return answer

    store.append([record(1)])
    with monkeypatch.context() as patch:
        patch.setattr(Link, "run", losing)
        with pytest.raises(LedgerError, match="cannot be reached"):
            store.append([record(2)])
    append_at_last(store, 3)
    assert store.size == 3
    assert ids(address) == ["1", "2", "3"]
    assert checked(address).sound


WRITER = """
import sys
from bailiwick.gateway.ledger.address import read_address
from tests.gateway.ledger_rig import new_store, record
store = new_store(read_address(sys.argv[1]))
for batch in range(10_000):
    store.append([record(batch * 7 + number) for number in range(7)])
    print(store.size, flush=True)
    if batch % 10 == 0:
        store.drain()
"""


def test_kill_9_while_writing_leaves_all_that_was_acknowledged(address: PostgresAddress) -> None:
    where = f"{address.url}?log={address.log}"
    writer = subprocess.Popen([sys.executable, "-c", WRITER, where], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    for line in writer.stdout:
        if int(line) > 630:
            break
    writer.kill()
    rest = [each for each in writer.stdout.read().splitlines() if each.isdigit()]
    writer.wait()
    writer.stdout.close()
    report = checked(address)
    assert report.sound
    assert report.records >= int(rest[-2] if len(rest) > 1 else 630)  # of the very last line a part may be missing
    end = time.monotonic() + 60
    while True:  # the server lets go of the lock when it has seen that the connection is gone
        try:
            again = new_store(address)
        except LedgerError:
            assert time.monotonic() < end
            time.sleep(0.1)
        else:
            break
    assert again.size == report.records
    again.append([record(999_999)])
    again.close()
    assert checked(address).sound


def test_a_database_that_was_taken_back_is_not_written(
    store: LedgerStore, address: PostgresAddress, database: Database
) -> None:
    fill(store, [record(0)])
    store.append([record(1)])
    store.append([record(2)])
    cut(database)
    with intruding(address) as intruder:
        intruder.run("DELETE FROM records WHERE seq = 2")
    for _ in range(200):
        with pytest.raises(LedgerError) as failure:
            store.append([record(3)])
        if "durable before, and gone" in failure.value.message:
            break
        time.sleep(0.1)
    else:
        pytest.fail("it was never noticed")


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("UPDATE records SET body = body || '\\x20'::bytea WHERE seq = 2", ("changed", 2, 2)),
        ("UPDATE records SET code = '\\x00'::bytea WHERE seq = 2", ("checkpoint", 1, 2)),
        ("DELETE FROM records WHERE seq = 1", ("removed", 1, 1)),
    ],
)
def test_what_was_done_to_records_that_are_not_signed_yet_is_found(
    store: LedgerStore, address: PostgresAddress, database: Database, statement: str, found: tuple[str, int, int]
) -> None:
    fill(store, [record(0)])
    store.append([record(1)])
    store.append([record(2)])
    cut(database)
    with intruding(address) as intruder:
        intruder.run(statement)
    assert [(each.kind, each.first, each.last) for each in checked(address).findings] == [found]
    with pytest.raises(LedgerError, match="damaged or was tampered with"):
        new_store(address)


def test_roles_may_add_and_read_and_nothing_else(address: PostgresAddress, database: Database) -> None:
    writer, reader = f"writer_{address.log}", f"reader_{address.log}"
    for role in (writer, reader):
        database.script(f"CREATE ROLE {role} LOGIN PASSWORD '{role}'")
    made = CliRunner().invoke(app, ["schema", "--log", address.log, "--writer", writer, "--reader", reader])
    database.script(made.stdout)
    as_writer = PostgresAddress(database.url(writer, writer), address.log)
    with closing(new_store(as_writer)) as store:
        fill(store, [record(number) for number in range(300)])
        store.prune([(0, 9)])
        store.append([record(300)])
    with closing(open_reader(PostgresAddress(database.url(reader, reader), address.log))) as opened:
        assert len(opened.query(Query(limit=1_000))) == 291
        assert opened.pruned() == {(0, 9)}
    s = address.log
    for role, statement in [
        (writer, f"UPDATE {s}.records SET body = ''"),
        (writer, f"DELETE FROM {s}.records"),
        (writer, f"DELETE FROM {s}.facts"),
        (writer, f"TRUNCATE {s}.records"),
        (writer, f"DELETE FROM {s}.checkpoints"),
        (writer, f"DELETE FROM {s}.head"),
        (writer, f"ALTER TABLE {s}.records DISABLE TRIGGER ALL"),
        (reader, f"INSERT INTO {s}.pruned VALUES (0, 1)"),
        (reader, f"UPDATE {s}.head SET note = ''"),
        (reader, f"SELECT {s}.prune(0, 1)"),
    ]:
        with psycopg.connect(database.url(role, role)) as link, pytest.raises(psycopg.errors.InsufficientPrivilege):
            link.execute(statement.encode())
    database.script(f"DROP OWNED BY {writer}, {reader}; DROP ROLE {writer}, {reader};")


def test_the_doctor_says_what_the_role_that_writes_could_do_beyond_adding(
    address: PostgresAddress, database: Database
) -> None:
    writer, s = f"writer_{address.log}", address.log
    database.script(f"CREATE ROLE {writer} LOGIN PASSWORD '{writer}'")
    as_writer = PostgresAddress(database.url(writer, writer), address.log)

    def levels() -> list[tuple[str, str]]:
        return [(each.level, each.message) for each in ledger_findings(as_writer)]

    assert [level for level, _ in levels()] == ["warning"]  # nothing is there yet
    database.script(setup(s) + grants(s, writer))
    assert [level for level, _ in levels()] == ["ok"]
    database.script(f"GRANT DELETE ON {s}.facts TO {writer}; GRANT UPDATE (hash) ON {s}.records TO {writer}")
    database.script(f"ALTER TABLE {s}.checkpoints DISABLE TRIGGER guard")
    assert [(level, "facts, records" in text, "checkpoints" in text) for level, text in levels()] == [
        ("problem", True, False),
        ("problem", False, True),
    ]
    database.script(f"ALTER TABLE {s}.accesses OWNER TO {writer}")
    assert ("warning", f"`{writer}` owns the ledger `{as_writer}`, and could take its guards off") in levels()
    assert writer not in "".join(text for _, text in levels()).replace(f"`{writer}`", "")  # nor its password
    assert [each.level for each in ledger_findings(address)] == ["problem"]  # a superuser
    database.script(f"DROP OWNED BY {writer}; DROP ROLE {writer};")


EXACTLY: list[tuple[str, str, str, tuple[str, int | None, int | None]]] = [
    ("records", "hash", "seq = 7", ("changed", 7, 7)),
    ("records", "hash", "seq = 270", ("changed", 270, 270)),
    ("subtrees", "root", "level = 8 AND idx = 0", ("index", 0, 255)),
    ("checkpoints", "note", "size = 299", ("checkpoint", None, None)),
    ("head", "note", "one = 1", ("checkpoint", None, None)),
    ("log", "origin", "one = 1", ("checkpoint", None, None)),
    ("accesses", "action", "seq = 7", ("index", 7, 7)),
    *(("facts", name, "seq = 7", ("index", 7, 7)) for name in Facts._fields),
]


def test_every_class_of_bytes_is_watched_as_in_a_file(store: LedgerStore, address: PostgresAddress) -> None:
    fill(store, [record(number) for number in range(299)], batch=299)
    store.resign()
    fill(store, [record(299)])
    store.resign()
    store.close()

    for table, column, where, found in EXACTLY:
        text = column not in ("hash", "root")
        cell = f"convert_to(\"{column}\", 'UTF8')" if text else f'"{column}"'
        value = "convert_from(?, 'UTF8')" if text else "?"
        update = f'UPDATE {table} SET "{column}" = {value} WHERE {where}'
        with intruding(address) as intruder:
            select = f"SELECT {cell} FROM {table} WHERE {where}"
            content = cast(bytes, intruder.connection.execute(select).fetchone()[0])
        at = len(content) // 2
        changed = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :] if content else b"x"
        with intruding(address) as intruder:
            intruder.run(update, changed)
        assert {(each.kind, each.first, each.last) for each in checked(address).findings} == {found}, column
        with intruding(address) as intruder:
            intruder.run(update, content)
    assert checked(address).sound


def test_a_role_without_rights_is_told_what_is_missing(address: PostgresAddress, database: Database) -> None:
    database.script(f"{setup(address.log)} CREATE ROLE w_{address.log} LOGIN PASSWORD 'w';")
    with pytest.raises(LedgerError, match="permission denied") as failure:
        new_store(PostgresAddress(database.url(f"w_{address.log}", "w"), address.log))
    assert "bailiwick ledger schema" in failure.value.remedy
    database.script(f"DROP ROLE w_{address.log}")


def test_logs_of_one_database_do_not_know_each_other(store: LedgerStore, address: PostgresAddress) -> None:
    other = PostgresAddress(address.url, f"{address.log}_b")
    store.append([record(1)])
    with closing(open_store(other, KEY, origin=f"{ORIGIN}/b", now=fixed_now)) as second:
        second.append([record(2), record(3)])
    assert (ids(address), ids(other)) == (["1"], ["2", "3"])


def test_an_address_says_where_and_never_by_which_password() -> None:
    found = read_address("postgres://gw:canary@db.example:5433/audit?sslmode=require&log=eu_1")
    assert isinstance(found, PostgresAddress)
    assert str(found) == "postgresql://db.example:5433/audit?log=eu_1"
    assert "canary" not in repr(found)
    assert urlsplit(found.url).query == "sslmode=require"
    for wrong in ("mysql://db/audit", "postgresql://db", "postgresql://db/audit?log=a;b", "postgresql://db/a?log=pg_x"):
        with pytest.raises(ConfigError):
            read_address(wrong)


def test_a_server_that_is_not_there_is_said_without_the_password() -> None:
    with pytest.raises(LedgerError) as failure:
        open_reader(PostgresAddress("postgresql://gw:canary@127.0.0.1:1/audit"))
    assert "canary" not in str(failure.value) + failure.value.remedy
    with pytest.raises(LedgerError, match="cannot be opened"):
        new_store(PostgresAddress("postgresql://gw:canary@127.0.0.1:1/audit"))
