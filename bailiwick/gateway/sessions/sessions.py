"""Sessions: admitting and ending them; the store, the live registry and the ledger agree through here.

Order of an ending: first the live session refuses and its connections are cut, then the row is written, then the
record. Whatever fails afterwards, the session can do nothing any more, and storing its end is tried again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta

from bailiwick.errors import SessionError
from bailiwick.gateway.elevations.elevated import Elevated
from bailiwick.gateway.elevations.store import ElevationStore
from bailiwick.gateway.moments import Clock
from bailiwick.gateway.people import Keyed, MemoryPeople
from bailiwick.gateway.policies.force import Force
from bailiwick.gateway.recorder import Fact, Recorder
from bailiwick.gateway.sessions.live import PARENT_ENDED, Ending, Live, Registry, Terms, ending, is_by_force
from bailiwick.gateway.sessions.suspensions import Suspensions
from bailiwick.gateway.sessions.tokens import Claims
from bailiwick.gateway.sessions.told import SessionGroupings, ToldStore
from bailiwick.gateway.state import State, StoredSession
from bailiwick.model.decision import Denial
from bailiwick.model.session import Session, SessionState

_log = logging.getLogger("bailiwick.sessions")
_tick_seconds = 0.25
_save_every = timedelta(seconds=30)

UNKNOWN = Denial(
    "session_unknown", "the token is not one of an open session here", remedy="ask whoever opened it for a new session"
)


class Sessions:
    """The sessions of this gateway. `start` once, then use; `stop` at the end."""

    def __init__(self, state: State, recorder: Recorder, clock: Clock, force: Force) -> None:
        self.state = state
        self.recorder = recorder
        self.clock = clock
        self.force = force
        """What is in force: the policy as it was written, without what `lapse` has turned off."""
        self._written = force
        self.registry = Registry()
        self.elevated = Elevated()
        """The elevations in force; `gateway.elevations` gives and takes them."""
        self.suspensions = Suspensions(state, recorder, clock, self.registry)
        self.told = ToldStore(state)
        self.people: Keyed = MemoryPeople()
        """The keys of what records tell of people's values."""
        self.on_end: Callable[[str], None] = _nobody
        """Called with the id of each session whose end is stored."""
        self._lapsed: Mapping[str, frozenset[str]] = {}
        self._saved: dict[str, datetime] = {}
        self._save_at = clock() + _save_every
        self._timer: asyncio.TimerHandle | None = None
        self._storing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Take up the sessions that were open when the gateway stopped; end those that must be, start the clockwork."""
        await self.suspensions.load()
        for elevation in await ElevationStore(self.state).in_force():
            self.elevated.add(elevation)
        for stored in reversed(await self.state.list("OPEN", limit=1_000_000)):  # who delegates, before delegates
            self.take_up(stored, await self.told.load(stored.session.id))
        self.reload(self.force)
        self.cut_what_is_over()
        await self.store_endings()
        self._tick()

    async def stop(self) -> None:
        """Stop the clockwork and save what the next start needs. Sessions stay open."""
        if self._timer is not None:
            self._timer.cancel()
        if self._storing is not None:
            await asyncio.gather(self._storing, return_exceptions=True)
        await self._save(self.clock())

    def take_up(
        self, stored: StoredSession, groupings: SessionGroupings | None = None, *, outlives: bool = False
    ) -> Live:
        """Make a stored open session live; `groupings`: what it has asked before. `outlives`: see `outlived`."""
        parent = None if stored.parent is None else self.registry.get(stored.parent)
        session = stored.session
        if parent is not None:
            session = replace(session, parent=parent.session)
        orphaned = stored.parent is not None and (parent is None or parent.ended is not None) and not outlives
        if orphaned:
            session = replace(session, asked={})  # nothing, should anybody look
        digest = self.people.digest("" if session.user is None else session.user.id)
        terms = self._terms(session)
        live = Live(session, terms, self.clock, stored.active_at, groupings, stored.mounts, parent, digest)
        live.outlives = outlives
        live.renew = self.refit
        self.registry.add(live)
        self.suspensions.apply(live)
        if orphaned:
            live.end(PARENT_ENDED)
        self._saved[stored.session.id] = stored.active_at
        return live

    async def admit(self, mount: str | None, claims: Claims) -> Live | Denial:
        """Return the live session of a verified token, checked against its row (and to be for the mount, if one is
        given); or why there is none."""
        stored = await self.state.find(claims.session)
        if stored is None or not _agree(stored, claims) or (mount is not None and mount not in stored.mounts):
            return UNKNOWN
        if stored.session.state != "OPEN":
            return ending(stored.session.state, stored.reason).denial
        live = self.registry.get(claims.session)
        if live is not None:
            return live
        stored = await self.state.find(claims.session)  # it may have ended while it was looked up
        if stored is None or stored.session.state == "OPEN":
            return UNKNOWN
        return ending(stored.session.state, stored.reason).denial

    async def note_revoked(self, session_id: str) -> None:
        """Know, after a start, whether a session that is not open any more was ended by force."""
        if session_id and self.registry.get(session_id) is None:
            stored = await self.state.find(session_id)
            if stored is None or is_by_force(stored.session.state, stored.reason):
                self.registry.revoked.add(session_id)

    @asynccontextmanager
    async def outlived(self, session_id: str) -> AsyncGenerator[Live | None]:
        """Lend a session for what people have approved, also when its time is over; None when it was ended by force.

        Suspensions, closed mounts and the policy in force reach it as any other."""
        live = self.registry.get(session_id)
        if live is not None and live.ended is None and live.due(self.clock()) is None:
            yield live
            return
        self.cut_what_is_over()
        await self.store_endings()
        live = self.registry.get(session_id)  # lent already
        if live is not None and live.ended is None:
            yield live
            return
        stored = None if session_id in self.registry.revoked else await self.state.find(session_id)
        if stored is None or is_by_force(stored.session.state, stored.reason) or self.force.gone(stored.session):
            yield None
            return
        stored = await self._with_parents(stored)
        live = self.take_up(stored, await self.told.load(session_id), outlives=True)
        try:
            yield live
        finally:
            if live.parent is not None:
                live.parent.children.discard(live)
            self.registry.remove(session_id)
            self._saved.pop(session_id, None)
            self.on_end(session_id)

    async def _with_parents(self, stored: StoredSession) -> StoredSession:
        """Return a session with those that delegated to it, which narrow it; where one is not known, it may nothing."""
        if stored.parent is None:
            return stored
        above = await self.state.find(stored.parent)
        if above is None:
            return replace(stored, session=replace(stored.session, asked={}))
        parent = (await self._with_parents(above)).session
        return replace(stored, session=replace(stored.session, parent=parent))

    async def end(self, session_id: str, state: SessionState, reason: str, by: str) -> None:
        """End an open session at once. Raises SessionError when there is none of that id."""
        live = self.registry.get(session_id)
        if live is None or live.ended is not None:
            raise await self._not_open(session_id)
        live.end(ending(state, reason))
        await self._settle(live, by)

    async def find(self, session_id: str) -> StoredSession:
        """Return a session as it is now. Raises SessionError when there is none of that id."""
        stored = await self.state.find(session_id)
        if stored is None:
            raise _no_session(session_id)
        return self._as_of_now(stored)

    async def list(self, open_only: bool, limit: int = 1000) -> Sequence[StoredSession]:
        """Return sessions as they are now, the newest first."""
        return [self._as_of_now(stored) for stored in await self.state.list("OPEN" if open_only else None, limit)]

    def reload(self, force: Force) -> None:
        """Put all sessions under another policy at once. Those that it does not know are revoked."""
        self._written = force
        self.force = force = force.without(self.lapsed)
        for live in self.registry:
            gone = force.gone(live.session)
            if gone:
                live.end(ending("REVOKED", gone))
            else:
                self.refit(live)

    @property
    def lapsed(self) -> Mapping[str, frozenset[str]]:
        """Agent → ids of the grants that are turned off, since nobody has reviewed them in time."""
        return self._lapsed

    def lapse(self, lapsed: Mapping[str, frozenset[str]]) -> None:
        """Turn these grants off at once, and all others on that were off."""
        self._lapsed = lapsed
        self.reload(self._written)

    def refit(self, live: Live) -> None:
        """Put a session under the terms of the moment."""
        live.refit(self._terms(live.session))

    def refit_all(self) -> None:
        """Put every session under the terms of the moment: an elevation has begun, or has ended."""
        for live in self.registry:
            self.refit(live)

    def _terms(self, session: Session) -> Terms:
        if not self.elevated:
            return self.force.terms(session)
        return self.force.terms(session, *self.elevated.of(session, self.force.policy, self.clock()))

    def cut_what_is_over(self) -> bool:
        """End what must end by now and cut what is out of hours; tell whether endings wait to be stored."""
        now = self.clock()
        waiting = False
        for live in self.registry:
            live.lapse(now)
            due = live.due(now)
            if due is not None and live.ended is None:
                live.end(due)
            if live.ended is not None:
                waiting = True
            elif live.connections:
                outside = live.refused(now)
                if outside is not None:
                    live.cut(outside)
        return waiting

    async def store_endings(self) -> None:
        """Store and record the endings that are not yet, and now and then when sessions were last used."""
        for live in self.registry:
            if live.ended is not None:
                await self._settle(live, "gateway")
        now = self.clock()
        if now >= self._save_at:
            await self._save(now)

    def _tick(self) -> None:
        """Run four times a second. Cutting never waits for a store; storing that fails is tried again."""
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(_tick_seconds, self._tick)
        waiting = self.cut_what_is_over() or self.clock() >= self._save_at
        if waiting and (self._storing is None or self._storing.done()):
            self._storing = loop.create_task(self.store_endings())
            self._storing.add_done_callback(_log_failure)

    async def _settle(self, live: Live, by: str) -> None:
        """Store and record the end of a live session that has ended already."""
        how: Ending | None = live.ended
        session = live.session
        if how is None:
            return
        if await self.state.end(session.id, how.state, how.reason, self.clock()):
            detail = {"state": how.state, "reason": how.reason, "by": by}
            fact = Fact("session.closed", message=how.denial.message, policy=live.policy, detail=detail)
            record = self.recorder.make(fact, session)
            self.registry.remove(session.id)
            self._saved.pop(session.id, None)
            self.on_end(session.id)
            await self.recorder.keep(record)
        self.registry.remove(session.id)

    async def _save(self, now: datetime) -> None:
        """Store when sessions were last used, where that has changed."""
        seen = [(live.session.id, live.active) for live in self.registry]
        changed = [(key, active) for key, active in seen if self._saved.get(key) != active]
        await self.state.touch(changed)
        self._saved.update(changed)
        self._save_at = now + _save_every

    async def _not_open(self, session_id: str) -> SessionError:
        stored = await self.state.find(session_id)
        if stored is None:
            return _no_session(session_id)
        how = ending(stored.session.state, stored.reason)
        return SessionError(f"`{session_id}` is not open: {how.denial.message}", remedy="there is nothing left to do")

    def _as_of_now(self, stored: StoredSession) -> StoredSession:
        live = self.registry.get(stored.session.id)
        if live is None or stored.session.state != "OPEN":
            return stored
        how = live.ended or live.due(self.clock())
        if how is None:
            return replace(stored, active_at=live.active)
        return replace(stored, session=replace(stored.session, state=how.state), reason=how.reason)


def _agree(stored: StoredSession, claims: Claims) -> bool:
    """Return whether a token is the one of this row, said by everything that it says."""
    session = stored.session
    user = None if session.user is None else session.user.id
    return (claims.jti, claims.user, claims.chain) == (stored.jti, user, (*session.chain, session.agent))


def _nobody(session_id: str) -> None:
    """Nobody wants to know."""


def _no_session(session_id: str) -> SessionError:
    return SessionError(f"there is no session `{session_id}`", remedy="see `bailiwick session list --all`")


def _log_failure(task: asyncio.Task[None]) -> None:
    failure = None if task.cancelled() else task.exception()
    if failure is not None:
        _log.error("the end of a session could not be stored: %s", failure)
