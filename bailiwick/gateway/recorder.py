"""The recorder: makes records and hands them to the ledger's writer.

Every record of this gateway is made here or in `enforce`; ids and moments come from here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from bailiwick.errors import LedgerError
from bailiwick.gateway.moments import Clock
from bailiwick.gateway.sessions.live import Identity, identify
from bailiwick.gateway.ulid import Ulids
from bailiwick.ledger.encode import Stamped
from bailiwick.model.record import JsonValue, Record, RecordKind
from bailiwick.model.session import Session

Durable = Callable[[bool], None]
"""Called once, on the event loop: True when the record is durable, False when it cannot be (then: no action)."""


class Appender(Protocol):
    """The ledger as the gateway sees it."""

    def append(self, record: Record | Stamped, durable: Durable) -> None:
        """Take a record; `durable` is called once, on the event loop, when its fate is known."""
        ...


@dataclass(frozen=True, slots=True)
class Fact:
    """What a record of a session, a connection or the gateway itself says beyond who it is about."""

    kind: RecordKind
    code: str = ""
    message: str = ""
    mount: str = ""
    policy: str = ""
    detail: Mapping[str, JsonValue] | None = None


_NOBODY = Identity("", "", "", "", ())


class Recorder:
    """Makes and appends records."""

    def __init__(self, ledger: Appender, clock: Clock, ulids: Ulids) -> None:
        self.ledger = ledger
        self._clock = clock
        self._ulids = ulids

    def new_id(self) -> str:
        """Return the id of a new record."""
        return "rec_" + self._ulids.new()

    def make(self, fact: Fact, session: Session | None = None) -> Record:
        """Return a record of a fact, about a session if one is given."""
        who = _NOBODY if session is None else identify(session)
        return Record(
            id=self.new_id(),
            kind=fact.kind,
            at=self._clock(),
            agent=who.agent,
            user=who.user,
            session=who.session,
            task=who.task,
            chain=who.chain,
            mount=fact.mount,
            code=fact.code,
            message=fact.message,
            policy=fact.policy,
            detail=fact.detail or {},
        )

    async def keep(self, record: Record) -> None:
        """Return when the record is durable. Raises LedgerError when it cannot be."""
        done = asyncio.get_running_loop().create_future()

        def settled(durable: bool) -> None:
            if not done.done():
                done.set_result(durable)

        self.ledger.append(record, settled)
        if not await done:
            raise LedgerError("the ledger cannot be written", remedy="check the disk that holds the data directory")

    def tell(self, record: Record, failed: Durable) -> None:
        """Append a record that nobody waits for; `failed(False)` is called when it could not be kept."""
        self.ledger.append(record, lambda durable: None if durable else failed(durable))
