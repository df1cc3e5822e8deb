"""How much a record matters to whoever watches: by its kind, its decision and its code alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from bailiwick.model.record import JsonValue

Severity = Literal["informational", "low", "medium", "high", "critical"]
severities: tuple[Severity, ...] = get_args(Severity)
"""The least first."""

_of_kind: Mapping[str, Severity] = {
    "session.suspended": "high",
    "agent.suspended": "high",
    "mount.closed": "high",
    "everything.suspended": "critical",
    "approval.held": "low",
    "elevation.granted": "low",
    "review.lapsed": "medium",
    "policy.pending": "low",
    "policy.promoted": "low",
    "limit.warned": "medium",
    "search.alerted": "medium",
    "notice.failed": "medium",
    "sink.refused": "medium",
    "finding": "high",
}


def severity_of(document: Mapping[str, JsonValue]) -> Severity:
    """Return the severity of a decoded record. Denials and refusals are medium, holds and errors low."""
    kind = document.get("kind")
    if not isinstance(kind, str):
        return "informational"
    if kind == "finding":
        detail = document.get("detail")
        told = detail.get("severity") if isinstance(detail, dict) else None
        return told if told in severities else "high"
    if kind in _of_kind:
        return _of_kind[kind]
    if kind.endswith(".refused") or document.get("decision") == "deny":
        return "medium"
    return "low" if document.get("decision") == "hold" or document.get("code") else "informational"


def at_least(severity: Severity, least: Severity) -> bool:
    """Tell whether one severity is another or above it."""
    return severities.index(severity) >= severities.index(least)
