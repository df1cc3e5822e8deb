"""The commonest exchange, taken in one step: one plain read whose reply comes in one piece.

A shortcut and nothing more. Asked: `[Parse] Bind [Describe] Execute Sync` with only the statement named, or a Query of
one statement. Answered: the statement's row description as it came before, rows, completion, ready. Whatever is not
exactly that goes the long way (`Batch`, `Replies`), which does the same with it.

What is asked for again, and has a Parse, is kept prepared at the server (`kept.py`): its Parse is answered here.
"""

from __future__ import annotations

from typing import Final

from bailiwick.errors import ProtocolError
from bailiwick.mounts.postgres import codec
from bailiwick.mounts.postgres.batch import (
    CLOSE,
    DESCRIBE_PORTAL,
    PARSE,
    SYNC,
    Batch,
    BindStep,
    Execution,
    KeptStep,
    Step,
)
from bailiwick.mounts.postgres.codec import error_fields, int32_at, skip_rows
from bailiwick.mounts.postgres.kept import opening
from bailiwick.mounts.postgres.prepared import Misuse, Portal, Prepared
from bailiwick.mounts.postgres.translate import DESCRIBE_AND_EXECUTE, Translator

_PARSE, _BIND, _QUERY, _COMPLETED, _ROW = ord("P"), ord("B"), ord("Q"), ord("C"), ord("D")
_DESCRIBED = DESCRIBE_AND_EXECUTE + codec.SYNC
_UNDESCRIBED = codec.execute(b"") + codec.SYNC
PARSED: Final = b"1\x00\x00\x00\x04"
_BOUND, _CLOSED = b"2\x00\x00\x00\x04", b"3\x00\x00\x00\x04"
_READY = b"Z\x00\x00\x00\x05"
_UNNAMED = b"\0\0"
_REFUSED = _READY + b"I"
_OUTDATED = ("0A000", "26000")
"""SQLSTATEs: its result would have other types now; there is no such statement."""
_IDLE, _IN_TRANSACTION = ord("I"), ord("T")
_LONGEST = 16 * 1024
"""Bytes of what may be asked in one step."""


class Opening:
    """How the statement of an exchange comes to be known to the server."""

    __slots__ = ("kept", "made", "said", "sent")

    def __init__(self, sent: bytes, said: bytes, kept: bytes = b"", *, made: bool = False) -> None:
        self.sent = sent
        self.said = said
        """What the server says to it."""
        self.kept = kept
        """The name under which it is kept there; empty: it is the unnamed one, or the client's own."""
        self.made = made
        """Whether it is to be kept from now on."""


_NAMED = Opening(b"", b"")


class Exchange:
    """One read on its way: what is sent, and what its reply will begin with."""

    __slots__ = ("begun", "described", "early", "opening", "parsed", "prepared", "quiet", "sent")

    def __init__(
        self,
        prepared: Prepared,
        opening: Opening,
        sent: bytes,
        *,
        parsed: bool,
        described: bool,
        quiet: bool,
    ) -> None:
        """`sent`: what is sent behind the opening."""
        self.prepared = prepared
        self.opening = opening
        self.sent = opening.sent + sent
        self.parsed = parsed
        """Whether the client has sent a Parse of the unnamed statement with it."""
        self.described = described
        """Whether a Describe of the portal is in it."""
        self.quiet = quiet
        """Whether it was a Query, so that nothing is said of Parse and Bind."""
        self.begun = 0.0
        self.early = b""
        """What has come of a refusal."""

    def anew(self) -> None:
        """Parse what was kept again, under the same name: it is not what it was any more."""
        name = self.opening.kept
        self.opening = Opening(opening(self.prepared.parse_unnamed(), name), _CLOSED + PARSED, name, made=True)
        self.sent = self.opening.sent + self.sent
        self.early = b""

    def batch(self) -> Batch:
        """Return the same as a batch that has been sent, for a reply that has to go the long way."""
        batch = Batch()
        prepared, quiet, kept = self.prepared, self.quiet, self.opening.kept
        if self.opening.made:
            batch.add(b"", Step(CLOSE, name=b"S" + kept, quiet=True))
            batch.add(b"", KeptStep(prepared, kept, quiet))
        elif self.parsed and not kept:
            batch.add(b"", Step(PARSE, prepared, quiet=quiet))
        portal = Portal(prepared)
        batch.add(b"", BindStep(prepared, portal, b"", quiet=quiet))
        if self.described:
            batch.add(b"", Step(DESCRIBE_PORTAL, prepared, quiet=quiet))
        execution = Execution(prepared, portal.passed)
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
    if data[0] == _QUERY:
        return _shaped(data, translator)
    if data[0] != _PARSE or data[5]:
        return None
    end = data.find(0, 6)
    behind = 1 + int32_at(data, 1)[0]
    if end < 0 or behind < end + 3 or behind + 8 > len(data) or data[behind] != _BIND:
        return None
    prepared = translator.known(data[6:end], data[end + 1 : behind])
    if prepared is None or data[behind + 5 : behind + 7] != _UNNAMED or not prepared.parse_unnamed():
        return None
    return _bound(data, behind, prepared, translator)


