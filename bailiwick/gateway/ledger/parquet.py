"""The Parquet files of an archive against the records that were signed: queries read the one, proofs the other."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from bailiwick.errors import LedgerError
from bailiwick.gateway.backends.places import Place
from bailiwick.gateway.ledger.bundle import RECORDS, lines_of
from bailiwick.gateway.ledger.reader import Stored
from bailiwick.gateway.ledger.tables import Tables
from bailiwick.ledger.encode import read
from bailiwick.ledger.report import Finding

NAME = "records.parquet"


def can_compare() -> bool:
    """Return whether what it takes is installed."""
    return find_spec("duckdb") is not None


def parquet_findings(place: Place) -> list[Finding]:
    """Return the Parquet files that do not say what the records beside them do."""
    names = place.names()
    found: list[Finding] = []
    for name in names:
        folder, slash, file = name.rpartition("/")
        beside = next((f"{folder}{slash}{each}" for each in RECORDS if f"{folder}{slash}{each}" in names), None)
        if file == NAME and beside is not None:
            wrong = _difference(place, name, beside)
            if wrong:
                found.append(Finding("index", f"`{name}`: {wrong}; the records beside it are right"))
    return found


def _difference(place: Place, name: str, records: str) -> str:
    with TemporaryDirectory(prefix="bailiwick-") as temporary, Tables() as tables:
        path = Path(temporary) / NAME
        with place.reading(name) as file, path.open("wb") as copy:
            while part := file.read(1 << 20):
                copy.write(part)
        tables.take(_stored(place, records))
        try:
            rows = tables.differing(path)
        except LedgerError as error:
            return f"it cannot be read ({error.message[:200]})"
        return f"{rows} rows are not as the records say" if rows else ""


def _stored(place: Place, name: str) -> Iterator[Stored]:
    for line in lines_of(place, name):
        document = read(line) or {}
        seq = document.get("seq")
        if "leaf" not in document and isinstance(seq, int):
            yield Stored(seq, line)
