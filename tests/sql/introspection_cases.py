"""Reads the statements of `introspection/`: what real clients ask a catalogue."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from tests.support.postgres import Database

HERE = Path(__file__).parent
FOLDER = HERE / "introspection"
_PLACE = re.compile(r"\{((?:type )?\w+\.\w+)\}")
_OIDS = """
SELECT n.nspname || '.' || c.relname, c.oid::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
UNION ALL
SELECT 'type ' || n.nspname || '.' || t.typname, t.oid::text
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
"""


@dataclass(frozen=True, slots=True)
class Case:
    """One statement with the values bound to its parameters, oids still as placeholders."""

    name: str
    sql: str
    parameters: tuple[str | None, ...]

    def filled(self, oids: dict[str, str]) -> tuple[str, tuple[str | None, ...]]:
        """Return text and parameters with the oids of a database; 0 for what it does not have."""

        def fill(text: str) -> str:
            return _PLACE.sub(lambda match: oids.get(match.group(1), "0"), text)

        return fill(self.sql), tuple(None if value is None else fill(value) for value in self.parameters)


def script() -> str:
    """Return what makes the database that the statements were asked of."""
    return (HERE / "corpus" / "fixture.sql").read_text() + (FOLDER / "setup.sql").read_text()


def cases() -> list[Case]:
    """Return every case, in the order of the files."""
    return [case for path in sorted(FOLDER.glob("*.sql")) for case in _read(path.read_text())]


def oids(database: Database) -> dict[str, str]:
    """Return `schema.relation` and `type schema.name` → oid."""
    return {str(name): str(number) for name, number in database.rows(_OIDS)}


def _read(text: str) -> Iterator[Case]:
    for block in text.split("-- case: ")[1:]:
        name, _, rest = block.partition("\n")
        values: list[str | None] = []
        if rest.startswith("-- params: "):
            line, _, rest = rest.partition("\n")
            values = cast("list[str | None]", json.loads(line.removeprefix("-- params: ")))
        yield Case(name, rest.rstrip().removesuffix(";").rstrip(), tuple(values))