def asked_in_text(prepared: Prepared, translator: Translator) -> Exchange | None:
    """Return the exchange of a Query that is this one statement; None unless it is a plain read, seen before."""
    plan = prepared.plan
    unsuited = not prepared.plain or not prepared.described or (plan.bound and plan.first != 1)
    if unsuited or prepared.purpose != translator.purpose:
        return None
    translator.learn_shape(prepared)
    return _unasked(prepared, translator.values(prepared), translator)


def _shaped(data: bytes, translator: Translator) -> Exchange | None:
    """Return the exchange of a Query that differs in its literals only from ones before."""
    found = translator.known_shape(data[5:-1]) if 1 + int32_at(data, 1)[0] == len(data) and not data[-1] else None
    return None if found is None else _unasked(*found, translator)


def _unasked(prepared: Prepared, values: bytes, translator: Translator) -> Exchange:
    opened = _opened(prepared, translator)
    sent = prepared.bind_unasked(values, opened.kept) + _DESCRIBED
    return Exchange(prepared, opened, sent, parsed=True, described=True, quiet=True)


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
    parsed = start > 0
    opened = _opened(prepared, translator) if parsed else _NAMED
    name = opened.kept if parsed else translator.names.at_server(raw[6 : pos - 1])
    try:
        sent = prepared.bind(raw, b"", name, pos - start, translator.values(prepared))
    except ProtocolError:
        return None
    if isinstance(sent, Misuse):
        return None
    return Exchange(prepared, opened, sent + tail, parsed=parsed, described=described, quiet=False)


def _opened(prepared: Prepared, translator: Translator) -> Opening:
    """Return how a statement that the client has parsed without a name is opened: kept when it comes again."""
    parse, kept = prepared.parse_unnamed(), translator.names.kept
    name = kept.name(parse)
    if name is not None:
        return Opening(b"", b"", name)
    if not prepared.repeated or not kept.may or prepared.momentary:
        prepared.repeated = True
        return Opening(parse, PARSED)
    name, sent = kept.make(parse)
    return Opening(sent, _CLOSED + PARSED, name, made=True)


def outdated(data: bytes, exchange: Exchange) -> bool | None:
    """Whether a server has refused what was kept because it is not what it was any more, and nothing else happened.
    None: that is known when the rest of its reply has come, for it sends an error at once."""
    opened = exchange.opening
    if not opened.kept or opened.made or data[:1] != b"E":
        return False
    after = 5 if len(data) < 5 else 1 + int32_at(data, 1)[0]
    if len(data) < after <= _LONGEST:
        return None
    if error_fields(data[:after]).get("C") not in _OUTDATED:
        return False
    return True if data[after:] == _REFUSED else None if _REFUSED.startswith(data[after:]) else False


def answers_parse(data: bytes, exchange: Exchange) -> bool:
    """Whether the client's Parse (or that of its Query) of what is kept has to be answered now: the server had none,
    and would not have failed at it."""
    opened = exchange.opening
    if not opened.kept or opened.made:
        return False
    return data[:1] != b"E" or error_fields(data).get("C") != "25P02"


def answered(data: bytes, exchange: Exchange, most: int) -> Answer | None:
    """Return the answer that a server's bytes are, all of them, with at most `most` bytes of rows; else None.

    Not less is checked than by `Replies`: every length is read, and nothing may stand between or behind.
    """
    prepared = exchange.prepared
    said = exchange.opening.said + _BOUND
    shown = b"" if exchange.quiet else PARSED + _BOUND if exchange.parsed else _BOUND
    if exchange.described:
        said += prepared.described
        shown += prepared.scrubbed
    first = len(said)
    ready = len(data) - 6
    if ready - first < 5 or not data.startswith(said) or not data.startswith(_READY, ready):
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
