"""The endpoint of the HTTP mounts as raw ASGI: head, session, route, body, in this order; then decided and done."""

from __future__ import annotations

import asyncio
import time
from typing import cast

from bailiwick.gateway.sessions.live import Live
from bailiwick.model.decision import Denial
from bailiwick.mounts.http.answers import Headers, Shown, problem
from bailiwick.mounts.http.clients import BUSY, Client, Clients, most_requests
from bailiwick.mounts.http.envelope import Fault, Head, largest_body, largest_upload, read_head
from bailiwick.mounts.http.exchange import STREAMED
from bailiwick.mounts.http.files import FileRequests
from bailiwick.mounts.http.requests import BROKEN, Posted, Routed
from bailiwick.mounts.http.signpost import Signpost
from bailiwick.mounts.http.stream import reply
from bailiwick.mounts.http.waiting import asked_for
from bailiwick.mounts.web import Checks, Receive, Received, Scope, Send, left, read_body


class Endpoint:
    """The ASGI application."""

    def __init__(self, clients: Clients, checks: Checks, signpost: Signpost, files: FileRequests | None = None) -> None:
        self._files = files
        self._clients = clients
        self._checks = checks
        self._signpost = signpost

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request. What nobody foresaw is answered too, and on record."""
        if scope["type"] != "http":
            return
        line = _Line(send)
        failed = await self._clients.gateway.kept_up(self._served(scope, receive, line), line.asked)
        if failed is not None and not line.begun:  # else it ends without its end
            await reply(send, problem(failed.denial, failed.record))

    async def _served(self, scope: Scope, receive: Receive, send: _Line) -> None:
        files = self._files
        head = read_head(scope, self._checks) if files is None else read_head(scope, self._checks, files.has)
        if isinstance(head, Fault):
            found = self._signpost.metadata(scope) if head.status == 401 else None
            await reply(send, found or self._signpost.lead(scope, _fault(head)))
            return
        client = self._clients.known(head.token)
        if client is None:
            peer = cast("tuple[str, int] | None", scope.get("client"))
            found = await self._clients.admit(head.token, "" if peer is None else f"{peer[0]}:{peer[1]}")
            if isinstance(found, Denial):
                await reply(send, self._signpost.lead(scope, problem(found)))
                return
            client = found
        send.client = client
        send.observed = head.mount in client.live.scope.observed
        shown = await self._worked(client, head, receive, send)
        if shown is not None:
            await reply(send, self._signpost.lead(scope, shown))

    async def _worked(self, client: Client, head: Head, receive: Receive, send: Send) -> Shown | None:
        """Do what a request asks; return what is still to be said. Cut, it says so, or breaks off."""
        task = cast("asyncio.Task[object]", asyncio.current_task())
        sent = _Sent(send)
        client.used = time.monotonic()
        client.running.add(task)
        try:
            shown = await self._shown(client, head, receive, sent)
        except asyncio.CancelledError:
            if client.ended is None:
                if not sent.gone:
                    raise
                task.uncancel()
                return None
            task.uncancel()
            shown = BROKEN if sent.started else problem(client.ended)
        finally:
            client.running.discard(task)
            client.used = time.monotonic()
            sent.over()
        if shown is STREAMED:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return None
        return None if shown is BROKEN else shown  # what is, ends without its end: its client sees that there is more

    async def _shown(self, client: Client, head: Head, receive: Receive, sent: _Sent) -> Shown:
        requests = client.requests
        if len(client.running) > most_requests:
            return await requests.refuse(head, BUSY)
        known = None if head.content else requests.known(head)
        if known is not None:
            sent.receive = receive
            return await requests.do(known, head, sent)
        approval = asked_for(head)
        if approval is not None:
            return await requests.status(approval)
        if self._files is not None and self._files.has(head.mount):
            return await self._files.answer(client.live, head, receive, sent)
        named = client.messages.takes(head)
        if named:
            posted = await read_body(receive, largest_body) if head.content else b""
            if posted is None:
                return await requests.fault(head, Fault(413, f"the body is longer than {largest_body} bytes"))
            sent.receive = receive
            return await client.messages.answer(named, head, posted, sent)
        routed = requests.route(head)
        if isinstance(routed, Denial):
            return await requests.refuse(head, routed)
        body = b""
        if head.content:
            uploads = isinstance(routed, Routed) and routed.route.kind == head.content == "multipart"
            most = largest_upload if uploads else largest_body
            read = await read_body(receive, most)
            if read is None:
                return await requests.fault(head, Fault(413, f"the body is longer than {most} bytes"))
            body = read
        sent.receive = receive
        if isinstance(routed, Posted):
            return await requests.operate(routed, body, sent)
        return await requests.answer(routed, body, sent)


class _Line:
    """The way back to one client: who it is, as far as that is known, and whether something was sent already."""

    def __init__(self, send: Send) -> None:
        self.client: Client | None = None
        self.begun = False
        self.observed = False
        """Whether what is asked is observed, so that every answer says so."""
        self._send = send

    async def __call__(self, message: Received) -> None:
        """Send a part of the answer."""
        self.begun = True
        if self.observed and message["type"] == "http.response.start":
            headers = cast("Headers", message["headers"])
            message = {**message, "headers": [*headers, (b"bailiwick-observed", b"true")]}
        await self._send(message)

    def asked(self) -> tuple[str, Live | None]:
        """Return what was asked, without any value of it, and for which session."""
        return "a request to an HTTP mount", None if self.client is None else self.client.live


class _Sent:
    """Where an answer that comes in parts goes. When the client leaves, its task is cancelled."""

    def __init__(self, send: Send) -> None:
        self.started = False
        self.gone = False
        self.leaving: asyncio.Task[None] | None = None
        self.receive: Receive | None = None
        self._send = send
        self._task = asyncio.current_task()

    async def __call__(self, message: dict[str, object]) -> None:
        """Send a part."""
        self.started = self.started or self.receive is not None
        self.waits()
        await self._send(message)

    def waits(self) -> None:
        """See `Line`."""
        if self.leaving is None and self.receive is not None:
            self.leaving = asyncio.create_task(left(self.receive))
            self.leaving.add_done_callback(self._left)

    def over(self) -> None:
        """Nothing more is sent in parts: whether the client leaves is no matter any more."""
        self._task = None
        if self.leaving is not None:
            self.leaving.cancel()

    def _left(self, leaving: asyncio.Task[None]) -> None:
        del leaving
        if self._task is not None and not self._task.done():
            self.gone = True
            self._task.cancel()


def _fault(fault: Fault) -> Shown:
    code = "session_unknown" if fault.status == 401 else "protocol_violation"
    return problem(Denial(code, fault.message, "", fault.remedy), status=fault.status)
