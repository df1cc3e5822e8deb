"""Stand-ins for what the front end is given: an enforcer that remembers, a session, planners that pass through."""

# ruff: noqa: ARG001, ARG002 - they have the signatures that the front end expects

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from bailiwick.decide.seen import Observer
from bailiwick.gateway.approvals.approvals import DryRunner, Told
from bailiwick.gateway.approvals.statement_holds import Begun, Fate
from bailiwick.gateway.call import Call, Outcome, TransactionEnd
from bailiwick.gateway.enforcer import LiveSession
from bailiwick.gateway.limits.memory import Reserved
from bailiwick.gateway.recorder import Durable
from bailiwick.gateway.sessions.live import Cut
from bailiwick.gateway.sessions.told import SessionGroupings, Telling
from bailiwick.gateway.sessions.underway import Underway
from bailiwick.model.approval import Refused, Subject
from bailiwick.model.budget import Budget, Used
from bailiwick.model.decision import Allow, Decision, Denial, Request
from bailiwick.model.scope import Scope
from bailiwick.model.session import Session
from bailiwick.mounts.postgres.translate import Planner
from bailiwick.sql.groupings import Cells, Grouping
from bailiwick.sql.plan import Plan, StatementKind

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def a_session(agent: str = "bot") -> Session:
    """A session with a few values."""
    return Session(
        id="ses_1",
        agent=agent,
        user=None,
        task=None,
        context={"ticket_id": 7, "name": "O'Hara", "flag": True},
        tenant=3,
        opened_at=MOMENT,
        expires_at=MOMENT + timedelta(hours=1),
        idle=None,
    )


@dataclass(slots=True)
class Live:
    """A live session whose scope and state tests change."""

    session: Session = field(default_factory=a_session)
    scope: Scope = field(default_factory=lambda: Scope("scope-1", "bot", {}))
    observer: Observer | None = None
    denial: Denial | None = None
    lapsed: Denial | None = None
    asked: int = 0

    def withheld(self, mount: str, grants: Sequence[str]) -> Denial | None:
        return self.lapsed

    def blocked(self, mount: str = "") -> Denial | None:
        del mount
        self.asked += 1
        return self.denial

    def reload(self, scope: str) -> None:
        """Pretend that the policy was reloaded."""
        self.scope = replace(self.scope, id=scope)


@dataclass(frozen=True, slots=True)
class Written:
    """One thing that the enforcer was asked to record."""

    kind: str
    id: str
    call: Call
    outcome: Outcome | None = None


Charge = tuple[tuple[Budget, ...], Callable[[Reserved | Denial], None]]
USED_UP = Denial("limit_exceeded", "used up", remedy="try again in 7 seconds", retry_after=7)


def allow(_: Request) -> Decision:
    return Allow(("grant",))


