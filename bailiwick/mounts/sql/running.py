"""What an engine is given to run, and what it says of it. The running itself stands in a module for each engine."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import orjson

from bailiwick.mounts.sql.results import Failed, Row, as_json
from bailiwick.mounts.sql.values import Value
from bailiwick.sql.engines.plan import EnginePlan


class Stop:
    """Tells what runs in a thread to end: because it took too long, or because nobody may have its result."""

    def __init__(self, seconds: float) -> None:
        self._told = threading.Event()
        self._deadline = time.monotonic() + seconds
        self._interrupt: Callable[[], None] | None = None
        self._lock = threading.Lock()

    @property
    def told(self) -> bool:
        """Whether it was told to end."""
        return self._told.is_set()

    @property
    def late(self) -> bool:
        """Whether its time is over."""
        return time.monotonic() >= self._deadline

    @property
    def due(self) -> bool:
        """Whether it has to end."""
        return self.told or self.late

    def shorten(self, seconds: float) -> None:
        """Have its time be over in so many seconds, if that is sooner."""
        self._deadline = min(self._deadline, time.monotonic() + seconds)

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return max(self._deadline - time.monotonic(), 0.0)

    def tell(self) -> None:
        """Have it end. What it did is undone."""
        self._told.set()
        with self._lock:
            if self._interrupt is not None:
                self._interrupt()

    def on_tell(self, interrupt: Callable[[], None] | None) -> None:
        """Have something called, in the thread of whoever tells; None: not any more, and it is not being called."""
        with self._lock:
            self._interrupt = interrupt


@dataclass(frozen=True, slots=True)
class Bounds:
    """Up to where a statement runs."""

    rows: int | None
    bytes: int
    batch: int | None


@dataclass(frozen=True, slots=True)
class Rows:
    """What a query returned: no more than its bounds."""

    names: tuple[str, ...]
    rows: tuple[Row, ...] = ()
    size: int = 0
    ended: Literal["", "rows_exceeded", "bytes_exceeded"] = ""
    kinds: tuple[str, ...] = ()
    """Types of the columns, where the database tells them."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a write did: done when `verdict` is empty, undone otherwise."""

    rows: int
    verdict: Literal["", "batch_exceeded", "row_out_of_scope", "rows_exceeded", "bytes_exceeded", "data_changed"] = ""
    returned: Rows | None = None
    """What it returns of the rows that it has written."""
    digest: str = ""
    """One hash for which rows these are, whatever their order; empty where that is not known."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """It was told to end, or its time was over; nothing of it is left."""

    late: bool


def known_columns(plan: EnginePlan, names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return names and types of what a query returns: the plan's, unless a `*` over a join shows fewer than it knew."""
    return plan.columns if len(plan.columns) == len(names) else tuple((name, "") for name in names)


def fetched(job: Job, names: Sequence[str], source: Iterable[Sequence[object]]) -> Rows:
    """Fetch rows up to the bounds of a job, and one more to know whether there are any: the rest stays where it is."""
    kinds = [kind for _, kind in known_columns(job.plan, names)]
    rows: list[Row] = []
    size = 0
    for found in source:
        if job.bounds.rows is not None and len(rows) >= job.bounds.rows:
            return Rows(tuple(names), tuple(rows), size, "rows_exceeded")
        row: Row = tuple(as_json(value, kind) for value, kind in zip(found, kinds, strict=True))
        more = len(orjson.dumps(row, default=str, option=orjson.OPT_PASSTHROUGH_SUBCLASS)) + 1
        if size + more > job.bounds.bytes:
            return Rows(tuple(names), tuple(rows), size, "bytes_exceeded")
        rows.append(row)
        size += more
    return Rows(tuple(names), tuple(rows), size)


Ran = Rows | Written | Stopped | Failed


@dataclass(frozen=True, slots=True)
class Expected:
    """What people have approved of a write: so many rows, and which ones, where that is known."""

    rows: int
    digest: str


@dataclass(frozen=True, slots=True)
class Job:
    """One statement to run."""

    plan: EnginePlan
    values: Sequence[Value]
    bounds: Bounds
    mask_key: bytes = field(repr=False)
    dry: bool = False
    """Whether it is undone whatever it does, as a preview."""
    expected: Expected | None = None
    """A write that does anything else is undone."""
    key: tuple[str, ...] = ()
    """The columns by which people tell the rows of what is written apart."""

    def settled(self, found: Written) -> Written:
        """Return what a write did, before its commit: undone where that is not what people have approved."""
        wanted = self.expected
        if found.verdict or wanted is None:
            return found
        other = bool(wanted.digest) and found.digest != wanted.digest
        return Written(found.rows, "data_changed") if other or found.rows != wanted.rows else found

    def told(self, identities: Sequence[Sequence[object]], returned: Rows | None = None) -> Written:
        """Return a write of these rows, with one hash for which they are; of new ones that is made at every run."""
        target = self.plan.target
        if target is not None and target.verb == "create":
            return Written(len(identities), "", returned)
        names = () if returned is None else returned.names
        places = [names.index(name) for name in self.key] if {*self.key} <= {*names} else []
        keys = [] if returned is None or not places else [[row[place] for place in places] for row in returned.rows]
        parts = [sorted(orjson.dumps([*each], default=str) for each in found) for found in (identities, keys)]
        digest = hashlib.sha256(b"\0".join(b"\n".join(part) for part in parts)).hexdigest()
        return Written(len(identities), "", returned, digest)


class Engine(Protocol):
    """Runs statements of one mount. Blocking: called in threads of its own, several at once."""

    def run(self, job: Job, stop: Stop) -> Ran:
        """Run a statement. Never raises for what the database says."""
        ...

    def close(self) -> None:
        """Let go of what it holds."""
        ...
