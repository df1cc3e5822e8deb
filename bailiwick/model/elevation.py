"""Elevations: an extra role for one session, or for an agent, for a while, because people have approved it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Elevation:
    """One that was granted."""

    id: str
    """That of its approval."""
    name: str
    """Of the policy's rule."""
    agent: str
    session: str
    """The one session that has it; empty: all of the agent's."""
    granted_at: datetime
    ends_at: datetime
    approved_by: tuple[str, ...]
    reason: str
    """The words of who asked for it."""
