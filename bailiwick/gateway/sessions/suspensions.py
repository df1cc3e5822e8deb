"""Suspensions: stopping an agent, a session, a mount or everything at once, until somebody lets it go on.

Order of a suspension: first nothing more is allowed and what is in flight is cut, then it is stored, then recorded.
Whatever fails afterwards, it holds in this process, and its caller is told to try again. Letting go is the other way
around: nothing goes on before that is on record and stored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from bailiwick.errors import SessionError
from bailiwick.gateway.moments import Clock, from_microseconds, to_microseconds
from bailiwick.gateway.recorder import Fact, Recorder
from bailiwick.gateway.sessions.live import Live, Registry
from bailiwick.gateway.state import State
from bailiwick.model.decision import Denial
from bailiwick.model.record import RecordKind
from bailiwick.model.session import Session
from bailiwick.model.suspension import Suspension, SuspensionKind

_longest_reason = 500
suspensions = sa.Table(
    "suspensions",
    sa.MetaData(),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
)
_stopped: Mapping[SuspensionKind, RecordKind] = {
    "everything": "everything.suspended",
    "agent": "agent.suspended",
    "session": "session.suspended",
    "mount": "mount.closed",
}
_resumed: Mapping[SuspensionKind, RecordKind] = {
    "everything": "everything.resumed",
    "agent": "agent.resumed",
    "session": "session.resumed",
    "mount": "mount.opened",
}
_REMEDY = "wait for the people who run the gateway; its owner can ask them"
EVERYTHING = Denial("everything_suspended", "everything is suspended at the moment", remedy=_REMEDY)
SESSION = Denial("session_suspended", "this session is suspended", remedy=_REMEDY)


def of_agent(agent: str) -> Denial:
    """Return what the sessions of a suspended agent are told."""
    return Denial("agent_suspended", f"agent `{agent}` is suspended", remedy=_REMEDY)


def of_mount(mount: str) -> Denial:
    """Return what is said of a closed mount."""
    return Denial("mount_closed", f"mount `{mount}` is closed at the moment", remedy=_REMEDY)


class Suspensions:
    """What is suspended. `load` before any session is taken up."""

    def __init__(self, state: State, recorder: Recorder, clock: Clock, registry: Registry) -> None:
        self.told: Callable[[Suspension, bool], None] = _nobody
        """Called with each suspension that was made (True) or lifted (False): for notices."""
        self._state = state
        self._recorder = recorder
        self._clock = clock
        self._registry = registry
        self._held: dict[tuple[SuspensionKind, str], Suspension] = {}
        self._changing = asyncio.Lock()

    async def load(self) -> None:
        """Take up what was suspended when the gateway stopped."""
        async with self._state.reading() as connection:
            for row in (await connection.execute(sa.select(suspensions))).mappings():
                at = from_microseconds(row["at"])
                found = Suspension(row["kind"], row["name"], row["reason"], row["by"], at)
                self._held[found.kind, found.name] = found
        self._shut()

    def list(self) -> Sequence[Suspension]:
        """Return what is suspended, the oldest first."""
        return sorted(self._held.values(), key=lambda each: each.at)

    @property
    def everything(self) -> Suspension | None:
        """Return that everything is suspended, if it is."""
        return self._held.get(("everything", ""))

    def denial(self, agent: str, chain: Sequence[str] = (), lineage: Sequence[str] = ()) -> Denial | None:
        """Return why an agent may do nothing now, delegated through the agents of `chain`, in one of `lineage`."""
        held = self._held
        if not held:
            return None
        if ("everything", "") in held:
            return EVERYTHING
        stopped = next((name for name in (agent, *chain) if ("agent", name) in held), None)
        if stopped is not None:
            return of_agent(stopped)
        return SESSION if any(("session", each) in held for each in lineage) else None

    def apply(self, live: Live) -> None:
        """Have a session know whether it is suspended."""
        session = live.session
        live.suspended = self.denial(session.agent, session.chain, _lineage(session))

    async def suspend_agent(self, agent: str, reason: str, by: str) -> int:
        """Suspend all sessions of an agent, and those that were delegated by it; return how many are cut."""
        return await self.suspend("agent", agent, reason, by)

    async def suspend_session(self, session_id: str, reason: str, by: str) -> int:
        """Suspend a session, and those that it delegated; return how many are cut."""
        return await self.suspend("session", session_id, reason, by)

    async def suspend(self, kind: SuspensionKind, name: str, reason: str, by: str) -> int:
        """Suspend something, at once; return how many sessions are cut.

        Raises SessionError without a reason, LedgerError or ConfigError when it could not be kept: it holds until the
        gateway stops then, and is to be tried again.
        """
        reason = reason.strip()
        if not reason or len(reason) > _longest_reason or not reason.isprintable():
            raise SessionError(
                f"a suspension needs a reason of one line, of at most {_longest_reason} characters",
                remedy="give one: `--reason '…'`",
            )
        made = Suspension(kind, name, reason, by, self._clock())
        self._held[kind, name] = made
        cut = self._shut()
        async with self._changing:
            row = {"kind": kind, "name": name, "reason": reason, "by": by, "at": to_microseconds(made.at)}
            change = insert(suspensions).values(row)
            change = change.on_conflict_do_update(index_elements=["kind", "name"], set_=dict(change.excluded))
            async with self._state.writing() as connection:
                await connection.execute(change)
            await self._keep(_stopped[kind], made, by)
        self.told(made, True)
        return cut

    async def resume(self, kind: SuspensionKind, name: str, by: str) -> Suspension:
        """Let something go on. Raises SessionError when it is not suspended."""
        async with self._changing:
            held = self._held.get((kind, name))
            if held is None:
                what = "everything is not" if kind == "everything" else f"{kind} `{name}` is not"
                raise SessionError(
                    f"{what} {'closed' if kind == 'mount' else 'suspended'}", remedy="see `bailiwick status`"
                )
            await self._keep(_resumed[kind], held, by)
            async with self._state.writing() as connection:
                gone = sa.delete(suspensions).where(suspensions.c.kind == kind, suspensions.c.name == name)
                await connection.execute(gone)
            if self._held.get((kind, name)) is held:  # else somebody has suspended it again meanwhile
                del self._held[kind, name]
            self._shut()
        self.told(held, False)
        return held

    def _shut(self) -> int:
        """Have every session know what holds now, and cut what may not go on; return how many sessions were cut."""
        mounts = {name: of_mount(name) for kind, name in self._held if kind == "mount"}
        opened = self._registry.closed_mounts
        closed = {name: denial for name, denial in mounts.items() if name not in opened}
        opened.clear()
        opened.update(mounts)
        cut = 0
        for live in self._registry:
            before = live.suspended
            self.apply(live)
            if live.suspended is not None and before is None:
                cut += 1
                live.cut(live.suspended)
            for name, denial in closed.items():
                cut += live.cut_mount(name, denial)
        return cut

    async def _keep(self, kind: RecordKind, about: Suspension, by: str) -> None:
        session = about.name if about.kind == "session" else ""
        live = self._registry.get(session) if session else None
        detail = {"reason": about.reason, "by": by}
        fact = Fact(kind, mount=about.name if about.kind == "mount" else "", detail=detail)
        record = self._recorder.make(fact, None if live is None else live.session)
        if about.kind == "agent":
            record = record._replace(agent=about.name)
        elif live is None:
            record = record._replace(session=session)
        await self._recorder.keep(record)


def _lineage(session: Session) -> list[str]:
    """Return the ids of a session and of those that delegated to it."""
    found = [session.id]
    while session.parent is not None:
        session = session.parent
        found.append(session.id)
    return found


def _nobody(suspension: Suspension, made: bool) -> None:
    """Nobody wants to be told."""
