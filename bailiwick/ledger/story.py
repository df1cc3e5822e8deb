"""One session in plain words: what its records say, in their order, with what came of each call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from bailiwick.model.record import JsonValue

Document = Mapping[str, JsonValue]
Tone = Literal["", "denied", "held", "changed", "people"]

_DONE = {
    "read": "read",
    "create": "created",
    "update": "updated",
    "delete": "deleted",
    "send": "sent",
    "list": "listed",
}
_WIDE = 160


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happened, as a sentence without its subject: that is the agent, unless the sentence names one."""

    at: str
    """As the record says it: RFC 3339, in UTC."""
    text: str
    records: tuple[str, ...]
    """The ids of the records that say so."""
    tone: Tone = ""
    times: int = 1


@dataclass(frozen=True, slots=True)
class Story:
    """A session's story."""

    title: str
    steps: Sequence[Step]
    ending: Sequence[str]
    """What it all came to, a sentence each."""


def tell(records: Iterable[Document]) -> Story:
    """Return the story of a session's records, the oldest first. Equal steps that follow each other are one."""
    documents = list(records)
    outcomes = {_text(each, "refers"): each for each in documents if _text(each, "kind") == "outcome"}
    steps: list[Step] = []
    reason = ""
    for each in documents:
        stated = _text(each, "purpose")
        if stated and stated != reason:
            reason = stated
            steps.append(Step(_text(each, "at"), f"gave as its reason: “{stated}”", (_text(each, "id"),)))
        step = _step(each, outcomes)
        if step is not None:
            _add(steps, step)
    return Story(_title(documents), steps, _ending(documents, outcomes))


def _add(steps: list[Step], step: Step) -> None:
    last = steps[-1] if steps else None
    if last is not None and (last.text, last.tone) == (step.text, step.tone):
        steps[-1] = replace(last, times=last.times + 1, records=(*last.records, *step.records))
    else:
        steps.append(step)


def _title(documents: Sequence[Document]) -> str:
    first = next((each for each in documents if _text(each, "session")), None)
    if first is None:
        return "There are no records of this session."
    task = _text(first, "task")
    told = f"{_text(first, 'agent') or 'Nobody'} for {_text(first, 'user') or 'nobody in particular'}"
    return f"{_text(first, 'session')}: {told}" + (f", task {task}" if task else "")


def _step(document: Document, outcomes: Mapping[str, Document]) -> Step | None:
    kind = _text(document, "kind")
    known = _TOLD.get(kind)
    if known is not None:
        text, tone = known(document)
        return Step(_text(document, "at"), text, (_text(document, "id"),), tone)
    if kind == "outcome":
        return None  # told with its intent
    if kind in ("call", "intent"):
        return _call(document, outcomes.get(_text(document, "id")))
    text = kind.replace(".", " was ", 1) + _because(document)
    return Step(_text(document, "at"), text, (_text(document, "id"),), "people" if _detail(document, "by") else "")


def _call(document: Document, outcome: Document | None) -> Step | None:
    decision = _text(document, "decision")
    ids = tuple(_text(each, "id") for each in (document, outcome) if each is not None)
    at = _text(document, "at")
    if decision == "deny":
        return Step(
            at, f"was denied {_asked(document)}: {_text(document, 'message')} ({_code(document)})", ids, "denied"
        )
    if _detail(document, "preview"):
        rows = _rows(outcome or {})
        return Step(at, f"had {_asked(document)} tried out for those who decide, and undone{rows}", ids, "held")
    if decision == "hold":
        return Step(at, f"asked for {_asked(document)}, which is held: {_text(document, 'message')}", ids, "held")
    if not _texts(document, "actions"):
        return None  # a setting, a question to the gateway itself: nothing of a backend was touched
    begun = _text(document, "kind") == "intent"
    end = document if not begun else outcome
    tone: Tone = "changed" if begun and _changes(document) else ""
    return Step(at, f"{_did(document)}{_rows(end or {})}{_ended(begun, outcome)}{_under(document)}", ids, tone)


def _did(document: Document) -> str:
    """Return what was done to which resources and fields."""
    verbs: dict[str, list[str]] = {}
    actions = _texts(document, "actions")
    written = [each for each in actions if each.partition(":")[2] != "read"]
    for action in written or actions:
        resource, _, verb = action.partition(":")
        verbs.setdefault(verb, []).append(resource)
    parts = [
        f"{_DONE[verb]} {_of(document, names)}" if verb in _DONE else f"did {', '.join(f'{n}:{verb}' for n in names)}"
        for verb, names in verbs.items()
    ]
    tool = _detail(document, "tool") or _detail(document, "function") or _detail(document, "route")
    through = f" by {tool}" if tool else ""
    mount = _text(document, "mount")
    return " and ".join(parts) + through + (f" on {mount}" if mount else "")


def _of(document: Document, names: Sequence[str]) -> str:
    touched = document.get("fields")
    told: list[str] = []
    for name in names:
        found = touched.get(name) if isinstance(touched, dict) else None
        fields = ", ".join(str(each) for each in found) if isinstance(found, list) else ""
        told.append(f"{name} ({fields})" if fields else name)
    return " and ".join(told)


def _rows(document: Document) -> str:
    rows = document.get("rows")
    return "" if not isinstance(rows, int) else f": {rows} {'row' if rows == 1 else 'rows'}"


