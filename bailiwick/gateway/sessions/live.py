"""Live sessions: the open sessions of this process and their connections.

Owns the moment at which a session ends for its connections. Does no I/O: who ends a session also stores and records
it (`bailiwick.gateway.sessions.sessions`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

from bailiwick.decide.decide import DecisionTable
from bailiwick.decide.seen import Observer
from bailiwick.decide.session import within_hours
from bailiwick.gateway.moments import Clock
from bailiwick.gateway.sessions.told import SessionGroupings
from bailiwick.match.masks import Digest
from bailiwick.model.budget import Budget
from bailiwick.model.decision import Denial, DenialCode
from bailiwick.model.email import Attachment
from bailiwick.model.policy import Hours
from bailiwick.model.scope import Scope
from bailiwick.model.session import Session, SessionState

Cut = Callable[[Denial], None]
"""Called on the event loop when a session ends: the mount drops the connection and what is in flight."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a session ended: what is stored of it, and what its agent is told."""

    state: SessionState
    reason: str
    denial: Denial


def ending(state: SessionState, reason: str) -> Ending:
    """Return the ending for a stored state and reason; one that is not known reads as closed."""
    code, message = _told.get((state, reason), _told.get((state, ""), _told["CLOSED", ""]))
    return Ending(state, reason, Denial(code, message, remedy="ask whoever opened it for a new session"))


_told: dict[tuple[SessionState, str], tuple[DenialCode, str]] = {
    ("CLOSED", ""): ("session_closed", "this session was closed"),
    ("REVOKED", ""): ("session_revoked", "this session was revoked"),
    ("EXPIRED", ""): ("session_expired", "this session has expired"),
    ("CLOSED", "parent"): ("session_closed", "the session that delegated to this one has ended"),
    ("EXPIRED", "idle"): ("session_idle", "this session was idle for too long and has ended"),
}
EXPIRED = ending("EXPIRED", "expired")
REVOKED = ending("REVOKED", "revoked")
IDLE = ending("EXPIRED", "idle")
PARENT_ENDED = ending("CLOSED", "parent")
OUT_OF_HOURS = Denial(
    "out_of_hours", "this agent works at other hours", remedy="the session can be used again within the agent's hours"
)

LAPSED = Denial(
    "elevation_ended",
    "the elevation that this was granted by has ended, so it was not done",
    remedy="ask for the elevation again",
)


def is_by_force(state: SessionState, reason: str) -> bool:
    """Return whether a session ended because somebody ended it, or what it came from: nothing of it outlives that."""
    return state == "REVOKED" or reason == "parent"


class Watch(Protocol):
    """Something that runs on a mount."""

    @property
    def mount(self) -> str: ...

    def cut(self, denial: Denial) -> None:
        """Stop it."""
        ...


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for a session under the policy in force; replaced as a whole when that changes."""

    table: DecisionTable
    """Of the session's scope; decides its requests."""
    hours: Hours | None
    idle: timedelta | None
    """The shorter of what the session was opened with and what the policy says now."""
    budgets: tuple[Budget, ...] = ()
    """What every request is charged to: those of the session, of its agent, and of whom they are delegated by."""
    lent: Mapping[str, str] = field(default_factory=dict[str, str])
    """Grants that it has by elevations alone: their ids → that of the elevation."""
    lapses: datetime | None = None
    """When the first of its elevations ends."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a session is, as every record of it says."""

    agent: str
    user: str
    session: str
    task: str
    chain: tuple[str, ...]


def identify(session: Session) -> Identity:
    """Return who a session is."""
    user = "" if session.user is None else session.user.id
    return Identity(session.agent, user, session.id, session.task or "", session.chain)


def _undigested(_: str) -> str:
    """Of a session that records no values."""
    return ""


