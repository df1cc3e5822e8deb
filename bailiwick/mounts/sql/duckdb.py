"""Runs statements on DuckDB: on an instance that is locked up, after DuckDB itself has read the query (the guard)."""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, cast

import orjson

from bailiwick.errors import BackendError
from bailiwick.gateway.backends.duckdb import INSTANCES, Place, type_of
from bailiwick.model.record import JsonValue
from bailiwick.mounts.sql.duckdb_guard import READ_QUERY, refused
from bailiwick.mounts.sql.results import CONSTRAINT, KEY_TAKEN, Failed, Row, as_json
from bailiwick.mounts.sql.running import Job, Ran, Rows, Stop, Stopped
from bailiwick.mounts.sql.writing import Found, written
from bailiwick.sql.engines.duckdb_names import QUOTED_OR_PARAMETER
from bailiwick.sql.engines.plan import Step, Upsert

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_log = logging.getLogger("bailiwick.sql")
_INTERVAL = 0.05
"""Seconds between two interruptions: one that comes before a statement has begun is forgotten."""
_AT_ONCE = 256
_LARGEST_INTEGER = 2**63
_FAILURES = {
    "TransactionException": Failed("40001", "somebody else changed the same rows; try again"),
    "OutOfMemoryException": Failed("53200", "the statement needs more memory than it may have"),
    "ConversionException": Failed("22000", "a value does not fit the type that it is given"),
    "OutOfRangeException": Failed("22003", "a value is out of range"),
    "BinderException": Failed("42000", "the database cannot do this: check names, arguments and types"),
    "ParserException": Failed("42000", "the database cannot do this: check names, arguments and types"),
    "CatalogException": Failed("42000", "the database cannot do this: check names, arguments and types"),
    "InvalidInputException": Failed("22000", "a value is not one that this can be done with"),
    "NotImplementedException": Failed("0A000", "the database cannot do this"),
    "PermissionException": Failed("42501", "the database's own guard does not allow this statement"),
}
_NO_KEYS = tuple(
    f"Constraint Error: {what}" for what in ("NOT NULL constraint", "CHECK constraint", "Violates foreign key")
)
"""How messages begin about constraints that are no keys. Values stand behind that, never before."""
_IN_USE = Failed("55P03", "the database is in use by somebody else; try again")
_GUARDED = Failed("42501", "the database's own guard does not allow this statement")


class DuckDBFile:
    """One file, or the Parquet and CSV files of a folder. Read-only where no grant of the policy writes."""

    def __init__(self, place: Place) -> None:
        self._place = place
        INSTANCES.hold(place)

    def run(self, job: Job, stop: Stop) -> Ran:
        """Run a statement; see `Engine`."""
        import duckdb

        try:
            with INSTANCES.cursor(self._place) as connection, _interrupted(connection, stop):
                return _run(connection, job, stop)
        except _BeyondError:
            return _GUARDED
        except BackendError as error:
            _log.error("DuckDB: %s", error)
            return _IN_USE
        except duckdb.Error as error:
            if isinstance(error, duckdb.FatalException | duckdb.InternalException):
                INSTANCES.distrust(self._place)
            if stop.due:
                return Stopped(late=not stop.told)
            return _failed(error)

    def close(self) -> None:
        """Let the file go, once nothing runs on it any more."""
        INSTANCES.release(self._place)


