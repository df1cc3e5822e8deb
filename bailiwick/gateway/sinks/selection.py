"""Which records a sink wants: `select` of a sink."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bailiwick.ledger.severity import Severity, at_least, severity_of
from bailiwick.match.glob import glob_matches
from bailiwick.model.record import JsonValue


@dataclass(frozen=True, slots=True)
class Selection:
    """What restricts; what is empty does not. Patterns have `*` and `?`."""

    kinds: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    decisions: tuple[str, ...] = ()
    severity: Severity = "informational"

    def wants(self, document: Mapping[str, JsonValue]) -> bool:
        """Tell whether a decoded record is to be delivered. Checkpoints always are, and nobody asks."""
        return (
            _matches(self.kinds, document.get("kind"))
            and _matches(self.agents, document.get("agent"))
            and (not self.decisions or document.get("decision") in self.decisions)
            and at_least(severity_of(document), self.severity)
        )


def _matches(patterns: tuple[str, ...], value: JsonValue) -> bool:
    text = value if isinstance(value, str) else ""
    return not patterns or any(glob_matches(pattern, text) for pattern in patterns)
