"""What the desk answers about the keeping of the ledger, and what is due by itself: ending the overlap of keys."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from datetime import timedelta

from bailiwick.errors import BailiwickError, LedgerError
from bailiwick.gateway.desk import Answer
from bailiwick.gateway.ledger_keys import OVERLAP, Custody
from bailiwick.gateway.moments import Clock
from bailiwick.gateway.people import People
from bailiwick.gateway.recorder import Fact, Recorder
from bailiwick.gateway.sessions import Sessions
from bailiwick.gateway.settings import parse_duration
from bailiwick.gateway.wire import Fields, Json
from bailiwick.model.approval import Reviewer

_log = logging.getLogger("bailiwick.ledger")
_every = 60.0
"""Seconds between two looks at what is due."""


class Keeping:
    """Keeps the ledger of the running gateway."""

    def __init__(self, custody: Custody, recorder: Recorder, clock: Clock, sessions: Sessions, people: People) -> None:
        self._sessions = sessions
        self._people = people
        self._custody = custody
        self._recorder = recorder
        self._clock = clock
        self._tending: asyncio.Task[None] | None = None

    def answers(self) -> Mapping[str, Answer]:
        """Return the requests about the ledger."""
        return {"ledger.rotate_key": self._rotate, "ledger.erase": self._erase, "ledger.digests": self._digests}

    async def start(self) -> None:
        """Do what is due, from now on again and again."""
        await self._tend()
        self._tending = asyncio.create_task(self._tend_on())

    async def stop(self) -> None:
        """End that."""
        if self._tending is not None:
            self._tending.cancel()
            await asyncio.gather(self._tending, return_exceptions=True)

    async def _tend_on(self) -> None:
        while True:
            await asyncio.sleep(_every)
            await self._tend()

    async def _tend(self) -> None:
        try:
            if await self._custody.retire(self._recorder, self._clock()):
                _log.info("the ledger's old key was destroyed: its overlap has ended")
        except LedgerError as error:
            _log.error("the ledger's old key could not be destroyed: %s", error.message)

    async def _erase(self, fields: Fields, by: Reviewer) -> Mapping[str, Json]:
        """Destroy a person's key. Who it was is not recorded: that would undo it."""
        person = fields.text("person")
        fields.done()
        if any(live.identity.user == person for live in self._sessions.registry):
            raise LedgerError("this person has open sessions", remedy="end them first: `bailiwick session list`")
        await self._recorder.keep(self._recorder.make(Fact("ledger.erased", detail={"by": by.name})))
        return {"erased": self._people.erase(person)}

    async def _digests(self, fields: Fields, by: Reviewer) -> Mapping[str, Json]:
        """Return how a value may stand in records. Who asks is on record: it is a way to try guesses."""
        value, person = fields.text("value"), fields.maybe_text("person")
        fields.done()
        found = self._people.told(value, person)
        await self._recorder.keep(self._recorder.make(Fact("ledger.searched", detail={"by": by.name})))
        return {"digests": [*found]}

    async def _rotate(self, fields: Fields, by: Reviewer) -> Mapping[str, Json]:
        told = fields.maybe_text("overlap")
        fields.done()
        try:
            overlap = OVERLAP if told is None else parse_duration(told)
        except BailiwickError as error:
            raise LedgerError(f"overlap: {error.message}", remedy=error.remedy) from None
        if overlap < timedelta(0):
            raise LedgerError("the overlap is below zero", remedy="give a span, e.g. `7d`")
        key = await self._custody.rotate(self._recorder, self._clock(), by.name, overlap)
        until = self._custody.keys.until
        return {"key": str(key), "until": None if until is None else until.isoformat(timespec="seconds")}
