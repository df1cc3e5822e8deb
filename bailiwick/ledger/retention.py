"""How long a record's content is kept, and what keeps it longer: legal holds. Values in, values out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from bailiwick.model.record import JsonValue

LASTING = ("ledger.", "policy.text")
"""Beginnings of the kinds whose content is always kept: what proofs, holds and old decisions need."""


@dataclass(frozen=True, slots=True)
class Hold:
    """What is not to be pruned while it lasts; empty members do not restrict."""

    id: str
    reason: str
    agent: str = ""
    user: str = ""
    session: str = ""
    since: str = ""
    until: str = ""

    def covers(self, agent: str, user: str, session: str, at: str) -> bool:
        """Tell whether it is about a record."""
        same = all(mine in ("", its) for mine, its in zip(self._who, (agent, user, session), strict=True))
        return same and (not self.since or at >= self.since) and (not self.until or at < self.until)

    @property
    def _who(self) -> tuple[str, str, str]:
        return self.agent, self.user, self.session


def holds_of(documents: Iterable[Mapping[str, JsonValue]]) -> list[Hold]:
    """Return the holds that last, from the records of kinds `ledger.held` and `ledger.released` in their order."""
    found: dict[str, Hold] = {}
    for document in documents:
        detail = document.get("detail")
        values = (
            {name: value for name, value in detail.items() if isinstance(value, str)}
            if isinstance(detail, dict)
            else {}
        )
        identity = values.get("hold", "")
        if document.get("kind") == "ledger.released":
            found.pop(identity, None)
        elif identity:
            names = ("reason", "agent", "user", "session", "since", "until")
            found[identity] = Hold(identity, *(values.get(name, "") for name in names))
    return list(found.values())


def kept_for(default: timedelta | None, labels: Mapping[str, timedelta], own: Iterable[str]) -> timedelta | None:
    """Return how long a record with these labels is kept: the shortest of its labels' spans, else the default."""
    spans = [labels[label] for label in own if label in labels]
    return min(spans, default=default)


def is_due(at: datetime, now: datetime, span: timedelta | None) -> bool:
    """Tell whether a record of that moment has been kept long enough."""
    return span is not None and at + span <= now
