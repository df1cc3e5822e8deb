"""The commonest exchange, taken in one step: one plain read whose reply comes in one piece.

A shortcut and nothing more. Asked: `[Parse] Bind [Describe] Execute Sync` with only the statement named, or a Query of
one statement. Answered: the statement's row description as it came before, rows, completion, ready. Whatever is not
exactly that goes the long way (`Batch`, `Replies`), which does the same with it.
"""

from __future__ import annotations

from bailiwick.errors import ProtocolError
from bailiwick.mounts.postgres import codec
from bailiwick.mounts.postgres.batch import DESCRIBE_PORTAL, PARSE, SYNC, Batch, BindStep, Execution, Step
from bailiwick.mounts.postgres.codec import int32_at, skip_rows
from bailiwick.mounts.postgres.prepared import Misuse, Portal, Prepared
from bailiwick.mounts.postgres.translate import DESCRIBE_AND_EXECUTE, Translator

_PARSE, _BIND, _COMPLETED, _ROW = ord("P"), ord("B"), ord("C"), ord("D")
_DESCRIBED = DESCRIBE_AND_EXECUTE + codec.SYNC
_UNDESCRIBED = codec.execute(b"") + codec.SYNC
_PARSED, _BOUND = b"1\x00\x00\x00\x04", b"2\x00\x00\x00\x04"
_READY = b"Z\x00\x00\x00\x05"
_UNTYPED = b"\0\0"
_IDLE, _IN_TRANSACTION = ord("I"), ord("T")
_LONGEST = 16 * 1024
"""Bytes of what may be asked in one step."""


class Exchange:
    """One read on its way: what is sent, and what its reply will begin with."""

    __slots__ = ("begun", "described", "parsed", "portal", "prepared", "quiet", "sent")

    def __init__(self, prepared: Prepared, sent: bytes, *, parsed: bool, described: bool, quiet: bool) -> None:
        self.prepared = prepared
        self.sent = sent
        self.parsed = parsed
        """Whether a Parse of the unnamed statement is in it."""
        self.described = described
        """Whether a Describe of the portal is in it."""
        self.quiet = quiet
        """Whether it was a Query, so that nothing is said of Parse and Bind."""
        self.portal = Portal(prepared)
        self.begun = 0.0

    def batch(self) -> Batch:
        """Return the same as a batch that has been sent, for a reply that has to go the long way."""
        batch = Batch()
        prepared, quiet = self.prepared, self.quiet
        if self.parsed:
            batch.add(b"", Step(PARSE, prepared, quiet=quiet))
        batch.add(b"", BindStep(prepared, self.portal, b"", quiet=quiet))
        if self.described:
            batch.add(b"", Step(DESCRIBE_PORTAL, prepared, quiet=quiet))
        execution = Execution(prepared, self.portal.passed)
        execution.begun = self.begun
        batch.add_execute(b"", execution, prepared)
        batch.segments[0].steps.append(Step(SYNC))
        return batch


class Answer:
    """A whole reply as the client may see it, and what the record says of it."""

    __slots__ = ("rows", "shown", "size", "status")

    def __init__(self, shown: bytes, rows: int, size: int, status: int) -> None:
        self.shown = shown
        self.rows = rows
        self.size = size
        """Bytes of rows."""
        self.status = status

    @property
    def idle(self) -> bool:
        """Whether no transaction is open behind it."""
        return self.status == _IDLE


def asked(data: bytes, translator: Translator) -> Exchange | None:
    """Return the exchange that a client's bytes ask for, all of them; None unless they are exactly one plain read."""
    if not 16 <= len(data) <= _LONGEST:
        return None
    if data[0] == _BIND:
        end = data.find(0, 6)
        prepared = None if data[5] or end < 0 else translator.ready(data[6:end])
        return None if prepared is None else _bound(data, 0, prepared, translator)
    if data[0] != _PARSE or data[5]:
        return None
    end = data.find(0, 6)
    behind = 1 + int32_at(data, 1)[0]
    if behind != end + 3 or data[end + 1 : behind] != _UNTYPED or behind + 8 > len(data) or data[behind] != _BIND:
        return None
    prepared = translator.known(data[6:end])
    if prepared is None or data[behind + 5 : behind + 7] != _UNTYPED:
        return None
    return _bound(data, behind, prepared, translator)


def asked_in_text(prepared: Prepared, translator: Translator) -> Exchange | None:
    """Return the exchange of a Query that is this one statement; None unless it is a plain read, seen before."""
    plan = prepared.plan
    unsuited = not prepared.plain or not prepared.described or (plan.bound and plan.first != 1)
    if unsuited or prepared.purpose != translator.purpose:
        return None
    sent = prepared.parse_unnamed() + prepared.bind_unasked(translator.values(prepared)) + _DESCRIBED
    return Exchange(prepared, sent, parsed=True, described=True, quiet=True)


def _bound(data: bytes, start: int, prepared: Prepared, translator: Translator) -> Exchange | None:
    """Return the exchange whose Bind begins at `start`, if nothing but the usual stands behind it."""
    after = start + 1 + int32_at(data, start + 1)[0]
    described = data.endswith(_DESCRIBED)
    tail = _DESCRIBED if described else _UNDESCRIBED
    pos = data.find(0, start + 6) + 1  # behind the statement's name
    if after + len(tail) != len(data) or pos > after or not data.endswith(tail):
        return None
    if described and not prepared.described:
        return None
    raw = data[start:after]
    try:
        sent = prepared.bind(raw, b"", raw[6 : pos - 1 - start], pos - start, translator.values(prepared))
    except ProtocolError:
        return None
    if isinstance(sent, Misuse):
        return None
    parsed = start > 0
    sent = prepared.parse_unnamed() + sent + tail if parsed else sent + tail
    return Exchange(prepared, sent, parsed=parsed, described=described, quiet=False)


def answered(data: bytes, exchange: Exchange, most: int) -> Answer | None:
    """Return the answer that a server's bytes are, all of them, with at most `most` bytes of rows; else None.

    Not less is checked than by `Replies`: every length is read, and nothing may stand between or behind.
    """
    prepared = exchange.prepared
    opening = _PARSED + _BOUND if exchange.parsed else _BOUND
    shown = b"" if exchange.quiet else opening
    if exchange.described:
        opening += prepared.described
        shown += prepared.scrubbed
    first = len(opening)
    ready = len(data) - 6
    if ready - first < 5 or not data.startswith(opening) or not data.startswith(_READY, ready):
        return None
    pos, rows = skip_rows(data, first, _ROW)
    if (
        pos - first > most
        or ready - pos < 5
        or data[pos] != _COMPLETED
        or pos + 1 + int32_at(data, pos + 1)[0] != ready
    ):
        return None
    status = data[-1]
    if status not in (_IDLE, _IN_TRANSACTION):
        return None
    return Answer(shown + data[first:], rows, pos - first, status)
