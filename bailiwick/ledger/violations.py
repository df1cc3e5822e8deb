"""What was denied in a period, added up: by agent, resource, code, person and day, and why most often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple, cast

from bailiwick.model.record import JsonValue


class Denied(NamedTuple):
    """Denials that have everything in common."""

    agent: str
    person: str
    code: str
    day: str
    """As in `2026-11-22`."""
    actions: tuple[str, ...]
    times: int


@dataclass(frozen=True, slots=True)
class Cause:
    """What was denied often for one reason."""

    agent: str
    action: str
    code: str
    count: int
    example: str = ""
    """The id of the newest record."""
    message: str = ""
    """What the agent was told."""


@dataclass(frozen=True, slots=True)
class Violations:
    """The report of a period."""

    since: datetime
    until: datetime
    total: int
    before: int
    """How many there were in the period of the same length before it."""
    agents: Sequence[tuple[str, int]]
    resources: Sequence[tuple[str, int]]
    codes: Sequence[tuple[str, int]]
    persons: Sequence[tuple[str, int]]
    days: Sequence[tuple[str, int]]
    """Every day of the period, also those without any."""
    causes: Sequence[Cause]


_most_causes = 10


def add_up(denied: Iterable[Denied], since: datetime, until: datetime, before: int) -> Violations:
    """Return the report over denials. What touched several resources counts for each of them."""
    agents, resources, codes, persons, days = (Counter[str]() for _ in range(5))
    causes = Counter[tuple[str, str, str]]()
    for each in denied:
        agents[each.agent] += each.times
        codes[each.code] += each.times
        persons[each.person] += each.times
        days[each.day] += each.times
        for resource in {action.partition(":")[0] for action in each.actions}:
            resources[resource] += each.times
        causes[each.agent, each.actions[0] if each.actions else "", each.code] += each.times
    first = sorted(causes.items(), key=lambda item: (-item[1], item[0]))[:_most_causes]
    return Violations(
        since,
        until,
        total=sum(codes.values()),
        before=before,
        agents=_ranked(agents),
        resources=_ranked(resources),
        codes=_ranked(codes),
        persons=_ranked(persons),
        days=[(day, days[day]) for day in _days(since, until)],
        causes=[Cause(*cause, count) for cause, count in first],
    )


def _ranked(counted: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counted.items(), key=lambda item: (-item[1], item[0]))


def _days(since: datetime, until: datetime) -> Iterable[str]:
    day = since.date()
    last = (until - timedelta(microseconds=1)).date()
    while day <= last:
        yield day.isoformat()
        day += timedelta(days=1)


def change(now: int, before: int) -> str:
    """Return how a figure changed, e.g. `+12%`; empty when there was nothing before."""
    return f"{(now - before) / before:+.0%}" if before else ""


def month(text: str) -> tuple[date, date]:
    """Return the first day of a month like `2026-11` and that of the next. Raises ValueError."""
    year, _, number = text.partition("-")
    first = date(int(year), int(number), 1)
    return first, (first + timedelta(days=32)).replace(day=1)


def told(report: Violations) -> Mapping[str, JsonValue]:
    """Return a report as JSON has it."""
    return {
        "since": report.since.isoformat(),
        "until": report.until.isoformat(),
        "total": report.total,
        "before": report.before,
        "agents": _listed(report.agents),
        "resources": _listed(report.resources),
        "codes": _listed(report.codes),
        "persons": _listed(report.persons),
        "days": _listed(report.days),
        "causes": [_cause(each) for each in report.causes],
    }


def read_back(document: Mapping[str, JsonValue]) -> Violations:
    """Return the report that `told` told."""

    def pairs(name: str) -> list[tuple[str, int]]:
        listed = cast("Sequence[Mapping[str, JsonValue]]", document[name])
        return [(str(each["name"]), cast("int", each["count"])) for each in listed]

    causes = cast("Sequence[Mapping[str, JsonValue]]", document["causes"])
    return Violations(
        since=datetime.fromisoformat(str(document["since"])),
        until=datetime.fromisoformat(str(document["until"])),
        total=cast("int", document["total"]),
        before=cast("int", document["before"]),
        agents=pairs("agents"),
        resources=pairs("resources"),
        codes=pairs("codes"),
        persons=pairs("persons"),
        days=pairs("days"),
        causes=[
            Cause(
                agent=str(each["agent"]),
                action=str(each["action"]),
                code=str(each["code"]),
                count=cast("int", each["count"]),
                example=str(each["example"]),
                message=str(each["message"]),
            )
            for each in causes
        ],
    )


def _listed(pairs: Sequence[tuple[str, int]]) -> list[JsonValue]:
    return [{"name": name, "count": count} for name, count in pairs]


def _cause(cause: Cause) -> JsonValue:
    return {
        "agent": cause.agent,
        "action": cause.action,
        "code": cause.code,
        "count": cause.count,
        "example": cause.example,
        "message": cause.message,
    }
