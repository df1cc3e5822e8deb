"""A record as an event of OCSF 1.8; what it lacks is left out, and nothing is invented.

The canonical bytes go along as `raw_data`, so that a record can be proven from what a sink received.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from bailiwick.ledger.ocsf.classes import OTHER, Meaning, activities, categories, meaning_of, names
from bailiwick.ledger.ocsf.findings import finding_of
from bailiwick.ledger.ocsf.parts import (
    PRODUCT,
    Document,
    Json,
    actor_of,
    authorizations_of,
    detail_of,
    entity_of,
    number,
    policy_of,
    resources_of,
    source_of,
    text,
    texts,
    user_of,
)
from bailiwick.ledger.severity import severities, severity_of
from bailiwick.model.record import JsonValue

VERSION = "1.8.0"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def event_of(document: Document, raw: str, log: str) -> Json:
    """Return a decoded record as an event. `raw` is the record's canonical text, `log` the name of the ledger."""
    of_data = bool(text(document, "statement") or document.get("fields"))
    meaning = meaning_of(text(document, "kind"), texts(document, "actions"), of_data=of_data)
    event = _base(document, meaning, raw, log)
    event |= _special[meaning.uid](document, meaning)
    return event


def checkpoint_of(origin: str, size: int, note: str, at: str) -> Json:
    """Return a signed checkpoint as an event; `raw_data` is the note, line for line."""
    document: Json = {"kind": "checkpoint", "at": at, "id": f"checkpoint:{origin}:{size}"}
    event = _base(document, Meaning(1008, OTHER), note, origin)
    event["log_name"] = origin
    event["message"] = f"signed checkpoint of {size} records"
    event["unmapped"] = {"note": note, "size": size}
    return event


def _base(document: Document, meaning: Meaning, raw: str, log: str) -> Json:
    kind, category = text(document, "kind"), meaning.uid // 1000
    activity = activities[meaning.uid].get(meaning.activity, kind or "other")
    severity = severity_of(document)
    at = milliseconds(text(document, "at"))
    event: Json = {
        "activity_id": meaning.activity,
        "activity_name": activity,
        "category_uid": category,
        "category_name": categories[category],
        "class_uid": meaning.uid,
        "class_name": names[meaning.uid],
        "type_uid": meaning.uid * 100 + meaning.activity,
        "type_name": f"{names[meaning.uid]}: {activity}",
        "severity_id": severities.index(severity) + 1,
        "severity": severity.capitalize(),
        "time": at,
        "metadata": _metadata(document, log, at),
        "raw_data": raw,
    }
    message = text(document, "message")
    if message:
        event["message"] = message
    event |= _status(document, meaning)
    spent = number(document, "duration_us")
    if spent is not None:
        event["duration"] = max(spent, 0) // 1000
    return event


def _metadata(document: Document, log: str, at: int) -> Json:
    found: Json = {
        "version": VERSION,
        "product": PRODUCT,
        "profiles": ["security_control"],
        "log_name": log,
        "log_provider": "bailiwick",
        "event_code": text(document, "kind") or "record",
        "logged_time": at,
    }
    for name, member in (("uid", "id"), ("original_time", "at"), ("correlation_uid", "session")):
        value = text(document, member)
        if value:
            found[name] = value
    seq = number(document, "seq")
    if seq is not None:
        found["sequence"] = seq
    refers = text(document, "refers")
    if refers:
        found["original_event_uid"] = refers
    labels = texts(document, "labels")
    if labels:
        found["labels"] = [*labels]
    return found


def _status(document: Document, meaning: Meaning) -> Json:
    """Return what came of it, and what the gateway did about it."""
    code, decision = text(document, "code"), text(document, "decision")
    failed = meaning.failed or decision == "deny" or bool(code)
    found: Json = {"status_id": 2, "status": "Failure"} if failed else {"status_id": 1, "status": "Success"}
    if decision == "hold":
        found = {"status_id": OTHER, "status": "Held"}
    if code:
        found["status_code"] = code
    action = {"allow": (1, "Allowed"), "deny": (2, "Denied"), "hold": (OTHER, "Held")}.get(decision)
    if action is not None:
        found |= {"action_id": action[0], "action": action[1]}
    policy = policy_of(document)
    if policy is not None:
        found["policy"] = policy
    grants = authorizations_of(document)
    if grants:
        found["authorizations"] = grants
    return found


