"""Executions under ceilings: what they may do is counted row by row, on what the server really did.

A metered execution stands alone in its segment, with a Flush and no Sync behind it: until its ceilings are known to
be kept nothing is committed and nothing behind it runs. What broke one is undone by a step that fails.
"""

from __future__ import annotations

from typing import Literal

from bailiwick.decide.limits import LimitCode, exceeded
from bailiwick.model.ceilings import Ceilings
from bailiwick.model.decision import Denial
from bailiwick.mounts.postgres import codec
from bailiwick.mounts.postgres.batch import Execution, MeteredSegment
from bailiwick.mounts.postgres.prepared import Account, Portal, Prepared

Breach = LimitCode | Literal["data_changed"]
"""What an execution broke: a ceiling, or what people have approved of it."""
_COPY_FRAME = 2
"""Messages of a copy stream that may be no rows: its header and its end."""


DATA_CHANGED = Denial(
    "data_changed",
    "the data has changed: what was approved would now write other rows than it was previewed with, and was undone",
    remedy="send it again: it is previewed and held anew",
)


class Metered(Execution):
    """EXECUTE under ceilings. Its rows are looked at one by one (`checked`)."""

    __slots__ = ("account", "ceilings", "completion", "counted", "told")

    def __init__(self, prepared: Prepared, passed: bytes, ceilings: Ceilings, account: Account) -> None:
        super().__init__(prepared, passed)
        self.checked = True
        self.ceilings = ceilings
        self.account = account
        """Counts the rows of all executions of a portal."""
        self.told: int | None = None
        """What its command tag counts."""
        self.counted: int | None = None
        """With WITH queries that write: all that it wrote, once that is known."""
        self.completion = b""
        """Its CommandComplete, until then."""

    @property
    def streams(self) -> bool:
        """Whether rows may leave before the last has come: a query's, which never are more than its ceiling."""
        plan = self.prepared.plan
        return plan.kind == "READ" and not plan.copy

    def over(self, code: Breach) -> Denial:
        """Return the denial for what it broke."""
        if code == "data_changed":
            return DATA_CHANGED
        accesses = self.prepared.plan.accesses
        action = f"{accesses[0].resource}:{accesses[0].verb}" if accesses else ""
        return exceeded(code, self.ceilings, self.rows, action)

    def broken_by_row(self) -> LimitCode | None:
        """Return the ceiling that the rows counted so far break."""
        extra = _COPY_FRAME if self.prepared.plan.copy else 0
        rows = self.ceilings.rows
        if rows is not None and self.account.rows > rows + extra:
            return "rows_exceeded"
        most = self.ceilings.bytes
        return "bytes_exceeded" if most is not None and self.size > most else None

    def broken_by_end(self, told: int | None) -> Breach | None:
        """Return the ceiling that the whole statement breaks, by what its CommandComplete tells."""
        plan = self.prepared.plan
        batch = self.ceilings.batch
        if plan.inner and not self.completion:
            return None  # the command tag does not count that
        if plan.kind == "WRITE":
            # INVARIANT: a write whose count is not told is not known to keep its ceiling.
            return "batch_exceeded" if batch is not None and (told is None or told > batch) else None
        rows = self.ceilings.rows
        if plan.copy and rows is not None and (told is None or told > rows):
            return "rows_exceeded"
        return None


def metered(sent: bytes, prepared: Prepared, portal: Portal, ceilings: Ceilings) -> tuple[bytes, Metered]:
    """Return what is sent for an Execute under ceilings, and its step.

    A query is asked for at most one row more than it may still return, so that the server itself stops there; what it
    returned before, by Executes with a row limit of the client's, counts. `sent`: the Execute as it came.
    """
    account = portal.account = portal.account or Account()
    step = Metered(prepared, portal.passed, ceilings, account)
    if ceilings.rows is None or not step.streams:
        return sent, step
    name, asked = codec.read_execute(sent)
    left = max(ceilings.rows - account.rows, 0)
    return (sent if 0 < asked <= left else codec.execute(name, left + 1)), step


def segment_of(step: Metered) -> MeteredSegment:
    """Return the segment that a metered execution has to itself."""
    return MeteredSegment(step.ceilings.timeout)
