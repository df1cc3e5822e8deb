"""What a statement did: the direct connection on which a regression file runs, and the outcomes that are compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import psycopg
from psycopg import pq

from tests.regress.regress_script import Script, Step
from tests.support.postgres import Database

Rows = Counter[tuple[str | None, ...]]
_ERRORS = (pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.BAD_RESPONSE)


@dataclass(slots=True)
class Outcome:
    """What a client saw of a statement."""

    rows: Rows = field(default_factory=Rows)
    tag: str = ""
    error: str = ""
    """The SQLSTATE; empty when it was carried out."""
    message: str = ""

    @property
    def ran(self) -> bool:
        """Whether it was carried out."""
        return not self.error

    def same(self, other: Outcome) -> bool:
        """Whether a client saw the same: as many rows, and the same ones in any order."""
        return (self.rows, self.tag) == (other.rows, other.tag)


def run(raw: pq.abc.PGconn, text: str, script: Script | None = None) -> Outcome:
    """Run one statement. `script` gives the data for COPY … FROM stdin; without it none is sent."""
    result = raw.exec_(text.encode())
    if result.status == pq.ExecStatus.COPY_OUT:
        return _copy_out(raw)
    if result.status == pq.ExecStatus.COPY_IN:
        if script is None:
            raw.put_copy_end(b"no data here")
        else:
            raw.put_copy_data(script.data().encode())
            raw.put_copy_end()
        last = raw.get_result()
        while (following := raw.get_result()) is not None:
            last = following
        assert last is not None
        result = last
    return _outcome(result)


def _outcome(result: pq.abc.PGresult) -> Outcome:
    if result.status in _ERRORS:
        state = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"?????").decode()
        said = result.error_message.decode()
        return Outcome(error=state, message=said)
    rows: Rows = Counter(
        tuple(_cell(result, row, column) for column in range(result.nfields)) for row in range(result.ntuples)
    )
    return Outcome(rows, (result.command_status or b"").decode())


def _copy_out(raw: pq.abc.PGconn) -> Outcome:
    rows: Rows = Counter()
    while (got := raw.get_copy_data(0))[0] > 0:
        rows[(bytes(got[1]).decode(),)] += 1
    end = Outcome()
    while (result := raw.get_result()) is not None:
        end = _outcome(result)
    return end if end.error else Outcome(rows, end.tag)


def _cell(result: pq.abc.PGresult, row: int, column: int) -> str | None:
    found = result.get_value(row, column)
    return None if found is None else found.decode()


@dataclass(frozen=True, slots=True)
class Standing:
    """As whom the file's connection would run its next statement."""

    user: str
    ordinary: bool
    """Not a superuser."""
    security: bool
    """`row_security`."""
    clean: bool
    """No transaction is open that has changed or locked something."""
    inside: bool
    """In a transaction."""


_STANDING = """
SELECT current_user, NOT rolsuper, current_setting('row_security') = 'on', pg_current_xact_id_if_assigned() IS NULL
FROM pg_catalog.pg_roles WHERE rolname = current_user
"""


class Direct:
    """The connection of a regression file, as `psql` would hold it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.said: list[str] = []
        """Errors, notices and warnings so far, as psql prints their first lines."""
        self._connection = self._connect()

    def _connect(self) -> psycopg.Connection:
        connection = psycopg.connect(self._database.url(), autocommit=True)
        connection.pgconn.notice_handler = self._notice
        return connection

    def _notice(self, notice: pq.abc.PGresult) -> None:
        kind = (notice.error_field(pq.DiagnosticField.SEVERITY) or b"").decode()
        text = (notice.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or b"").decode()
        self.said.append(f"{kind}: {text.splitlines()[0]}")

    def meta(self, step: Step) -> None:
        """Carry out a command of psql: only `\\c` has an effect that lasts."""
        if step.text.split()[0] == "\\c":
            self._connection.close()
            self._connection = self._connect()

    def run(self, step: Step, script: Script) -> Outcome:
        """Run a statement of the file."""
        found = run(self._connection.pgconn, step.text, script)
        if found.error:
            self.said.append(found.message.splitlines()[0].replace(":  ", ": ", 1))
        return found

    def standing(self) -> Standing | None:
        """Say who would run the next statement; None when the transaction has failed."""
        state = self._connection.pgconn.transaction_status
        if state == pq.TransactionStatus.INERROR:
            return None
        ((user, ordinary, security, clean),) = self._connection.execute(_STANDING.encode()).fetchall()
        inside = state != pq.TransactionStatus.IDLE
        return Standing(str(user), bool(ordinary), bool(security), bool(clean), inside)

    def run_with_security(self, text: str) -> Outcome:
        """Run a statement as it would be with `row_security` on, and take it back."""
        raw = self._connection.pgconn
        raw.exec_(b"BEGIN; SET LOCAL row_security = on")
        found = run(raw, text)
        raw.exec_(b"ROLLBACK")
        return found

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


class State:
    """The rows of all tables of the files' schemas: read, compared, and put back."""

    def __init__(self, database: Database, schemas: Sequence[str]) -> None:
        self._connection = psycopg.connect(database.url(), autocommit=True)
        self._connection.execute("SET session_replication_role = replica")
        self._schemas = list(schemas)

    def read(self) -> dict[str, Counter[bytes]]:
        """Return the lines of each table."""
        found = self._connection.execute(
            "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relkind = 'r' AND n.nspname = ANY (%s) AND c.reltuples < 1000 ORDER BY 1",
            (self._schemas,),
        ).fetchall()
        return {str(name): Counter(self._lines(str(name))) for (name,) in found}

    def restore(self, before: dict[str, Counter[bytes]]) -> None:
        """Put back what has changed since."""
        for name, lines in self.read().items():
            if lines != before.get(name, lines):
                self._connection.execute(f"DELETE FROM ONLY {name}".encode())
                with self._connection.cursor().copy(f"COPY {name} FROM STDIN".encode()) as copy:
                    for line in before[name].elements():
                        copy.write(line)

    def _lines(self, name: str) -> Iterator[bytes]:
        with self._connection.cursor().copy(f"COPY {name} TO STDOUT".encode()) as copy:
            for data in copy:
                yield bytes(data)

    def close(self) -> None:
        """Hang up."""
        self._connection.close()
