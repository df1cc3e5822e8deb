"""Records as pages show them: what somebody may see of them by their clearance."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bailiwick.gateway.ledger.reader import Stored
from bailiwick.ledger.clearance import seen
from bailiwick.ledger.encode import read
from bailiwick.model.label import Level
from bailiwick.model.record import JsonValue

_order = (
    *("id", "seq", "kind", "at", "decision", "code", "message", "agent", "user", "task", "session", "chain", "mount"),
    *("actions", "fields", "labels", "statement", "purpose", "rows", "bytes", "duration_us", "grants", "policy"),
    *("refers", "detail"),
)


@dataclass(frozen=True, slots=True)
class Shown:
    """A record, as somebody sees it."""

    seq: int
    members: Mapping[str, JsonValue]
    hidden: bool = False
    body: bytes = b""
    """As it is stored; empty when some of it is hidden."""

    def text(self, name: str) -> str:
        """Return a member as text, empty when there is none."""
        found = self.members.get(name, "")
        return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)

    @property
    def what(self) -> str:
        """Return in short what it is about."""
        found = self.members.get("actions")
        actions = ", ".join(str(each) for each in found) if isinstance(found, list) else ""
        said = self.text("statement") or self.text("message")
        detail = self.members.get("detail")
        if not said and isinstance(detail, dict):
            said = ", ".join(f"{name} {value}" for name, value in detail.items() if isinstance(value, str) and value)
        text = " · ".join(part for part in (actions, said) if part)
        return text if len(text) <= _wide else text[: _wide - 1] + "…"

    @property
    def listed(self) -> list[tuple[str, str]]:
        """Return its members as texts, those first that a reader looks for."""
        names = [name for name in _order if name in self.members]
        rest = [name for name in self.members if name not in _order]
        return [(name, self._full(name)) for name in (*names, *rest)]

    def _full(self, name: str) -> str:
        found = self.members[name]
        if isinstance(found, dict | list) and found:
            return json.dumps(found, ensure_ascii=False, indent=2)
        return self.text(name)


_wide = 160


def shown(stored: Stored, clearance: Level) -> Shown:
    """Return a record as somebody of a clearance sees it."""
    document = read(stored.body)
    if document is None:
        return Shown(stored.seq, {"seq": stored.seq, "kind": "unreadable"})
    members = seen(document, clearance)
    return Shown(stored.seq, document, body=stored.body) if members is document else Shown(stored.seq, members, True)


def all_shown(found: Sequence[Stored], clearance: Level) -> list[Shown]:
    """Return records, the newest first."""
    return [shown(each, clearance) for each in reversed(found)]
