"""The keys under which values are told apart in the ledger without being stored: one for each person.

A value stands in a record as a digest under the key of the person for whom it was used. Equal values of one person have
equal digests, and whoever holds the keys can search for a value. Destroying a person's key leaves digests that nobody
can relate to anything any more, guessed values included, while every record and proof stays what it was.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from pathlib import Path
from typing import Protocol, cast

from bailiwick.errors import LedgerError
from bailiwick.match.masks import Digest, keyed_digest

_KEY = 32
_TOLD = 16
PREFIX = "hmac:"


class Keyed(Protocol):
    """Who knows the keys of people."""

    def digest(self, person: str) -> Digest:
        """Return the digest of a person's values; of an agent that works for nobody, of the empty name."""
        ...


class MemoryPeople:
    """Keys that last as long as the process."""

    def __init__(self) -> None:
        self._keys: dict[str, bytes] = {}

    def digest(self, person: str) -> Digest:
        """Return the digest of a person's values."""
        return keyed_digest(self._keys.setdefault(person, secrets.token_bytes(_KEY)))


class People:
    """The keys, in a file that is its owner's alone. Its methods raise LedgerError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            self._file = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            for pragma in ("journal_mode = TRUNCATE", "secure_delete = ON", "trusted_schema = OFF"):
                self._file.execute(f"PRAGMA {pragma}")
            self._file.execute("CREATE TABLE IF NOT EXISTS people (person TEXT PRIMARY KEY, key BLOB NOT NULL) STRICT")
        except (sqlite3.Error, OSError) as error:
            raise self._failed(error) from error

    def digest(self, person: str) -> Digest:
        """Return the digest of a person's values; the key is made when it is first asked for."""
        try:
            row = self._file.execute("SELECT key FROM people WHERE person = ?", (person,)).fetchone()
            if row is None:
                row = (secrets.token_bytes(_KEY),)
                self._file.execute("INSERT INTO people VALUES (?, ?)", (person, row[0]))
        except sqlite3.Error as error:
            raise self._failed(error) from error
        return keyed_digest(cast(bytes, row[0]))

    def told(self, value: str, person: str | None = None) -> list[str]:
        """Return how a value may stand in records: for one person, or for each that there is."""
        where, values = ("", ()) if person is None else (" WHERE person = ?", (person,))
        try:
            rows = self._file.execute(f"SELECT key FROM people{where}", values).fetchall()  # noqa: S608 -- a constant
        except sqlite3.Error as error:
            raise self._failed(error) from error
        return [told(keyed_digest(cast(bytes, row[0])), value) for row in rows]

    def erase(self, person: str) -> bool:
        """Destroy a person's key, the bytes on disk included; tell whether there was one."""
        try:
            gone = self._file.execute("DELETE FROM people WHERE person = ?", (person,)).rowcount
            self._file.execute("VACUUM")
        except sqlite3.Error as error:
            raise self._failed(error) from error
        return gone > 0

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _failed(self, error: Exception) -> LedgerError:
        return LedgerError(f"the keys of people in `{self._path}` cannot be used: {error}", remedy="check the disk")


def told(digest: Digest, value: str) -> str:
    """Return a value as records tell it."""
    return f"{PREFIX}{digest(value)[:_TOLD]}"
