"""Where a key of a loaded policy stands."""

from __future__ import annotations

from bailiwick.model.policy import Policy
from bailiwick.model.position import NOWHERE, Position

Path = tuple[str, ...]


def where(policy: Policy, path: Path) -> Position:
    """Return the position of a key, or of the nearest key above it that was written."""
    for length in range(len(path), 0, -1):
        found = policy.positions.get(path[:length])
        if found is not None:
            return found
    return NOWHERE