class Live:
    """An open session; a `LiveSession` for mounts."""

    __slots__ = (
        "_active",
        "_clock",
        "_cuts",
        "_hours_known",
        "_in_flight",
        "_inside",
        "_session",
        "_tools",
        "_watching",
        "attached",
        "children",
        "closed_mounts",
        "digest",
        "ended",
        "groupings",
        "holding",
        "identity",
        "lent",
        "mounts",
        "observer",
        "outlives",
        "parent",
        "renew",
        "suspended",
        "terms",
    )

    def __init__(
        self,
        session: Session,
        terms: Terms,
        clock: Clock,
        active: datetime,
        groupings: SessionGroupings | None = None,
        mounts: Sequence[str] = (),
        parent: Live | None = None,
        digest: Digest = _undigested,
    ) -> None:
        self.digest = digest
        """Tells values of its records apart without storing them: see `gateway.people`."""
        self.observer: Observer | None = None
        """Where it is observed: who looks at its values, on all mounts. `gateway.observing` makes it."""
        self._session = session
        self._clock = clock
        self._active = active
        self._cuts: list[tuple[Cut, str]] = []
        self._watching: set[Watch] = set()
        self._in_flight = 0
        self._inside = False
        self._hours_known = datetime.min.replace(tzinfo=session.opened_at.tzinfo)
        self.identity = identify(session)
        self.groupings = SessionGroupings() if groupings is None else groupings
        """What it has asked of relations that it may only aggregate."""
        self.attached: dict[str, Attachment] = {}
        """What it attached to messages, by reference: decided on as it was read. `mounts.email` says so."""
        self.holding = 0
        """How many of its requests wait for people: meanwhile it is not idle. `gateway.approvals` says so."""
        self.mounts = frozenset(mounts)
        """The mounts that it was opened for."""
        self.terms = terms
        self.ended: Ending | None = None
        self.renew: Callable[[Live], None] = _as_it_is
        """Puts it under other terms when an elevation of it has ended."""
        self.lent: dict[str, str] = dict(terms.lent)
        """Every grant that it has or had by an elevation alone → the last one's id."""
        self.suspended: Denial | None = None
        """Why it may do nothing for the time being; `gateway.suspensions` says so."""
        self.closed_mounts: Mapping[str, Denial] = {}
        """The mounts that are closed for everybody, and what is said of them. Of the registry, once it is in there."""
        self._tools: tuple[Scope, Scope, Scope, Scope, Scope] | None = None
        self.outlives = False
        """Whether its own time is over, and it is there only to run what people have approved."""
        self.parent = parent
        """The session that delegated to it."""
        self.children: set[Live] = set()
        """Those that it delegated to, while they are open."""
        if parent is not None:
            parent.children.add(self)

    @property
    def session(self) -> Session:
        """The session, as it was opened."""
        return self._session

    @property
    def scope(self) -> Scope:
        """What it may do under the policy in force."""
        return self.terms.table.scope

    @property
    def tools(self) -> Scope:
        """The scope with the servers' tools of just those mounts that the session was opened for."""
        return self._split()[1]

    @property
    def functions(self) -> Scope:
        """The scope with the functions of just those mounts that the session was opened for."""
        return self._split()[2]

    @property
    def routes(self) -> Scope:
        """The scope with the routes of just those mounts that the session was opened for."""
        return self._split()[3]

    @property
    def files(self) -> Scope:
        """The scope with the files of just those mounts that the session was opened for."""
        return self._split()[4]

    @property
    def policy(self) -> str:
        """The version of the policy in force."""
        return self.terms.table.policy.version

    @property
    def active(self) -> datetime:
        """When it was last used."""
        return self._active

    @property
    def connections(self) -> int:
        """How many connections it has."""
        return len(self._cuts)

    def blocked(self, mount: str = "") -> Denial | None:
        """Return why nothing may be done now (on a mount, if one is given), or None and count as activity. No I/O."""
        now = self._clock()
        self.lapse(now)
        denial = self.refused(now) or (self.closed_mounts.get(mount) if mount else None)
        if denial is None:
            self._active = now
            if self.parent is not None:
                self.parent.worked(now)
        return denial

    def worked(self, now: datetime) -> None:
        """One that it delegated to did something: neither it nor what delegated to it is idle."""
        self._active = now
        if self.parent is not None:
            self.parent.worked(now)

    def refused(self, now: datetime) -> Denial | None:
        """Return why nothing may be done at that moment; counts as nothing."""
        ended = self.ended or self.due(now)
        if ended is not None:
            return ended.denial
        if self.suspended is not None:
            return self.suspended
        if self._out_of_hours(now):
            return OUT_OF_HOURS
        return None if self.parent is None else self.parent.refused(now)

    def lapse(self, now: datetime) -> None:
        """Take away what an elevation gave that has ended by now."""
        if self.terms.lapses is not None and now >= self.terms.lapses:
            self.renew(self)

    def has_lapsed(self, grants: Sequence[str]) -> bool:
        """Return whether one of these grants was there by an elevation that is over now."""
        if not self.lent:
            return False
        self.lapse(self._clock())
        known = self.scope.grants
        return any(each not in known and _of_whom(each) in self.lent for each in grants)

    def withheld(self, mount: str, grants: Sequence[str]) -> Denial | None:
        """Return why what was decided by these grants may not take effect on a mount any more."""
        return self.stopped(mount) or (LAPSED if self.has_lapsed(grants) else None)

    def elevations_of(self, grants: Sequence[str]) -> list[str]:
        """Return the ids of the elevations by which it has, or had, some of these grants."""
        lent = self.lent
        return sorted({lent[_of_whom(each)] for each in grants if _of_whom(each) in lent}) if lent else []

    def stopped(self, mount: str) -> Denial | None:
        """Return why nothing more may take effect on a mount that was admitted before: it ended, or was suspended."""
        if self.ended is not None:
            return self.ended.denial
        return self.suspended or self.closed_mounts.get(mount)

    def due(self, now: datetime) -> Ending | None:
        """Return how the session must end by now, if it must."""
        if self.outlives:
            return None
        if now >= self._session.expires_at:
            return EXPIRED
        if self.parent is not None and (self.parent.ended is not None or self.parent.due(now) is not None):
            return PARENT_ENDED
        idle = self.terms.idle
        if idle is not None and not self.busy and now - self._active >= idle:
            return IDLE
        return None

    @property
    def busy(self) -> bool:
        """Whether something of it, or of those that it delegated to, runs or waits for people."""
        return self._in_flight > 0 or self.holding > 0 or any(each.busy for each in self.children)

    def started(self) -> None:
        """Something of this session began to run: until `finished` it is not idle."""
        self._in_flight += 1

    def finished(self) -> None:
        """What had begun is over; the idle time counts from now."""
        self._in_flight = max(0, self._in_flight - 1)
        self.worked(self._clock())

    def attach(self, cut: Cut, mount: str = "") -> None:
        """Add a connection; `mount`: the one mount that it reaches, if it reaches no other."""
        self._cuts.append((cut, mount))

    def detach(self, cut: Cut) -> None:
        """Remove a connection that ended by itself. What it left running cannot keep the session awake."""
        found = next((each for each in self._cuts if each[0] == cut), None)
        if found is not None:
            self._cuts.remove(found)
        if not self._cuts:
            self._in_flight = 0

    def watch(self, watch: Watch) -> None:
        """Have what runs on a mount know when that is closed, until `unwatch`."""
        self._watching.add(watch)

    def unwatch(self, watch: Watch) -> None:
        """What ran is over."""
        self._watching.discard(watch)

    def refit(self, terms: Terms) -> None:
        """Put the session under new terms, at once for all its connections."""
        self.lent |= terms.lent
        self.terms = terms
        self._hours_known = datetime.min.replace(tzinfo=self._hours_known.tzinfo)

    def end(self, how: Ending) -> None:
        """End the session: from here on nothing of it is allowed; its connections are cut. The first ending counts.

        Those that it delegated to end with it."""
        if self.ended is None:
            self.ended = how
        self.cut(how.denial)
        children, self.children = self.children, set()
        for each in children:
            each.end(PARENT_ENDED)
        if self.parent is not None:
            self.parent.children.discard(self)

    def cut(self, why: Denial) -> None:
        """Cut the connections, without ending the session: each in its own turn of the loop, so that a connection
        that fails at it takes no other with it."""
        cuts, self._cuts = self._cuts, []
        self._in_flight = 0
        for cut, _ in cuts:
            asyncio.get_running_loop().call_soon(cut, why)

    def cut_mount(self, mount: str, why: Denial) -> bool:
        """Cut what reaches one mount: its connections, and calls under way through others; tell whether there was any.

        The session goes on elsewhere."""
        cuts = [cut for cut, reached in self._cuts if reached == mount]
        self._cuts = [each for each in self._cuts if each[1] != mount]
        watching = [watch for watch in self._watching if watch.mount == mount]
        for cut in (*cuts, *(watch.cut for watch in watching)):
            asyncio.get_running_loop().call_soon(cut, why)
        return bool(cuts or watching)

    def _split(self) -> tuple[Scope, Scope, Scope, Scope, Scope]:
        scope = self.terms.table.scope
        if self._tools is None or self._tools[0] is not scope:
            kept = {name: tool for name, tool in scope.tools.items() if tool.mount in self.mounts}
            functions = {name: tool for name, tool in kept.items() if tool.is_function}
            files = {name: tool for name, tool in kept.items() if tool.tool.kind == "file"}
            routes = {name: tool for name, tool in kept.items() if tool.tool.kind in ("route", "field")}
            apart = functions.keys() | routes.keys() | files.keys()
            tools = {name: tool for name, tool in kept.items() if name not in apart}
            cut = [replace(scope, tools=each) for each in (tools, functions, routes, files)]
            self._tools = (scope, cut[0], cut[1], cut[2], cut[3])
        return self._tools

    def _out_of_hours(self, now: datetime) -> bool:
        """Look the wall clock up at most once a second."""
        hours = self.terms.hours
        if hours is None:
            return False
        if not timedelta(0) <= now - self._hours_known < timedelta(seconds=1):
            self._inside = within_hours(hours, now)
            self._hours_known = now.replace(microsecond=0)
        return not self._inside


