"""One admitted request: sent to its API, and its answer looked at, under the time and the size that it may have."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from decimal import Decimal

from bailiwick.decide.calls import Admitted
from bailiwick.decide.limits import exceeded
from bailiwick.gateway.http_client import Answer
from bailiwick.gateway.moments import utc_now
from bailiwick.match.evaluate import Resolve
from bailiwick.match.masks import Digest
from bailiwick.model.ceilings import Ceilings
from bailiwick.model.decision import Denial
from bailiwick.model.tool import Own
from bailiwick.mounts.http.answers import Shown, Sight, filtered, is_json, items_in, json_of, media_type, whole_head
from bailiwick.mounts.http.apis import Mounted
from bailiwick.mounts.http.arguments import Outgoing
from bailiwick.mounts.http.stream import Send, Sieve, WithheldError, pass_on
from bailiwick.mounts.http.upstream import ApiError, TooLongError, beginning, whole
from bailiwick.mounts.offered import Doing, Doings
from bailiwick.mounts.priced import told_in_body, told_in_header
from bailiwick.mounts.tool_path import Done

longest_looked_at = 32 * 1024 * 1024
"""Bytes of an answer that is filtered or counted."""
_longest_buffered = 64 * 1024
STREAMED = Shown(0, [])
"""What was sent while it came; only its end is not."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What every request of this gateway is held to."""

    longest_time: float
    """Seconds until the head of an answer, and of what is not streamed until its end."""
    longest_answer: int
    digest: Digest
    own: Doings = field(default_factory=dict[Own, Doing])
    """What the gateway itself does, by the kind of its mounts."""


