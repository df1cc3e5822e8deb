"""Held changes: writes that are kept for people to decide on, with what they would do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from bailiwick.model.decision import Denial
from bailiwick.model.policy import Preview

Shown = Mapping[str, str | None]
"""Column → value as text, as the session's read scope shows it."""
ChangeState = Literal["PENDING", "EXPIRED"]
"""A pending change expires with its session."""


@dataclass(frozen=True, slots=True)
class ChangedRow:
    """One row before and after; None: it does not exist then, or the session may not read it."""

    key: tuple[str | None, ...]
    before: Shown | None
    after: Shown | None


@dataclass(frozen=True, slots=True)
class Previewed:
    """What a dry run found out. `rows` is exact; None: nothing was run."""

    rows: int | None = None
    shown: tuple[ChangedRow, ...] = ()
    """At most the first 20."""
    keys: str = ""
    """SHA-256 (hex) over the sorted keys of all rows; empty where they are not known."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Why there is nothing to hold: the dry run failed, or broke a rule. `state` is the backend's code, if it has one.

    `rows` is what it would have written, where that is known.
    """

    denial: Denial
    state: str = ""
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A write that is to be held, as it was asked for: what runs, once approved, is exactly this."""

    statement: str
    parameters: str
    """JSON: types, formats and values as they came."""
    digest: str
    """SHA-256 (hex) over session, policy version, mount, statement and parameters."""
    preview: Preview


@dataclass(frozen=True, slots=True)
class HeldChange:
    """A change that waits."""

    id: str
    session: str
    agent: str
    user: str
    task: str
    mount: str
    policy: str
    actions: tuple[str, ...]
    grants: tuple[str, ...]
    purpose: str
    asked: Asked
    previewed: Previewed
    made_at: datetime
    state: ChangeState = "PENDING"