def _of_whom(grant: str) -> str:
    """Return the grant that a delegated session's share of one is named after."""
    return grant.partition(" within ")[0]


def _as_it_is(live: Live) -> None:
    """Nobody has given it an elevation."""


class Registry:
    """The open sessions of this process, by id."""

    def __init__(self) -> None:
        self._live: dict[str, Live] = {}
        self.closed_mounts: dict[str, Denial] = {}
        """The mounts that nobody may use for the time being."""
        self.revoked: set[str] = set()
        """Sessions of which something may still wait for people, and that were ended by force."""

    def __len__(self) -> int:
        return len(self._live)

    def __iter__(self) -> Iterator[Live]:
        """Yield the sessions as they are now; they may be added and removed meanwhile."""
        yield from tuple(self._live.values())

    def add(self, live: Live) -> None:
        """Add a session that was just opened or loaded."""
        self._live[live.session.id] = live
        live.closed_mounts = self.closed_mounts

    def get(self, session_id: str) -> Live | None:
        """Return the session, also one that ended and is not stored as ended yet."""
        return self._live.get(session_id)

    def remove(self, session_id: str) -> None:
        """Forget a session whose end is stored."""
        live = self._live.pop(session_id, None)
        if live is not None and live.holding and live.ended and is_by_force(live.ended.state, live.ended.reason):
            self.revoked.add(session_id)
