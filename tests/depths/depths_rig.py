"""Runs a case at one depth: by whatever connection, what came back, and what became of the tables."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import psycopg
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn, PGresult

from tests.depths.depths_cases import Case
from tests.support.canary import leaks_in
from tests.support.postgres import Database

TABLES = ("assignments", "complaints", "customers", "depot_keys", "invoices", "labels", "movements", "parcels", "scans",
          "stations", "tariffs", "vehicles")  # fmt: skip
_KEEP = "".join(f"CREATE TABLE kept.{name} AS TABLE public.{name};" for name in (*TABLES, "trucks"))
KEEP = f"CREATE SCHEMA kept; {_KEEP.replace('TABLE public.vehicles', 'SELECT * FROM ONLY public.vehicles')}"
"""Makes what a database is put back from."""

_STATE = "SELECT md5(concat_ws('|', {})), concat_ws('|', (SELECT last_value FROM public.complaints_complaint_id_seq))"
_ROWS = "(SELECT string_agg(t::text, ',' ORDER BY t::text) FROM public.{} t)"


@dataclass(slots=True)
class Outcome:
    """What a client saw of a case."""

    rows: list[tuple[str | None, ...]] = field(default_factory=list[tuple[str | None, ...]])
    names: list[str] = field(default_factory=list[str])
    tags: list[str] = field(default_factory=list[str])
    error: str = ""
    code: str = ""
    """The gateway's own code of a denial."""
    texts: list[str] = field(default_factory=list[str])
    """Everything that came back, messages included."""

    @property
    def touched(self) -> int:
        """How many rows were returned or changed."""
        counts = [int(tag.rpartition(" ")[2]) for tag in self.tags if tag.rpartition(" ")[2].isdigit()]
        return len(self.rows) or sum(counts)

    def leaks(self) -> list[str]:
        """Return the canaries in it."""
        return leaks_in(self.texts)

    def same_rows(self, other: Outcome, *, ordered: bool) -> bool:
        """Whether both gave the same."""
        if ordered:
            return self.rows == other.rows
        return Counter(self.rows) == Counter(other.rows)


def run(connection: psycopg.Connection, case: Case) -> Outcome:
    """Run a case's steps; an error ends it."""
    found = Outcome()
    raw = connection.pgconn
    raw.notice_handler = lambda notice: found.texts.append(notice.error_message.decode())
    for step in case.steps:
        result = raw.exec_(step.encode())
        _take(raw, result, found)
        if found.error:
            break
    return found


def run_texts(connection: psycopg.Connection, texts: Sequence[str], parameters: Sequence[str] = ()) -> Outcome:
    """Run texts inside a transaction that is rolled back; an error ends it."""
    found = Outcome()
    raw = connection.pgconn
    raw.notice_handler = lambda notice: found.texts.append(notice.error_message.decode())
    raw.exec_(b"BEGIN")
    for text in texts:
        values = [value.encode() for value in parameters]
        _take(raw, raw.exec_params(text.encode(), values) if values else raw.exec_(text.encode()), found)
        if found.error:
            break
    raw.exec_(b"ROLLBACK")
    return found


def _take(raw: PGconn, result: PGresult, found: Outcome) -> None:
    if result.status == ExecStatus.FATAL_ERROR:
        found.error = (result.error_field(67) or b"?????").decode()
        message = result.error_message.decode()
        detail = re.search(r"code (\w+)", message)
        found.code = detail[1] if detail else ""
        found.texts.append(message)
        return
    if result.status == ExecStatus.COPY_OUT:
        _copy(raw, found)
        return
    found.names = [(result.fname(place) or b"").decode() for place in range(result.nfields)]
    for row in range(result.ntuples):
        cells = [result.get_value(row, place) for place in range(result.nfields)]
        found.rows.append(tuple(None if cell is None else cell.decode() for cell in cells))
    found.tags.append((result.command_status or b"").decode())
    found.texts += [*found.names, *(cell for row in found.rows for cell in row if cell is not None)]


def _copy(raw: PGconn, found: Outcome) -> None:
    while True:
        count, data = raw.get_copy_data(0)
        if count < 0:
            break
        line = bytes(data).decode()
        found.rows.append((line,))
        found.texts.append(line)
    end = raw.get_result()
    if end is not None and end.status == ExecStatus.FATAL_ERROR:
        found.error = (end.error_field(67) or b"?????").decode()
        found.texts.append(end.error_message.decode())
    while raw.get_result() is not None:
        pass


class State:
    """The tables of one database: whether they changed, and back to what they were."""

    def __init__(self, database: Database) -> None:
        self._connection = psycopg.connect(database.url(), autocommit=True)
        self._query = _STATE.format(", ".join(_ROWS.format(name) for name in TABLES)).encode()
        self._first = self._read()

    def _read(self) -> tuple[str, str]:
        row = self._connection.execute(self._query).fetchone()
        return (str(row[0]), str(row[1])) if row else ("", "")

    def settle(self) -> str:
        """Return a fingerprint of the tables if they changed, else nothing; and put them back."""
        now = self._read()
        if now == self._first:
            return ""
        self._connection.execute(_RESTORE.encode())
        if self._read()[0] != self._first[0]:
            raise RuntimeError("the database could not be put back")
        return now[0] if now[0] != self._first[0] else ""

    def close(self) -> None:
        """Let the database go."""
        self._connection.close()


def _restore() -> Sequence[str]:
    filled = [f"INSERT INTO public.{name} OVERRIDING SYSTEM VALUE TABLE kept.{name};" for name in (*TABLES, "trucks")]
    names = ", ".join(f"public.{name}" for name in (*TABLES, "trucks"))
    return (
        "BEGIN; SET LOCAL session_replication_role = replica;",
        f"TRUNCATE {names} CASCADE;",
        *filled,
        "ALTER SEQUENCE public.complaints_complaint_id_seq RESTART;",
        "COMMIT;",
    )


_RESTORE = "\n".join(_restore())
