"""What somebody may see of records, by their clearance. Pure.

INVARIANT: of a record that touched a label above somebody's clearance, they see who, when, which action and what was
decided; no text that could carry a value.
"""

from __future__ import annotations

from collections.abc import Mapping

from bailiwick.model.label import Level, level_of, levels
from bailiwick.model.record import JsonValue

HIDDEN = "hidden: above your clearance"
_may_carry = ("statement", "message", "detail", "purpose")


def cleared(document: Mapping[str, JsonValue], clearance: Level) -> bool:
    """Return whether somebody of a clearance sees all of a record."""
    found = document.get("labels")
    return sees(frozenset(str(each) for each in found) if isinstance(found, list) else frozenset[str](), clearance)


def sees(labels: frozenset[str], clearance: Level) -> bool:
    """Return whether somebody of a clearance sees what has these labels."""
    return levels.index(level_of(labels)) <= levels.index(clearance)


def seen(document: Mapping[str, JsonValue], clearance: Level) -> Mapping[str, JsonValue]:
    """Return the members of a record as somebody of a clearance sees them; itself, where nothing is hidden."""
    if cleared(document, clearance):
        return document
    return {name: (HIDDEN if name in _may_carry else value) for name, value in document.items()}
