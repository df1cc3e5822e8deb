"""Ceilings on one statement: on what it really did, not on an estimate."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ceilings:
    """What one statement may do at most; None: no ceiling. Whoever executes keeps them, or undoes the statement."""

    batch: int | None = None
    """Rows that it writes."""
    rows: int | None = None
    """Rows that it returns."""
    bytes: int | None = None
    """Bytes of the rows that it returns, as they are sent."""
    timeout: int | None = None
    """Seconds that it runs."""
