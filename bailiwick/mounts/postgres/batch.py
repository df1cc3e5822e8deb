"""A batch: what a client asked for up to its Sync or Flush, translated, cut into segments that run without a stop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from bailiwick.gateway.call import Call
from bailiwick.gateway.limits.memory import Reserved
from bailiwick.mounts.postgres.observed_rows import ObservedRows
from bailiwick.mounts.postgres.prepared import Portal, Prepared

PARSE: Final = 1
BIND: Final = 2
DESCRIBE_STATEMENT: Final = 3
DESCRIBE_PORTAL: Final = 4
EXECUTE: Final = 5
CLOSE: Final = 6
POISON: Final = 7
SYNC: Final = 8


class Step:
    """One message sent to the server, and what is known about it."""

    __slots__ = ("kind", "name", "prepared", "quiet")

    def __init__(self, kind: int, prepared: Prepared | None = None, name: bytes = b"", quiet: bool = False) -> None:
        self.kind = kind
        self.prepared = prepared
        self.name = name
        self.quiet = quiet
        """Whether the client, speaking the simple protocol, did not ask for this step's own reply."""


class BindStep(Step):
    """BIND: and the portal that it makes."""

    __slots__ = ("portal",)

    def __init__(self, prepared: Prepared, portal: Portal, name: bytes, quiet: bool = False) -> None:
        self.kind = BIND
        self.prepared = prepared
        self.name = name
        self.quiet = quiet
        self.portal = portal


class KeptStep(Step):
    """PARSE of the client's unnamed statement, under the name by which the gateway keeps it."""

    __slots__ = ("kept",)

    def __init__(self, prepared: Prepared, kept: bytes, quiet: bool) -> None:
        super().__init__(PARSE, prepared, quiet=quiet)
        self.kept = kept


class PoisonStep(Step):
    """POISON: and what the client is told in place of the server's complaint."""

    __slots__ = ("error",)

    def __init__(self, error: bytes) -> None:
        super().__init__(POISON)
        self.error = error


class Execution(Step):
    """EXECUTE: the call, what is recorded of it, and what became of it."""

    __slots__ = (
        "begun",
        "call",
        "checked",
        "done",
        "intent",
        "mark",
        "passed",
        "reserved",
        "results",
        "rows",
        "settled",
        "size",
        "skipped",
    )

    def __init__(self, prepared: Prepared, passed: bytes) -> None:
        self.kind = EXECUTE
        self.prepared: Prepared = prepared
        self.name = b""
        self.quiet = False
        self.call: Call = prepared.call
        self.checked = prepared.plan.checked
        """Whether its rows hold the gateway's check."""
        self.passed = passed
        """How that check reads when it holds."""
        self.results: ObservedRows | None = None
        """Where the session is observed: what looks at its rows."""
        self.intent = ""
        self.settled = False
        self.done = False
        """Whether the server has completed it."""
        self.begun = -1.0
        """When it was sent; negative: not yet."""
        self.rows = 0
        self.size = 0
        """Bytes of rows."""
        self.mark = -1
        """Where in the held reply its rows begin."""
        self.reserved: Reserved | None = None
        """What it is charged to, between its reservation and its end."""
        self.skipped = False
        """Whether the server left it out, because something before it failed."""


class Segment:
    """Messages sent in one go, and the steps that answer for them."""

    __slots__ = ("checked", "chunks", "executions", "steps")

    def __init__(self) -> None:
        self.executions: list[Execution] = []
        self.chunks: list[bytes] = []
        self.steps: list[Step] = []
        self.checked = False
        """Whether a write in it is checked by its rows, so that nothing may be made lasting before they came."""


class MeteredSegment(Segment):
    """The segment of one execution under ceilings, which ends it; `timeout`: seconds after which it is cancelled."""

    __slots__ = ("timeout",)

    def __init__(self, timeout: int | None) -> None:
        super().__init__()
        self.checked = True
        self.timeout = timeout


