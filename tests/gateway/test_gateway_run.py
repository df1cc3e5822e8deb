"""A gateway as people run it: `serve` and `session` from the command line, before a real database."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import gateway_rig
import psycopg
import pytest

from bailiwick.errors import BailiwickError
from bailiwick.gateway.admin_client import AdminClient
from bailiwick.gateway.backends.introspect import read_tables
from bailiwick.model.lock import Lock
from bailiwick.policy.lockfile import render_lock
from tests.support.forked import said
from tests.support.postgres import Database, Server

program = str(Path(sys.prefix) / "bin" / "bailiwick")
policy = gateway_rig.text.replace(", hours: Mon-Fri 07:00-19:00 Europe/Berlin", "")
script = """
CREATE TABLE tickets (ticket_id int PRIMARY KEY, tenant_id int NOT NULL, customer_id int NOT NULL);
CREATE TABLE customers (customer_id int PRIMARY KEY, tenant_id int NOT NULL);
INSERT INTO customers VALUES (70, 4), (80, 5);
INSERT INTO tickets VALUES (7, 4, 70), (8, 5, 80), (9, 4, 70);
"""
opening = ("open", "--agent", "support-bot", "--task", "handle-ticket", "--user", "ada", "--group", "support")


@dataclass
class Desk:
    """A running gateway's folder and process."""

    folder: Path
    environ: dict[str, str]
    process: subprocess.Popen[bytes] | None = None

    @property
    def admin(self) -> AdminClient:
        return AdminClient(self.folder / ".bailiwick" / "admin.sock")

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [program, "serve"], cwd=self.folder, env=self.environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.until(self.answers)

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(60)
        finally:
            self.process.kill()

    def answers(self) -> bool:
        try:
            return bool(self.admin.ask("status", {})["policy"])
        except BailiwickError:
            return False

    def until(self, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 120  # for a machine that does much else
        while not true():
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.05)

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def version(self) -> object:
        return self.admin.ask("status", {})["policy"]

    def session(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return said(self.folder, self.environ, "session", *arguments)


def run(folder: Path, environ: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the program itself, as it is installed; everything else here is `said`, in a fork of it."""
    return subprocess.run(
        [program, *arguments], cwd=folder, env=environ, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture(scope="module")
def upstream(postgres: Server) -> Iterator[Database]:
    made = postgres.create(script)
    yield made
    made.drop()


@pytest.fixture(scope="module")
def desk(upstream: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("gw")
    (folder / "policy.yaml").write_text(policy)
    tables = asyncio.run(read_tables(upstream.url(), None))
    (folder / "bailiwick.lock").write_text(render_lock(Lock({"crm": tables})))
    made = Desk(folder, {**os.environ, "CRM_URL": upstream.url(), "BAILIWICK_POSTGRES_PORT": "0"})
    made.start()
    yield made
    if made.process is not None and made.process.poll() is None:
        made.stop()


def connect(exports: str, **changes: str) -> psycopg.Connection[tuple[object, ...]]:
    """Connect with what `session open` printed."""
    pairs = (line.removeprefix("export ").split("=", 1) for line in exports.splitlines())
    names = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGDATABASE": "dbname", "PGPASSWORD": "password"}
    found = {names[name]: value for name, value in pairs}
    return psycopg.connect(autocommit=True, **{**found, **changes})  # pyright: ignore[reportArgumentType]  # texts all


def test_session_is_opened_in_words_and_used_with_what_was_printed(desk: Desk) -> None:
    opened = run(desk.folder, desk.environ, "session", *opening, "--tenant", "4", "--set", "ticket_id=7")
    assert opened.returncode == 0, opened.stderr
    assert [line.split("=")[0] for line in opened.stdout.splitlines()] == [
        f"export {name}" for name in ("PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGPASSWORD")
    ]
    assert "tickets: reads" in opened.stderr
    token = opened.stdout.split("PGPASSWORD=")[1].strip()
    assert token not in opened.stderr
    with connect(opened.stdout) as connection:
        assert connection.execute("SELECT * FROM tickets").fetchall() == [(7, 4, 70)]
    assert token not in desk.log()


def test_revoked_session_is_cut_within_a_second_while_idle_and_another_is_not(desk: Desk) -> None:
    opened, other = (desk.session(*opening, "--tenant", "4", "--set", "ticket_id=7") for _ in range(2))
    session = opened.stderr.split(":")[0]
    with connect(opened.stdout) as connection, connect(other.stdout) as kept:
        connection.execute("SELECT 1")
        desk.admin.ask("session.revoke", {"session": session})
        with socket.socket(fileno=os.dup(connection.fileno())) as wire:
            wire.settimeout(1)
            while wire.recv(4096):
                pass
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
        assert kept.execute("SELECT 1").fetchone() == (1,)
    with pytest.raises(psycopg.OperationalError, match="revoked"):
        connect(opened.stdout)
    again = desk.session("revoke", session)
    assert (again.returncode, "is not open" in again.stderr) == (1, True)


def test_service_file_and_passfile_are_private_and_work(desk: Desk) -> None:
    file = desk.folder / "svc"
    opened = desk.session(
        *opening, "--tenant", "4", "--set", "ticket_id=9", "--format", "service", "--service-file", "svc"
    )
    assert opened.returncode == 0, opened.stderr
    assert opened.stdout == f"export PGSERVICEFILE={file} PGSERVICE=crm\n"
    assert {stat.S_IMODE(each.stat().st_mode) for each in (file, desk.folder / "svc.pass")} == {0o600}
    settings = dict(line.split("=", 1) for line in file.read_text().splitlines()[1:])
    with psycopg.connect(**settings) as connection:  # pyright: ignore[reportArgumentType, reportCallIssue]  # texts all
        assert connection.execute("SELECT ticket_id FROM tickets").fetchall() == [(9,)]


def test_list_show_and_close_tell_the_same_session_in_words_and_in_json(desk: Desk) -> None:
    opened = json.loads(desk.session(*opening, "--tenant", "4", "--set", "ticket_id=7", "--format", "json").stdout)
    session = opened["session"]["id"]
    listed = json.loads(desk.session("list", "--json").stdout)
    assert session in [each["id"] for each in listed]
    assert session in desk.session("list").stdout
    shown = json.loads(desk.session("show", session, "--json").stdout)
    assert shown["session"]["context"] == {"ticket_id": "7", "customer_id": "70"}
    assert "token" not in json.dumps(shown)
    assert "tickets: reads" in desk.session("show", session).stdout
    assert "0 connections cut" in desk.session("close", session).stdout
    ended = {each["id"]: each["state"] for each in json.loads(desk.session("list", "--all", "--json").stdout)}
    assert ended[session] == "CLOSED"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--tenant", "4", "--set", "ticket_id=8"), "context value `customer_id` was not found"),
        (("--tenant", "4", "--set", "ticket_id=x"), "not of type integer"),
        (("--tenant", "4"), "`ticket_id` is missing"),
        (("--tenant", "4", "--set", "ticket_id"), "is not NAME=VALUE"),
        (("--tenant", "4", "--set", "ticket_id=7", "--ttl", "soon"), "`soon` is not a duration"),
        (("--tenant", "4", "--set", "ticket_id=7", "--mount", "erp"), "there is no mount `erp`"),
        (("--format", "service"), "--format service needs a file"),
    ],
)
def test_refused_opening_says_why_and_what_next(desk: Desk, arguments: tuple[str, ...], says: str) -> None:
    refused = desk.session(*opening, *arguments)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert says in refused.stderr
    assert len(refused.stderr.splitlines()) == 2


def test_changed_policy_is_taken_over_and_a_wrong_one_is_not(desk: Desk) -> None:
    before = desk.version()
    (desk.folder / "policy.yaml").write_text(policy.replace("roles: [support]", "roles: [suport]"))
    desk.until(lambda: "suport" in desk.log())
    assert desk.version() == before
    (desk.folder / "policy.yaml").write_text(policy.replace("answers them", "answers all of them"))
    desk.until(lambda: desk.version() != before)
    (desk.folder / "policy.yaml").write_text(policy)
    assert desk.process is not None
    desk.process.send_signal(signal.SIGHUP)
    desk.until(lambda: desk.version() == before)


def test_second_gateway_on_the_same_data_is_refused(desk: Desk) -> None:
    second = run(desk.folder, desk.environ, "serve")
    assert second.returncode == 1
    assert "in use by another gateway" in second.stderr


def test_policy_with_something_not_enforced_yet_is_refused_with_its_place(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(policy + "flows:\n  out: {after: confidential, hold: external}\n")
    refused = said(tmp_path, desk.environ, "serve")
    assert refused.returncode == 1
    assert f"policy.yaml:{len(policy.splitlines()) + 2}:" in refused.stderr
    assert "flow `out`" in refused.stderr
    assert not (tmp_path / ".bailiwick").exists()


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"[]\n",
        b"{\n",
        b"\xff\n",
        b'{"do": 1}\n',
        b'{"do": "x"}\n',
        b'{"do": "status", "a": 1}\n',
        b"[" * 9999 + b"\n",
    ],
)
def test_rubbish_on_the_admin_socket_is_answered_and_harms_nobody(desk: Desk, line: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as wire:
        wire.connect(str(desk.folder / ".bailiwick" / "admin.sock"))
        wire.sendall(line)
        assert json.loads(wire.makefile("rb").readline())["ok"] is False
    assert desk.answers()


def test_endless_line_on_the_admin_socket_is_cut_off(desk: Desk) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as wire:
        wire.settimeout(10)
        wire.connect(str(desk.folder / ".bailiwick" / "admin.sock"))
        with pytest.raises((BrokenPipeError, ConnectionResetError)):  # noqa: PT012  # which of them fails depends on timing
            for _ in range(100):
                wire.sendall(b"x" * 65536)
            raise BrokenPipeError if wire.recv(1) == b"" else AssertionError
    assert desk.answers()


def waiting(upstream: Database) -> int:
    """Return how many statements of the gateway wait for a lock of the database."""
    with psycopg.connect(upstream.url(), autocommit=True) as own:
        row = own.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        ).fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize(
    ("stop", "resume", "says"),
    [
        (("stop", "everything"), ("resume", "everything"), "everything is suspended"),
        (("agent", "suspend", "support-bot"), ("agent", "resume", "support-bot"), "agent `support-bot` is suspended"),
        (("mount", "close", "crm"), ("mount", "open", "crm"), "mount `crm` is closed"),
    ],
)
def test_what_is_in_flight_is_cancelled_at_the_database_when_it_is_suspended(
    desk: Desk, upstream: Database, stop: tuple[str, ...], resume: tuple[str, ...], says: str
) -> None:
    opened = desk.session(*opening, "--tenant", "4", "--set", "ticket_id=7")
    failed: list[str] = []

    def asks() -> None:
        with connect(opened.stdout) as connection:
            try:
                connection.execute("SELECT * FROM tickets")
            except psycopg.Error as error:
                failed.append(str(error))

    with psycopg.connect(upstream.url()) as owner:
        owner.execute("LOCK TABLE tickets IN ACCESS EXCLUSIVE MODE")
        agent = threading.Thread(target=asks)
        agent.start()
        desk.until(lambda: waiting(upstream) == 1)
        stopped = said(desk.folder, desk.environ, *stop, "--reason", "looks odd: CANARY-reason")
        assert stopped.returncode == 0, stopped.stderr
        assert " cut" in stopped.stdout
        agent.join(60)
        desk.until(lambda: waiting(upstream) == 0)  # while the lock is still held
    assert len(failed) == 1
    assert says in failed[0]
    assert "CANARY" not in failed[0]
    with pytest.raises(psycopg.OperationalError, match=says):
        connect(opened.stdout)
    assert "CANARY-reason" in said(desk.folder, desk.environ, "status").stdout
    assert said(desk.folder, desk.environ, *resume).returncode == 0
    with connect(opened.stdout) as connection:
        assert connection.execute("SELECT ticket_id FROM tickets").fetchall() == [(7,)]
    assert "nothing is suspended" in said(desk.folder, desk.environ, "status").stdout


def test_gateway_stops_cleanly_and_its_sessions_outlive_it(desk: Desk) -> None:
    opened = desk.session(*opening, "--tenant", "4", "--set", "ticket_id=7")
    assert desk.stop() == 0
    refused = desk.session("list")
    assert refused.returncode == 1
    assert "no gateway answers" in refused.stderr
    assert "bailiwick serve policy.yaml" in refused.stderr
    assert not (desk.folder / ".bailiwick" / "admin.sock").exists()
    desk.start()
    port = desk.admin.ask("status", {})["fronts"]
    assert isinstance(port, dict)
    front = port["postgres"]
    assert isinstance(front, dict)
    with connect(opened.stdout, port=str(front["port"])) as connection:
        assert connection.execute("SELECT ticket_id FROM tickets").fetchall() == [(7,)]
