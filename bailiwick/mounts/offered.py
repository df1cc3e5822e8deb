"""What the gateway itself does for its mounts (sending messages, files): one way to it, from every front.

A front decides and holds as for any tool; what was admitted is done by the `Doing` of the tool's kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from typing import Protocol, cast

from bailiwick.decide.calls import Admitted, Held, Refused
from bailiwick.gateway.enforce import Gateway
from bailiwick.gateway.sessions.live import Live
from bailiwick.match.masks import Digest
from bailiwick.model.approval import Approval
from bailiwick.model.decision import Denial, Deny, Request
from bailiwick.model.scope import ToolScope
from bailiwick.model.tool import Own
from bailiwick.mounts.held_calls import Asked, Barred, Cleared, HeldCalls, Pending, Ran
from bailiwick.mounts.mcp.message import Json
from bailiwick.mounts.observed_calls import Watched
from bailiwick.mounts.recorded import digested, in_clear, statement_of
from bailiwick.mounts.tool_path import NO_LEDGER, Done, ToolPath, refused_request

Told = Mapping[str, Json]
"""What is said of something that was done."""


@dataclass(frozen=True, slots=True)
class Order:
    """Something that was admitted, and is to be done now."""

    admitted: Admitted
    statement: str
    """As the ledger tells it."""
    purpose: str
    approval: Approval | None = None
    """Of people, that it is done under: once."""
    watched: Watched | None = None
    """Where the session is observed: what looks at it on the path."""


@dataclass(frozen=True, slots=True)
class Before:
    """A call as it is asked for, before it is decided on."""

    name: str
    arguments: Mapping[str, Json]
    purpose: str
    patience: float
    uploads: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    """What was handed over with it, by the references that its arguments name."""


class Doing(Protocol):
    """What the gateway does for mounts of one kind."""

    def prepared(self, live: Live, before: Before) -> AbstractAsyncContextManager[NotDone | None]:
        """Have at hand what a call is about, as long as it is decided and run; what it gives says why it is not done,
        and is on record where something was denied."""
        ...

    async def run(self, path: ToolPath, live: Live, order: Order) -> Done[Told]:
        """Do it on the path of every tool; what came of it is on record by then."""
        ...

    def described(self, live: Live, tool: ToolScope) -> str:
        """Return what an agent is told of the tool: only what its session may use of it."""
        ...


Doings = Mapping[Own, Doing]


@dataclass(frozen=True, slots=True)
class NotDone:
    """Why something was not done, or is not shown; and the id of the record of that, if there is one."""

    denial: Denial
    record: str = ""
    approval: Approval | None = None
    """What it waits for."""


@dataclass(frozen=True, slots=True)
class Carried:
    """What came of something that was done; and the approval of people that it was done under."""

    told: Told
    approval: Approval | None = None


class OwnCalls:
    """The calls of one session, from fronts that know one kind of mount."""

    def __init__(self, gateway: Gateway, live: Live, doing: Doing, digest: Digest) -> None:
        self.live = live
        self._gateway = gateway
        self._doing = doing
        self.digest = digest
        """Of `hash` masks. Records have the session's own, `live.digest`."""
        self._path = ToolPath(gateway, live)
        self._held = HeldCalls(gateway, live, self._path)

    async def call(self, before: Before) -> Carried | NotDone:
        """Do what is asked, or say why not; it waits for people as long as its patience, where a gate holds it."""
        async with self._doing.prepared(self.live, before) as missing:
            if missing is not None:
                return missing
            return await self._call(before.name, before.arguments, before.purpose, before.patience)

    async def _call(self, name: str, arguments: Mapping[str, Json], purpose: str, patience: float) -> Carried | NotDone:
        blocked = self.live.blocked()
        if blocked is not None:
            return await self.refuse(name, arguments, purpose, Refused(None, Deny(blocked)))
        decided = self._gateway.decide_call(self.live, name, arguments)
        if isinstance(decided, Refused):
            return await self.refuse(name, arguments, purpose, decided)
        if not isinstance(decided, Held):
            return await self._run(Order(decided, self._statement(name, decided), purpose))
        statement = self._statement(name, decided.admitted)
        cleared = await self._held.clear(decided, Asked(name, statement, purpose, {"tool": name}), patience)
        match cleared:
            case Pending():
                return NotDone(cleared.denial, cleared.record, cleared.approval)
            case Barred():
                return NotDone(cleared.denial, cleared.record)
            case Ran(approval, told):
                data = told.get("structuredContent")
                return Carried(cast("Told", data) if isinstance(data, dict) else told, approval)
            case Cleared(admitted, approval):
                return await self._run(Order(admitted, self._statement(name, admitted), purpose, approval))

    async def refuse(self, name: str, arguments: Mapping[str, Json], purpose: str, refused: Refused) -> NotDone:
        """Record what is not done."""
        statement = statement_of(name, digested(arguments, self.live.digest))
        decision = refused.decision
        request = refused_request(refused, purpose)
        return NotDone(decision.denial, await self._path.refuse(statement, request, decision))

    async def malformed(self, what: str, denial: Denial, purpose: str = "") -> NotDone:
        """Record that something was asked in a way that is not taken, which no policy has to decide."""
        return NotDone(denial, await self._path.refuse(what, Request("", (), purpose), Deny(denial)))

    async def _run(self, order: Order) -> Carried | NotDone:
        watched = self._path.watch(order.admitted, self.digest)
        done = await self._doing.run(self._path, self.live, replace(order, watched=watched))
        if done.denial is not None or done.shown is None:
            return NotDone(done.denial or NO_LEDGER, done.record)
        return Carried(done.shown, order.approval)

    def _statement(self, name: str, admitted: Admitted) -> str:
        return statement_of(name, in_clear(admitted.tool, admitted.view.grants, admitted.arguments, self.live.digest))
