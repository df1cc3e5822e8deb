"""Suspensions: what people (or a limit that ran over) have stopped for the time being."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

SuspensionKind = Literal["everything", "agent", "session", "mount"]


@dataclass(frozen=True, slots=True)
class Suspension:
    """One thing that is stopped until somebody lets it go on."""

    kind: SuspensionKind
    name: str
    """Of the agent or mount, or the session's id; empty for everything."""
    reason: str
    """In the words of who did it; for people, never told to agents."""
    by: str
    at: datetime
