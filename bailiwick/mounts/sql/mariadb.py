"""Runs statements on a MariaDB server: each on a session of its own, in one transaction, prepared by the server.

Values are typed parameters of a prepared statement. What reaches the server holds no text of an agent between quotes.
The second layer is the account: see docs/engines.md.
"""

from __future__ import annotations

import hashlib
import logging
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, cast

import orjson

from bailiwick.errors import BackendError
from bailiwick.gateway.backends.mariadb import opened
from bailiwick.mounts.sql.results import CONSTRAINT, KEY_TAKEN, Failed
from bailiwick.mounts.sql.running import Job, Ran, Rows, Stop, Stopped, Written, fetched
from bailiwick.sql.engines.mariadb_words import prepared, quoted
from bailiwick.sql.engines.plan import Keyed, Target

if TYPE_CHECKING:
    from pymysql.connections import Connection

_log = logging.getLogger("bailiwick.sql")
_MOST_ROWS = 10_000
"""Rows that one update or delete may write."""
_AT_ONCE = 500
_PADS: Mapping[object, int] = {"mask.inner": 0x36, "mask.outer": 0x5C}
_BLOCK = 64
_DENIED = (1044, 1045, 1142, 1143, 1227, 1370)
_LATE = (1317, 1969, 3024)
_TAKEN = (1022, 1062, 1169, 1557, 1586, 1761, 1762)
_CONSTRAINT = (1048, 1216, 1217, 1364, 1451, 1452, 4025)
_BUSY = (1205, 1213)
_VALUE = (1264, 1265, 1292, 1366, 1367, 1406, 1411, 1690, 3140, 4079)
_LARGE = (1153, 1301, 1038, 1041)
_READ_ONLY = (1290, 1792, 1836)


