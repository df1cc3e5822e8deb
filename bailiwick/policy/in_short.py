"""A cell of the matrix in a few words, for the table of agents by resources: `read (masked personal data)`."""

from __future__ import annotations

from collections.abc import Sequence

from bailiwick.model.lock import LockedTable
from bailiwick.model.scope import ResourceScope, WriteGrant

NOTHING = "none"
_PERSONAL = "pii"
_MOST_FIELDS = 3


def data_in_short(scope: ResourceScope, table: LockedTable | None, verbs: Sequence[str]) -> str:
    """Return what a scope over a table allows. Without the table nothing is called full."""
    told: list[str] = []
    for verb in verbs:
        if verb == "read":
            told.append(f"read{_how_read(scope, table)}")
        elif verb == "update":
            told.append(f"update{_written(scope.updates)}")
        else:
            told.append(verb)
    return ", ".join(told) or NOTHING


def verbs_in_short(verbs: Sequence[str]) -> str:
    """Return what may be done by tools; their names are words here."""
    return ", ".join(verb.replace("_", " ") for verb in verbs) or NOTHING


def _how_read(scope: ResourceScope, table: LockedTable | None) -> str:
    """Return how much of the fields, and of those that are labelled as personal data, some grant shows."""
    clear = {name for read in scope.reads for name, mask in read.fields.items() if mask is None}
    seen = {name for read in scope.reads for name in read.fields}
    if table is not None and clear >= {column.name for column in table.columns}:
        return " (full)" if _personal(scope) else ""
    personal = _personal(scope)
    if not personal or personal & clear:
        return ""
    return " (masked personal data)" if personal & seen else " (without personal data)"


def _personal(scope: ResourceScope) -> set[str]:
    return {name for name, labels in scope.resource.labels.items() if _PERSONAL in labels}


def _written(grants: Sequence[WriteGrant]) -> str:
    fields = sorted({name for grant in grants for name in grant.fields})
    return f" {', '.join(fields)}" if len(fields) <= _MOST_FIELDS else ""
