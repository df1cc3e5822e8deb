"""Records as OTLP logs in JSON (OpenTelemetry Protocol 1), and what a collector answers. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import cast

from bailiwick.gateway.sinks.item import Item
from bailiwick.ledger.ocsf.mapping import milliseconds
from bailiwick.ledger.severity import Severity

_numbers: Mapping[Severity, tuple[int, str]] = {
    "informational": (9, "INFO"),
    "low": (10, "INFO2"),
    "medium": (13, "WARN"),
    "high": (17, "ERROR"),
    "critical": (21, "FATAL"),
}
Json = dict[str, object]


def as_logs(items: Sequence[Item], origin: str) -> bytes:
    """Return the request that exports a batch."""
    resource = {"attributes": [_attribute("service.name", "bailiwick"), _attribute("service.instance.id", origin)]}
    logs = {"scope": {"name": "bailiwick.ledger"}, "logRecords": [_log(item) for item in items]}
    told = {"resourceLogs": [{"resource": resource, "scopeLogs": [logs]}]}
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def rejected_by(body: bytes) -> int | None:
    """Return how many records a collector says it rejected; None for an answer that is none of OTLP."""
    if not body.strip():
        return 0
    try:
        told = cast(object, json.loads(body))
    except (ValueError, RecursionError):
        return None
    if not isinstance(told, dict):
        return None
    partial = cast("Mapping[str, object]", told).get("partialSuccess")
    if partial is not None and not isinstance(partial, dict):
        return None
    text = str(cast("Mapping[str, object]", partial or {}).get("rejectedLogRecords", 0))
    return int(text) if text.isascii() and text.isdigit() else None


def _log(item: Item) -> Json:
    number, text = _numbers[item.severity]
    moment = str(max(0, milliseconds(item.at)) * 1_000_000)
    named = {
        "bailiwick.id": item.id,
        "bailiwick.kind": item.kind,
        "bailiwick.agent": item.agent,
        "bailiwick.session": item.session,
    }
    attributes = [_attribute(name, value) for name, value in named.items() if value]
    attributes.append({"key": "bailiwick.seq", "value": {"intValue": str(item.seq)}})
    return {
        "timeUnixNano": moment,
        "observedTimeUnixNano": moment,
        "severityNumber": number,
        "severityText": text,
        "eventName": f"bailiwick.{item.kind}",
        "body": {"stringValue": item.text},
        "attributes": attributes,
    }


def _attribute(key: str, value: str) -> Json:
    return {"key": key, "value": {"stringValue": value}}
