"""Calls and their outcomes, as mounts tell them and the ledger keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from bailiwick.model.decision import Decision, Request


@dataclass(frozen=True, slots=True)
class Call:
    """One call as the ledger will tell it."""

    mount: str
    statement: str
    request: Request
    decision: Decision


class Outcome(NamedTuple):
    """What really happened. `code` is empty on success, else a denial code or the backend's (SQLSTATE)."""

    code: str = ""
    rows: int | None = None
    bytes: int | None = None
    duration_us: int | None = None
