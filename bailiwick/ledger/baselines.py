"""What an agent usually does in a task, and what departs from it: counting and comparing, nothing that is trained.

Time is cut into hours; an hour counts when something was done in it. What is usual of a measure is the largest value of
its usual hours. Nothing here reads a clock: the moments are those of the records.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple, cast, get_args

from bailiwick.model.record import JsonValue

Measure = Literal["calls", "denials", "rows", "largest", "action", "hour"]
Counted = Literal["calls", "denials", "rows", "largest"]
counted: tuple[Counted, ...] = get_args(Counted)
_floors: Mapping[Counted, int] = {"calls": 20, "denials": 5, "rows": 100, "largest": 100}
"""Least by which an hour must exceed what is usual."""
_most_hours = 500
_most_actions = 500
_most_a_time = 5
"""New actions that are told of one hour."""
ACCEPTED = 24
"""So many hours out of the usual become usual."""
_an_hour = timedelta(hours=1)


class Observation(NamedTuple):
    """What one record says about the use of an agent."""

    at: datetime
    agent: str
    task: str
    session: str
    record: str
    calls: int
    denied: bool
    rows: int
    actions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rules:
    """When something is said."""

    learning: timedelta = timedelta(days=7)
    """Nothing is, for so long after the first call."""
    hours: int = 24
    """Nor before so many hours with calls,"""
    calls: int = 200
    """and so many calls."""
    times: int = 3
    """An hour departs that has more than so many times the usual."""


@dataclass(frozen=True, slots=True)
class Departure:
    """Something out of the usual, with what was usual."""

    measure: Measure
    seen: int | str
    usual: Mapping[str, JsonValue]
    since: datetime
    """When the hour began in which it happened."""
    observation: Observation


def observation_of(document: Mapping[str, JsonValue]) -> Observation | None:
    """Return what a decoded record says; None for one that is no call of an agent."""
    kind, agent = document.get("kind"), document.get("agent")
    if kind not in ("call", "intent", "outcome") or not isinstance(agent, str) or not agent:
        return None
    at = _moment(document.get("at"))
    if at is None:
        return None
    rows, actions = document.get("rows"), document.get("actions")
    return Observation(
        at,
        agent,
        _text(document, "task"),
        _text(document, "session"),
        _text(document, "id"),
        0 if kind == "outcome" else 1,
        document.get("decision") == "deny",
        max(rows, 0) if isinstance(rows, int) else 0,
        tuple(each for each in actions if isinstance(each, str)) if isinstance(actions, list) else (),
    )


@dataclass(slots=True)
class Baseline:
    """What is usual of one agent in one task. `observe` changes it; its size is bounded."""

    agent: str
    task: str
    first: datetime
    hour: datetime
    calls: int = 0
    active_hours: int = 0
    now: dict[Counted, int] = field(default_factory=lambda: dict.fromkeys(counted, 0))
    """Of the hour that goes on."""
    usual: dict[Counted, deque[int]] = field(
        default_factory=lambda: {each: deque(maxlen=_most_hours) for each in counted}
    )
    apart: dict[Counted, list[int]] = field(default_factory=lambda: {each: [] for each in counted})
    """Of hours out of the usual, which do not make the next one usual."""
    departed: set[Counted] = field(default_factory=set[Counted])
    """What is out of the usual in the hour that goes on."""
    told: set[Counted] = field(default_factory=set[Counted])
    """Of what it was said already, and which did not end since."""
    actions: dict[str, int] = field(default_factory=dict[str, int])
    quiet_calls: int = 0
    """Calls since the last new action."""
    new_actions: int = 0
    """Of the hour that goes on."""
    slots: set[int] = field(default_factory=set[int])
    """Hours of the week with calls: Monday's first is 0."""
    quiet_hours: int = 0
    """Hours with calls since the last new one of the week."""
    most: dict[Counted, int] = field(default_factory=dict[Counted, int], compare=False)
    """The largest of the usual values, once it was needed in the hour that goes on: they change at its end."""

    def observe(self, seen: Observation, rules: Rules) -> list[Departure]:
        """Take note of a record; return what departs from the usual by it, each departure once."""
        found: list[Departure] = []
        if seen.at - self.hour >= _an_hour or not self.active_hours:
            self._close(seen.at.replace(minute=0, second=0, microsecond=0))
            found += self._slot(seen, rules)
        self.calls += seen.calls
        found += self._action(seen, rules)
        self.now["calls"] += seen.calls
        self.now["denials"] += seen.denied and seen.calls
        self.now["rows"] += seen.rows
        self.now["largest"] = max(self.now["largest"], seen.rows)
        if self._ready(seen.at, rules):
            found += [each for name in counted if (each := self._excess(name, seen, rules)) is not None]
        return found

    def _ready(self, at: datetime, rules: Rules) -> bool:
        enough = self.calls >= rules.calls and self.active_hours > rules.hours
        return enough and at - self.first >= rules.learning

    def _close(self, hour: datetime) -> None:
        """End the hour that went on, and begin another one."""
        for name in counted if self.active_hours else ():
            if name not in self.departed:
                self.usual[name].append(self.now[name])
                self.told.discard(name)
                continue
            self.apart[name].append(self.now[name])
            if len(self.apart[name]) >= ACCEPTED:
                self.usual[name].extend(self.apart[name])
                self.apart[name].clear()
        if hour - self.hour > _an_hour:
            self.told.clear()
        self.most.clear()
        self.hour, self.active_hours = hour, self.active_hours + 1
        self.now = dict.fromkeys(counted, 0)
        self.departed.clear()
        self.new_actions = 0

    def _excess(self, name: Counted, seen: Observation, rules: Rules) -> Departure | None:
        """Return the departure of a measure from its usual hours, once there are enough of them."""
        value = self.now[name]
        if name in self.departed or value <= _floors[name]:
            return None
        hours = self.usual[name]
        if len(hours) < rules.hours:
            return None
        most = self.most.get(name)
        if most is None:
            most = self.most[name] = max(hours)
        if value <= max(most * rules.times, most + _floors[name]):
            return None
        self.departed.add(name)
        if name in self.told:
            return None
        self.told.add(name)
        return Departure(name, value, _described(hours), self.hour, seen)

    def _action(self, seen: Observation, rules: Rules) -> list[Departure]:
        """Return the actions that were never used before, if for long none was new."""
        found: list[Departure] = []
        if not seen.calls or seen.denied:
            return found
        for action in seen.actions:
            if action in self.actions:
                self.actions[action] += 1
                continue
            if len(self.actions) >= _most_actions:
                continue
            settled = self.quiet_calls >= rules.calls or self.new_actions > 0
            if settled and self._ready(seen.at, rules) and self.new_actions < _most_a_time:
                usual: Mapping[str, JsonValue] = {
                    "calls": self.calls - 1,
                    "actions": len(self.actions),
                    "calls_since_the_last_new_one": self.quiet_calls,
                }
                found.append(Departure("action", action, usual, self.hour, seen))
                self.new_actions += 1
            else:
                self.quiet_calls = 0
            self.actions[action] = 1
        self.quiet_calls += 1
        return found

    def _slot(self, seen: Observation, rules: Rules) -> list[Departure]:
        """Return the hour of the week if neither it nor the ones beside it were ever worked in."""
        slot = self.hour.weekday() * 24 + self.hour.hour
        if slot in self.slots:
            self.quiet_hours += 1
            return []
        near = {(slot - 1) % 168, (slot + 1) % 168} & self.slots
        settled = self.quiet_hours >= rules.hours and seen.at - self.first >= 2 * rules.learning
        usual: Mapping[str, JsonValue] = {"hours": self.active_hours - 1, "hours_of_the_week": len(self.slots)}
        self.slots.add(slot)
        if near or not settled or not self._ready(seen.at, rules):
            self.quiet_hours = self.quiet_hours + 1 if near else 0
            return []
        return [Departure("hour", f"{self.hour:%a %H}:00 UTC", usual, self.hour, seen)]


