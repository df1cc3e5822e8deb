"""Labels: classification of fields and resources."""

from __future__ import annotations

from typing import Literal

Level = Literal["public", "internal", "confidential", "restricted"]
levels: tuple[Level, ...] = ("public", "internal", "confidential", "restricted")
"""In rising order. What carries no level is `internal`. Every other label is a free tag (`pii`, `untrusted`)."""


def level_of(labels: frozenset[str]) -> Level:
    """Return the highest level among the labels, `internal` when there is none."""
    found: Level | None = None
    for level in levels:
        if level in labels:
            found = level
    return found or "internal"
