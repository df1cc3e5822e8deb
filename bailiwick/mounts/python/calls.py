"""The functions of one session on the one path: the application executes them between `begin` and `end`.

An intent is always on record before `begin` answers: what a function does is nobody's to see from here.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import cast

from bailiwick.decide.calls import Admitted, Held, Refused
from bailiwick.gateway.approvals.records import verdict
from bailiwick.gateway.call import Call
from bailiwick.gateway.enforce import Gateway
from bailiwick.gateway.moments import utc_now
from bailiwick.gateway.sessions.live import Live
from bailiwick.gateway.wire import Json
from bailiwick.match.masks import Digest
from bailiwick.model.approval import Approval
from bailiwick.model.decision import Denial, Deny, Hold, Request
from bailiwick.model.scope import ToolScope
from bailiwick.mounts.held_calls import Asked as HeldCall
from bailiwick.mounts.held_calls import Barred, Cleared, HeldCalls, Pending, Ran
from bailiwick.mounts.mcp.listing import narrowed
from bailiwick.mounts.priced import told_in_body
from bailiwick.mounts.python.looking import Came, is_looked_at, late, looked_at
from bailiwick.mounts.recorded import digested, in_clear, statement_of
from bailiwick.mounts.tool_path import Done, ToolPath, refused_request, request_of

most_calls = 32
"""Calls of one session at once."""
kept_seconds = 60.0
"""How long what came of a call is kept for an application that does not ask for it."""
_BUSY = Denial("limit_exceeded", "this session has too many calls in flight", remedy="wait for some of them")
OVER = Denial(
    "timeout_exceeded", "this call is not under way any more", remedy="what it did is on record; look before trying it"
)


@dataclass(frozen=True, slots=True)
class Terms:
    """What every call of this gateway is held to."""

    longest_time: float
    """Seconds, where no ceiling says otherwise."""
    digest: Digest


@dataclass(frozen=True, slots=True)
class Asked:
    """A call that an application asks for."""

    name: str
    arguments: Mapping[str, Json]
    takes: Collection[str]
    """The parameters of the function as it is now."""
    purpose: str
    patience: float = 0.0
    """Seconds that it waits for people, where a gate holds it."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A call that may be executed now, with exactly these arguments."""

    call: str
    arguments: Mapping[str, Json]
    whole: bool
    """Whether it is shown as it is, also what it raises."""
    looked: bool
    """Whether its result is to be handed in."""
    seconds: float


@dataclass(frozen=True, slots=True)
class Denied:
    """A call of which nothing is done or shown, and the record that tells of it."""

    denial: Denial
    record: str = ""
    approval: str = ""
    """What it waits for, where it does."""


@dataclass(frozen=True, slots=True)
class _UnderWay:
    begun: asyncio.Future[None]
    came: asyncio.Future[tuple[Came, Json] | Denial]
    task: asyncio.Task[Done[Json]]


