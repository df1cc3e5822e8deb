"""Calls and their outcomes, as mounts tell them and the ledger keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

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


Fate = Literal["committed", "rolled_back", "in_part", "unknown"]
"""`in_part`: committed after a part was rolled back to a savepoint; which outcomes that undid is not told."""


@dataclass(frozen=True, slots=True)
class TransactionEnd:
    """How a transaction ended in which writes were done, whose outcomes are on record already."""

    mount: str
    fate: Fate
    intents: tuple[str, ...]
    """Of those writes; at most a thousand."""
    writes: int
    """How many there were."""


class Outcome(NamedTuple):
    """What really happened. `code` is empty on success, else a denial code or the backend's (SQLSTATE)."""

    code: str = ""
    rows: int | None = None
    bytes: int | None = None
    duration_us: int | None = None
