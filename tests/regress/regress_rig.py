"""Runs a regression file directly, and beside it, through a gateway, each statement that an ordinary user runs.

Behind the gateway stands a superuser's login, for whom PostgreSQL itself refuses nothing and filters nothing. What a
user may do is derived anew from the live catalogue whenever it may have changed, and put in force by a reload.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import psycopg
from psycopg import pq

from bailiwick.policy.lockfile import render_lock
from tests.regress.regress_direct import Direct, Outcome, Standing, State, run
from tests.regress.regress_policy import SCHEMAS, Derived, Deriver
from tests.regress.regress_script import Script, Step, script
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.postgres import Database, Server

SETUP = Path(__file__).with_name("setup.sql")
ANCHOR = "zz_anchor.anchor"
DATA = frozenset({"SELECT", "TABLE", "VALUES", "WITH", "INSERT", "UPDATE", "DELETE", "MERGE", "COPY", "PREPARE",
                  "EXECUTE", "DECLARE", "FETCH"})  # fmt: skip
OTHERS = frozenset({"ALTER", "ANALYZE", "CALL", "COMMENT", "CREATE", "DROP", "EXPLAIN", "GRANT", "LOCK", "REFRESH",
                    "REVOKE", "TRUNCATE", "VACUUM"})  # fmt: skip
"""No agent may send these, whatever its policy says."""
_UNCHANGING = DATA | {"EXPLAIN", "LOCK", "ANALYZE", "VACUUM", "TRUNCATE", "REINDEX", "COMMENT"}
_MAKES = re.compile(r"^SELECT [^(]*\bINTO \w", re.IGNORECASE)
"""SELECT … INTO makes a table."""
_NAMES = re.compile(r"[a-z_]\w*")
_EXECUTES = re.compile(r"EXECUTE (\w+)", re.IGNORECASE)
_PREPARES = re.compile(r"PREPARE (\w+)", re.IGNORECASE)
_WRITES = re.compile(r"\b(INSERT|UPDATE|DELETE|MERGE)\b", re.IGNORECASE)
_LEAKED = re.compile(r"^gate\|NOTICE:  (?:f_leak|op_leak|leak) =?>? ?(.*)$", re.MULTILINE)
_CODE = re.compile(r"code (\w+), decision")
Kind = Literal["same", "refused", "allowed", "filtered", "differs", "leaked"]
"""`same`: the same rows, or both refuse. `refused` or `allowed`: only the gateway does so. `filtered`: PostgreSQL
refuses because `row_security` is off, and the gateway gives what PostgreSQL gives when it is on. `differs`: other rows,
or another change. `leaked`: a function of the statement was called over a value that the user may not read."""


@dataclass(frozen=True, slots=True)
class Tried:
    """A statement that was tried both ways, and how they compare."""

    line: int
    user: str
    text: str
    kind: Kind
    code: str
    """The gateway's code of a denial, or the server's SQLSTATE."""
    ran: bool
    """Whether PostgreSQL carries it out."""
    detail: str = ""
    unsaid: tuple[str, ...] = ()


@dataclass(slots=True)
class Report:
    """What came of a file."""

    tried: list[Tried] = field(default_factory=list[Tried])
    others: Counter[str] = field(default_factory=Counter[str])
    """Statements that no agent may send, by their first word: all of them were refused."""
    left_out: list[Step] = field(default_factory=list[Step])
    """Statements of an ordinary user in a transaction of the file that had already changed something, or failed."""
    said: list[str] = field(default_factory=list[str])
    log: str = ""
    """Of the gateway."""
    watched: int = 0
    """Values over which functions of the statements were called behind the gateway."""


class Doors:
    """The ways into a gateway, one connection a user, with a policy that fits the user and the moment."""

    def __init__(self, gateway: RunningGateway, database: Database, users: tuple[str, ...]) -> None:
        self._gateway = gateway
        self._database = database
        self._users = users
        self._deriver = Deriver(database)
        self._open: dict[str, psycopg.Connection] = {}
        self._in_force = ""
        self.reloads = 0
        self._derived: Derived | None = None
        self.prepared: dict[str, str] = {}
        """The PREPARE of each name, as the file had it."""
        self._prepared: set[tuple[str, str]] = set()

    def changed(self) -> None:
        """Say that privileges, policies or tables may have changed."""
        self._derived = None

    def fit(self, user: str, wanted: frozenset[str]) -> Derived:
        """Put the user's policy on the relations of these names in force, as the database is now."""
        known = self._derived
        if known is None or known.user != user or not wanted <= known.wanted:
            known = self._derived = self._deriver.derive(user, self._users, ANCHOR, wanted)
            self._put(known)
        return known

    def _put(self, derived: Derived) -> None:
        if derived.text + derived.shape != self._in_force:
            (self._gateway.folder / "policy.yaml").write_text(derived.text)
            (self._gateway.folder / "bailiwick.lock").write_text(render_lock(self._deriver.lock(derived.relations)))
            self._gateway.admin.ask("reload", {})
            self._in_force = derived.text + derived.shape
            self.reloads += 1

    def run(self, user: str, step: Step) -> Outcome:
        """Run a statement as the user's agent."""
        connection = self._connection(user)
        name = _EXECUTES.match(step.plain)
        if name is not None and (user, name[1]) not in self._prepared and name[1] in self.prepared:
            run(connection.pgconn, self.prepared[name[1]])
        made = _PREPARES.match(step.plain)
        inside = connection.pgconn.transaction_status == pq.TransactionStatus.INTRANS
        if inside:
            connection.pgconn.exec_(b"SAVEPOINT one")
        found = run(connection.pgconn, step.text)
        if inside and (found.error or _WRITES.search(step.plain)):
            connection.pgconn.exec_(b"ROLLBACK TO SAVEPOINT one")
        if made is not None or name is not None:
            self._prepared.add((user, (made or name or [""])[1]))
        return found

    def _connection(self, user: str) -> psycopg.Connection:
        if user not in self._open:
            self._open[user] = psycopg.connect(self._gateway.open_session(user).url(), autocommit=True)
        return self._open[user]

    def follow(self, user: str, *, inside: bool) -> None:
        """Be in a transaction when the file is in one (its cursors live in it), and out of it when it is not."""
        self._connection(user)
        for name, connection in self._open.items():
            idle = connection.pgconn.transaction_status == pq.TransactionStatus.IDLE
            if not idle and not (inside and name == user):
                connection.pgconn.exec_(b"ROLLBACK")
            elif idle and inside and name == user:
                connection.pgconn.exec_(b"BEGIN")

    def visible(self, user: str) -> set[str]:
        """Return every value that PostgreSQL lets the user select."""
        return self._deriver.visible(user)

    def close(self) -> None:
        """Hang up."""
        self._deriver.close()
        for each in self._open.values():
            each.close()