def _api(document: Document, meaning: Meaning) -> Json:
    del meaning
    detail, operation = detail_of(document), ",".join(texts(document, "actions"))
    api: Json = {"operation": operation or text(detail, "action") or text(document, "kind") or "record"}
    mount, code = text(document, "mount"), text(document, "code")
    if mount:
        api["service"] = {"name": mount}
    identity = text(document, "refers") or text(document, "id")
    if identity:
        api["request"] = {"uid": identity}
    if code:
        api["response"] = {"error": code}
    found: Json = {"actor": actor_of(document), "api": api, "src_endpoint": source_of(document)}
    resources = resources_of(document)
    if resources:
        found["resources"] = resources
    return _with_extra(document, found)


def _with_extra(document: Document, found: Json, resources: list[JsonValue] | None = None) -> Json:
    """Add counts, and what OCSF has no place for."""
    extra = _extra(document)
    if resources:
        extra["resources"] = resources
    if extra:
        found["unmapped"] = extra
    return found


def _extra(document: Document) -> Json:
    found: Json = {}
    for name in ("rows", "bytes"):
        value = number(document, name)
        if value is not None:
            found[name] = value
    for name in ("task", "purpose"):
        value = text(document, name)
        if value:
            found[name] = value
    detail = detail_of(document)
    if detail:
        found["detail"] = dict(detail)
    return found


def _datastore(document: Document, meaning: Meaning) -> Json:
    del meaning
    mount = text(document, "mount") or "database"
    found: Json = {
        "actor": actor_of(document),
        "src_endpoint": source_of(document),
        "database": {"name": mount, "uid": mount, "type_id": 1, "type": "Relational"},
        "type_id": 1,
        "type": "Database",
    }
    statement = text(document, "statement")
    if statement:
        info: Json = {"query_string": statement, "uid": text(document, "id") or "statement"}
        size = number(document, "bytes")
        if size is not None:
            info["bytes"] = size
        found["query_info"] = info
    return _with_extra(document, found, resources_of(document))


def _authentication(document: Document, meaning: Meaning) -> Json:
    del meaning
    service = text(document, "mount") or ("console" if text(document, "kind").startswith("log") else "gateway")
    found = _iam(document) | _about(user=user_of(document), service={"name": service})
    session = text(document, "session") or text(detail_of(document), "login")
    return found | _about(session={"uid": session}) if session else found


def _about(**parts: JsonValue) -> Json:
    return parts


def _iam(document: Document) -> Json:
    return _with_extra(document, {"actor": actor_of(document), "src_endpoint": source_of(document)})


def _authorize(document: Document, meaning: Meaning) -> Json:
    del meaning
    task, session = text(document, "task"), text(document, "session")
    found = _iam(document) | _about(user=user_of(document), privileges=[f"task:{task}" if task else "session"])
    return found | _about(session={"uid": session}) if session else found


def _entity(document: Document, meaning: Meaning) -> Json:
    del meaning
    return _iam(document) | _about(entity=entity_of(document))


def _access(document: Document, meaning: Meaning) -> Json:
    del meaning
    detail = detail_of(document)
    name = text(detail, "name") or text(detail, "role") or text(detail, "elevation") or "elevation"
    return _iam(document) | _about(user=user_of(document), privileges=[name])


def _account(document: Document, meaning: Meaning) -> Json:
    del meaning
    return _iam(document) | _about(user=user_of(document))


def _lifecycle(document: Document, meaning: Meaning) -> Json:
    del meaning
    return _with_extra(document, {"app": PRODUCT})


def _error(document: Document, meaning: Meaning) -> Json:
    del meaning
    return _with_extra(document, {})


def _finding(document: Document, meaning: Meaning) -> Json:
    del meaning
    return _with_extra(document, finding_of(document))


def _log(document: Document, meaning: Meaning) -> Json:
    del meaning
    return _with_extra(document, {"log_name": "ledger", "actor": actor_of(document)})


_special: Mapping[int, Callable[[Document, Meaning], Json]] = {
    1008: _log,
    2004: _finding,
    3001: _account,
    3002: _authentication,
    3003: _authorize,
    3004: _entity,
    3005: _access,
    6002: _lifecycle,
    6003: _api,
    6005: _datastore,
    6008: _error,
}


def milliseconds(at: str) -> int:
    """Return a moment as the ledger writes it in milliseconds since 1970; 0 for what is none."""
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        return 0
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return round((moment - _EPOCH).total_seconds() * 1000)
