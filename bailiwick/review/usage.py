"""The use of grants over a period: arithmetic over what the ledger tells. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime

from bailiwick.gateway.ledger.usage import Told
from bailiwick.model.review import Use

PAIR = " within "
"""Between the grants of a session and of the one that delegated to it, where both have to admit a call."""
_most_people = 20


@dataclass(slots=True)
class Tally:
    """How often something was used, when, on which days and for whom."""

    uses: int = 0
    first: datetime | None = None
    last: datetime | None = None
    days: set[date] = field(default_factory=set[date])
    people: Counter[str] = field(default_factory=Counter[str])

    def add(self, told: Told) -> None:
        """Count some records of one day."""
        self.uses += told.records
        self.first = told.first if self.first is None else min(self.first, told.first)
        self.last = told.last if self.last is None else max(self.last, told.last)
        self.days.add(told.first.date())
        if told.user:
            self.people[told.user] += told.records


def together(tallies: Iterable[Tally]) -> Use:
    """Return what several tallies say together."""
    found = list(tallies)
    people: Counter[str] = Counter()
    for each in found:
        people.update(each.people)
    firsts = [each.first for each in found if each.first is not None]
    lasts = [each.last for each in found if each.last is not None]
    days = {day for each in found for day in each.days}
    most = sorted(people.items(), key=lambda each: (-each[1], each[0]))[:_most_people]
    uses = sum(each.uses for each in found)
    return Use(uses, min(firsts, default=None), max(lasts, default=None), len(days), tuple(most))


def _tallies() -> defaultdict[tuple[str, ...], Tally]:
    return defaultdict(Tally)


@dataclass(slots=True)
class Usage:
    """What was used, by agent. An agent has also used what an agent to which it delegated needed of it."""

    grants: defaultdict[tuple[str, ...], Tally] = field(default_factory=_tallies)
    """(agent, grant)."""
    fields: defaultdict[tuple[str, ...], Tally] = field(default_factory=_tallies)
    """(agent, grant, resource, field)."""
    actions: defaultdict[tuple[str, ...], Tally] = field(default_factory=_tallies)
    """(agent, `resource:verb`)."""
    calls: defaultdict[tuple[str, ...], Tally] = field(default_factory=_tallies)
    """(agent,)."""
    elevations: defaultdict[tuple[str, ...], Tally] = field(default_factory=_tallies)
    """(agent, elevation): how often it was granted."""
    denied: Counter[tuple[str, str, str]] = field(default_factory=Counter[tuple[str, str, str]])
    """(agent, code, action)."""
    refused: Counter[str] = field(default_factory=Counter[str])
    """Agent → calls that were denied."""

    def add(self, told: Told) -> None:
        """Count some records of one day that say the same."""
        if told.kind == "elevation.granted":
            self.elevations[told.agent, told.elevation].add(told)
            return
        self.calls[told.agent,].add(told)
        if told.decision == "deny":
            self.refused[told.agent] += told.records
            for action in told.actions or ("",):
                self.denied[told.agent, told.code, action] += told.records
        elif told.decision == "allow":
            for agent in dict.fromkeys((told.agent, *told.chain)):
                self._used(agent, told)

    def _used(self, agent: str, told: Told) -> None:
        for action in told.actions:
            self.actions[agent, action].add(told)
        for grant in dict.fromkeys(part for each in told.grants for part in (each, *each.split(PAIR))):
            self.grants[agent, grant].add(told)
            for resource, names in told.fields.items():
                for name in names:
                    self.fields[agent, grant, resource, name].add(told)

    def days(self, agents: Iterable[str], since: datetime) -> int:
        """Return on how many days since then any of the agents ran."""
        known = (self.calls.get((agent,)) for agent in agents)
        return len({day for each in known if each is not None for day in each.days if day >= since.date()})


def usage_of(told: Iterable[Told]) -> Usage:
    """Return what all of it says together."""
    found = Usage()
    for each in told:
        found.add(each)
    return found
