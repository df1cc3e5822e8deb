"""A draft as JSON, for programs."""

from __future__ import annotations

from datetime import datetime

from bailiwick.learn.draft import Draft, Evidence, Proposed
from bailiwick.learn.writing import matcher_text
from bailiwick.model.record import JsonValue

Object = dict[str, JsonValue]


def draft_json(draft: Draft) -> Object:
    """Return a draft as JSON. Matchers stand as the policy's text has them."""
    return {
        "agent": draft.agent,
        "part_of": draft.part_of,
        "calls": draft.calls,
        "refused": draft.refused,
        "sessions": draft.sessions,
        "people": draft.people,
        "first": _moment(draft.first),
        "last": _moment(draft.last),
        "unseen": [round(each, 6) for each in draft.unseen],
        "grants": [_grant(each) for each in draft.grants],
        "questions": [each.text for each in draft.questions],
        "tasks": [
            {
                "name": each.name,
                "verbs": {name: list[JsonValue](verbs) for name, verbs in each.verbs.items()},
                "context": dict[str, JsonValue](each.context),
                "sessions": each.sessions,
                "people": each.people,
                "why": each.why,
            }
            for each in draft.jobs
        ],
        "hours": draft.hours,
        "actions": draft.actions,
        "kept_out": [
            {
                "session": each.session,
                "user": each.user,
                "at": each.at.isoformat(),
                "reasons": list[JsonValue](each.reasons),
                "records": list[JsonValue](each.records),
            }
            for each in draft.kept_out
        ],
        "never": [
            {"mount": each.mount, "resource": each.resource, "column": each.column, "why": each.why}
            for each in draft.never
        ],
    }


def _grant(grant: Proposed) -> Object:
    found: Object = {
        "allow": str(grant.action),
        "mount": grant.mount,
        "confidence": grant.confidence,
        "evidence": _evidence(grant.evidence),
        "lines": [
            {"what": e.what, "generalisation": e.generalisation, "confidence": e.confidence, "why": e.why, "new": e.new}
            for e in grant.lines
        ],
    }
    if grant.tool:
        found["tool"] = grant.tool
    if grant.fields is not None:
        found["fields"] = list[JsonValue](grant.fields)
    for key, matchers in (("rows", grant.rows), ("set", grant.set), ("args", grant.args)):
        if matchers:
            found[key] = {name: matcher_text(each) for name, each in matchers.items()}
    if grant.mask:
        found["mask"] = {name: each.name for name, each in grant.mask.items()}
    if grant.when:
        found["when"] = grant.when
    if grant.limits:
        found["limits"] = dict[str, JsonValue](grant.limits)
    return found


def _evidence(evidence: Evidence) -> Object:
    return {
        "calls": evidence.calls,
        "sessions": evidence.sessions,
        "people": evidence.people,
        "first": _moment(evidence.first),
        "last": _moment(evidence.last),
        "examples": list[JsonValue](evidence.examples),
        "share": [round(evidence.low, 6), round(evidence.high, 6)],
    }


def _moment(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
