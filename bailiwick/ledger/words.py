"""What the two dialects of SQL that a ledger is searched in say differently. Texts only."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol


class Words(Protocol):
    """How a dialect says things of a record `r` and its index `f`. Other values are bound."""

    @property
    def stored(self) -> str:
        """What stands before the names of the tables."""
        ...

    @property
    def late(self) -> str:
        """What stands before the names of those for what is not indexed yet."""
        ...

    @property
    def whole(self) -> str:
        """The table whose highest number is that of the last record that is indexed and signed."""
        ...

    @property
    def by_moment(self) -> str:
        """What stands behind `facts f` to have records of a short period found by their moments; may be empty."""
        ...

    @property
    def documents(self) -> str:
        """The condition that the record's bytes are JSON."""
        ...

    def told(self, member: str) -> str:
        """Return the JSON of a member of the record, as text."""
        ...

    def text(self, member: str) -> str:
        """Return a member of the record that is a text."""
        ...

    def said(self, members: Sequence[str]) -> str:
        """Return members of the record (`a` or `a.b`) as one JSON list, as text; null for one that it has not."""
        ...

    def like(self, pieces: Sequence[str]) -> tuple[str, str]:
        """Return the comparison, and what it binds, with a text that has anything between these pieces."""
        ...


class Sqlite:
    """As SQLite says it."""

    stored = "main."
    late = "temp.late_"
    whole = "main.records"
    by_moment = " INDEXED BY facts_by_at"
    documents = "json_valid(CAST(r.body AS TEXT))"

    def told(self, member: str) -> str:
        """Return the JSON of a member of the record, as text."""
        return f"CAST(r.body AS TEXT) -> '$.{member}'"

    def text(self, member: str) -> str:
        """Return a member of the record that is a text."""
        return f"CAST(r.body AS TEXT) ->> '$.{member}'"

    def said(self, members: Sequence[str]) -> str:
        """Return members of the record as one JSON list, as text."""
        paths = ", ".join(f"'$.{name}'" for name in members)
        return f"json_extract(CAST(r.body AS TEXT), {paths})"

    def like(self, pieces: Sequence[str]) -> tuple[str, str]:
        """Return the comparison, and what it binds, with a text that has anything between these pieces."""
        return "GLOB ?", "*".join(re.sub(r"([*?\[])", r"[\1]", piece) for piece in pieces)


class Postgres:
    """As PostgreSQL says it, of the tables in one schema."""

    by_moment = ""
    documents = "r.body <> ''"
    """What is stored is JSON unless it was pruned; what was tampered with fails."""

    def __init__(self, schema: str) -> None:
        self.stored = f'"{schema}".'
        self.late = f'"{schema}".late_'
        self.whole = f'"{schema}".facts'

    def told(self, member: str) -> str:
        """Return the JSON of a member of the record, as text."""
        return f"({_DOCUMENT} -> '{member}')::text"

    def text(self, member: str) -> str:
        """Return a member of the record that is a text."""
        return f"({_DOCUMENT} ->> '{member}')"

    def said(self, members: Sequence[str]) -> str:
        """Return members of the record as one JSON list, as text."""
        paths = (f"d.doc #> '{{{name.replace('.', ',')}}}'" for name in members)
        return f"(SELECT json_build_array({', '.join(paths)})::text FROM (SELECT {_DOCUMENT} AS doc) AS d)"  # noqa: S608 -- names of our own

    def like(self, pieces: Sequence[str]) -> tuple[str, str]:
        """Return the comparison, and what it binds, with a text that has anything between these pieces."""
        return "LIKE ?", "%".join(re.sub(r"([%_\\])", r"\\\1", piece) for piece in pieces)


_DOCUMENT = "convert_from(r.body, 'UTF8')::json"
SQLITE = Sqlite()