def begin(seen: Observation) -> Baseline:
    """Return what is known of an agent and task that were never seen: nothing."""
    hour = seen.at.replace(minute=0, second=0, microsecond=0)
    return Baseline(seen.agent, seen.task, seen.at, hour)


def dump(known: Baseline) -> dict[str, JsonValue]:
    """Return a baseline as JSON."""
    return {
        "agent": known.agent,
        "task": known.task,
        "first": known.first.isoformat(),
        "hour": known.hour.isoformat(),
        "calls": known.calls,
        "active_hours": known.active_hours,
        "now": {name: known.now[name] for name in counted},
        "usual": {name: [*known.usual[name]] for name in counted},
        "apart": {name: [*known.apart[name]] for name in counted},
        "departed": [*sorted(known.departed)],
        "told": [*sorted(known.told)],
        "actions": {**known.actions},
        "quiet_calls": known.quiet_calls,
        "new_actions": known.new_actions,
        "slots": [*sorted(known.slots)],
        "quiet_hours": known.quiet_hours,
    }


def restore(told: Mapping[str, JsonValue]) -> Baseline:
    """Return a baseline from what `dump` wrote."""
    usual = cast("Mapping[str, list[int]]", told["usual"])
    apart = cast("Mapping[str, list[int]]", told["apart"])
    now = cast("Mapping[str, int]", told["now"])
    return Baseline(
        cast(str, told["agent"]),
        cast(str, told["task"]),
        datetime.fromisoformat(cast(str, told["first"])),
        datetime.fromisoformat(cast(str, told["hour"])),
        cast(int, told["calls"]),
        cast(int, told["active_hours"]),
        {name: now[name] for name in counted},
        {name: deque(usual[name], maxlen=_most_hours) for name in counted},
        {name: [*apart[name]] for name in counted},
        set(cast("list[Counted]", told["departed"])),
        set(cast("list[Counted]", told["told"])),
        dict(cast("Mapping[str, int]", told["actions"])),
        cast(int, told["quiet_calls"]),
        cast(int, told["new_actions"]),
        set(cast("list[int]", told["slots"])),
        cast(int, told["quiet_hours"]),
    )


def _described(values: Iterable[int]) -> Mapping[str, JsonValue]:
    """Return what is usual: of how many hours, the middle, what 19 of 20 stay below, and the most."""
    ordered = sorted(values)
    count = len(ordered)
    return {
        "hours": count,
        "median": ordered[count // 2],
        "p95": ordered[min(count - 1, count * 95 // 100)],
        "most": ordered[-1],
    }


def _text(document: Mapping[str, JsonValue], name: str) -> str:
    value = document.get(name)
    return value if isinstance(value, str) else ""


def _moment(value: JsonValue) -> datetime | None:
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return None if found is None else found.astimezone(UTC)