class Exchange:
    """What is done for one request."""

    def __init__(
        self,
        mounted: Mounted,
        admitted: Admitted,
        asked: Outgoing,
        accept: str,
        resolve: Resolve,
        terms: Terms,
        send: Send,
        *,
        counted: bool = False,
    ) -> None:
        """`counted`: whether the items of the answer are charged for."""
        self.started = False
        """Whether something of the answer was sent already."""
        self._mounted = mounted
        self._admitted = admitted
        self._asked = asked
        self._accept = accept
        self._resolve = resolve
        self._terms = terms
        self._send = send
        self._bounds = admitted.allow.ceilings or Ceilings()
        self._price = admitted.tool.tool.cost
        self._counted = counted or self._bounds.rows is not None
        self._answer: Answer | None = None

    async def run(self) -> Done[Shown]:
        """Send it; return what is shown of the answer, or why nothing is."""
        seconds = min(self._terms.longest_time, self._bounds.timeout or self._terms.longest_time)
        try:
            async with asyncio.timeout(seconds):
                return await self._asked_for()
        except TimeoutError:
            if self._bounds.timeout is not None and seconds == self._bounds.timeout:
                return Done(denial=exceeded("timeout_exceeded", self._bounds, 0))
            return Done(denial=Denial("timeout_exceeded", "the request ran for too long and was cancelled"))
        except ApiError as error:
            return Done(denial=self._failed(error))

    def close(self) -> None:
        """Take no more of the answer."""
        if self._answer is not None:
            self._answer.close()

    async def _asked_for(self) -> Done[Shown]:
        route = self._admitted.tool.tool.route
        method = "GET" if route is None else route.method
        self._answer = answer = await self._mounted.api.send(method, self._asked, self._accept)
        refused = self._unusable(answer)
        if refused is not None:
            answer.close()
            return Done(denial=refused)
        if self._admitted.view.whole:
            return await self._shown_whole(answer)
        data = await whole(answer, longest_looked_at)
        if self._mounted.api.holds_secret(data):
            raise WithheldError("the answer holds a credential of the gateway")
        sight = Sight(self._admitted.view, self._resolve, utc_now(), self._terms.digest)
        shown, items = filtered(sight, answer.status, media_type(answer), data)
        return self._bounded(shown, items, _code(answer.status), self._cost(answer, data))

    def _cost(self, answer: Answer, data: bytes | None) -> Decimal | None:
        """Return what the answer says that it cost; `data`: its body, where that is known."""
        price = self._price
        if price is None or not price.is_told:
            return None
        if price.header:
            return told_in_header(price, answer.header(price.header.encode()))
        return None if data is None else told_in_body(price, json_of(media_type(answer), data))

    def _unusable(self, answer: Answer) -> Denial | None:
        """Return why nothing of an answer is shown, by its head."""
        api = self._mounted.api
        if answer.status in (401, 407):
            return Denial("backend_unavailable", "the API does not take the gateway's credential", remedy=_OPERATOR)
        coding = answer.header(b"content-encoding")
        if coding is not None and coding.lower() != b"identity":
            return Denial("result_withheld", "the API answers in a coding that was not asked for", remedy=_OPERATOR)
        if api.holds_secret(b"\n".join([part for header in answer.headers for part in header])):
            return Denial("result_withheld", "the answer held a credential of the gateway", remedy=_OPERATOR)
        if answer.status >= 300 and answer.status != 304 and self._elsewhere(answer):
            return Denial("result_withheld", "the API redirects to what is not below its mount", remedy=_OPERATOR)
        return None

    def _elsewhere(self, answer: Answer) -> bool:
        places = [value for name, value in answer.headers if name == b"location"]
        return len(places) > 1 or any(self._rewritten(value) is None for value in places)

    def _rewritten(self, location: bytes) -> bytes | None:
        below = self._mounted.api.below(location.decode("latin-1"))
        return None if below is None else f"/{self._mounted.mount.name}{below}".encode()

    async def _shown_whole(self, answer: Answer) -> Done[Shown]:
        whole_body = self._counted or (self._price is not None and bool(self._price.path))
        headers = whole_head(answer, self._rewritten)
        most = self._terms.longest_answer if self._bounds.bytes is None else self._bounds.bytes
        length, kind = answer.header(b"content-length"), media_type(answer)
        size = int(length) if length is not None and length.isdigit() else None
        if size is not None and size > most:
            raise TooLongError("the answer is too long")
        before = b""
        if whole_body:
            before = await whole(answer, min(most, longest_looked_at))
        elif size is not None and size <= _longest_buffered:
            before = await whole(answer, size)
        elif size is not None or not is_json(kind):
            return Done(rest=lambda: self._streamed(answer, headers, length, b"", most))
        else:
            first, ended = await beginning(answer, _longest_buffered)
            if not ended:
                return Done(rest=lambda: self._streamed(answer, headers, None, first, most))
            before = first
        if self._mounted.api.holds_secret(before):
            raise WithheldError("the answer holds a credential of the gateway")
        items = items_in(self._admitted.view, kind, before) if self._counted else None
        if answer.status not in (204, 304):
            head = self._asked_head()
            headers.append((b"content-length", length if head and length is not None else b"%d" % len(before)))
        shown = Shown(answer.status, headers, before)
        return self._bounded(shown, items, _code(answer.status), self._cost(answer, before))

    def _asked_head(self) -> bool:
        route = self._admitted.tool.tool.route
        return route is not None and route.method == "HEAD"

    async def _streamed(
        self, answer: Answer, headers: list[tuple[bytes, bytes]], length: bytes | None, before: bytes, most: int
    ) -> Done[Shown]:
        if length is not None:
            headers.append((b"content-length", length))
        self.started = True
        try:
            sieve = Sieve(self._mounted.api.marks)
            size = await pass_on(self._send, answer.status, headers, before, answer, sieve, most)
        except ApiError as error:
            return Done(denial=self._failed(error))
        return Done(STREAMED, _code(answer.status), size=size, cost=self._cost(answer, None))

    def _bounded(self, shown: Shown, items: int | None, code: str, cost: Decimal | None) -> Done[Shown]:
        bounds, size = self._bounds, len(shown.body)
        if bounds.bytes is not None and size > bounds.bytes:
            return Done(denial=exceeded("bytes_exceeded", bounds, size), size=size, cost=cost)
        if bounds.rows is not None and items is not None and items > bounds.rows:
            return Done(denial=exceeded("rows_exceeded", bounds, items), items=items, cost=cost)
        return Done(shown, code, items, size, cost=cost)

    def _failed(self, error: ApiError) -> Denial:
        self.close()
        if isinstance(error, TooLongError):
            if self._bounds.bytes is not None:
                return exceeded("bytes_exceeded", self._bounds, 0)
            return Denial("bytes_exceeded", "the result is too long", remedy="ask for less at once")
        if isinstance(error, WithheldError):
            return Denial("result_withheld", "the answer held a credential of the gateway", remedy=_OPERATOR)
        advice = "look before trying again: what it did is not known"
        return Denial("backend_unavailable", f"the API is not available: {error}", remedy=advice)


_OPERATOR = "tell the gateway's operator"


def _code(status: int) -> str:
    return f"http_{status}" if status >= 400 else ""
