"""What somebody sees of an approval, by their clearance: one rule for console, API and command line. Pure.

INVARIANT: a value above somebody's clearance is in nothing that is made here for them, and no digest by which one could
be guessed; whoever does not see all of a request is told so, and neither approves nor changes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import cast

from bailiwick.decide.ground import labels_of
from bailiwick.gateway.approvals.as_json import told_in_full
from bailiwick.gateway.call import Call
from bailiwick.gateway.wire import Json
from bailiwick.ledger.clearance import HIDDEN, sees
from bailiwick.model.approval import Approval, Reviewer
from bailiwick.model.decision import Denial, Hold
from bailiwick.model.label import Level
from bailiwick.model.policy import Policy
from bailiwick.model.scope import Scope

Told = Mapping[str, Json]
Visible = Callable[[str], bool]


def seen(approval: Approval, policy: Policy, by: Reviewer) -> dict[str, Json]:
    """Return an approval in full as somebody sees it; `hidden` says whether something of it is kept from them."""
    found, whole = told_in_full(approval), sees(frozenset(approval.labels), by.clearance)
    visible, keys = _sight(approval, policy, by.clearance, whole=whole)
    rows = [_row(each, visible, keys=keys) for each in cast("Sequence[Told]", found["shown"])]
    hidden = not whole or any(row["hidden"] for row in rows) or (bool(rows) and not keys)
    shown: dict[str, Json] = {**found, "shown": cast("Json", rows), "hidden": hidden}
    if not keys and found["keys"]:
        shown["keys"] = HIDDEN
    return shown if whole else {**shown, **_without_values(found, by.name)}


def not_seen(approval: Approval, policy: Policy, by: Reviewer) -> Denial | None:
    """Return why somebody neither approves nor changes a request: they do not see all of it; else None."""
    if not seen(approval, policy, by)["hidden"]:
        return None
    message = "part of it is above your clearance"
    return Denial("approval_not_yours", message, remedy="somebody who sees all of it has to approve it")


def labels_of_call(call: Call, scope: Scope) -> tuple[str, ...]:
    """Return the labels of all that a request reads, writes or hands over."""
    queued = call.decision.queued if isinstance(call.decision, Hold) else None
    found = set[str]() if queued is None else set(queued.labels)
    for access in call.request.accesses:
        known = scope.resources.get(access.resource)
        if known is not None:
            found.update(*(labels_of(known.resource, name) for name in access.fields or ("*",)))
        named = (each.resource for each in scope.tools.values() if each.resource.name == access.resource)
        found.update(*(labels for each in named for labels in each.labels.values()))
    return tuple(sorted(found))


def _sight(approval: Approval, policy: Policy, clearance: Level, *, whole: bool) -> tuple[Visible, bool]:
    """Return what tells whether a field of the resources that are touched is seen, and whether their keys are."""
    names = dict.fromkeys(action.partition(":")[0] for action in approval.actions)
    resources = [found for name in names if (found := policy.resource(name)) is not None]

    def visible(field: str) -> bool:  # what is written to a field may come from any other that the request reads
        return whole and all(sees(labels_of(each, field), clearance) for each in resources)

    return visible, whole and all(visible(column) for each in resources for column in each.key)


def _row(found: Told, visible: Visible, *, keys: bool) -> dict[str, Json]:
    """Return a row with its values as far as they are seen, and which fields change, seen or not."""
    before, after = cast("Told | None", found["before"]), cast("Told | None", found["after"])
    names: list[str] = [*(before or {})]
    names += [name for name in after or {} if name not in names]
    hidden = [name for name in names if not visible(name)]
    whole = before is None or after is None
    return {
        "key": cast("list[Json]", found["key"]) if keys else [HIDDEN for _ in cast("list[Json]", found["key"])],
        "before": _values(before, hidden),
        "after": _values(after, hidden),
        "changed": [name for name in names if whole or (before or {}).get(name) != (after or {}).get(name)],
        "hidden": [*hidden],
    }


def _values(side: Told | None, hidden: Sequence[str]) -> Json:
    return None if side is None else {name: HIDDEN if name in hidden else value for name, value in side.items()}


def _without_values(found: Told, name: str) -> dict[str, Json]:
    """Return the members that could carry values, without any; what somebody said themselves they know."""
    history = cast("Sequence[Told]", found["history"])
    left: dict[str, Json] = {"digest": HIDDEN, "history": [_line(each, name) for each in history]}
    if found["purpose"]:
        left["purpose"] = HIDDEN
    if "statement" in found:
        parameters = cast("Told | None", found["parameters"]) or {}
        values = cast("Sequence[Json]", parameters.get("values") or ())
        return {**left, "statement": HIDDEN, "parameters": {"values": [HIDDEN for _ in values]}}
    given = found["arguments"]
    return {**left, "arguments": dict.fromkeys(given, HIDDEN) if isinstance(given, dict) else HIDDEN}


def _line(step: Told, name: str) -> dict[str, Json]:
    kept = not step["text"] or step["by"] in ("gateway", name)
    return {**step, "text": step["text"] if kept else HIDDEN, "digest": HIDDEN if step["digest"] else ""}
