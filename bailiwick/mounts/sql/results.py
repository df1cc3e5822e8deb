"""What a statement is answered with: rows with types, or why not. JSON, CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bailiwick.model.decision import Denial
from bailiwick.model.record import JsonValue

Row = tuple[JsonValue, ...]
largest_answer = 32 * 1024 * 1024
"""Bytes of rows that an answer holds at most, whatever is configured: it is held in memory. A query ends there."""


@dataclass(frozen=True, slots=True)
class Result:
    """What an allowed statement returned."""

    columns: tuple[tuple[str, str], ...] = ()
    """Name and type of each column; types in PostgreSQL's words."""
    rows: tuple[Row, ...] = ()
    affected: int | None = None
    """How many rows a write has written; None for a query."""
    ended: Denial | None = None
    """The ceiling at which the result was ended: `rows` are the first ones, and there are more."""
    size: int = 0
    """Bytes of the rows, as JSON."""
    record: str = ""
    """Id of the ledger's record."""

    def json(self) -> dict[str, JsonValue]:
        """Return the result as a value of JSON."""
        found: dict[str, JsonValue] = {} if self.affected is None else {"affected": self.affected}
        if self.has_rows:
            found["columns"] = [{"name": name, "type": kind} for name, kind in self.columns]
            found["rows"] = [list(row) for row in self.rows]
        if self.ended is not None:
            found["ended"] = {"code": self.ended.code, "message": self.ended.message, "allowed": self.ended.allowed}
        return {**found, "record": self.record}

    @property
    def has_rows(self) -> bool:
        """Whether it is one of rows, be they none: of a query, or of a write that returns what it has written."""
        return self.affected is None or bool(self.columns)

    def csv(self) -> str:
        """Return the rows as CSV (RFC 4180) under a line of names; NULL is an empty field."""
        out = io.StringIO()
        writer = csv.writer(out)
        writer.writerow([name for name, _ in self.columns])
        writer.writerows([_field(value) for value in row] for row in self.rows)
        return out.getvalue()

    def recorded(self, record: str) -> Result:
        """Return it with the id of its record."""
        return replace(self, record=record)


@dataclass(frozen=True, slots=True)
class Denied:
    """The statement was not done."""

    denial: Denial
    record: str = ""

    def json(self) -> dict[str, JsonValue]:
        """Return it as a value of JSON."""
        told: Mapping[str, JsonValue] = {
            "code": self.denial.code,
            "message": self.denial.message,
            "allowed": self.denial.allowed,
            "remedy": self.denial.remedy,
            "action": self.denial.action,
        }
        return {"denied": {name: value for name, value in told.items() if value}, "record": self.record}


@dataclass(frozen=True, slots=True)
class Failed:
    """The statement was allowed, and the database could not do it. Nothing of it is left."""

    code: str
    """An SQLSTATE."""
    message: str
    """In our words: a database's own message may hold values."""
    record: str = ""

    def json(self) -> dict[str, JsonValue]:
        """Return it as a value of JSON."""
        return {"failed": {"code": self.code, "message": self.message}, "record": self.record}


KEY_TAKEN = Failed("23505", "a key of the table does not admit this")
"""A unique key does not admit the row. Which row has it, and whether it may be seen, nobody is told."""
CONSTRAINT = Failed("23000", "a constraint of the table does not admit this")
"""Another constraint does not."""


Answer = Result | Denied | Failed


def as_json(value: object, kind: str) -> JsonValue:
    """Return a value of a database as one of JSON: bytes as `\\x…`, what JSON has no number for as text."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return bool(value) if kind == "boolean" and value in (0, 1) else value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    return str(value)


def typed(columns: Sequence[tuple[str, str]], rows: Sequence[Row]) -> tuple[tuple[str, str], ...]:
    """Return names and types; where a type is not known, that of the first value of its column."""
    found: list[tuple[str, str]] = []
    for place, (name, kind) in enumerate(columns):
        values = (row[place] for row in rows if row[place] is not None) if not kind else ()
        found.append((name or f"column{place + 1}", kind or _type_of(next(iter(values), None))))
    return tuple(found)


def _type_of(value: JsonValue) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "bigint" if isinstance(value, int) else "double precision" if isinstance(value, float) else "text"


def _field(value: JsonValue) -> str:
    if value is None:
        return ""
    return ("true" if value else "false") if isinstance(value, bool) else str(value)
