"""The ledger as its only writer sees it: append durably, sign heads, recover, refuse what is off.

A commit is made durable at once, and indexed and signed a moment later with others (`drain`). Where the rows go is a
storage's business (`ledger_storage`). One process at a time has a ledger open for writing. Readers use `ledger_reader`
and never disturb it.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bailiwick.errors import LedgerError
from bailiwick.gateway.ledger import sqlite as ledger_sqlite
from bailiwick.gateway.ledger.address import LedgerAddress, PostgresAddress
from bailiwick.gateway.ledger.storage import Commit, RowValues, Storage, Taken
from bailiwick.ledger.checkpoint import Checkpoint, Signer, is_key_name, open_checkpoint, sign_by
from bailiwick.ledger.encode import Stamped, encode, moment
from bailiwick.ledger.frame import Tail
from bailiwick.ledger.merkle import Frontier, Subtree, extend, frontier_of, leaf_hash
from bailiwick.ledger.report import span
from bailiwick.model.record import Record

RETAIN_RECORDS = 1_000
RETAIN_AFTER = timedelta(seconds=60)
"""A signed head is kept as a checkpoint after so many records or so much time."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


class LedgerStore:
    """An open ledger. Make one with `open_store`.

    For one thread at a time, except that another may call `drain`.
    """

    def __init__(self, storage: Storage, now: Callable[[], datetime]) -> None:
        self.storage = storage
        self._now = now
        self._signers: tuple[Signer, ...] = ()
        """The newest key's first: it vouches. All sign."""
        self._turning = threading.Lock()
        """Held while what is not taken up yet is added to, or taken."""
        self._drainage = threading.RLock()
        """Held while something is taken up, and while the ledger is checked anew."""
        self._frontier = Frontier()
        self._late: list[RowValues] = []
        """Durable and not taken up yet, where the storage buffers them."""
        self._subtrees: list[Subtree] = []
        self._sound = False
        self._signed = 0
        """The size that the head is for."""
        self._note = ""
        """The head."""
        self._resigning = False
        """Whether the head is to be signed anew, whatever it is for."""
        self._durable = 0
        """The size of which somebody may have been told that it is durable."""
        self._retained = 0
        self._retained_at = now()

    @property
    def size(self) -> int:
        """Records that are durable."""
        return self._frontier.size

    @property
    def undrained(self) -> int:
        """Records that are durable and not indexed yet (readers find them all the same)."""
        return self._frontier.size - self._signed

    @property
    def quick(self) -> bool:
        """Whether appending usually takes so little time that the event loop may wait for it."""
        return self.storage.quick

    @property
    def verifier_key(self) -> str:
        """The public key as `ledger verify` reads it. Keep a copy elsewhere."""
        return str(self._signing().verifier)

    def checkpoint(self) -> str:
        """Sign the newest state and return the note, to be kept elsewhere."""
        self.drain()
        return self._note

    def change_keys(self, keys: Sequence[Ed25519PrivateKey]) -> None:
        """Sign with these keys from now on, the first of which also vouches; keep a checkpoint by them at once."""
        self.drain()
        name = self._signing().name
        with self._turning:
            self._signers = tuple(Signer(name, key) for key in keys)
        self.resign()

    def resign(self) -> None:
        """Sign the head anew, with the keys that sign now, and keep it as a checkpoint."""
        with self._turning:
            self._resigning = True
        self.drain(retain=True)

    @property
    def origin(self) -> str:
        """The name of the log."""
        return self._signing().name

    def prune(self, spans: Sequence[tuple[int, int]]) -> None:
        """Remove the content of records (first, last) for good, and what the index tells of it; their hashes stay.

        A durable record must say so already. Brief spans only: it is one transaction.
        """
        with self._drainage, self._guarded():
            self.storage.prune(spans)

    def checkpoint_of(self, size: int) -> str:
        """Sign an earlier size of this same ledger, and return the note; LedgerError if it was never as large."""
        with self._drainage:
            self.drain()
            if not 0 <= size <= self._signed:
                raise LedgerError(f"the ledger has {self._signed} records", remedy="give a smaller size")
            try:
                return self._sign(frontier_of(size, self.storage.subtrees))
            except LookupError as error:
                raise self._mismatch(str(error)) from error

    def append(self, records: Sequence[Record | Stamped]) -> bool:
        """Append records durably, all or none, and return True; LedgerError, and nothing written, if not.

        After a failure the next call first checks the file against its signed head again, so a full disk that has
        room again, or a failed write, needs nobody's hand.
        """
        if self.try_append(records):
            return True
        with self._drainage:
            if self._sound:
                self.drain()
            else:
                with self._guarded():
                    self._recover()
            if not self.try_append(records):
                self._append_past_the_journal(records)
        return True

    def try_append(self, records: Sequence[Record | Stamped]) -> bool:
        """Append records as long as the journal has room for them; False, and nothing written, if it has not.

        LedgerError as by `append`. What a failure left is for `append` to mend: until then the answer is False.
        """
        if not records:
            return True
        with self._turning, self._guarded():
            return self._sound and self._write(records)

    def _write(self, records: Sequence[Record | Stamped]) -> bool:
        commit, frontier, subtrees = self._committing(records)
        if not self.storage.write(commit):
            return False
        self._keep(commit, frontier, subtrees)
        self._durable = frontier.size
        return True

    def _committing(self, records: Sequence[Record | Stamped]) -> tuple[Commit, Frontier, Sequence[Subtree]]:
        first = self._frontier.size
        bodies = [encode(record, seq) for seq, record in enumerate(records, first)]
        hashes = [leaf_hash(body) for body in bodies]
        frontier, subtrees = extend(self._frontier, hashes)
        root = frontier.root()
        commit = Commit(first, bodies, hashes, root, self._signing().vouch(frontier.size, root))
        return commit, frontier, subtrees

    def _keep(self, commit: Commit, frontier: Frontier, subtrees: Iterable[Subtree]) -> None:
        self._frontier = frontier
        self._subtrees += subtrees
        if self.storage.buffers:
            self._late += zip(range(commit.first, frontier.size), commit.hashes, commit.bodies, strict=True)

    def _append_past_the_journal(self, records: Sequence[Record | Stamped]) -> None:
        """Append what is too large to be made durable first. Nothing else is waiting to be taken up, nor may come."""
        commit, frontier, subtrees = self._committing(records)
        with self._turning:
            self._keep(commit, frontier, subtrees)
        self.drain()
        with self._guarded():
            self.storage.settle()
            self.storage.part()
        self._durable = frontier.size

    def drain(self, *, retain: bool = False) -> None:
        """Take up what is durable, index and sign it, keep a checkpoint if one is due (or `retain`).

        LedgerError when that fails: what was durable stays so, and `append` begins anew.
        """
        with self._drainage:
            with self._turning:
                if not self._sound:
                    return
                rows, subtrees, frontier = self._late, self._subtrees, self._frontier
                self._late, self._subtrees = [], []
                if frontier.size != self._signed:
                    self.storage.turn()
            with self._guarded():
                self._take_up(rows, subtrees, frontier, retain=retain)
                if retain:
                    self.storage.settle()

    def _take_up(
        self, rows: Sequence[RowValues], subtrees: Sequence[Subtree], frontier: Frontier, *, retain: bool
    ) -> None:
        moment_due = self._due(frontier, at_once=retain)
        if frontier.size == self._signed and moment_due is None and not self._resigning:
            return
        head = self._sign(frontier)
        kept = None if moment_due is None else (frontier.size, moment(moment_due))
        self.storage.take_up(Taken(self._signed, frontier.size, rows, subtrees, self._note, head, kept))
        self._note = head
        self._resigning = False
        self._signed = frontier.size
        if moment_due is not None:
            self._retained, self._retained_at = frontier.size, moment_due

    def _due(self, frontier: Frontier, *, at_once: bool) -> datetime | None:
        """Return the moment if the head is to be kept as a checkpoint now."""
        now = self._now()
        grown, passed = frontier.size - self._retained, now - self._retained_at
        set_back = passed < timedelta(0)  # else none would be kept until the clock has made it up
        due = grown >= RETAIN_RECORDS or (grown > 0 and (at_once or set_back or passed >= RETAIN_AFTER))
        return now if due else None

    @contextlib.contextmanager
    def _guarded(self) -> Generator[None]:
        """If what is done fails leave nothing half done, and trust nothing in memory until it was read again."""
        try:
            yield
        except (*self.storage.failures, LedgerError) as error:
            self._sound = False
            self.storage.undo()
            if isinstance(error, LedgerError):
                raise
            text = f"the ledger `{self.storage.name}` cannot be written: {self.storage.reason(error)}"
            raise LedgerError(text, remedy=self.storage.remedy(error)) from error

    def close(self) -> None:
        """Take up the rest, keep a last checkpoint, and let go of the storage."""
        try:
            with contextlib.suppress(LedgerError):  # a full disk: what is durable is found again all the same
                self.drain(retain=True)
        finally:
            self.storage.let_go()

    def prepare(self, keys: Sequence[Ed25519PrivateKey], origin: str) -> None:
        """Lay out a new ledger, or check an existing one against its signed head. By `open_store`."""
        signer = Signer(origin, keys[0])
        try:
            self.storage.create(origin, signer.sign(Checkpoint(origin, 0, Frontier().root()).text()))
            stored = self.storage.origin()
            if stored is None:
                raise self._mismatch("its name is missing")
            self._signers = tuple(Signer(stored, key) for key in keys)
            self._recover()
        except self.storage.failures as error:
            text = f"the ledger `{self.storage.name}` cannot be opened: {self.storage.reason(error)}"
            raise LedgerError(text, remedy=self.storage.remedy(error)) from error

    def _recover(self) -> None:
        """Take up the tree from what is signed, and what is durable beyond it.

        LedgerError unless the one is what the head was signed for, and the other vouched for.
        """
        self._note = self.storage.head()
        head = open_checkpoint(self._note, *(signer.verifier for signer in self._signers))
        if head is None:
            raise self._mismatch("its head was not signed with this gateway's key")
        last = self.storage.last()
        if last != head.size - 1:
            raise self._mismatch(f"its head was signed for {head.size} records and it holds {last + 1}")
        try:
            frontier = frontier_of(head.size, self.storage.subtrees)
        except LookupError as error:
            raise self._mismatch(str(error)) from error
        if frontier.root() != head.root:
            raise self._mismatch("its hashes do not give the root that was signed")
        tail = self._checked(self.storage.tail(frontier))
        if tail.size < self._durable:
            raise self._mismatch(f"{span(tail.size, self._durable - 1)}: durable before, and gone")
        self._signed = head.size
        self._retained = self.storage.retained()
        self._late, self._subtrees = [], []
        rows = zip(range(tail.first, tail.size), tail.hashes, tail.bodies, strict=True)
        self._take_up(list(rows), tail.subtrees, tail.frontier, retain=False)
        self.storage.settle()
        self.storage.part()
        self._frontier = tail.frontier
        self._durable = tail.size
        self._sound = True

    def _checked(self, tail: Tail) -> Tail:
        """Return what the journal holds, if nobody but this gateway can have written it."""
        if tail.missing is not None:
            raise self._mismatch(f"{span(*tail.missing)}: neither in it nor in its journal")
        if tail.changed is not None:
            raise self._mismatch(f"{span(*tail.changed)}: changed in its journal")
        root = tail.frontier.root()
        if tail.bodies and not any(each.vouched(tail.size, root, tail.code) for each in self._signers):
            raise self._mismatch("what its journal holds was not written by this gateway")
        return tail

    def _mismatch(self, what: str) -> LedgerError:
        return LedgerError(
            f"the ledger `{self.storage.name}` is damaged or was tampered with: {what}",
            remedy="see `bailiwick ledger verify`; keep the file as evidence and start with a new one",
        )

    def _signing(self) -> Signer:
        if not self._signers:
            raise LedgerError("the ledger is not open")
        return self._signers[0]

    def _sign(self, frontier: Frontier) -> str:
        return sign_by(Checkpoint(self._signing().name, frontier.size, frontier.root()).text(), self._signers)


def open_store(
    address: LedgerAddress, *keys: Ed25519PrivateKey, origin: str = "", now: Callable[[], datetime] = _utc_now
) -> LedgerStore:
    """Open or create the ledger for writing. LedgerError if another process has it, or if it does not match its head.

    All `keys` sign, and one of them must have signed its head: more than one while an older is being replaced.
    `origin` names a new ledger in its checkpoints (no spaces, no `+`); by default a random name.
    """
    origin = origin or f"bailiwick/{os.urandom(8).hex()}"
    if not is_key_name(origin):
        raise LedgerError(f"`{origin}` cannot name a ledger", remedy="use a name without spaces and plus signs")
    storage = _storage(address)
    store = LedgerStore(storage, now)
    try:
        store.prepare(keys, origin)
    except LedgerError:
        storage.let_go()
        raise
    return store


def _storage(address: LedgerAddress) -> Storage:
    if isinstance(address, PostgresAddress):
        from bailiwick.gateway.ledger import postgres as ledger_postgres

        return ledger_postgres.open_storage(address)
    return ledger_sqlite.open_storage(address)
