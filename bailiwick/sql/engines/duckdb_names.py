"""Under which names DuckDB has what stands behind a mount."""

from __future__ import annotations

import re

FILE, SOURCES, TEMPORARY = "bailiwick", "sources", ":temp"
"""Of the attached file, and of the schemas of Parquet and CSV files, which lie in memory, and of tables of ours."""


QUOTED_OR_PARAMETER = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|\$([0-9]+)""")
"""What is quoted in text that we generated, or the number of a parameter outside of it."""


def full(schema: str, name: str) -> tuple[str, str, str]:
    """Return the full name of a relation."""
    if schema == TEMPORARY:
        return ("temp", "main", name)
    return ("memory" if schema == SOURCES else FILE, schema, name)
