"""What WITH queries write: the server counts it in a setting (`plan.COUNTS`), read before the statement stands.

Around the Execute of such a statement go two statements of the gateway's own: one clears the setting, one reads it.
"""

from __future__ import annotations

from typing import Final

from bailiwick.model.decision import Denial
from bailiwick.mounts.postgres import codec
from bailiwick.mounts.postgres.batch import BIND, CLOSE, PARSE, Execution, MeteredSegment, Step
from bailiwick.mounts.postgres.metered import Metered
from bailiwick.mounts.postgres.prepared import Prepared
from bailiwick.sql.plan import COUNTS, Plan

OWN: Final = b"bailiwick rows"
"""Name of the statement and the portal; no client may use it."""
CLEAR: Final = f"SELECT pg_catalog.set_config('{COUNTS}', '', true)".encode()
READ: Final = f"SELECT pg_catalog.current_setting('{COUNTS}', true)".encode()
UNCOUNTED = Denial(
    "statement_not_allowed",
    "it cannot be told how many rows the WITH queries of this statement write",
    allowed="INSERT, UPDATE, DELETE and MERGE on their own",
    remedy="send the statements one after the other",
)


class Aside(Execution):
    """EXECUTE of the gateway's own beside another: nothing of it reaches the client or the ledger."""

    __slots__ = ("ends",)

    def __init__(self, prepared: Prepared, ends: Metered | None = None) -> None:
        super().__init__(prepared, b"")
        self.checked = True
        self.settled = True
        self.ends = ends
        """The write that is over with it, because it reads what was counted."""

    def take(self, raw: bytes) -> None:
        """Take its one row."""
        if self.ends is not None:
            self.ends.counted = counted(raw[11:], self.ends.prepared.plan, self.ends.told)


def counted(found: bytes, plan: Plan, told: int | None) -> int | None:
    """Return how many rows a statement wrote, by its setting's value and its command tag; None: that is not known."""
    counts = found.split(b",")
    if len(counts) != len(plan.inner) or not all(each.isdigit() for each in counts) or told is None:
        return None
    return sum(map(int, counts)) + (0 if plan.tag == "SELECT" else told)


def surround(segment: MeteredSegment, write: Metered) -> None:
    """Put the two statements around the last message of the segment, the Execute of the write."""
    execute, step = segment.chunks.pop(), segment.steps.pop()
    _add(segment, CLEAR, Aside(write.prepared))
    segment.chunks.append(execute)
    segment.steps.append(step)
    _add(segment, READ, Aside(write.prepared, write))


def _add(segment: MeteredSegment, text: bytes, aside: Aside) -> None:
    close = codec.message(b"C", b"S" + OWN + b"\0")
    bound = codec.bind(OWN, OWN, b"\0\0\0\0\0\0")
    leave = codec.message(b"C", b"P" + OWN + b"\0")
    segment.chunks += [close, codec.parse(OWN, text), bound, codec.execute(OWN), leave]
    segment.steps += [
        Step(CLOSE, name=b"S" + OWN, quiet=True),
        Step(PARSE, name=OWN, quiet=True),
        Step(BIND, name=OWN, quiet=True),
        aside,
        Step(CLOSE, name=b"P" + OWN, quiet=True),
    ]
