"""What a ledger needs of the place where it is kept: one interface to write it, one to read it.

`ledger_store` and `ledger_reader` are the ledger itself: the tree, what is signed, what is searched. A storage keeps
rows. There are two: a file of SQLite (`ledger_sqlite`), and a schema of PostgreSQL (`ledger_postgres`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from bailiwick.ledger.frame import Tail
from bailiwick.ledger.merkle import Frontier, Subtree
from bailiwick.ledger.words import Words

RowValues = tuple[int, bytes, bytes]
"""Number, hash and bytes of a record."""


class Commit(NamedTuple):
    """What is made durable together: records, and what vouches for the tree with them (`Signer.vouch`)."""

    first: int
    bodies: Sequence[bytes]
    hashes: Sequence[bytes]
    root: bytes
    code: bytes


class Taken(NamedTuple):
    """What goes from being durable to being indexed and signed, in one transaction."""

    first: int
    end: int
    """Of the records, the number behind the last one; `first` when there are none."""
    rows: Sequence[RowValues]
    """Those records, where the storage `buffers` them."""
    subtrees: Sequence[Subtree]
    before: str
    """The head that it replaces."""
    head: str
    kept: tuple[int, str] | None
    """Size and moment under which the head is kept as a checkpoint too."""


class Storage(Protocol):
    """Where a ledger is kept, for its only writer. Its methods raise `failures` and LedgerError.

    `write` may be called by one thread while another is in a method below it.
    """

    @property
    def name(self) -> str:
        """As people know it."""
        ...

    @property
    def quick(self) -> bool:
        """Whether `write` usually takes so little time that the event loop may wait for it."""
        ...

    @property
    def buffers(self) -> bool:
        """Whether `take_up` needs the records that were written: `write` did not put them where they belong."""
        ...

    @property
    def failures(self) -> tuple[type[Exception], ...]:
        """What its methods raise when they cannot do what they should."""
        ...

    def write(self, commit: Commit) -> bool:
        """Make records durable at once; False, and nothing written, when there is no room until `take_up`."""
        ...

    def turn(self) -> None:
        """What was written until now is about to be taken up."""
        ...

    def take_up(self, taken: Taken) -> None:
        """Index records and replace the head. What was written needs not be durable otherwise until `settle`."""
        ...

    def part(self) -> None:
        """Nothing that was written is followed by what will be: all of it was taken up and settled, perhaps more."""
        ...

    def settle(self) -> None:
        """Make durable what was taken up."""
        ...

    def prune(self, spans: Sequence[tuple[int, int]]) -> None:
        """Remove the content of records (first, last), and what the index tells of it."""
        ...

    def create(self, origin: str, head: str) -> None:
        """Lay out a new ledger of that name, unless there is one; LedgerError if there is something else."""
        ...

    def origin(self) -> str | None:
        """Return the ledger's name."""
        ...

    def head(self) -> str:
        """Return the signed head; empty when there is none."""
        ...

    def last(self) -> int:
        """Return the number of the last record that is indexed; -1 when there is none."""
        ...

    def retained(self) -> int:
        """Return the size of the newest checkpoint that was kept."""
        ...

    def subtrees(self, level: int, start: int, count: int) -> Sequence[bytes]:
        """Return stored roots of subtrees (`merkle.Subtrees`); LookupError if one is missing."""
        ...

    def tail(self, frontier: Frontier) -> Tail:
        """Return what is durable beyond what the head was signed for."""
        ...

    def undo(self) -> None:
        """Leave nothing half done behind a failure."""
        ...

    def reason(self, error: Exception) -> str:
        """Return what failed, in words that may be shown."""
        ...

    def remedy(self, error: Exception) -> str:
        """Return what to do about a failure."""
        ...

    def let_go(self) -> None:
        """Close it, and let another writer have it."""
        ...


class Source(Protocol):
    """Where a ledger is kept, for a reader. Its methods raise LedgerError.

    Statements name the tables `records`, `facts` and `accesses` behind `stored`, or behind `late` for what is durable
    and not indexed yet; they bind by `?`, and texts may come back as bytes.
    """

    @property
    def name(self) -> str:
        """As people know it."""
        ...

    @property
    def words(self) -> Words:
        """How its dialect of SQL says what dialects say differently."""
        ...

    @property
    def apart(self) -> bool:
        """Whether what is not indexed yet stands elsewhere than in the table `records`."""
        ...

    def moment(self) -> AbstractContextManager[None]:
        """Read within it what was stored at its beginning."""
        ...

    def begin(self) -> None:
        """Read from now on what is stored now."""
        ...

    def latest(self) -> AbstractContextManager[None]:
        """Read within it at one moment, with the tables of what is not indexed yet."""
        ...

    def rows(self, statement: str, values: Sequence[object] = ()) -> list[tuple[object, ...]]:
        """Return the rows of a statement."""
        ...

    def each_row(self, statement: str, values: Sequence[object]) -> Iterator[tuple[object, ...]]:
        """Yield them, a few in memory at a time."""
        ...

    def subtrees(self, level: int, start: int, count: int) -> Sequence[bytes]:
        """Return stored roots of subtrees (`merkle.Subtrees`); LookupError if one is missing."""
        ...

    def tail(self, frontier: Frontier) -> Tail:
        """Return what is durable beyond the signed head, as it was at the moment's beginning."""
        ...

    def disk(self) -> int:
        """Return the bytes that it takes."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...
