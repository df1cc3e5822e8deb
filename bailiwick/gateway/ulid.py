"""Ids of records and sessions: ULIDs, unique and sortable by the time they were made."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

_alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_pairs = tuple(a + b for a in _alphabet for b in _alphabet)
_tail_bits = 40
_tail_end = 1 << _tail_bits


class Ulids:
    """Makes ULIDs of one process: later ones sort behind earlier ones, also within a millisecond.

    Of the 80 random bits the upper 40 are drawn once a millisecond and the lower 40 count up from a random start.
    """

    def __init__(
        self,
        nanoseconds: Callable[[], int] = time.time_ns,
        random_bits: Callable[[int], int] = secrets.randbits,
    ) -> None:
        self._nanoseconds = nanoseconds
        self._random_bits = random_bits
        self._last = -1
        self._head = ""
        self._tail = 0
        self._upper = -1
        """The upper 20 bits of the tail for which `_prefix` holds: it seldom changes within a millisecond."""
        self._prefix = ""

    def new(self) -> str:
        """Return the next ULID, 26 characters."""
        now = self._nanoseconds() // 1_000_000
        if now > self._last:
            self._start(now)
        self._tail += 1
        if self._tail >= _tail_end:
            self._start(self._last + 1)
        tail = self._tail
        if tail >> 20 != self._upper:
            self._upper = tail >> 20
            self._prefix = self._head + _pairs[tail >> 30] + _pairs[tail >> 20 & 1023]
        return self._prefix + _pairs[tail >> 10 & 1023] + _pairs[tail & 1023]

    def _start(self, millisecond: int) -> None:
        """Begin a millisecond. A clock that went back is not followed: order matters more."""
        self._last = millisecond
        drawn = self._random_bits(2 * _tail_bits - 1)
        self._head = _encode(millisecond << _tail_bits | drawn >> _tail_bits - 1)
        self._upper = -1
        self._tail = drawn & (_tail_end >> 1) - 1


def _encode(head: int) -> str:
    """Return the first 18 characters: base 32 of 90 bits."""
    return "".join([_pairs[head >> (10 * place) & 1023] for place in range(8, -1, -1)])
