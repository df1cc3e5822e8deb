"""`/api/v1`: what the command line does over the admin socket, over HTTP, for those with a role."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import cast

from bailiwick.control.callers import Callers
from bailiwick.control.ledger_answers import LedgerAnswers
from bailiwick.control.operations import ROOT, Operation, operations
from bailiwick.control.parameters import given
from bailiwick.control.replays import Replays
from bailiwick.control.web import Asked, Handler, Json, Reply, Routes, problem
from bailiwick.gateway.desk import Desk
from bailiwick.gateway.elevations.desk import ElevationDesk
from bailiwick.gateway.wire import Fields
from bailiwick.gateway.wire import Json as WireJson
from bailiwick.model.approval import Reviewer
from bailiwick.model.label import Level

Replay = Callable[[Mapping[str, WireJson], Level], Awaitable[Reply]]


class Api:
    """The operations."""

    def __init__(
        self,
        callers: Callers,
        desk: Callable[[], Desk | None],
        ledger: LedgerAnswers,
        replays: Replays,
        elevations: ElevationDesk,
    ) -> None:
        """`ledger` and `replays` answer what the desk does not."""
        self._callers = callers
        self._desk = desk
        self._ledger = ledger
        self._replays: Mapping[str, Replay] = {"/policy/plan": replays.plan, "/learn": replays.learn}
        self._elevations = elevations

    def routes(self) -> Routes:
        """Return who answers which path."""
        found: dict[str, dict[str, Handler]] = {}
        for each in operations:
            found.setdefault(ROOT + each.path, {})[each.method] = self._handler(each)
        return found

    def _handler(self, operation: Operation) -> Handler:
        async def answer(asked: Asked) -> Reply:
            own = await self._of_session(operation, asked) if operation.own else None
            if own is not None:
                return own
            caller = await self._callers.allowed(asked, operation.role)
            if isinstance(caller, Reply):
                return caller
            fields = given(operation, asked)
            if isinstance(fields, Reply):
                return fields
            if operation.do:
                return await self._at_desk(operation, fields, caller.reviewer)
            replay = self._replays.get(operation.path)
            if replay is not None:
                return await replay(fields, caller.clearance)
            return await self._ledger.answer(operation, fields, caller.clearance)

        return answer

    async def _of_session(self, operation: Operation, asked: Asked) -> Reply | None:
        """Answer an agent that brings its session's token; None for anybody else."""
        caller = await self._callers.caller(asked)
        if isinstance(caller, Reply) or caller.live is None:
            return None
        fields = given(operation, asked)
        if isinstance(fields, Reply):
            return fields
        desk = self._elevations
        if operation.own == "stands":
            return Reply(200, cast("Json", await desk.stands(Fields(fields), caller.live)))
        told = await desk.ask(Fields(fields), caller.live)
        found = cast("Mapping[str, Json]", told["elevation"])
        return Reply(202, cast("Json", told), (("location", f"{ROOT}/elevations/{found['id']}"),))

    async def _at_desk(self, operation: Operation, fields: Mapping[str, WireJson], by: Reviewer) -> Reply:
        desk = self._desk()
        if desk is None:
            return problem(503, "config", "the gateway is starting")
        return Reply(200, cast("Json", await desk.answer(operation.do, Fields(fields), by)))
