"""Sinks over HTTP: batches of JSON, Splunk's HTTP Event Collector, OTLP logs. No redirect is followed."""

from __future__ import annotations

import asyncio
import hashlib
import json
import ssl
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from bailiwick.gateway.http_client import Address, Answer, HttpClient, HttpError
from bailiwick.gateway.sinks.item import Item
from bailiwick.gateway.sinks.otlp import as_logs, rejected_by
from bailiwick.gateway.sinks.way import SENT, Came

_seconds = 30.0
_longest_answer = 256 * 1024
_most_after = 3600.0
_content = (400, 413, 422)
"""What says that this content is not taken."""
_ack_seconds = 60.0
_ack_pause = 0.5


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, read whole."""

    status: int
    body: bytes
    after: float


class Poster:
    """Sends batches to one URL."""

    def __init__(self, address: Address, context: ssl.SSLContext | None, headers: Sequence[tuple[str, str]]) -> None:
        self.address = address
        self._client = HttpClient(address.origin, context)
        self._headers = [("user-agent", "bailiwick"), ("content-type", "application/json"), *headers]

    async def post(self, target: str, body: bytes, more: Sequence[tuple[str, str]] = ()) -> Reply | Came:
        """Send a body; return the answer, or how it failed."""
        try:
            async with asyncio.timeout(_seconds):
                answer = await self._client.send("POST", target, [*self._headers, *more], body)
                return Reply(answer.status, await _read(answer), _after(answer))
        except HttpError as error:
            return Came("failed", "it cannot be reached" if error.unsent else "the connection broke off")
        except TimeoutError:
            return Came("failed", "no answer in time")
        except (OSError, ValueError):
            return Came("failed", "the request could not be made")

    async def close(self) -> None:
        """End all connections."""
        await self._client.close()


async def _read(answer: Answer) -> bytes:
    found = b""
    while part := await answer.part():
        found += part
        if len(found) > _longest_answer:
            answer.close()
            break
    return found


def _after(answer: Answer) -> float:
    text = (answer.header(b"retry-after") or b"").decode("latin-1").strip()
    return min(float(text), _most_after) if text.isascii() and text.isdigit() else 0.0


def _judged(reply: Reply) -> Came:
    """Return what a status means where nothing else is known."""
    if 200 <= reply.status < 300:
        return SENT
    if reply.status in _content:
        return Came("refused", f"it answers {reply.status}")
    return Came("failed", f"it answers {reply.status}", reply.after)


class _Web:
    def __init__(self, poster: Poster) -> None:
        self._poster = poster

    @property
    def most(self) -> int:
        """How many items one request holds at most."""
        return 200

    def broke(self) -> float | None:
        """Requests are answered: nothing is in doubt."""
        return None

    async def close(self) -> None:
        """End all connections."""
        await self._poster.close()


class Batches(_Web):
    """An array of records in each request. What has the same `Idempotency-Key` is the same batch."""

    async def send(self, items: Sequence[Item]) -> Came:
        """Send a batch; any 2xx takes it."""
        body = "[" + ",".join(item.text for item in items) + "]"
        key = hashlib.sha256("\n".join(item.id for item in items).encode("utf-8", "replace")).hexdigest()[:32]
        reply = await self._poster.post(
            self._poster.address.target, body.encode("utf-8", "replace"), [("idempotency-key", key)]
        )
        return reply if isinstance(reply, Came) else _judged(reply)


class Otlp(_Web):
    """OTLP/HTTP with JSON, as its specification has it: what was rejected for good is not sent again."""

    def __init__(self, poster: Poster, origin: Callable[[], str]) -> None:
        super().__init__(poster)
        self._origin = origin

    async def send(self, items: Sequence[Item]) -> Came:
        """Send a batch; what a collector says it rejected counts as lost."""
        reply = await self._poster.post(self._poster.address.target, as_logs(items, self._origin()))
        if isinstance(reply, Came):
            return reply
        if reply.status != 200:
            return _judged(reply) if reply.status >= 300 else Came("failed", f"it answers {reply.status}")
        rejected = rejected_by(reply.body)
        if rejected is None:
            return Came("failed", "its answer is not one of OTLP")
        return Came("sent", lost=min(rejected, len(items)))


class Splunk(_Web):
    """Splunk's HTTP Event Collector; where it acknowledges what was indexed, that is waited for."""

    def __init__(self, poster: Poster, index: str, sourcetype: str, channel: str) -> None:
        super().__init__(poster)
        self._index = index
        self._sourcetype = sourcetype
        self._channel = str(uuid.uuid5(uuid.NAMESPACE_URL, f"bailiwick:{channel}"))

    async def send(self, items: Sequence[Item]) -> Came:
        """Send a batch; only the answer `code: 0` takes it, and its acknowledgement where there is one."""
        body = "\n".join(self._event(item) for item in items).encode("utf-8", "replace")
        channel = [("x-splunk-request-channel", self._channel)]
        reply = await self._poster.post(self._target("event"), body, channel)
        if isinstance(reply, Came):
            return reply
        told = _object(reply.body)
        if reply.status == 400 and told.get("code") not in (5, 6, 12, 13, 15):
            return Came("failed", f"it answers 400, code {_code(told)}")
        if reply.status != 200:
            return _judged(reply) if reply.status >= 300 else Came("failed", f"it answers {reply.status}")
        if told.get("code") != 0:
            return Came("failed", "its answer is not one of an event collector")
        identity = told.get("ackId")
        return SENT if not isinstance(identity, int) else await self._acknowledged(identity, channel)

    async def _acknowledged(self, identity: int, channel: list[tuple[str, str]]) -> Came:
        asked = json.dumps({"acks": [identity]}).encode()
        try:
            async with asyncio.timeout(_ack_seconds):
                while True:
                    reply = await self._poster.post(self._target("ack"), asked, channel)
                    acks = None if isinstance(reply, Came) else _object(reply.body).get("acks")
                    if isinstance(acks, dict) and cast("dict[str, object]", acks).get(str(identity)) is True:
                        return SENT
                    await asyncio.sleep(_ack_pause)
        except TimeoutError:
            return Came("failed", "it does not acknowledge what it took")

    def _target(self, what: str) -> str:
        target = self._poster.address.target.rstrip("/")
        base = target.removesuffix("/event").removesuffix("/services/collector")
        return f"{base}/services/collector/{what}"

    def _event(self, item: Item) -> str:
        index = f'"index":{json.dumps(self._index)},' if self._index else ""
        fields = json.dumps({"id": item.id, "seq": item.seq, "kind": item.kind})
        time = json.dumps(_epoch(item.at))
        head = f'{{"time":{time},"source":"bailiwick","sourcetype":"{self._sourcetype}",{index}"fields":{fields}'
        return f'{head},"event":{item.text}}}'


def _epoch(at: str) -> float:
    from bailiwick.ledger.ocsf.mapping import milliseconds

    return milliseconds(at) / 1000


def _object(body: bytes) -> Mapping[str, object]:
    try:
        found = cast(object, json.loads(body))
    except (ValueError, RecursionError):
        return {}
    return cast("Mapping[str, object]", found) if isinstance(found, dict) else {}


def _code(told: Mapping[str, object]) -> str:
    code = told.get("code")
    return str(code) if isinstance(code, int) else "unknown"