@contextmanager
def _interrupted(connection: DuckDBPyConnection, stop: Stop) -> Generator[None]:
    """Interrupt what runs on the connection as soon as it has to end."""
    done = threading.Event()
    told = threading.Event()

    def watch() -> None:
        told.wait(stop.left)
        while not done.wait(_INTERVAL):
            connection.interrupt()

    stop.on_tell(told.set)
    if stop.told:
        told.set()
    watcher = threading.Thread(target=watch, name="bailiwick-sql-stop", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        stop.on_tell(None)
        done.set()
        told.set()
        watcher.join()


def _run(connection: DuckDBPyConnection, job: Job, stop: Stop) -> Ran:
    plan = job.plan
    if stop.due:
        return Stopped(late=not stop.told)
    on = _Connection(connection, job)
    if plan.kind == "READ":
        connection.execute("BEGIN TRANSACTION READ ONLY")
        return on.read(plan.step)
    connection.execute("BEGIN")
    values = values_of(job)
    for place in range(plan.parameters, len(values)):  # RETURNING takes no parameters: they stand there as variables
        connection.execute(f"SET VARIABLE bw_{place + 1} = $1", [values[place]])
    found = written(job, on)
    found = found if isinstance(found, Failed) else job.settled(found)
    if isinstance(found, Failed) or found.verdict or job.dry:
        return found
    if stop.due:
        return Stopped(late=not stop.told)
    connection.execute("COMMIT")
    return found


class _BeyondError(Exception):
    """DuckDB reads in a step what is not in its plan."""


class _Connection:
    """Runs the steps of one statement, each of which DuckDB has read before."""

    def __init__(self, connection: DuckDBPyConnection, job: Job) -> None:
        self._connection, self._job = connection, job

    def read(self, step: Step) -> Rows:
        """Run a query."""
        return self._rows(step, values_of(self._job))

    def ask(self, step: Step) -> list[tuple[object, ...]]:
        """Run a step that DuckDB reads as its plan does."""
        self._look_at(step)
        return self.own(step.sql)

    def own(self, sql: str) -> list[tuple[object, ...]]:
        """Run text of ours."""
        return self._connection.execute(sql, used(sql, values_of(self._job))).fetchall()

    def rows(self, step: Step, identities: Found) -> Rows:
        """Run the query of what is returned."""
        values = values_of(self._job)
        for place, bound in enumerate(self._job.plan.bound, self._job.plan.parameters):
            if bound.source == "written":
                values[place] = [list(each) for each in identities]
        return self._rows(step, values)

    def tells_apart(self, upsert: Upsert, step: Step) -> bool:  # noqa: ARG002  # see `Transaction`
        """Whether keys compare texts by their characters: DuckDB's do."""
        return True

    def _rows(self, step: Step, values: list[object]) -> Rows:
        self._look_at(step)
        return _read(self._connection.execute(step.sql, used(step.sql, values)), self._job)

    def _look_at(self, step: Step) -> None:
        text = step.sql if step.target is None else step.query
        if not text:
            return
        told = self._connection.execute(READ_QUERY, [text]).fetchone()
        beyond = refused(str(told[0]) if told else "", step)
        if beyond:
            _log.error("DuckDB reads in a statement what is not in its plan: %s", beyond)
            raise _BeyondError


def values_of(job: Job) -> list[object]:
    """Return the values as DuckDB takes them: lists as lists, the pads of the mask key in their places."""
    first = job.plan.parameters
    found: list[object] = list(job.values)
    pads = {"mask.inner": 0x36, "mask.outer": 0x5C}
    for place, bound in enumerate(job.plan.bound, first):
        if isinstance(bound.source, str) and bound.source in pads:
            found[place] = bytes(byte ^ pads[bound.source] for byte in job.mask_key.ljust(64, b"\0"))
        elif bound.type.endswith("[]") and isinstance(found[place], str):
            found[place] = orjson.loads(str(found[place]))
    return found


def used(sql: str, values: list[object]) -> dict[str, object]:
    """Return the values of the parameters that a text has: DuckDB takes no others."""
    places = {int(found[1]) for found in QUOTED_OR_PARAMETER.finditer(sql) if found[1]}
    return {str(place): value for place, value in enumerate(values, 1) if place in places}


def _read(cursor: DuckDBPyConnection, job: Job) -> Rows:
    """Fetch rows up to the bounds, and one more to know whether there are any."""
    described = cast("list[tuple[object, ...]]", cursor.description or [])
    names = tuple(str(each[0]) for each in described)
    kinds = tuple(type_of(str(each[1])) for each in described)
    rows: list[Row] = []
    size, bounds = 0, job.bounds
    while found := cast("list[tuple[object, ...]]", cursor.fetchmany(_AT_ONCE)):
        for each in found:
            if bounds.rows is not None and len(rows) >= bounds.rows:
                return Rows(names, tuple(rows), size, "rows_exceeded", kinds)
            row: Row = tuple(_as_json(value) for value in each)
            more = len(orjson.dumps(row, default=str)) + 1
            if size + more > bounds.bytes:
                return Rows(names, tuple(rows), size, "bytes_exceeded", kinds)
            rows.append(row)
            size += more
    return Rows(names, tuple(rows), size, "", kinds)


def _as_json(value: object) -> JsonValue:
    """Return a value of DuckDB as one of JSON: lists and structs as they are, numbers without a JSON form as text."""
    if isinstance(value, list | tuple):
        return [_as_json(each) for each in cast("list[object]", value)]
    if isinstance(value, dict):
        return {str(name): _as_json(each) for name, each in cast("dict[object, object]", value).items()}
    if isinstance(value, int) and abs(value) >= _LARGEST_INTEGER:
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    return str(value) if isinstance(value, timedelta) else as_json(value, "")


def _failed(error: Exception) -> Failed:
    """Say in our words how it failed. DuckDB's own message may hold names and values from outside the scope."""
    if type(error).__name__ == "ConstraintException":
        return CONSTRAINT if str(error).startswith(_NO_KEYS) else KEY_TAKEN
    found = _FAILURES.get(type(error).__name__)
    if found is None:
        _log.error("DuckDB failed: %s", type(error).__name__)
        return Failed("58000", "the database failed")
    return found
