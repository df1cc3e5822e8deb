"""A departure in words, and as the facts of a record of kind `finding`. Names and counts only."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from bailiwick.ledger.baselines import Departure, Measure
from bailiwick.ledger.encode import moment
from bailiwick.ledger.severity import Severity
from bailiwick.model.record import JsonValue

_words: Mapping[Measure, str] = {
    "calls": "calls in an hour",
    "denials": "denials in an hour",
    "rows": "rows in an hour",
    "largest": "rows of one call",
}
_severities: Mapping[Measure, Severity] = {
    "calls": "medium",
    "denials": "high",
    "rows": "high",
    "largest": "high",
    "action": "medium",
    "hour": "medium",
}


@dataclass(frozen=True, slots=True)
class Told:
    """A finding, as it is told and recorded."""

    id: str
    """The same whenever the same departure is found."""
    at: str
    agent: str
    task: str
    session: str
    record: str
    """Id of the record by which it was seen."""
    code: str
    message: str
    action: str
    detail: Mapping[str, JsonValue]


def told(found: Departure) -> Told:
    """Return a departure as it is told."""
    seen = found.observation
    key = "\0".join((seen.agent, seen.task, found.measure, str(found.seen if isinstance(found.seen, str) else "")))
    identity = hashlib.sha256(f"{key}\0{moment(found.since)}".encode("utf-8", "replace")).hexdigest()[:26]
    detail: dict[str, JsonValue] = {
        "finding": f"fnd_{identity}",
        "severity": _severities[found.measure],
        "measure": found.measure,
        "seen": found.seen,
        "usual": dict(found.usual),
        "since": moment(found.since),
    }
    return Told(
        f"fnd_{identity}",
        moment(seen.at),
        seen.agent,
        seen.task,
        seen.session,
        seen.record,
        f"unusual_{found.measure}",
        _message(found),
        str(found.seen) if found.measure == "action" else "",
        detail,
    )


def _message(found: Departure) -> str:
    seen, usual = found.observation, found.usual
    who = f"agent `{seen.agent}`" + (f" in task `{seen.task}`" if seen.task else "")
    match found.measure:
        case "action":
            return f"{who} used `{found.seen}` for the first time in {usual['calls']} calls"
        case "hour":
            return f"{who} works at {found.seen}, as never before in {usual['hours']} hours with calls"
        case _:
            words = f"{found.seen} {_words[found.measure]} and counting"
            return f"{who}: {words}; at most {usual['most']} in {usual['hours']} usual hours (median {usual['median']})"
