"""Findings and warnings as detection findings (2004): what was usual, what happened."""

from __future__ import annotations

from collections.abc import Mapping

from bailiwick.ledger.ocsf.parts import Document, Json, actor_of, detail_of, resources_of, text
from bailiwick.model.record import JsonValue


def finding_of(document: Document) -> Json:
    """Return what a detection finding has beyond every event."""
    detail, kind = detail_of(document), text(document, "kind")
    identity = text(detail, "finding") or text(document, "id") or "finding"
    title = text(document, "message") or kind or "finding"
    info: Json = {"uid": identity, "title": title, "types": [text(document, "code") or kind or "finding"]}
    statistical = kind == "finding"
    name = "usual behaviour of agents" if statistical else "limits"
    info["analytic"] = {
        "name": name,
        "type_id": 3 if statistical else 1,
        "type": "Statistical" if statistical else "Rule",
    }
    refers = text(document, "refers")
    if refers:
        info["related_events"] = [{"uid": refers}]
    found: Json = {"finding_info": info, "is_alert": True, "status_id": 1, "status": "New"}
    found["evidences"] = [{"actor": actor_of(document), "data": dict(detail)}]
    resources = resources_of(document)
    if resources:
        found["resources"] = resources
    anomaly = _anomaly(document, detail)
    if anomaly:
        found["anomaly_analyses"] = [anomaly]
    return found


def _anomaly(document: Document, detail: Document) -> JsonValue:
    """Return the arithmetic of a finding, or nothing for what has none."""
    measure, seen = text(detail, "measure"), detail.get("seen")
    if not measure or seen is None:
        return None
    usual = detail.get("usual")
    known: Mapping[str, JsonValue] = usual if isinstance(usual, dict) else {}
    targets: list[JsonValue] = [{"name": text(document, "agent") or "agent", "type": "agent"}]
    if text(document, "task"):
        targets.append({"name": text(document, "task"), "type": "task"})
    observed: JsonValue = {"observation_parameter": measure, "observations": [{"value": str(seen)}]}
    baseline: list[JsonValue] = [
        {"observation_parameter": f"{measure}: {name}", "observations": [{"value": str(value)}]}
        for name, value in known.items()
    ]
    found: Json = {"analysis_targets": targets, "anomalies": [observed]}
    if baseline:
        found["baselines"] = baseline
    return found
