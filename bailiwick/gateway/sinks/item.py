"""What is delivered: records and checkpoints, each as one line of JSON in the sink's format. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bailiwick.gateway.sinks.section import Format
from bailiwick.gateway.sinks.selection import Selection
from bailiwick.ledger.encode import read
from bailiwick.ledger.ocsf.mapping import checkpoint_of, event_of
from bailiwick.ledger.severity import Severity, severity_of
from bailiwick.model.record import JsonValue


@dataclass(frozen=True, slots=True)
class Item:
    """One record, or one checkpoint."""

    id: str
    """The same however often it is delivered: receivers know a second delivery by it."""
    seq: int
    """Sequence number of a record; of a checkpoint how many records it is for."""
    at: str
    """RFC 3339, in UTC."""
    kind: str
    severity: Severity
    agent: str
    session: str
    text: str
    """What is sent: one line."""


def item_of(seq: int, body: bytes, origin: str, form: Format, selection: Selection) -> Item | None:
    """Return a record as it is delivered; None for one that the sink does not want, or whose body was pruned.

    In the native format the text is the record's canonical bytes: proofs work on what was delivered.
    """
    document = read(body)
    if document is None or not selection.wants(document):
        return None
    raw = body.decode("utf-8", "replace")
    text = raw if form == "native" else _line(event_of(document, raw, origin))
    words = {name: _text(document, name) for name in ("id", "at", "kind", "agent", "session")}
    return Item(seq=seq, severity=severity_of(document), text=text, **words)


def checkpoint_item(size: int, at: str, note: str, origin: str, form: Format) -> Item:
    """Return a signed checkpoint as it is delivered."""
    identity = f"checkpoint:{origin}:{size}"
    told: Mapping[str, JsonValue] = {
        "at": at,
        "id": identity,
        "kind": "checkpoint",
        "note": note,
        "origin": origin,
        "size": size,
    }
    text = _line(told if form == "native" else checkpoint_of(origin, size, note, at))
    return Item(identity, size, at, "checkpoint", "informational", "", "", text)


def test_item(name: str, at: str, form: Format) -> Item:
    """Return what `bailiwick ledger sinks test` sends: marked so, and of no place in the ledger."""
    told: Mapping[str, JsonValue] = {
        "at": at,
        "id": f"test:{name}:{at}",
        "kind": "test",
        "message": "a test: records arrive here",
    }
    text = _line(told if form == "native" else event_of(told, _line(told), "test"))
    return Item(f"test:{name}:{at}", 0, at, "test", "informational", "", "", text)


def notes_in(text: str) -> Sequence[str]:
    """Return the notes of the checkpoints among what a sink received, in order; whatever surrounds them.

    A note by itself is one too. Nothing is verified here.
    """
    if text.count("\n\n") and not text.lstrip().startswith("{"):
        return [text]
    found: list[str] = []
    decoder, mark = json.JSONDecoder(), '"note":'
    at = text.find(mark)
    while at >= 0:
        start = at + len(mark)
        start += len(text[start:]) - len(text[start:].lstrip(" "))
        try:
            value, _ = decoder.raw_decode(text, start)
        except ValueError:
            value = None
        if isinstance(value, str) and "\n\n" in value:
            found.append(value)
        at = text.find(mark, start)
    return found


def _line(told: Mapping[str, JsonValue]) -> str:
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"))


def _text(document: Mapping[str, JsonValue], name: str) -> str:
    value = document.get(name)
    return value if isinstance(value, str) else ""
