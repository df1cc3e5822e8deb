"""Counters over records: what a minute brought, and what each agent used. Values in, values out.

A page with a hundred thousand records behind it reads the few that are new, and adds them up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from bailiwick.model.record import JsonValue

Verdict = Literal["allow", "deny", "hold"]
verdicts: tuple[Verdict, ...] = ("allow", "deny", "hold")
minutes_kept = 24 * 60
days_kept = 60


@dataclass(slots=True)
class Use:
    """What an agent used of one action in the days that are kept."""

    calls: int = 0
    refused: int = 0
    last: str = ""
    """When it was last used, as the record says it; empty: only refused."""
    days: dict[int, int] = field(default_factory=dict[int, int])
    """Day since 1970 → calls."""


@dataclass(slots=True)
class Tally:
    """What was counted so far."""

    next: int = 0
    """The sequence number of the first record that is not counted yet."""
    minutes: dict[int, dict[Verdict, int]] = field(default_factory=dict[int, dict[Verdict, int]])
    """Minute since 1970 → calls by what was decided."""
    uses: dict[tuple[str, str], Use] = field(default_factory=dict[tuple[str, str], Use])
    """(agent, action) → its use."""

    def take(self, seq: int, document: Mapping[str, JsonValue]) -> None:
        """Count one record. An outcome belongs to its intent and is not counted again."""
        self.next = seq + 1
        if document.get("kind") not in ("call", "intent"):
            return
        told, verdict = document.get("at"), document.get("decision")
        if not isinstance(told, str) or verdict not in verdicts:
            return
        minute = _minute(told)
        bucket = self.minutes.setdefault(minute, {})
        bucket[verdict] = bucket.get(verdict, 0) + 1
        agent, actions = document.get("agent"), document.get("actions")
        for action in {each for each in actions if isinstance(each, str)} if isinstance(actions, list) else ():
            self._use(str(agent), action, verdict, told, minute // 1440)

    def forget(self, now: datetime) -> None:
        """Drop what is too old to be shown."""
        minute = int(now.timestamp()) // 60
        for old in [each for each in self.minutes if each < minute - minutes_kept]:
            del self.minutes[old]
        for use in list(self.uses.values()):
            for day in [each for each in use.days if each < minute // 1440 - days_kept]:
                use.calls -= use.days.pop(day)

    def _use(self, agent: str, action: str, verdict: Verdict, told: str, day: int) -> None:
        use = self.uses.setdefault((agent, action), Use())
        if verdict != "allow":
            use.refused += 1
            return
        use.calls += 1
        use.last = max(use.last, told)
        use.days[day] = use.days.get(day, 0) + 1

    def per_minute(self, now: datetime, count: int, width: int = 1) -> list[Mapping[Verdict, int]]:
        """Return the last `count` buckets of `width` minutes, the oldest first, with the one that runs."""
        last = int(now.timestamp()) // 60 // width
        found: list[Mapping[Verdict, int]] = []
        for bucket in range(last - count + 1, last + 1):
            total: dict[Verdict, int] = {}
            for minute in range(bucket * width, (bucket + 1) * width):
                for verdict, number in self.minutes.get(minute, {}).items():
                    total[verdict] = total.get(verdict, 0) + number
            found.append(total)
        return found

    def of_resource(self, agent: str, resource: str) -> Mapping[str, Use]:
        """Return verb → use, of one agent and resource."""
        return {
            action.partition(":")[2]: use
            for (who, action), use in list(self.uses.items())  # a thread may be adding some
            if who == agent and action.partition(":")[0] == resource
        }


def _minute(told: str) -> int:
    """Return the minute since 1970 of a moment of a record. Most records are of the minute before them."""
    key = told[:16]
    if _last[0] != key:
        try:
            _last[:] = [key, int(datetime.fromisoformat(key).replace(tzinfo=UTC).timestamp()) // 60]
        except ValueError:
            return 0
    return int(_last[1])


_last: list[str | int] = ["", 0]