class Play:
    """One file, from its beginning to its end."""

    def __init__(self, server: Server, database: Database, doors: Doors, name: str) -> None:
        self._log = server.data.parent / "log"
        self._doors = doors
        self._direct = Direct(database)
        self._state = State(database, SCHEMAS)
        self._steps = list(iter(script(name).step, None))
        self._name = name
        self.report = Report()

    def run(self) -> Report:
        """Run it."""
        source = script(self._name)
        while (step := source.step()) is not None:
            if step.meta:
                self._direct.meta(step)
            elif step.word in DATA | OTHERS:
                self._statement(step, source)
            else:
                ran = self._direct.run(step, source).ran
                if ran and step.word not in ("SET", "RESET", "BEGIN", "SAVEPOINT"):
                    self._doors.changed()
        self.report.said = self._direct.said
        return self.report

    def _named(self, step: Step) -> frozenset[str]:
        """Return the words of a statement and of those behind it up to the next that changes who may do what."""
        names = set(_NAMES.findall(step.text)) | self._prepared(step)
        for each in self._steps[bisect_right(self._steps, step.line, key=lambda each: each.line) :]:
            if each.meta or each.word in OTHERS - {"EXPLAIN"} or each.word in ("SET", "RESET"):
                break
            names.update(_NAMES.findall(each.text), self._prepared(each))
        return frozenset(names)

    def _prepared(self, step: Step) -> set[str]:
        name = _EXECUTES.match(step.plain)
        return set(_NAMES.findall(self._doors.prepared.get(name[1], ""))) if name is not None else set()

    def _statement(self, step: Step, source: Script) -> None:
        standing = self._direct.standing()
        if standing is not None and standing.ordinary and standing.clean:
            self._other(step, source, standing) if step.word in OTHERS else self._both(step, source, standing)
            return
        if standing is not None and standing.ordinary:
            self.report.left_out.append(step)
        self._straight(step, source)

    def _straight(self, step: Step, source: Script) -> Outcome:
        found = self._direct.run(step, source)
        if step.word == "PREPARE" and found.ran:
            self._doors.prepared[step.plain.split()[1].partition("(")[0]] = step.text
        if found.ran and (step.word not in _UNCHANGING or _MAKES.search(step.plain)):
            self._doors.changed()
        return found

    def _other(self, step: Step, source: Script, standing: Standing) -> None:
        through = self._doors.run(standing.user, step)
        direct = self._straight(step, source)
        self.report.others[step.word] += 1
        if through.ran:
            self.report.tried.append(
                Tried(step.line, standing.user, step.plain, "allowed", "", direct.ran, through.tag)
            )

    def _both(self, step: Step, source: Script, standing: Standing) -> None:
        derived = self._doors.fit(standing.user, self._named(step))
        self._doors.follow(standing.user, inside=standing.inside)
        kept = _WRITES.search(step.plain) is not None and not standing.inside
        before = self._state.read() if kept else {}
        mark = self._log.stat().st_size
        through = self._doors.run(standing.user, step)
        leaked = self._leaked(mark)
        after = self._state.read() if kept and through.ran else before
        if after != before:
            self._state.restore(before)
        seen = len(self._direct.said)
        direct = self._straight(step, source)
        told = {said.partition("=> ")[2] for said in self._direct.said[seen:]}
        meant = self._state.read() if kept and through.ran else before
        kind, detail = _compared(direct, through, same_state=after == meant)
        if kind == "allowed" and not standing.security and through.same(self._direct.run_with_security(step.text)):
            kind = "filtered"
        self.report.watched += len(leaked)
        if not leaked <= told and not leaked <= told | self._doors.visible(standing.user):
            kind, detail = "leaked", f"{leaked - told}"
        code = _CODE.search(through.message)
        shown = "" if through.ran else code[1] if code else through.error
        self.report.tried.append(
            Tried(step.line, standing.user, step.plain, kind, shown, direct.ran, detail, derived.unsaid)
        )

    def _leaked(self, mark: int) -> set[str]:
        with self._log.open("rb") as log:
            log.seek(mark)
            return set(_LEAKED.findall(log.read().decode(errors="replace")))

    def close(self) -> None:
        """Hang up."""
        self._direct.close()
        self._state.close()


