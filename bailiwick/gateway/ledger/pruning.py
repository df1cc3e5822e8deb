"""What of a ledger's file may be pruned, what is held, and how it grows: reading only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bailiwick.gateway.ledger.reader import LedgerReader, Query
from bailiwick.ledger.encode import moment, read
from bailiwick.ledger.own import own_records
from bailiwick.ledger.report import ranges
from bailiwick.ledger.retention import LASTING, Hold, holds_of, is_due, kept_for
from bailiwick.model.policy import Retention
from bailiwick.model.record import JsonValue

AT_ONCE = 20_000
"""Records that one pruning removes at most; the next goes on from there."""
_PAGE = 2_000


def holds(reader: LedgerReader) -> list[Hold]:
    """Return the legal holds that last."""
    found = [
        stored
        for kind in ("ledger.held", "ledger.released")
        for stored in reader.query(Query(kind=kind, limit=100_000))
    ]
    return holds_of(read(stored.body) or {} for stored in sorted(found, key=lambda each: each.seq))


@dataclass(frozen=True, slots=True)
class Due:
    """What was kept long enough."""

    records: Sequence[int]
    """Those to be pruned now."""
    waiting: Mapping[str, int]
    """How many others wait for a sink that was not delivered them yet, by its name."""

    @property
    def more(self) -> bool:
        """Whether there may be more records to be pruned."""
        return len(self.records) == AT_ONCE

    @property
    def more_wait(self) -> bool:
        """Whether more may wait than were counted."""
        return AT_ONCE in self.waiting.values()


def due_by(reader: LedgerReader, retention: Retention, now: datetime, undelivered: Mapping[str, int]) -> Due:
    """Return what is to be pruned now, and what waits: for each sink, what is from its first undelivered record on."""
    first = min(undelivered.values(), default=None)
    if first is None:
        return Due(due(reader, retention, now), {})
    late = due(reader, retention, now, first=first)
    counts = {name: sum(each >= seq for each in late) for name, seq in undelivered.items()}
    waiting = {name: count for name, count in counts.items() if count}
    return Due(due(reader, retention, now, end=first), waiting)


def due(
    reader: LedgerReader, retention: Retention, now: datetime, *, first: int = 0, end: int | None = None
) -> list[int]:
    """Return the records that were kept long enough, the oldest first, at most so many at once.

    Only those from `first` on and before `end`.
    """
    spans = [span for span in (retention.default, *retention.labels.values()) if span is not None]
    if not spans:
        return []
    held = holds(reader)
    found: list[int] = []
    for seq, document in _before(reader, now - min(spans), first - 1):
        if end is not None and seq >= end:
            break
        at, kind = document.get("at"), str(document.get("kind"))
        labels = document.get("labels")
        span = kept_for(retention.default, retention.labels, map(str, labels) if isinstance(labels, list) else ())
        if kind.startswith(LASTING) or not isinstance(at, str) or not is_due(datetime.fromisoformat(at), now, span):
            continue
        agent, user, session = (str(document.get(name, "")) for name in ("agent", "user", "session"))
        if not any(hold.covers(agent, user, session, at) for hold in held):
            found.append(seq)
            if len(found) == AT_ONCE:
                break
    return found


def _before(reader: LedgerReader, until: datetime, after: int) -> Iterator[tuple[int, dict[str, JsonValue]]]:
    while page := reader.older_than(moment(until), after, _PAGE):
        for stored in page:
            yield stored.seq, read(stored.body) or {}
        after = page[-1].seq


def unfinished(reader: LedgerReader) -> list[tuple[int, int]]:
    """Return what a record says was pruned and was not yet, because the gateway was killed between the two."""
    _, prunings = own_records(stored.body for stored in reader.query(Query(kind="ledger.pruned", limit=1_000_000)))
    done = reader.pruned()
    covered = {seq for first, last in done for seq in range(first, last + 1)}
    named = {seq for each in prunings for first, last in each.ranges for seq in range(first, last + 1)}
    return ranges(sorted(named - covered))


@dataclass(frozen=True, slots=True)
class Growth:
    """How large a ledger is, and how it grows."""

    records: int
    pruned: int
    disk: int
    """Bytes of its file."""
    first: str
    """When its oldest record was made that is not pruned."""
    per_day: float
    """Records a day, over the last week (or since its first record)."""

    @property
    def record_bytes(self) -> float:
        """Bytes on disk for each record."""
        return self.disk / self.records if self.records else 0.0

    def disk_in(self, days: int) -> int:
        """Return the bytes it will have in so many days, if it goes on like that and nothing is pruned."""
        return round(self.disk + days * self.per_day * self.record_bytes)

    def told(self) -> dict[str, int | str | None]:
        """Return it as it is told, with a forecast."""
        return {
            "records": self.records,
            "pruned": self.pruned,
            "disk_bytes": self.disk,
            "bytes_a_record": round(self.record_bytes),
            "oldest": self.first or None,
            "records_a_day": round(self.per_day),
            "disk_bytes_in_30_days": self.disk_in(30),
            "disk_bytes_in_a_year": self.disk_in(365),
        }


def growth(reader: LedgerReader, disk: int, now: datetime) -> Growth:
    """Return how a ledger grows."""
    size = reader.size()
    page = reader.older_than(moment(now), -1, 1)
    first = str((read(page[0].body) or {}).get("at", "")) if page else ""
    since = now - timedelta(days=7)
    if first:
        since = max(since, datetime.fromisoformat(first))
    days = max((now - since).total_seconds() / 86_400, 1 / 1_440)
    per_day = (size - reader.first_since(since)) / days
    return Growth(size, sum(last - start + 1 for start, last in reader.pruned()), disk, first, per_day)