@dataclass(slots=True)
class Ledger:
    """An `Enforcer`. With `instant` records are durable at once, else when `flush` is called."""

    live: Live = field(default_factory=Live)
    instant: bool = True
    works: bool = True
    deciding: Callable[[Request], Decision] = allow
    token: str = "secret-token"
    written: list[Written] = field(default_factory=list[Written])
    waiting: list[Durable] = field(default_factory=list[Durable])
    cuts: list[Cut] = field(default_factory=list[Cut])
    refused: list[str] = field(default_factory=list[str])
    keep: bool = True
    ends: list[tuple[str, Fate, str]] = field(default_factory=list[tuple[str, Fate, str]])
    concluded: list[TransactionEnd] = field(default_factory=list[TransactionEnd])
    underway: Underway = field(default_factory=Underway)
    groupings: SessionGroupings = field(default_factory=SessionGroupings)
    limits: tuple[Budget, ...] = ()
    left: int = 0
    charging: list[Charge] = field(default_factory=list[Charge])
    used: list[Used | None] = field(default_factory=list[Used | None])
    """Of each charged execution what it used; None: it was not executed."""

    async def connect(self, mount: str, agent: str, token: str, peer: str, cut: Cut) -> LiveSession | Denial:
        if token != self.token:
            self.refused.append(f"{agent}@{mount} from {peer}")
            return Denial("session_unknown", "the token is not one of an open session", remedy="open a session")
        if agent != self.live.session.agent:
            return Denial("agent_mismatch", f"the session is not one of `{agent}`")
        self.cuts.append(cut)
        return self.live

    def disconnect(self, live: LiveSession, cut: Cut, detail: str) -> None:
        self.cuts.remove(cut)

    def decide(self, live: LiveSession, request: Request) -> Decision:
        return self.deciding(request)

    def call(self, live: LiveSession, call: Call, outcome: Outcome, durable: Durable) -> str:
        return self._write("call", call, outcome, durable)

    def budgets(self, live: LiveSession, decision: Decision) -> tuple[Budget, ...]:
        return self.limits

    def charge(self, live: LiveSession, budgets: tuple[Budget, ...], done: Callable[[Reserved | Denial], None]) -> None:
        self.charging.append((budgets, done))
        if self.instant:
            self.answer_charges()

    async def reserve(self, live: LiveSession, decision: Decision, cost: int | None = None) -> Reserved | Denial:
        return Reserved((), 0, ())

    def charged(self, live: LiveSession, reserved: Reserved, used: Used) -> None:
        self.used.append(used)

    def uncharged(self, reserved: Reserved) -> None:
        self.used.append(None)

    def answer_charges(self) -> None:
        """Answer what waits to be charged: as many may run as are left, then they are denied."""
        waiting, self.charging = self.charging, []
        for _, done in waiting:
            self.left -= 1
            done(Reserved((), 0, ()) if self.left >= 0 else USED_UP)

    def intend(self, live: LiveSession, call: Call, durable: Durable) -> str:
        if live.withheld(call.mount, ()) is not None:
            self.waiting.append(durable)
            return ""
        return self._write("intent", call, None, durable)

    def settle(self, live: LiveSession, intent: str, call: Call, outcome: Outcome, durable: Durable) -> None:
        self._write("outcome", call, outcome, durable)

    def conclude(self, live: LiveSession, end: TransactionEnd, durable: Durable) -> None:
        self.concluded.append(end)
        self.waiting.append(durable)
        if self.instant:
            self.flush(self.works)

    async def hold(
        self, live: LiveSession, call: Call, subject: Subject, run: DryRunner, patience: float | None
    ) -> Told | Begun:
        found = await run()
        denial = found.denial if isinstance(found, Refused) else Denial("queued", f"held, {found.rows} rows")
        return Told(denial, self._write("hold", call, None, lambda _: None))

    def end(self, approval: str, fate: Fate, code: str, durable: Durable) -> None:
        self.ends.append((approval, fate, code))
        durable(self.works)

    def group(
        self, live: LiveSession, groupings: Sequence[Grouping], told: Sequence[Cells], durable: Durable
    ) -> Telling | Denial:
        asked = self.groupings.ask(groupings, told)
        if isinstance(asked, Telling):
            self.waiting.append(durable)
            if self.instant:
                self.flush(self.works)
        return asked

    def flush(self, ok: bool = True) -> None:
        """Make everything durable that waits."""
        waiting, self.waiting = self.waiting, []
        for durable in waiting:
            durable(ok)

    def kinds(self) -> list[str]:
        return [one.kind for one in self.written]

    def outcomes(self) -> list[tuple[str, str, int | None]]:
        """(kind, code, rows) of everything that has an outcome."""
        return [(one.kind, one.outcome.code, one.outcome.rows) for one in self.written if one.outcome is not None]

    def _write(self, kind: str, call: Call, outcome: Outcome | None, durable: Durable) -> str:
        name = f"rec_{len(self.written) + 1}"
        if self.keep:
            self.written.append(Written(kind, name, call, outcome))
        if self.instant:
            durable(self.works)
        else:
            self.waiting.append(durable)
        return name


_kinds: dict[str, StatementKind] = {
    "INSERT": "WRITE",
    "UPDATE": "WRITE",
    "DELETE": "WRITE",
    "BEGIN": "CONTROL",
    "START": "CONTROL",
    "COMMIT": "CONTROL",
    "ROLLBACK": "CONTROL",
    "SAVEPOINT": "CONTROL",
    "RELEASE": "CONTROL",
    "SET": "SESSION",
    "RESET": "SESSION",
    "DISCARD": "SESSION",
    "DEALLOCATE": "SESSION",
    "COPY": "READ",
}


def passing(text: str, live: LiveSession, mount: str, declared: tuple[int, ...] = ()) -> tuple[Plan | Denial, ...]:
    """Plan by the first word; refuse what names a secret. Statements are cut at semicolons."""
    plans: list[Plan | Denial] = []
    for part in text.split(";"):
        words = part.split()
        if not words:
            continue
        if "secret" in part:
            plans.append(Denial("action_not_granted", "`secrets:read` is not granted", "`items:read`", "ask the owner"))
            continue
        kind = _kinds.get(words[0].upper(), "READ")
        plans.append(
            Plan(
                kind=kind,
                sql=part.strip(),
                statement=part.strip(),
                returns=kind == "READ" or "RETURNING" in part.upper(),
                copy=words[0].upper() == "COPY",
            )
        )
    return tuple(plans)


def planned(plans: dict[str, Plan | Denial]) -> Planner:
    """Plan by the whole text; what is not named passes."""

    def plan(text: str, live: LiveSession, mount: str, declared: tuple[int, ...] = ()) -> tuple[Plan | Denial, ...]:
        return (plans[text],) if text in plans else passing(text, live, mount)

    return plan
