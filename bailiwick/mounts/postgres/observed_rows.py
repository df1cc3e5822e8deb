"""The rows of a result, where the session is observed: looked at on their way, and left as they are."""

from __future__ import annotations

from struct import error as MalformedError  # noqa: N812  # it is an exception

from bailiwick.decide.seen import seen_type, typed
from bailiwick.gateway.call import Call
from bailiwick.gateway.enforce import attempt
from bailiwick.gateway.observing import UNREAD, Results
from bailiwick.mounts.postgres.codec import int16_at, int32_at
from bailiwick.mounts.postgres.told import binary_text, each_value

_ROW = 0x44
_BINARY = b"\0\1"


class ObservedRows:
    """Looks at the rows of one execution. What it cannot read it leaves alone: nothing of the result hangs on it."""

    def __init__(self, results: Results, formats: bytes) -> None:
        """`formats`: in which the columns are asked for, as a Bind has them."""
        self._results = results
        self._types = results.types
        each = [formats[place : place + 2] == _BINARY for place in range(0, len(formats), 2)]
        width = len(self._types)
        self._binary = each * width if len(each) == 1 else [*each, *([False] * (width - len(each)))]
        self.is_part = False
        """Whether there may be more rows than those that were executed for."""

    def take(self, data: bytes, pos: int, end: int) -> None:
        """Look at the whole rows that stand there."""
        if not self._results.full:
            attempt("observing rows", self._look, data, pos, end)

    def _look(self, data: bytes, pos: int, end: int) -> None:
        while end - pos >= 7 and data[pos] == _ROW and not self._results.full:
            after = pos + 1 + int32_at(data, pos + 1)[0]
            if after > end:
                return
            if int16_at(data, pos + 5)[0] == len(self._types):
                self._row(data[pos + 7 : after])
            pos = after

    def told(self, call: Call, rows: int) -> Call:
        """Return the call with what its rows held; `rows`: how many there were."""
        return self._results.added(call, rows, whole=not self.is_part)

    def _row(self, raw: bytes) -> None:
        try:
            values = each_value(raw, len(self._types))
        except MalformedError:
            return
        read = [
            UNREAD if kind is None else _value(value, kind, is_binary=form)
            for value, kind, form in zip(values, self._types, self._binary, strict=False)
        ]
        self._results.row(read)


def _value(value: bytes | None, kind: str, *, is_binary: bool) -> object:
    """Return what a column holds; NULL tells nothing, but that not all of them are the same."""
    if value is None:
        return None
    try:
        text = binary_text(value, 0, {kind}) if is_binary else value.decode()
    except (MalformedError, UnicodeDecodeError, ValueError, OverflowError):
        return UNREAD
    return UNREAD if text is None else typed(text, seen_type(kind))
