"""What a session asks of its mounts: calls of tools, uses of prompts, reads of documents, completions.

Each is decided here and then run, or recorded as not done. What the gateway's own tools do stands in `builtin`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import cast

from bailiwick.decide.calls import Admitted, Refused
from bailiwick.decide.denials import words_of
from bailiwick.errors import SessionError
from bailiwick.gateway.approvals.executing import Void
from bailiwick.gateway.approvals.held import given_in
from bailiwick.gateway.approvals.results import Came
from bailiwick.gateway.call import Call
from bailiwick.gateway.enforce import Gateway
from bailiwick.gateway.enforcer import Failed
from bailiwick.gateway.sessions.live import Live
from bailiwick.model.approval import Approval
from bailiwick.model.decision import Allow, Denial, DenialCode, Deny, Request
from bailiwick.model.tool import Kind, keyed
from bailiwick.mounts.held_calls import OTHER, Barred, Cleared, HeldCalls, Pending, Ran, decided_again, status_of
from bailiwick.mounts.held_calls import Asked as HeldCall
from bailiwick.mounts.mcp.builtin import BuiltIn
from bailiwick.mounts.mcp.contents import Looked, Result, Sight, completion_of, document_of, prompt_of
from bailiwick.mounts.mcp.errands import Errand, Errands, NotDone, ServerError, Terms, Told, said_observed
from bailiwick.mounts.mcp.message import INTERNAL_ERROR, INVALID_PARAMS, Json
from bailiwick.mounts.mcp.offered import OwnCall, OwnRun
from bailiwick.mounts.mcp.relay import Answered, Audience
from bailiwick.mounts.mcp.relay import refusal as refusal_of
from bailiwick.mounts.mcp.replies import as_data, denied, looked_at
from bailiwick.mounts.mcp.sealed import HeldResult
from bailiwick.mounts.mcp.status import NAME
from bailiwick.mounts.offered import Before
from bailiwick.mounts.recorded import digested, in_clear, statement_of
from bailiwick.mounts.tool_path import NO_LEDGER, refused_request

_longest_reason = 500
_longest_typed = 1000
_patience = 60.0
"""Seconds that a client waits for people which listens to progress, and does not say for how long."""
_tell_seconds = 5.0
NOT_FOUND = -32002
"""JSON-RPC's code for a resource that does not exist."""