def _compared(direct: Outcome, through: Outcome, *, same_state: bool) -> tuple[Kind, str]:
    if not through.ran:
        return ("refused" if direct.ran else "same"), through.message
    if not direct.ran:
        return "allowed", f"{through.tag} {dict(through.rows)} | {direct.message}"
    if not direct.same(through):
        return "differs", f"{through.tag} {dict(through.rows)} | {direct.tag} {dict(direct.rows)}"
    return ("same" if same_state else "differs"), "what was written"


@contextmanager
def regression(server: Server, name: str) -> Generator[Report]:
    """Run a file on a server and give what came of it."""
    main = server.database("postgres")
    main.script("CREATE DATABASE regression TEMPLATE template0")
    main.script("CREATE ROLE gate SUPERUSER LOGIN PASSWORD 'gate'")
    database = server.database("regression")
    database.script(SETUP.read_text())
    users = tuple(sorted(set(_users(name))))
    derived = Deriver(database)
    start = derived.derive("postgres", users, ANCHOR, frozenset()).text
    derived.close()
    with running_gateway(start, {"REGRESSION_URL": database.url("gate", "gate") + "?sslmode=disable"}) as gateway:
        doors = Doors(gateway, database, users)
        play = Play(server, database, doors, name)
        try:
            report = play.run()
            report.log = gateway.log()
            yield report
        finally:
            play.close()
            doors.close()


def _users(name: str) -> Iterator[str]:
    """Yield every role that a file names."""
    source = script(name)
    while (step := source.step()) is not None:
        yield from re.findall(r"\bregress_\w+\b", step.text)
