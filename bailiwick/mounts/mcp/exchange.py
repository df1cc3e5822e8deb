"""One request of an agent that is worked on: what is sent while it is, and how it ends. No HTTP.

The answer is a plain response as long as there is nothing to tell before it, and a stream of messages from then on.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Final, cast

from bailiwick.mounts.mcp import era, methods
from bailiwick.mounts.mcp.calls import ProtocolError
from bailiwick.mounts.mcp.clients import Client, Parked
from bailiwick.mounts.mcp.conversation import Conversation
from bailiwick.mounts.mcp.message import INVALID_PARAMS, Json, Message, write
from bailiwick.mounts.mcp.sealed import PREFIX, HeldResult, Waiting
from bailiwick.mounts.mcp.status import NAME

_most_parked = 8
_retried = ("inputResponses", "requestState", "_meta")
_WAIT: Final = "bailiwick/wait"
_ROUNDS: Final = 4
"""How often a client is asked to come again for what waits for people; then it is told how it stands."""
_ROUND_SECONDS: Final = 15.0
Event = dict[str, Json]


class Exchange:
    """The work on one request, and its conversation with the client."""

    def __init__(self, client: Client, message: Message, *, modern: bool) -> None:
        self._client = client
        self._message = message
        self._modern = modern
        self._meta = _object(message.params.get("_meta"))
        self._task: asyncio.Task[dict[str, Json]] | None = None
        self._conversation = self._new()
        self._waiting: Waiting | None = None
        """What it goes on waiting for, where it is a retry."""

    def begin(self) -> Event | None:
        """Begin, or go on where the retry's answers were asked for; return the response if that is all.

        Raises LookupError for a method that is no work."""
        params = self._message.params
        state = params.get("requestState") if self._modern else None
        if isinstance(state, str) and state.startswith(PREFIX):
            return self._go_on_waiting(state)
        if self._modern and "requestState" in params:
            parked = self._client.unpark(params["requestState"], self._digest())
            if parked is None:
                error = ProtocolError(INVALID_PARAMS, "`requestState` is of no request that waits")
                return methods.failure(self._message, error, modern=True)
            self._task, self._conversation = parked.task, parked.conversation
            self._conversation.answered(_object(params.get("inputResponses")))
            return None
        work = methods.work(self._client, self._message, self._conversation)
        if work is None:
            raise LookupError(self._message.method)
        self._task = self._client.start(self._message.id, work)
        return None

    def _go_on_waiting(self, state: str) -> Event | None:
        """Make a call again that waits for people, and wait for them."""
        client = self._client
        self._waiting = waiting = client.seal.open(state, client.live.session.id, self._digest())
        if waiting is None:
            error = ProtocolError(INVALID_PARAMS, "`requestState` is of no request that waits")
            return methods.failure(self._message, error, modern=True)
        params = {**self._message.params, "_meta": {**self._meta, _WAIT: _ROUND_SECONDS}}
        work = methods.work(client, replace(self._message, params=params), self._conversation)
        if work is None:
            raise LookupError(self._message.method)
        self._task = client.start(self._message.id, self._unless_over(waiting, work))
        return None

    async def _unless_over(self, waiting: Waiting, work: Coroutine[object, object, dict[str, Json]]) -> dict[str, Json]:
        try:
            if await self._client.calls.is_over(waiting.approval):
                raise ProtocolError(INVALID_PARAMS, "what `requestState` is of is over: make the call anew")
            return await work
        finally:
            work.close()

    def _come_again(self, result: HeldResult) -> Event | None:
        """Return the answer that asks a client to come again; None where it is told how it stands instead."""
        before, session = self._waiting, self._client.live.session.id
        rounds = 1 if before is None else before.rounds + 1
        other = before is not None and before.approval != result.approval
        if not self._modern or _WAIT in self._meta or other or rounds > _ROUNDS:
            return None
        state = self._client.seal.close(Waiting(result.approval, rounds), session, self._digest())
        told = _object(result["structuredContent"]).get(NAME)
        asked: dict[str, Json] = {"requestState": state, "_meta": {f"bailiwick/{NAME}": told}}
        return methods.answer(self._message, {"resultType": "input_required", **asked}, modern=True)

    async def run(self, tell: Callable[[Event], Awaitable[None]], left: asyncio.Future[None]) -> Event | None:
        """Tell what is to be told, and return the response; None when nobody waits for it any more."""
        task, talk = self._begun(), self._conversation
        while not talk.asked():
            await talk.news(task, left)
            while talk.outgoing and not left.done():
                await tell(talk.outgoing.popleft())
            if task.done():
                return await self._over(task)
            if left.done():
                self._leave(task)
                return None
        return self._asked(task)

    def _begun(self) -> asyncio.Task[dict[str, Json]]:
        if self._task is None:
            raise LookupError(self._message.method)
        return self._task

    def _leave(self, task: asyncio.Task[dict[str, Json]]) -> None:
        """The client has left: that cancels in the modern revision; in the legacy ones it does not."""
        self._conversation.close()
        if self._modern:
            task.cancel()

    async def _over(self, task: asyncio.Task[dict[str, Json]]) -> Event | None:
        if task.cancelled():
            if self._client.ended is None:
                return None  # the client cancelled it, and expects no response
            return methods.refused(self._message, self._client.ended, modern=self._modern)
        error = task.exception()
        if error is None:
            result = task.result()
            again = self._come_again(result) if isinstance(result, HeldResult) else None
            if again is not None:
                return again
            return methods.answer(self._message, result, modern=self._modern)
        if not isinstance(error, ProtocolError):
            error = await self._client.calls.failed(self._message.method, error)
        return methods.failure(self._message, error, modern=self._modern)

    def mute(self) -> None:
        """Tell and ask nothing: the client takes no stream of messages."""
        self._conversation.close()

    def _asked(self, task: asyncio.Task[dict[str, Json]]) -> Event:
        if len(self._client.parked) >= _most_parked:
            self._leave(task)
            error = ProtocolError(INVALID_PARAMS, "too many requests of this session wait for answers")
            return methods.failure(self._message, error, modern=True)
        state = self._client.park(Parked(self._digest(), task, self._conversation))
        asked: dict[str, Json] = {"inputRequests": self._conversation.asked(), "requestState": state}
        return methods.answer(self._message, {"resultType": "input_required", **asked}, modern=True)

    def _digest(self) -> str:
        """Return the digest of what is asked, whatever the round."""
        params = {key: value for key, value in self._message.params.items() if key not in _retried}
        told = write([self._message.method, sorted((key, write(value).decode()) for key, value in params.items())])
        return hashlib.sha256(told).hexdigest()

    def _new(self) -> Conversation:
        token = self._meta.get("progressToken")
        if self._modern:
            level = self._meta.get(era.LEVEL_KEY)
            able = _object(self._meta.get(era.CAPABILITIES_KEY))
            return Conversation(None, able, level if isinstance(level, str) else None, token)
        client = self._client
        return Conversation(client.questions, client.capabilities, client.level, token)


def _object(found: Json) -> Mapping[str, Json]:
    return cast("dict[str, Json]", found) if isinstance(found, dict) else {}
