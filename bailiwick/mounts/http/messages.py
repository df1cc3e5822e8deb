"""Sending by HTTP: `POST /MOUNT/messages`, with the arguments of `send` as a JSON object."""

from __future__ import annotations

from typing import cast

from bailiwick.gateway.enforce import Gateway
from bailiwick.gateway.sessions.live import Live
from bailiwick.model.decision import Denial
from bailiwick.mounts.held_calls import Pending
from bailiwick.mounts.http.answers import Shown, problem
from bailiwick.mounts.http.envelope import Head
from bailiwick.mounts.http.exchange import Terms
from bailiwick.mounts.http.waiting import Line, patience_of, pending, said, with_approval
from bailiwick.mounts.mcp.message import Json, MalformedError, read_strictly
from bailiwick.mounts.offered import Before, NotDone, OwnCalls

PATH = "/messages"


class Messages:
    """The messages of one session."""

    def __init__(self, gateway: Gateway, live: Live, terms: Terms) -> None:
        doing = terms.own.get("email")
        self._live = live
        self._calls = None if doing is None else OwnCalls(gateway, live, doing, terms.digest)

    def takes(self, head: Head) -> str:
        """Return the name of the tool that a request asks for; empty when it asks for none that the session has."""
        if self._calls is None or head.method != "POST" or head.path != PATH or head.query:
            return ""
        for name, tool in self._live.tools.tools.items():
            if tool.tool.own == "email" and tool.mount == head.mount:
                return name
        return ""

    async def answer(self, name: str, head: Head, body: bytes, line: Line) -> Shown:
        """Send what is asked for; return what is said of it."""
        calls = self._calls
        if calls is None:
            return problem(_NO_JSON)
        try:
            given = read_strictly(body) if head.content == "json" else None
        except MalformedError:
            given = None
        if not isinstance(given, dict):
            told = await calls.malformed(name, _NO_JSON, head.purpose)
            return problem(told.denial, told.record, 415 if head.content != "json" else 400)
        line.waits()
        asked = Before(name, cast("dict[str, Json]", given), head.purpose, patience_of(head))
        done = await calls.call(asked)
        if isinstance(done, NotDone):
            if done.approval is not None:
                return pending(Pending(done.approval, done.denial, done.record))
            return problem(done.denial, done.record)
        shown = said(200, done.told, [])
        return shown if done.approval is None else with_approval(shown, done.approval)


_NO_JSON = Denial("protocol_violation", "a message is posted as a JSON object", "", "send the arguments of `send`")
