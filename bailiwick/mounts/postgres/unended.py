"""What was written in a transaction that is open: each outcome is on record, and whether it lasts is not known yet.

A write's outcome says that it was done. When its transaction ends, one more record says whether that was for good.
"""

from __future__ import annotations

from bailiwick.gateway.call import Fate, TransactionEnd

_most = 1_000
"""Intents that are named; of more only the number is told."""


class Unended:
    """The writes of one connection's open transaction."""

    __slots__ = ("_count", "_intents", "_mount", "_open", "_tags")

    def __init__(self) -> None:
        self._open = False
        self._intents: list[str] = []
        self._count = 0
        self._mount = ""
        self._tags: set[bytes] = set()

    def wrote(self, intent: str, mount: str) -> None:
        """A write is done and on record."""
        if self._open:
            self._count += 1
            self._mount = mount
            if self._count <= _most:
                self._intents.append(intent)

    def controlled(self, tag: bytes) -> None:
        """A statement that begins or ends a transaction, or a part of it, was completed with this tag."""
        if tag in (b"COMMIT", b"ROLLBACK"):
            self._tags.add(tag)
        elif tag in (b"BEGIN", b"START TRANSACTION"):
            self._open = True

    def ready(self, *, idle: bool) -> TransactionEnd | None:
        """The server is ready for the next batch; return how a transaction with writes has ended, if one has."""
        self._open = not idle
        return self._taken(self._fate()) if idle else None

    def cut(self, busy: bool) -> TransactionEnd | None:
        """The connection ends, `busy`: while something was executed. What is not committed is rolled back."""
        return self._taken("unknown" if busy or self._tags else "rolled_back")

    def _fate(self) -> Fate:
        if self._tags == {b"COMMIT"}:
            return "committed"
        return "in_part" if b"COMMIT" in self._tags else "rolled_back"

    def _taken(self, fate: Fate) -> TransactionEnd | None:
        found = TransactionEnd(self._mount, fate, tuple(self._intents), self._count) if self._count else None
        self._intents, self._count = [], 0
        self._tags.clear()
        return found