class Functions:
    """The functions of one session, and its calls of them."""

    def __init__(self, gateway: Gateway, live: Live, terms: Terms, numbers: Iterator[int]) -> None:
        self.live = live
        self.ended: Denial | None = None
        self._gateway = gateway
        self._terms = terms
        self._path = ToolPath(gateway, live)
        self._held = HeldCalls(gateway, live, self._path)
        self._under_way: dict[str, _UnderWay] = {}
        self._numbers = numbers

    async def begin(self, asked: Asked) -> Begun | Denied:
        """Admit a call and have its intent on record, or say why it may not be."""
        blocked = self.ended or self.live.blocked()
        busy = _BUSY if len(self._under_way) >= most_calls else None
        if blocked is not None or busy is not None:
            denial = blocked or _BUSY
            return await self._refuse(asked, Request("", (), asked.purpose), Deny(denial))
        decided = self._gateway.decide_function(self.live, asked.name, asked.arguments)
        if isinstance(decided, Refused):
            return await self._refuse(asked, refused_request(decided, asked.purpose), decided.decision)
        changed = _changed(decided.tool, asked.takes)
        if changed is not None:
            return await self._refuse(asked, request_of(decided.tool, asked.purpose), Deny(changed))
        if isinstance(decided, Admitted):
            return await self._begin(asked, decided, None)
        cleared = await self._held.clear(decided, self._as_held(asked, decided.admitted), asked.patience)
        match cleared:
            case Pending():
                return Denied(cleared.denial, cleared.record, cleared.approval.id)
            case Barred():
                return Denied(cleared.denial, cleared.record)
            case Ran():
                return Denied(verdict(cleared.approval))  # never: what an application runs, the gateway does not
            case Cleared():
                return await self._begin(asked, cleared.admitted, cleared.approval)

    def _as_held(self, asked: Asked, admitted: Admitted) -> HeldCall:
        arguments = cast("Mapping[str, Json]", admitted.arguments)
        told = in_clear(admitted.tool, admitted.view.grants, arguments, self.live.digest)
        detail = {"function": admitted.tool.tool.name}
        return HeldCall(asked.name, statement_of(asked.name, told), asked.purpose, detail)

    def has(self, number: str) -> bool:
        """Return whether a call of that number is under way here, or was a moment ago."""
        return number in self._under_way

    async def end(self, number: str, how: Came, result: Json) -> Done[Json]:
        """Take what came of a call; return what is shown of it, when that is on record."""
        known = self._under_way.get(number)
        if known is None:
            return Done(denial=OVER)
        if not known.came.done():
            known.came.set_result((how, result))
        await asyncio.wait({known.task})
        self._under_way.pop(number, None)
        return Done(denial=OVER) if known.task.cancelled() else known.task.result()

    def decide(self, name: str, arguments: Mapping[str, Json]) -> Admitted | Denial:
        """Say what would be decided about a call. Nothing is done, and nothing recorded."""
        refused = self.ended or self.live.refused(utc_now())
        if refused is not None:
            return refused
        decided = self._gateway.decide_function(self.live, name, arguments)
        if isinstance(decided, Held):
            return decided.hold.denial
        return decided.decision.denial if isinstance(decided, Refused) else decided

    def listed(self, schemas: Mapping[str, Json]) -> list[dict[str, Json]]:
        """Return the functions that the session may call; their schemas are those given, narrowed to it."""
        session = self.live.session
        found: list[dict[str, Json]] = []
        for name, tool in self.live.functions.tools.items():
            schema = narrowed(_with_schema(tool, schemas.get(name)), lambda ref: session.value(ref.path))
            if schema is not None:
                found.append({"name": name, "description": tool.tool.description, "schema": cast("Json", schema)})
        return found

    def cut(self, denial: Denial) -> None:
        """End it at once: nothing more is begun, nothing of what runs is shown."""
        self.ended = denial
        for each in self._under_way.values():
            if not each.came.done():
                each.came.set_result(denial)

    async def close(self) -> None:
        """Wait until what was under way is on record."""
        tasks = [each.task for each in self._under_way.values()]
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _begin(self, asked: Asked, admitted: Admitted, approval: Approval | None) -> Begun | Denied:
        tool, loop = admitted.tool, asyncio.get_running_loop()
        begun: asyncio.Future[None] = loop.create_future()
        came: asyncio.Future[tuple[Came, Json] | Denial] = loop.create_future()
        bounds = admitted.allow.ceilings
        seconds = self._terms.longest_time if bounds is None or bounds.timeout is None else bounds.timeout
        price = tool.tool.cost
        measured = self._gateway.measured(self.live, admitted.allow, price)
        looked = is_looked_at(admitted) or bool(measured & {"rows", "bytes"}) or (price is not None and price.is_told)
        looked = looked or tool.mount in self.live.scope.observed

        watched = self._path.watch(admitted, self._terms.digest)

        async def execute() -> Done[Json]:
            begun.set_result(None)
            done = await self._executed(admitted, came, seconds, looked=looked)
            if watched is not None and done.shown is not None:
                watched.result(done.shown)
            return done

        arguments = cast("Mapping[str, Json]", admitted.arguments)
        statement = statement_of(asked.name, in_clear(tool, admitted.view.grants, arguments, self.live.digest))
        request = request_of(tool, asked.purpose)
        call = Call(tool.mount, statement, request, admitted.allow, {"function": tool.tool.name})
        run = self._path.run(call, execute, intends=True, price=price, approval=approval, watched=watched)
        task = loop.create_task(run)
        number = str(next(self._numbers))
        self._under_way[number] = _UnderWay(begun, came, task)
        try:
            await asyncio.wait({begun, task}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:  # whoever asked has gone: it will not execute it
            task.cancel()
            self._under_way.pop(number, None)
            raise
        if not begun.done():
            self._under_way.pop(number, None)
            done = task.result()
            return Denied(done.denial or OVER, done.record)
        task.add_done_callback(lambda _: loop.call_later(kept_seconds, self._under_way.pop, number, None))
        return Begun(number, arguments, admitted.view.whole, looked, seconds)

    async def _executed(
        self, admitted: Admitted, came: asyncio.Future[tuple[Came, Json] | Denial], seconds: float, *, looked: bool
    ) -> Done[Json]:
        try:
            found = await asyncio.wait_for(came, seconds)
        except TimeoutError:
            return Done(denial=late(admitted))
        if isinstance(found, Denial):
            return Done(denial=found)
        session, (how, result), digest = self.live.session, found, self._terms.digest
        done = looked_at(admitted, how, result, lambda ref: session.value(ref.path), utc_now, digest, looked=looked)
        return replace(done, cost=told_in_body(admitted.tool.tool.cost, result))

    async def _refuse(self, asked: Asked, request: Request, decision: Deny | Hold) -> Denied:
        statement = statement_of(asked.name, digested(asked.arguments, self.live.digest))
        return Denied(decision.denial, await self._path.refuse(statement, request, decision))


def _changed(tool: ToolScope, takes: Collection[str]) -> Denial | None:
    """Return why the function is not the one that the policy speaks of, None when it can be."""
    lost = [name for name in tool.tool.parameters or () if name not in takes]
    if not lost:
        return None
    message = f"the function has no parameter `{lost[0]}`, which the policy says that it takes"
    return Denial("tool_changed", message, "", "correct `parameters` in the policy, or the function")


def _with_schema(tool: ToolScope, schema: Json) -> ToolScope:
    """Return a function with the application's own schema of it, cut down to the parameters that the policy knows."""
    if not isinstance(schema, dict):
        return tool
    properties = schema.get("properties")
    known = tool.tool.parameters or ()
    kept = {key: each for key, each in properties.items() if key in known} if isinstance(properties, dict) else {}
    definition = json.dumps({"inputSchema": {**schema, "properties": kept}}, sort_keys=True)
    return replace(tool, locked=replace(tool.locked, definition=definition))
