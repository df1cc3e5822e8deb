"""Statements that the gateway keeps prepared at the server, under names of its own.

A text that comes again and again, as a Parse of the unnamed statement or as a Query, is parsed and planned there once:
then it is only bound. What is kept stands for exactly one Parse message, so it never runs anything else than that
would have. Names are used over and over, closed before each use, so that the server never holds more than `MOST`.

INVARIANT: nothing is kept beyond a change of the session's settings at the server, under which it was parsed;
nor is anything kept whose Parse reads the time (`Prepared.momentary`).
"""

from __future__ import annotations

from typing import Final

from bailiwick.mounts.postgres import codec

MOST: Final = 64
_PREFIX: Final = b"bailiwick kept "
NAMES: Final = tuple(_PREFIX + b"%d" % number for number in range(MOST))
"""Of the statements; no client may use them."""
NOTHING: Final = b"bailiwick nothing"
"""A name that no statement has."""


class Kept:
    """What is kept on one connection."""

    __slots__ = ("_known", "_next", "_unsettled")

    def __init__(self) -> None:
        self._known: dict[bytes, bytes] = {}
        """Parse of the unnamed statement → the name under which the same is kept."""
        self._next = 0
        self._unsettled = False
        """Whether a setting may have changed since no transaction was open: its end may change it back."""

    def name(self, parse: bytes) -> bytes | None:
        """Return the name under which a Parse of the unnamed statement is kept."""
        return self._known.get(parse)

    @property
    def may(self) -> bool:
        """Whether something may be kept now."""
        return not self._unsettled

    def make(self, parse: bytes) -> tuple[bytes, bytes]:
        """Return a name to keep a statement under, and what is sent for that in the place of its Parse.

        Nothing is known by that name any more; what was sent and confirmed is to be told to `keep`."""
        name = NAMES[self._next]
        self._next = (self._next + 1) % MOST
        for known, under in self._known.items():
            if under == name:
                del self._known[known]
                break
        return name, opening(parse, name)

    def keep(self, parse: bytes, name: bytes) -> None:
        """The server has confirmed what `make` gave."""
        self._known[parse] = name

    def drop(self, parse: bytes) -> None:
        """The server has refused it."""
        self._known.pop(parse, None)

    def changed(self) -> None:
        """A setting has changed, or statements were dropped."""
        self._known.clear()
        self._unsettled = True

    def idle(self) -> None:
        """No transaction is open: what settings there are stays."""
        if self._unsettled:
            self._known.clear()
            self._unsettled = False


def opening(parse: bytes, name: bytes) -> bytes:
    """Return what is sent to keep the statement of a Parse under that name, whatever was kept under it before."""
    return codec.message(b"C", b"S" + name + b"\0") + codec.message(b"P", name + parse[5:])
