"""One request of an agent's client, while it is worked on: what it is told and asked meanwhile.

In the legacy revisions the client is asked on the stream of its request, and answers by a message of its own. In the
modern one the request ends with what is asked, and is sent anew with the answers: the work waits for that.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Mapping
from typing import Any, cast

from bailiwick.mounts.mcp.message import INTERNAL_ERROR, Json
from bailiwick.mounts.mcp.relay import LEVELS, Answered, refusal

_most_waiting = 1000
"""Messages that a client may leave unread before it is told no more."""


class Questions:
    """The questions that a client was asked on streams, by their ids; the answers come by messages of their own."""

    def __init__(self) -> None:
        self._open: dict[str, asyncio.Future[Answered]] = {}

    def ask(self) -> tuple[str, asyncio.Future[Answered]]:
        """Return a new question's id, and its answer to wait for."""
        identity = f"bailiwick-{secrets.token_hex(12)}"
        answer: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
        self._open[identity] = answer
        return identity, answer

    def close(self, identity: str) -> None:
        """Wait no longer."""
        self._open.pop(identity, None)

    def answered(self, message: Mapping[str, Json]) -> None:
        """Take an answer; one that nobody waits for is ignored."""
        identity = message.get("id")
        answer = self._open.pop(identity, None) if isinstance(identity, str) else None
        if answer is not None and not answer.done():
            answer.set_result(_answer(message))


def _answer(message: Mapping[str, Json]) -> Answered:
    result, error = message.get("result"), message.get("error")
    if isinstance(result, dict):
        return cast("dict[str, Json]", result), None
    if isinstance(error, dict):
        given = cast("dict[str, Json]", error)
        code, words = given.get("code"), given.get("message")
        if isinstance(code, int) and isinstance(words, str):
            return None, {"code": code, "message": words[:1000]}
    return refusal(INTERNAL_ERROR, "the client's answer is none")


class Conversation:
    """An `Audience`. What is to be sent stands in `outgoing`, until its owner closes it."""

    def __init__(
        self, questions: Questions | None, capabilities: Mapping[str, Json], level: str | None, token: Json
    ) -> None:
        self.capabilities = capabilities
        self.level = level if level in LEVELS else None
        self.token = token if isinstance(token, str | int) and not isinstance(token, bool) else None
        self.outgoing: deque[dict[str, Json]] = deque()
        self._stirred = False
        """Whether there is something to send, or to end the request with, that `news` has not told of."""
        self._waiting: asyncio.Future[None] | None = None
        self._questions = questions
        self._open: dict[str, tuple[Mapping[str, Json], asyncio.Future[Answered]]] = {}
        self._closed = False

    async def news(self, *others: asyncio.Future[Any]) -> None:
        """Return when there is something to send, or to end the request with, or one of the others is done."""
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def stir(_: object) -> None:
            if not waiting.done():
                waiting.set_result(None)

        self._waiting = waiting
        for each in others:
            each.add_done_callback(stir)
        try:
            if not self._stirred:
                await waiting
        finally:
            self._stirred, self._waiting = False, None
            for each in others:
                each.remove_done_callback(stir)

    def _stir(self) -> None:
        self._stirred = True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def tell(self, method: str, params: Mapping[str, Json]) -> None:
        """Send the client a notification, unless it does not read."""
        if not self._closed and len(self.outgoing) < _most_waiting:
            self._send({"jsonrpc": "2.0", "method": method, "params": params})

    async def ask(self, method: str, params: Mapping[str, Json]) -> Answered:
        """Ask the client, and wait for its answer."""
        if self._closed or len(self.outgoing) >= _most_waiting:
            return refusal(INTERNAL_ERROR, "the client cannot be asked")
        if self._questions is None:
            return await self._asked_in_reply(method, params)
        identity, answer = self._questions.ask()
        self._open[identity] = ({}, answer)
        self._send({"jsonrpc": "2.0", "id": identity, "method": method, "params": params})
        try:
            return await answer
        except asyncio.CancelledError:
            self.tell("notifications/cancelled", {"requestId": identity, "reason": "no longer needed"})
            raise
        finally:
            self._open.pop(identity, None)
            self._questions.close(identity)

    async def _asked_in_reply(self, method: str, params: Mapping[str, Json]) -> Answered:
        key = f"q-{secrets.token_hex(4)}"
        answer: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
        self._open[key] = ({"method": method, "params": params}, answer)
        self._stir()
        try:
            return await answer
        finally:
            self._open.pop(key, None)

    def asked(self) -> dict[str, Json]:
        """Return what is asked and not answered, as the modern revision has it; in the others it was sent."""
        return {key: question for key, (question, answer) in self._open.items() if question and not answer.done()}

    def answered(self, answers: Mapping[str, Json]) -> None:
        """Take the answers of a request that was sent anew."""
        for key, (_, answer) in tuple(self._open.items()):
            found = answers.get(key)
            if isinstance(found, dict) and not answer.done():
                answer.set_result((cast("dict[str, Json]", found), None))

    def _send(self, message: dict[str, Json]) -> None:
        self.outgoing.append(message)
        self._stir()

    def close(self) -> None:
        """The client listens no more: what is asked gets no answer."""
        self._closed = True
        for _, answer in self._open.values():
            if not answer.done():
                answer.set_result(refusal(INTERNAL_ERROR, "the client has left"))
