"""Calls and their outcomes, as mounts tell them and the ledger keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from bailiwick.model.budget import Budget
from bailiwick.model.decision import Allow, Decision, Request
from bailiwick.model.record import JsonValue


@dataclass(frozen=True, slots=True)
class Call:
    """One call as the ledger will tell it."""

    mount: str
    statement: str
    request: Request
    decision: Decision
    detail: Mapping[str, JsonValue] | None = None
    """Further facts for the ledger; never a value of a row."""
    budgets: tuple[Budget, ...] = ()
    """What each of its executions is charged to, where that is worked out with the decision."""


def granting(call: Call) -> tuple[str, ...]:
    """Return the grants by which a call is allowed; none when it is not."""
    return call.decision.grants if isinstance(call.decision, Allow) else ()


class Outcome(NamedTuple):
    """What really happened. `code` is empty on success, else a denial code or the backend's (SQLSTATE)."""

    code: str = ""
    rows: int | None = None
    bytes: int | None = None
    duration_us: int | None = None