class HeldSegment(Segment):
    """The segment of a statement that is to be held: what was sent for it but its Execute, which never is."""

    __slots__ = ("held",)

    def __init__(self, held: Held) -> None:
        super().__init__()
        self.checked = True
        self.held = held


@dataclass(frozen=True, slots=True)
class Held:
    """A statement that is to be held: its call, and what was sent for it."""

    prepared: Prepared
    parsed: bytes
    bound: bytes
    call: Call
    passed: bytes = b"t"
    """How its check reads when it holds."""


class Batch:
    """`doomed`: a step in it is known to fail, so that the server would skip what follows.

    `writes`: what has an effect, so that its intent is recorded first; queries that lock rows among them.
    `charged`: what is charged to a budget, so that that is reserved before anything."""

    __slots__ = ("_last", "charged", "doomed", "segments", "size", "steps", "writes")

    def __init__(self) -> None:
        self._last = Segment()
        self.segments = [self._last]
        self.writes: list[Execution] = []
        self.charged: list[Execution] = []
        self.doomed = False
        self.size = 0
        self.steps = 0

    def add(self, data: bytes, step: Step) -> None:
        """Append a message and its step."""
        self._last.chunks.append(data)
        self._last.steps.append(step)
        self.size += len(data)
        self.steps += 1

    def add_execute(self, data: bytes, step: Execution, prepared: Prepared) -> None:
        """Append an execution. What could commit stands in a segment behind the checked writes."""
        kind = prepared.plan.kind
        if self._last.checked and kind not in ("READ", "WRITE"):
            self._last = Segment()
            self.segments.append(self._last)
        self.add(data, step)
        self._last.executions.append(step)
        if prepared.plan.effective:
            self.writes.append(step)
        if prepared.budgets:
            self.charged.append(step)
        if kind == "WRITE":
            self._last.checked = self._last.checked or step.checked

    def add_metered(
        self,
        data: bytes,
        step: Execution,
        segment: MeteredSegment,
        around: Callable[[MeteredSegment], None] | None = None,
    ) -> None:
        """Append an execution under ceilings, in that segment of its own; what follows stands in one behind it.

        `around` puts what the gateway asks beside it around it."""
        self._open(segment)
        self.add(data, step)
        if around is not None:
            around(segment)
        segment.executions.append(step)
        if step.prepared.plan.effective:
            self.writes.append(step)
        if step.prepared.budgets:
            self.charged.append(step)
        self._last = Segment()
        self.segments.append(self._last)

    def cut(self, step: Execution, poison: bytes, error: bytes) -> None:
        """End with a failure in the place of an execution: neither it nor what follows runs, and `error` is told."""
        number = next(each for each, segment in enumerate(self.segments) if step in segment.executions)
        segment = self.segments[number]
        place = segment.steps.index(step)
        segment.chunks[place:], segment.steps[place:] = [poison], [PoisonStep(error)]
        del segment.executions[segment.executions.index(step) :]
        del self.segments[number + 1 :]
        left = [each for kept in self.segments for each in kept.executions]
        self.writes = [each for each in self.writes if each in left]
        self.charged = [each for each in self.charged if each in left]

    def add_held(self, held: Held) -> None:
        """Append a statement that is to be held. What follows stands behind it, and runs only if it was approved."""
        self._open(HeldSegment(held))
        self.steps += 1
        self._last = Segment()
        self.segments.append(self._last)

    def _open(self, segment: Segment) -> None:
        """Open a segment for what was added since the last execution."""
        if self._last.executions:
            self.segments.append(segment)
        else:
            segment.chunks, segment.steps = self._last.chunks, self._last.steps
            self.segments[-1] = segment
        self._last = segment

    def lone_read(self) -> bool:
        """Whether all that it executes is one query."""
        found = [step for segment in self.segments for step in segment.executions]
        return len(found) == 1 and found[0].prepared.plan.kind == "READ"

    def open_writes(self) -> Iterator[Execution]:
        """Yield the writes whose intent is recorded but whose outcome is not."""
        return (step for step in self.writes if step.intent and not step.settled)