class ProtocolError(Exception):
    """A request that is answered with a JSON-RPC error, not with a result."""

    def __init__(self, code: int, message: str, data: Json = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


Look = Callable[[Sight, Mapping[str, Json]], Looked]


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the agent named, and what of it may be told."""

    kind: Kind
    name: str
    arguments: Mapping[str, Json]
    purpose: str
    wait: float | None = None
    """Seconds that the client says that it waits for people."""


class Calls:
    """What one session asks. Every method raises ProtocolError for a request that makes no sense."""

    def __init__(self, gateway: Gateway, live: Live, errands: Errands, built_in: BuiltIn, terms: Terms) -> None:
        self._gateway = gateway
        self._live = live
        self._errands = errands
        self._built_in = built_in
        self._terms = terms
        self._held = HeldCalls(gateway, live, errands.path)

    async def call(self, params: Mapping[str, Json], audience: Audience) -> Result:
        """Do what a `tools/call` asks, or say why not in the result."""
        asked = _asked("tool", params)
        own = self._built_in.named(asked.name, self._live)
        if own is not None:
            return await self._own(asked, own)
        offered = self._built_in.offered(asked.name, self._live)
        if offered is not None:
            return await self._offered(asked, offered, audience)
        before = Before(asked.name, asked.arguments, asked.purpose, _patience_of(asked, audience))
        async with self._errands.prepared(before) as missing:
            done = missing or await self._decided(
                asked, audience, lambda found: ("tools/call", _sent(found), looked_at)
            )
        return not_done(done) if isinstance(done, NotDone) else _result(done)

    async def prompt(self, params: Mapping[str, Json], audience: Audience) -> Result:
        """Do what a `prompts/get` asks."""
        asked = _asked("prompt", params)
        if not all(isinstance(value, str) for value in asked.arguments.values()):
            raise ProtocolError(INVALID_PARAMS, "the arguments of a prompt are texts")
        return _result(await self._decided(asked, audience, lambda found: ("prompts/get", _sent(found), prompt_of)))

    async def read(self, params: Mapping[str, Json], audience: Audience) -> Result:
        """Do what a `resources/read` asks."""
        uri = params.get("uri")
        if not isinstance(uri, str):
            raise ProtocolError(INVALID_PARAMS, "`uri` is not a text")
        asked = _Asked("document", uri, {}, *_said(params))
        sent: dict[str, Json] = {"uri": uri}
        return _result(
            await self._decided(
                asked,
                audience,
                lambda _: ("resources/read", sent, lambda sight, result: document_of(sight, uri, result)),
            )
        )

    async def complete(self, params: Mapping[str, Json], audience: Audience) -> Result:
        """Do what a `completion/complete` asks."""
        kind, name, argument, typed, others = _completion(params)
        asked = _Asked(kind, name, {argument: typed}, *_said(params))
        blocked = self._live.blocked()
        if blocked is not None:
            return _result(await self._refused(asked, Refused(None, Deny(blocked))))
        found = self._gateway.decide_completion(self._live, kind, name, argument)
        if isinstance(found, Refused):
            return _result(await self._refused(asked, found))
        tool = found.admitted.tool.tool
        ref = {"type": "ref/prompt", "name": tool.name} if kind == "prompt" else {"type": "ref/resource", "uri": name}
        known = {key: value for key, value in others.items() if found.shows(key, value)}
        sent = {"ref": ref, "argument": {"name": argument, "value": typed}, "context": {"arguments": known}}
        statement = statement_of(f"complete {keyed(kind, name)}", digested(asked.arguments, self._live.digest))
        errand = Errand(
            found.admitted,
            statement,
            asked.purpose,
            "completion/complete",
            sent,
            lambda _, result: completion_of(result, lambda value: found.shows(argument, value)),
        )
        return _result(await self._errands.run(errand, audience))

    async def failed(self, method: str, error: BaseException) -> ProtocolError:
        """Record that the gateway itself failed on something; return what is said of it."""
        return internal_error(await self._gateway.failed(error, method, self._live))

    async def _decided(
        self, asked: _Asked, audience: Audience, plan: Callable[[Admitted], tuple[str, Mapping[str, Json], Look]]
    ) -> Told:
        blocked = self._live.blocked()
        if blocked is not None:
            return await self._refused(asked, Refused(None, Deny(blocked)))
        decided = self._gateway.decide_call(self._live, asked.name, asked.arguments, asked.kind)
        if isinstance(decided, Refused):
            return await self._refused(asked, decided)
        if isinstance(decided, Admitted):
            statement = self._statement(asked, decided)
            return await self._errands.run(Errand(decided, statement, asked.purpose, *plan(decided)), audience)
        key = keyed(asked.kind, asked.name)
        waiting = HeldCall(key, self._statement(asked, decided.admitted), asked.purpose, {asked.kind: asked.name})
        patience = _patience_of(asked, audience)
        telling = asyncio.ensure_future(_tell_of_waiting(audience))
        try:
            cleared = await self._held.clear(decided, waiting, patience)
        finally:
            telling.cancel()
        match cleared:
            case Pending():
                return NotDone(cleared.denial, cleared.record, cleared.approval)
            case Barred():
                return NotDone(cleared.denial, cleared.record)
            case Ran():
                return ran(cleared)
            case Cleared(admitted, approval):
                statement = self._statement(asked, admitted)
                errand = Errand(admitted, statement, asked.purpose, *plan(admitted), approval)
                return modified(await self._errands.run(errand, audience), cleared)

    async def is_over(self, approval_id: str) -> bool:
        """Return whether a request that waited for people is over, so that making it again would be another one."""
        try:
            found = await self._gateway.approvals.find(approval_id)
        except SessionError:
            return True
        ran = found.state == "EXECUTED" and found.terms.mode == "wait"
        return ran or found.state in ("FAILED", "EXPIRED", "WITHDRAWN")

    async def run_approved(self, approval: Approval) -> Came | Void:
        """Run a call that people have approved, for who is not there; return what came of it."""
        tool = self._live.scope.tools.get(approval.subject.text)
        if tool is None:
            return Void(OTHER)
        before = Before(approval.subject.text, given_in(tool, approval.subject), approval.purpose, 0.0)
        async with self._errands.prepared(before) as missing:
            if missing is not None:
                return {"denied": as_data(missing.denial, missing.record)}
            return await self._run_approved(approval)

    async def _run_approved(self, approval: Approval) -> Came | Void:
        admitted = decided_again(self._gateway, self._live, approval)
        if isinstance(admitted, Denial):
            return Void(admitted)
        asked = _Asked("tool", approval.subject.text, {}, approval.purpose)
        statement = self._statement(asked, admitted)
        params = _sent(admitted)
        errand = Errand(admitted, statement, asked.purpose, "tools/call", params, looked_at, approval)
        done = modified(await self._errands.run(errand, NOBODY), Cleared(admitted, approval))
        if isinstance(done, NotDone):
            return {"denied": as_data(done.denial, done.record)}
        return {"error": {"code": done.code, "message": done.message}} if isinstance(done, ServerError) else {**done}

    def _statement(self, asked: _Asked, admitted: Admitted) -> str:
        tool, digest = admitted.tool, self._live.digest
        name = keyed("document", tool.tool.name) if asked.kind == "document" else keyed(asked.kind, asked.name)
        return statement_of(name, in_clear(tool, admitted.view.grants, admitted.arguments, digest))

    async def _refused(self, asked: _Asked, refused: Refused) -> NotDone:
        statement = statement_of(keyed(asked.kind, asked.name), digested(asked.arguments, self._live.digest))
        return await self._errands.refuse(statement, refused_request(refused, asked.purpose), refused.decision)

    async def _offered(self, asked: _Asked, run: OwnRun, audience: Audience) -> Result:
        """Answer with a tool that a mount offers; it decides and records by itself."""
        patience = _patience_of(asked, audience)
        telling = asyncio.ensure_future(_tell_of_waiting(audience))
        try:
            return self._said(asked, await run(OwnCall(asked.arguments, asked.purpose, patience)))
        finally:
            telling.cancel()

    async def _own(self, asked: _Asked, run: Callable[[Mapping[str, Json]], Awaitable[Result]]) -> Result:
        """Answer with one of the gateway's own tools; a statement on a mount was recorded there, and is not told twice.

        This record has the name only: an argument may be SQL, of which no literal belongs into the ledger.
        """
        request = Request("", (), asked.purpose)
        blocked = self._live.blocked()
        if blocked is not None:
            told = await self._errands.refuse(asked.name, request, Deny(blocked))
            return denied(told.denial, told.record)
        result = self._said(asked, await run(asked.arguments))
        if asked.name == "query" and _is_on_record(result):
            return result
        call = Call("", asked.name, request, _decision_of(result))
        kept, record = await self._errands.path.tell(call)
        if not kept:
            return denied(NO_LEDGER)
        return result if isinstance(call.decision, Allow) else denied(call.decision.denial, record)

    def _said(self, asked: _Asked, result: Result) -> Result:
        """Return a result of the gateway's own tools, which says where the session is observed: on the mount that is
        named, or on any."""
        observed, mount = self._live.scope.observed, asked.arguments.get("mount")
        return said_observed(result) if (mount in observed if isinstance(mount, str) else observed) else result


def _is_on_record(result: Result) -> bool:
    """Return whether what came of a statement names its record."""
    data = _data(result)
    return bool(data.get("record") or data.get("decision"))


def _decision_of(result: Result) -> Allow | Deny:
    """Return what was decided, of a tool of the gateway's own that answers with a denial or with what was asked for."""
    data = _data(result)
    code = data.get("code")
    if not result.get("isError") or not isinstance(code, str):
        return Allow(())
    message, allowed, remedy = (str(data.get(each, "")) for each in ("message", "allowed", "remedy"))
    return Deny(Denial(cast("DenialCode", code), message, allowed, remedy))  # `denied` wrote it


def _data(result: Result) -> Mapping[str, Json]:
    data = result.get("structuredContent")
    return cast("Mapping[str, Json]", data) if isinstance(data, dict) else {}


def _patience_of(asked: _Asked, audience: Audience) -> float:
    """Return how many seconds a client waits for people."""
    return asked.wait if asked.wait is not None else _patience if audience.token is not None else 0.0


async def _tell_of_waiting(audience: Audience) -> None:
    """Tell of progress now and then, so that the client goes on waiting. What a server tells later is always more."""
    steps = 0
    while audience.token is not None:
        told: dict[str, Json] = {"progressToken": audience.token, "progress": steps / 1_000_000}
        audience.tell("notifications/progress", {**told, "message": "waits for an approval"})
        steps += 1
        await asyncio.sleep(_tell_seconds)


def ran(found: Ran) -> Told:
    """Return what came of a call that the gateway has run itself, to whoever makes it again."""
    told = found.told
    error = told.get("error")
    if isinstance(error, dict) and "content" not in told:
        said = cast("Mapping[str, Json]", error)
        code = said.get("code")
        return ServerError(code if isinstance(code, int) else INTERNAL_ERROR, str(said.get("message", "")))
    if "content" in told:
        return {**told}
    data: dict[str, Json] = {**told, "approval": found.approval.id}
    text = json.dumps(data, ensure_ascii=False)
    return {"content": [{"type": "text", "text": text}], "structuredContent": data, "isError": "denied" in told}


class _Nobody:
    """Of a call that the gateway runs itself: nobody is there to be told or asked anything."""

    capabilities: Mapping[str, Json] = {}
    level: str | None = None
    token: str | int | None = None

    def tell(self, method: str, params: Mapping[str, Json]) -> None:
        """Nobody hears it."""

    async def ask(self, method: str, params: Mapping[str, Json]) -> Answered:
        """Nobody answers."""
        del method, params
        return refusal_of(INTERNAL_ERROR, "nobody is there who could answer")


NOBODY = _Nobody()


def not_done(told: NotDone) -> Result:
    """Return what was not done as a tool's result; of what waits for people with how it stands."""
    found = denied(told.denial, told.record)
    if told.approval is None:
        return found
    data = cast("dict[str, Json]", found["structuredContent"])
    made = HeldResult({**found, "structuredContent": {**data, NAME: status_of(told.approval)}})
    made.approval = told.approval.id
    return made


def modified(told: Told, cleared: Cleared) -> Told:
    """Return a result that says so when people have changed the call before they approved it."""
    if isinstance(told, NotDone | ServerError) or not cleared.approval.modified:
        return told
    sent = json.dumps(cleared.admitted.arguments, ensure_ascii=False)
    said = f"a reviewer changed this call before approving it ({cleared.approval.id}); it ran with {sent}"
    content = told.get("content")
    if not isinstance(content, list):
        return told
    return {**told, "content": [{"type": "text", "text": said}, *cast("list[Json]", content)]}


def _result(told: Told) -> Result:
    """Return the result; what is none is a JSON-RPC error."""
    if isinstance(told, NotDone):
        raise refusal(told.denial, told.record)
    if isinstance(told, ServerError):
        raise ProtocolError(told.code, told.message)
    return told


def refusal(denial: Denial, record: str = "") -> ProtocolError:
    """Return a denial as the error of a request whose results cannot say so."""
    code = NOT_FOUND if denial.code == "resource_unknown" else INVALID_PARAMS
    return ProtocolError(code, words_of(denial), as_data(denial, record))


def internal_error(failed: Failed) -> ProtocolError:
    """Return what is said of a failure of the gateway's own."""
    return ProtocolError(INTERNAL_ERROR, words_of(failed.denial), as_data(failed.denial, failed.record))


def _sent(admitted: Admitted) -> dict[str, Json]:
    return {"name": admitted.tool.tool.name, "arguments": admitted.arguments}


def _asked(kind: Kind, params: Mapping[str, Json]) -> _Asked:
    name, given = params.get("name"), params.get("arguments", {})
    if not isinstance(name, str) or not isinstance(given, dict):
        raise ProtocolError(INVALID_PARAMS, "`name` is not a text, or `arguments` not an object")
    return _Asked(kind, name, cast("dict[str, Json]", given), *_said(params))


def _completion(params: Mapping[str, Json]) -> tuple[Kind, str, str, str, Mapping[str, str]]:
    """Return what is to be completed: kind, name, argument, what was typed of it, and the other arguments."""
    ref, argument, around = (_object(params.get(key)) for key in ("ref", "argument", "context"))
    kind: Kind = "prompt" if ref.get("type") == "ref/prompt" else "document"
    name = ref.get("name" if kind == "prompt" else "uri")
    key, typed = argument.get("name"), argument.get("value")
    if ref.get("type") not in ("ref/prompt", "ref/resource") or not isinstance(name, str):
        raise ProtocolError(INVALID_PARAMS, "`ref` is neither a prompt nor a resource")
    if not isinstance(key, str) or not isinstance(typed, str) or len(typed) > _longest_typed:
        raise ProtocolError(INVALID_PARAMS, "`argument` has no name and short value")
    others = _object(around.get("arguments")).items()
    return kind, name, key, typed, {other: value for other, value in others if isinstance(value, str)}


def _object(found: Json) -> Mapping[str, Json]:
    return cast("dict[str, Json]", found) if isinstance(found, dict) else {}


def _said(params: Mapping[str, Json]) -> tuple[str, float | None]:
    """Return the agent's own reason, and how many seconds it waits for people (`_meta`: `bailiwick/wait`)."""
    wait = _object(params.get("_meta")).get("bailiwick/wait")
    known = isinstance(wait, int | float) and not isinstance(wait, bool) and wait >= 0
    return _purpose(params), float(wait) if known and isinstance(wait, int | float) else None


def _purpose(params: Mapping[str, Json]) -> str:
    """Return the agent's own claim of its reason: `_meta` of the call, `bailiwick/reason`."""
    reason = _object(params.get("_meta")).get("bailiwick/reason")
    return reason[:_longest_reason] if isinstance(reason, str) else ""
