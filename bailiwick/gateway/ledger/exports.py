"""Records as the lines of an export: as they are stored, as a table's, as events of OCSF."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

import orjson

from bailiwick.gateway.ledger.reader import Stored
from bailiwick.ledger.encode import read
from bailiwick.ledger.ocsf.mapping import event_of
from bailiwick.model.record import JsonValue

CSV = (
    *("seq", "at", "id", "kind", "agent", "user", "session", "task", "mount", "actions", "decision", "code"),
    *("message", "statement", "rows", "bytes", "duration_us", "grants", "policy", "refers", "labels"),
)
"""The columns of an export as CSV."""


def lines(form: Literal["jsonl", "csv", "ocsf"], records: Iterable[Stored], origin: str) -> Iterator[bytes]:
    """Yield the lines of an export. `origin` is the ledger's name; what is no record is left out."""
    if form == "csv":
        yield csv_lines([CSV]).encode()
    for each in records:
        document = read(each.body)
        if document is None:
            continue
        if form == "jsonl":
            yield each.body + b"\n"
        elif form == "csv":
            yield csv_lines([[cell(document, name) for name in CSV]]).encode()
        else:
            yield orjson.dumps(event_of(document, each.body.decode(), origin)) + b"\n"


def cell(document: Mapping[str, JsonValue], name: str) -> str:
    """Return a member as a spreadsheet is to show it: never as a formula, which some beginnings are taken for."""
    found = document.get(name, "")
    text = found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def csv_lines(rows: Iterable[Sequence[str]]) -> str:
    """Return rows as CSV (RFC 4180, with a line feed at the end of each)."""
    made = io.StringIO()
    csv.writer(made, lineterminator="\n").writerows(rows)
    return made.getvalue()