def _ended(begun: bool, outcome: Document | None) -> str:
    if not begun:
        return ""
    if outcome is None:
        return "; nobody saw how it ended"
    code = _text(outcome, "code")
    return f"; but it failed ({code})" if code else ""


def _under(document: Document) -> str:
    """Return what allowed it, beside the grants."""
    parts = [f"approved as {_detail(document, 'approval')}" if _detail(document, "approval") else ""]
    elevation = _detail(document, "elevation")
    parts.append(f"under the elevation {elevation}" if elevation else "")
    told = ", ".join(part for part in parts if part)
    return f" ({told})" if told else ""


def _asked(document: Document) -> str:
    statement, actions = _text(document, "statement"), _texts(document, "actions")
    asked = f"`{statement}`" if statement else ", ".join(actions) or "a request"
    return asked if len(asked) <= _WIDE else f"{asked[: _WIDE - 2]}…`"


def _code(document: Document) -> str:
    return _text(document, "code") or "no code"


def _opened(document: Document) -> tuple[str, Tone]:
    values = ", ".join(_listed(document, "context"))
    mounts = ", ".join(_listed(document, "mounts"))
    until = _detail(document, "expires_at")[:16].replace("T", " ")
    parent = _detail(document, "parent")
    told = f"{_detail(document, 'opener') or 'somebody'} opened the session"
    told += f" within {parent}" if parent else ""
    told += f" with {values}" if values else ""
    told += f", for {mounts}" if mounts else ""
    return told + (f", until {until} at the latest" if until else ""), "people"


def _closed(document: Document) -> tuple[str, Tone]:
    by = _detail(document, "by")
    state = _detail(document, "state").lower() or "closed"
    return f"the session was {state}" + (f" by {by}" if by else "") + _because(document), "people"


def _connected(document: Document) -> tuple[str, Tone]:
    mount = _text(document, "mount")
    return f"connected{f' to {mount}' if mount else ''} from {_detail(document, 'peer') or 'somewhere'}", ""


def _disconnected(document: Document) -> tuple[str, Tone]:
    mount = _text(document, "mount")
    return f"its connection{f' to {mount}' if mount else ''} ended{_because(document)}", ""


def _verdict(document: Document) -> tuple[str, Tone]:
    said, step = _text(document, "message"), _detail(document, "step") or "decided"
    told = f"{_detail(document, 'by') or 'somebody'} {step} {_detail(document, 'approval')}"
    return told + (f": “{said}”" if said else ""), "people"


def _moved(document: Document) -> tuple[str, Tone]:
    said = _text(document, "message")
    step = _detail(document, "step") or _detail(document, "state").lower()
    return f"{_detail(document, 'approval')} was {step}" + (f": {said}" if said else ""), "held"


def _because(document: Document) -> str:
    told = _text(document, "message") or _detail(document, "reason")
    return f": {told}" if told else ""


_TOLD: Mapping[str, Callable[[Document], tuple[str, Tone]]] = {
    "session.opened": _opened,
    "session.closed": _closed,
    "connection.opened": _connected,
    "connection.closed": _disconnected,
    "approval.verdict": _verdict,
    "approval.moved": _moved,
    "approval.ended": _moved,
}


def _ending(documents: Sequence[Document], outcomes: Mapping[str, Document]) -> list[str]:
    calls = [each for each in documents if _text(each, "kind") in ("call", "intent") and not _detail(each, "preview")]
    by = {name: sum(_text(each, "decision") == name for each in calls) for name in ("allow", "deny", "hold")}
    told = [f"{len(calls)} calls: {by['allow']} allowed, {by['deny']} denied, {by['hold']} held."]
    read, written = set[str](), set[str]()
    for each in calls:
        if _text(each, "decision") != "allow":
            continue
        for action in _texts(each, "actions"):
            resource, _, verb = action.partition(":")
            (read if verb == "read" else written).add(resource)
    told.append(
        f"Read: {', '.join(sorted(read)) or 'nothing'}. Changed or used: {', '.join(sorted(written)) or 'nothing'}."
    )
    open_ended = [each for each in calls if _text(each, "kind") == "intent" and _text(each, "id") not in outcomes]
    if open_ended:
        told.append(f"Of {len(open_ended)} nobody saw how they ended.")
    labels = sorted({label for each in documents for label in _texts(each, "labels")})
    if labels:
        told.append(f"Labels of what it touched: {', '.join(labels)}.")
    policies = list(dict.fromkeys(policy[:12] for each in documents if (policy := _text(each, "policy"))))
    if policies:
        told.append(f"Under the policy {', then '.join(policies)}.")
    return told


def _changes(document: Document) -> bool:
    return any(action.partition(":")[2] != "read" for action in _texts(document, "actions"))


def _text(document: Document, name: str) -> str:
    found = document.get(name)
    return found if isinstance(found, str) else ""


def _texts(document: Document, name: str) -> list[str]:
    found = document.get(name)
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []


def _detail(document: Document, name: str) -> str:
    found = document.get("detail")
    told = found.get(name) if isinstance(found, dict) else None
    return told if isinstance(told, str) else ""


def _listed(document: Document, name: str) -> list[str]:
    found = document.get("detail")
    return _texts(found, name) if isinstance(found, dict) else []
