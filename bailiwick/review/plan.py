"""Plan: the requests of a ledger, replayed against another policy, as one list of what would change.

Equal requests are decided once. The ledger is read in batches; kept is what differs, not the records.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from bailiwick.ledger.encode import read
from bailiwick.model.record import JsonValue
from bailiwick.review.judge import Found, Judge, Kind
from bailiwick.review.records import Document, Gatherer, Group
from bailiwick.review.side import Side

kinds: tuple[Kind, ...] = (
    *("denied", "held", "masked", "narrowed", "unknown", "allowed", "released", "widened"),
    *("unchanged", "elsewhere"),
)
REFUSED: tuple[Kind, ...] = ("denied", "held")
_BATCH = 20_000
_EXAMPLES = 3


class Body(Protocol):
    """A record as it is stored."""

    @property
    def seq(self) -> int: ...
    @property
    def body(self) -> bytes: ...


class Records(Protocol):
    """A ledger, as far as a plan reads it."""

    def following(self, seq: int, limit: int) -> Sequence[Body]:
        """Return the records from a sequence number on, the oldest first, at most so many."""
        ...


@dataclass(slots=True)
class Change:
    """One thing that would change, of however many requests."""

    kind: Kind
    agent: str
    task: str
    actions: tuple[str, ...]
    why: str
    code: str
    count: int = 0
    people: Counter[str] = field(default_factory=Counter[str])
    sessions: set[str] = field(default_factory=set[str])
    first: str = ""
    last: str = ""
    examples: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """(id of a record, what it asked for) of the commonest."""


@dataclass(frozen=True, slots=True)
class Planned:
    """What a policy would have changed."""

    version: str
    requests: int
    groups: int
    """Different requests."""
    counts: Mapping[Kind, int]
    """Requests by what becomes of them; one of which two things change counts for both."""
    changes: tuple[Change, ...]
    """What changes, the worst and commonest first; with what is unknown."""

    @property
    def refused(self) -> int:
        """How many requests would be denied, or held, that were not."""
        return sum(self.counts.get(kind, 0) for kind in REFUSED)


@contextmanager
def uncollected() -> Generator[None]:
    """Keep the collector of cycles away: what a plan reads makes none, and a million records are much work for it."""
    was = gc.isenabled()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if was:
            gc.enable()


def gather(records: Records, start: int, opening: Callable[[str], Document | None]) -> Gatherer:
    """Read the requests of a ledger from a sequence number on."""
    gatherer = Gatherer(opening)
    while True:
        after = take(records, start, gatherer)
        if after < start + _BATCH:
            return gatherer
        start = after


def take(records: Records, start: int, gatherer: Gatherer) -> int:
    """Have a batch of records taken up; return the sequence number behind the last one."""
    found = records.following(start, _BATCH)
    for each in found:
        document = read(each.body)
        if document is not None:
            gatherer.take(document)
    return found[-1].seq + 1 if found else start


def plan(groups: Iterable[Group], new: Side, before: Callable[[str], Side | None]) -> Planned:
    """Return what changes for these requests; `before` gives a policy of then by its version, None: not kept."""
    tally = Tally(new, before)
    for group in groups:
        tally.add(group)
    return tally.planned()


class Tally:
    """Adds up what changes."""

    def __init__(self, new: Side, before: Callable[[str], Side | None]) -> None:
        """`before` gives a policy of then by its version, None: not kept."""
        self._version = new.policy.version
        self._judge = Judge(new, before)
        self._counts: Counter[Kind] = Counter()
        self._changes: dict[tuple[object, ...], Change] = {}
        self._requests = self._different = 0

    def add(self, group: Group) -> None:
        """Add the requests of a group."""
        self._different += 1
        self._requests += group.count
        judged = self._judge.judge(group.asked)
        over = 0
        if judged.most is not None:
            most = judged.most
            over = sum(1 for rows in group.rows if rows > most)
            if over:
                self._add(group, Found("denied", f"more than {most} rows at once", "rows_exceeded"), over)
        for found in judged.found:
            if over < group.count or found.kind != "unchanged":
                self._add(group, found, group.count - (over if found.kind == "unchanged" else 0))

    def planned(self) -> Planned:
        """Return what changes so far."""
        order = {kind: place for place, kind in enumerate(kinds)}
        listed = sorted(self._changes.values(), key=lambda each: (order[each.kind], -each.count, each.agent, each.why))
        return Planned(self._version, self._requests, self._different, dict(self._counts), tuple(listed))

    def _add(self, group: Group, found: Found, count: int) -> None:
        self._counts[found.kind] += count
        if found.kind in ("unchanged", "elsewhere"):
            return
        asked = group.asked
        key = (found.kind, asked.terms.agent, asked.terms.task, asked.actions, found.why, found.code)
        change = self._changes.get(key)
        if change is None:
            agent, task = asked.terms.agent, asked.terms.task or ""
            change = Change(found.kind, agent, task, asked.actions, found.why, found.code, first=group.first)
            self._changes[key] = change
        change.count += count
        for user, times in group.people.items():
            change.people[user] += times
        change.sessions |= group.sessions
        change.first = min(change.first, group.first)
        change.last = max(change.last, group.last)
        if len(change.examples) < _EXAMPLES:
            change.examples.append((group.example, asked.statement))


def planned_as_json(planned: Planned) -> dict[str, JsonValue]:
    """Return a plan as programs read it."""
    return {
        "policy": planned.version,
        "requests": planned.requests,
        "different": planned.groups,
        "refused": planned.refused,
        "counts": {kind: planned.counts.get(kind, 0) for kind in kinds},
        "changes": [_as_json(each) for each in planned.changes],
    }


def _as_json(change: Change) -> dict[str, JsonValue]:
    return {
        "kind": change.kind,
        "agent": change.agent,
        "task": change.task,
        "actions": [*change.actions],
        "why": change.why,
        "code": change.code,
        "count": change.count,
        "people": dict(change.people.most_common(20)),
        "people_count": len(change.people),
        "sessions": len(change.sessions),
        "first": change.first,
        "last": change.last,
        "examples": [{"record": record, "asked": asked[:500]} for record, asked in change.examples],
    }
