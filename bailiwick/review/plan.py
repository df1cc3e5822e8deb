"""Plan: the requests of a ledger, replayed against another policy, as one list of what would change.

Equal requests are decided once. The ledger is read in batches; kept is what differs, not the records.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
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


def gather(records: Records, start: int, opening: Callable[[str], Document | None]) -> Gatherer:
    """Read the requests of a ledger from a sequence number on."""
    gatherer = Gatherer(opening)
    while True:
        found = records.following(start, _BATCH)
        for each in found:
            document = read(each.body)
            if document is not None:
                gatherer.take(document)
        if len(found) < _BATCH:
            return gatherer
        start = found[-1].seq + 1


def plan(groups: Iterable[Group], new: Side, before: Callable[[str], Side | None]) -> Planned:
    """Return what changes for these requests; `before` gives a policy of then by its version, None: not kept."""
    judge = Judge(new, before)
    counts: Counter[Kind] = Counter()
    changes: dict[tuple[object, ...], Change] = {}
    requests = different = 0
    for group in groups:
        different += 1
        requests += group.count
        judged = judge.judge(group.asked)
        over = 0
        if judged.most is not None:
            most = judged.most
            over = sum(1 for rows in group.rows if rows > most)
            if over:
                why = f"more than {most} rows at once"
                _add(changes, counts, group, Found("denied", why, "rows_exceeded"), over)
        for found in judged.found:
            if over < group.count or found.kind != "unchanged":
                _add(changes, counts, group, found, group.count - (over if found.kind == "unchanged" else 0))
    order = {kind: place for place, kind in enumerate(kinds)}
    listed = sorted(changes.values(), key=lambda each: (order[each.kind], -each.count, each.agent, each.why))
    return Planned(new.policy.version, requests, different, dict(counts), tuple(listed))


def _add(
    changes: dict[tuple[object, ...], Change], counts: Counter[Kind], group: Group, found: Found, count: int
) -> None:
    counts[found.kind] += count
    if found.kind in ("unchanged", "elsewhere"):
        return
    asked = group.asked
    key = (found.kind, asked.terms.agent, asked.terms.task, asked.actions, found.why, found.code)
    change = changes.get(key)
    if change is None:
        agent, task = asked.terms.agent, asked.terms.task or ""
        change = changes[key] = Change(found.kind, agent, task, asked.actions, found.why, found.code, first=group.first)
    change.count += count
    change.people.update(group.people)
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