class MariaDBServer:
    """One server, as one account."""

    def __init__(self, url: str) -> None:
        self._url = url

    def run(self, job: Job, stop: Stop) -> Ran:
        """Run a statement; see `Engine`."""
        import pymysql

        plug: list[socket.socket] = []
        stop.on_tell(lambda: _cut(plug))
        try:
            with opened(self._url, stop.left, plug) as connection:
                try:
                    return self._run(connection, job, stop)
                except pymysql.MySQLError as error:
                    if stop.due:
                        return Stopped(late=not stop.told)
                    return _failed(error)
        except BackendError:
            if stop.due:
                return Stopped(late=not stop.told)
            _log.exception("MariaDB cannot be asked")
            return Failed("08001", "the database cannot be reached")
        finally:
            stop.on_tell(None)

    def close(self) -> None:
        """Nothing is held between statements."""

    def _run(self, connection: Connection, job: Job, stop: Stop) -> Ran:
        plan = job.plan
        if stop.due:
            return Stopped(late=not stop.told)
        if plan.kind == "READ":
            _do(connection, "START TRANSACTION READ ONLY")
            return _read(connection, job, plan.sql, _values(job))
        # What is found is what is written: all that is read on the way stays as it is until the end.
        _do(connection, "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
        _do(connection, "START TRANSACTION READ WRITE")
        if plan.target is not None:
            _do(connection, f"USE {quoted(plan.target.schema)}")  # a delete's alias is looked up there
            if _engine(connection, plan.target) != "InnoDB":
                return Failed("0A000", "the table cannot be written through this mount: it does not undo writes")
        found = _keyed(connection, job, plan.keyed) if plan.keyed is not None else _returned(connection, job)
        found = job.settled(found) if isinstance(found, Written) else found
        if not isinstance(found, Written) or found.verdict or job.dry:
            return found
        if stop.due:
            return Stopped(late=not stop.told)
        _do(connection, "COMMIT")
        return found


def _values(job: Job) -> list[object]:
    """Return the values, the pads of the key for `hash` masks among them."""
    found: list[object] = list(job.values)
    key = job.mask_key if len(job.mask_key) <= _BLOCK else hashlib.sha256(job.mask_key).digest()
    for place, bound in enumerate(job.plan.bound, job.plan.parameters):
        if bound.source in _PADS:
            found[place] = bytes(one ^ _PADS[bound.source] for one in key.ljust(_BLOCK, b"\0"))
    return found


def _engine(connection: Connection, target: Target) -> str:
    question = "SELECT ENGINE FROM information_schema.TABLES WHERE TABLE_SCHEMA = ?1 AND TABLE_NAME = ?2"
    found = _do(connection, prepared(question, (target.schema, target.relation)))
    return str(found[0][0]) if found else ""


def _cut(plug: Sequence[socket.socket]) -> None:
    for each in plug:
        with suppress(OSError):  # it has ended by itself
            each.shutdown(socket.SHUT_RDWR)


def _do(connection: Connection, sql: str) -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return [tuple(cast("tuple[object, ...]", row)) for row in cursor.fetchall()]


def _read(connection: Connection, job: Job, sql: str, values: Sequence[object]) -> Rows:
    from pymysql.cursors import SSCursor

    cursor = SSCursor(connection)
    cursor.execute(prepared(sql, values))
    each_row = iter(lambda: cast("tuple[object, ...] | None", cursor.fetchone()), None)
    return fetched(job, [str(each[0]) for each in cursor.description or ()], each_row)


def _returned(connection: Connection, job: Job) -> Ran:
    """Insert rows, each of which answers whether it may be there; those are not begun with that are known not to."""
    if job.plan.foresee:
        outside = int(str(_do(connection, prepared(job.plan.foresee, _values(job)))[0][0]))
        if outside:
            return Written(outside, "row_out_of_scope")
    checks = _do(connection, prepared(job.plan.sql, _values(job)))
    if job.bounds.batch is not None and len(checks) > job.bounds.batch:
        return Written(len(checks), "batch_exceeded")
    if any(check[0] != 1 for check in checks):
        return Written(len(checks), "row_out_of_scope")
    return _told(connection, job, [check[1:] for check in checks])


def _keyed(connection: Connection, job: Job, keyed: Keyed) -> Ran:
    """Find and lock the rows, write them, and look at each as it is now."""
    values = _values(job)
    found = _do(connection, prepared(keyed.find, values))
    batch = job.bounds.batch
    if batch is not None and len(found) > batch:
        return Written(len(found), "batch_exceeded")
    if len(found) > _MOST_ROWS:
        return Failed("54000", f"the statement writes more than {_MOST_ROWS} rows; write fewer at once")
    if len({*found}) != len(found):
        return Failed("21000", "the statement writes a row more than once")
    if not found:
        return _told(connection, job, found)
    before = _told(connection, job, found) if not keyed.verify else None  # what is deleted is told before
    if before is not None and before.verdict:
        return before
    with connection.cursor() as cursor:
        written = cursor.execute(prepared(job.plan.sql, values))
    if written != len(found):
        return Failed("40001", "the rows changed meanwhile; try again")
    if keyed.verify and _within(connection, values, keyed, found) != len(found):
        return Written(len(found), "row_out_of_scope")
    return before or _told(connection, job, found)


def _told(connection: Connection, job: Job, identities: Sequence[tuple[object, ...]]) -> Written:
    """Return what the statement returns of the rows that it writes: exactly one for each."""
    returning = job.plan.returning
    if returning is None:
        return job.told(identities)
    values = _values(job)
    for place, bound in enumerate(job.plan.bound, job.plan.parameters):
        if bound.source == "written":
            values[place] = orjson.dumps(identities).decode()
    rows = _read(connection, job, returning.step.sql, values)
    if rows.ended:
        return Written(len(identities), rows.ended)
    if len(rows.rows) != len(identities):
        return Written(len(identities), "row_out_of_scope")
    return job.told(identities, rows)


def _within(connection: Connection, given: Sequence[object], keyed: Keyed, found: Sequence[tuple[object, ...]]) -> int:
    """Return how many of the rows lie in the scope now."""
    count = 0
    for first in range(0, len(found), _AT_ONCE):
        values = list(given)
        places: list[str] = []
        for row in found[first : first + _AT_ONCE]:
            values += row
            places.append("(" + ", ".join(f"?{len(values) - len(row) + each + 1}" for each in range(len(row))) + ")")
        sql = f"{keyed.verify} AND ({', '.join(keyed.key)}) IN ({', '.join(places)})"
        count += int(str(_do(connection, prepared(sql, values))[0][0]))
    return count


def _failed(error: Exception) -> Ran:
    """Say in our words how it failed. The server's own message may hold names and values from outside the scope."""
    number = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    if number in _LATE:
        return Stopped(late=True)
    if number in _TAKEN:
        return KEY_TAKEN
    if number in _CONSTRAINT:
        return CONSTRAINT
    if number in _BUSY:
        return Failed("55P03", "the database is locked by somebody else; try again")
    if number in _LARGE:
        return Failed("54000", "a value of this statement is too large")
    if number in _VALUE:
        return Failed("22000", "a value of this statement is none of its type, or out of range")
    if number in _READ_ONLY:
        return Failed("25006", "the database cannot be written")
    if number in _DENIED:
        _log.error("MariaDB does not allow the account what a statement needs: error %d", number)
        return Failed("42501", "the database's own guard does not allow this statement")
    if 1046 <= number <= 1366 or 4000 <= number <= 4300:
        return Failed("42000", "the database cannot do this: check names, arguments and types")
    _log.error("MariaDB failed: %s %d", type(error).__name__, number)
    return Failed("58000", "the database failed")
