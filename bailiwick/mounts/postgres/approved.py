"""Statements that people have approved: run once, and no further than they were previewed.

What runs is what was previewed: the write returns the keys of its rows behind the agent's own columns, and where they
are not those of the preview it is undone before anything can commit.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from bailiwick.gateway.call import Call
from bailiwick.model.ceilings import Ceilings
from bailiwick.mounts.postgres import codec
from bailiwick.mounts.postgres.batch import BIND, CLOSE, PARSE, Held, MeteredSegment, Step
from bailiwick.mounts.postgres.codec import NULL_VALUE, int16_at, pack_int16, pack_int32
from bailiwick.mounts.postgres.counted import surround
from bailiwick.mounts.postgres.metered import Breach, Metered
from bailiwick.mounts.postgres.prepared import Account

OWN: Final = b"bailiwick approved"
"""Name of the statement and the portal that run in place of the agent's; no client may use it."""
_TEXT = b"\0\0"
DIGESTED: Final = 100_000
"""Rows up to which their keys are told by one hash."""


class KeysSeen:
    """Tells the keys of rows by one hash, whatever their order."""

    def __init__(self) -> None:
        self.rows = 0
        self._digests: list[bytes] = []

    def add(self, key: list[bytes | None]) -> None:
        """Take the key of a row."""
        self.rows += 1
        if self.rows <= DIGESTED:
            sized = (NULL_VALUE if each is None else pack_int32(len(each)) + each for each in key)
            self._digests.append(hashlib.sha256(b"".join(sized)).digest())

    def digest(self) -> str:
        """Return the hash; empty when there were too many rows."""
        return hashlib.sha256(b"".join(sorted(self._digests))).hexdigest() if self.rows <= DIGESTED else ""


@dataclass(frozen=True, slots=True)
class Go:
    """An approval that is consumed, and what runs now."""

    approval: str
    held: Held
    call: Call
    """As it is allowed now."""
    ceilings: Ceilings
    sql: bytes
    keys: int
    """Columns of keys that it returns behind the agent's own, before its check."""
    rows: int | None
    """How many rows it may write, exactly; None: that was not previewed."""
    digest: str
    """Of their keys; empty: any."""


@dataclass(frozen=True, slots=True)
class Past:
    """What the gateway has run itself: the rows that it returned and its end, as a client gets them."""

    reply: bytes


class Approved(Metered):
    """EXECUTE of what was approved."""

    __slots__ = ("_keys", "_seen", "go", "rolled", "sent")

    def __init__(self, go: Go) -> None:
        super().__init__(go.held.prepared, go.held.passed, go.ceilings, Account())
        self.call = go.call
        self.go = go
        self._keys = go.keys
        self._seen = KeysSeen()
        self.sent = False
        self.rolled = False
        """Whether something was rolled back in its transaction since, be it in part."""

    def own(self, row: bytes) -> bytes:
        """Take the keys off a row; return what the agent sees of it, which may be nothing."""
        key: list[bytes | None] = []
        for _ in range(self._keys):
            row, value = codec.split_last_value(row)
            key.insert(0, value)
        if key:
            self._seen.add(key)
        return row if int16_at(row, 5)[0] or not self._keys else b""

    def broken_by_end(self, told: int | None) -> Breach | None:
        """Return what the whole statement breaks: a ceiling, or what people have approved."""
        code = super().broken_by_end(told)
        if code is not None or self.prepared.plan.kind != "WRITE" or self.go.rows is None:
            return code
        if self.prepared.plan.inner and not self.completion:
            return None
        other = bool(self.go.digest) and self._seen.digest() != self.go.digest
        return "data_changed" if other or told != self.go.rows else None


def segment_of(step: Approved) -> MeteredSegment:
    """Return what is sent for it: a statement of its own, which is no more than what the agent has bound."""
    go, plan = step.go, step.prepared.plan
    segment = MeteredSegment(go.ceilings.timeout)
    _, _, types = codec.read_parse(go.held.parsed)
    most = 0 if go.ceilings.rows is None or plan.kind != "READ" else go.ceilings.rows + 1
    segment.chunks += [codec.message(b"C", b"S" + OWN + b"\0"), codec.parse(OWN, go.sql, types), _bind(go)]
    segment.chunks.append(codec.execute(OWN, most))
    segment.steps += [Step(CLOSE, name=b"S" + OWN, quiet=True), Step(PARSE, name=OWN, quiet=True)]
    segment.steps += [Step(BIND, name=OWN, quiet=True), step]
    if plan.inner:
        surround(segment, step)
    segment.chunks.append(codec.message(b"C", b"P" + OWN + b"\0"))
    segment.steps.append(Step(CLOSE, name=b"P" + OWN, quiet=True))
    segment.executions.append(step)
    return segment


def _bind(go: Go) -> bytes:
    """Return the agent's Bind as one of our statement. A key is text, which reads the same in both formats."""
    _, _, pos = codec.read_bind(go.held.bound)
    formats, count, values, results = codec.read_bind_tail(go.held.bound, pos)
    if len(results) > len(_TEXT):
        results += _TEXT * go.keys
    tail = (pack_int16(len(formats) // 2), formats, pack_int16(count), values, pack_int16(len(results) // 2), results)
    return codec.bind(OWN, OWN, b"".join(tail))
