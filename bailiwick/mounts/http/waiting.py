"""How HTTP clients wait for people: `Prefer: wait=N`, then 202 with a status address, and the same request again."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import replace
from typing import Final, Protocol, cast

from bailiwick.gateway.approvals.results import longest_result
from bailiwick.model.approval import Approval
from bailiwick.mounts.held_calls import Pending, Ran, longest_wait, status_of
from bailiwick.mounts.http.answers import Headers, Shown
from bailiwick.mounts.http.envelope import Head
from bailiwick.mounts.mcp.message import Json, write

OWN: Final = "-"
"""In the place of a mount's name in the path, which begins with a letter: the gateway's own."""
_APPROVALS: Final = "/approvals/"
_WAIT = re.compile(r"wait=([0-9]{1,4})")
_SAFE = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))


class Line(Protocol):
    """The way back to the client of one request."""

    async def __call__(self, message: dict[str, object]) -> None:
        """Send a part of the answer."""
        ...

    def waits(self) -> None:
        """From now on the client may leave before anything is sent: then its task is cancelled."""
        ...


def patience_of(head: Head) -> float:
    """Return for how many seconds the client waits for people (RFC 7240)."""
    for part in head.headers.get("prefer", "").split(","):
        found = _WAIT.fullmatch(part.partition(";")[0].strip().lower())
        if found is not None:
            return min(float(found[1]), longest_wait)
    return 0.0


def asked_for(head: Head) -> str | None:
    """Return the approval whose status is asked for, None when it is none of the gateway's own paths."""
    if head.mount != OWN or not head.path.startswith(_APPROVALS) or head.method not in ("GET", "HEAD"):
        return None
    return head.path.removeprefix(_APPROVALS)


def pending(waiting: Pending) -> Shown:
    """Return what a client is told whose request waits for people."""
    approval, denial = waiting.approval, waiting.denial
    more = {"code": denial.code, "detail": denial.message, "remedy": denial.remedy, "decision": waiting.record}
    place = f"/{OWN}{_APPROVALS}{approval.id}".encode()
    return said(202, {**status_of(approval), **more}, [(b"location", place), (b"retry-after", b"5")])


def standing(approval: Approval, told: Mapping[str, Json]) -> Shown:
    """Return how something stands that waits, or waited, for people."""
    waits = not approval.over and (approval.state == "PENDING" or approval.terms.mode == "execute")
    return said(200, told, [(b"retry-after", b"5")] if waits else [])


class KeptAnswer:
    """Takes an answer that is sent in parts, for whoever asks for it later; of one that is too long only its head."""

    def __init__(self) -> None:
        self._status = 0
        self._headers: Headers = []
        self._parts: list[bytes] = []
        self._size = 0

    async def __call__(self, message: dict[str, object]) -> None:
        """Take a part."""
        if message["type"] == "http.response.start":
            self._status = cast("int", message["status"])
            self._headers = cast("Headers", message["headers"])
        else:
            part = cast("bytes", message.get("body", b""))
            self._size += len(part)
            if self._size <= longest_result:
                self._parts.append(part)

    def waits(self) -> None:
        """Nobody can leave."""

    def whole(self) -> Shown:
        """Return the answer."""
        return Shown(self._status, self._headers, b"".join(self._parts) if self._size <= longest_result else b"")


def told_of(shown: Shown) -> dict[str, Json]:
    """Return an answer as it is kept, and as its status tells it."""
    headers: list[Json] = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in shown.headers]
    try:
        body, encoding = shown.body.decode(), "utf-8"
    except UnicodeDecodeError:
        body, encoding = b64encode(shown.body).decode(), "base64"
    return {"status": shown.status, "headers": headers, "body": body, "encoding": encoding}


def ran(found: Ran) -> Shown:
    """Return the answer to a request that the gateway has run itself, to whoever makes it again."""
    told = found.told
    status, headers, body = told.get("status"), told.get("headers"), told.get("body")
    if not isinstance(status, int) or not isinstance(headers, list) or not isinstance(body, str):
        return with_approval(said(200, told, []), found.approval)
    data = b64decode(body) if told.get("encoding") == "base64" else body.encode()
    pairs = cast("list[list[str]]", headers)
    kept = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
    if all(name != b"content-length" for name, _ in kept) and status not in (204, 304):
        kept.append((b"content-length", b"%d" % len(data)))
    kept = [each for each in kept if each[0] != b"bailiwick-approval"]
    return with_approval(Shown(status, kept, data), found.approval)


def with_approval(shown: Shown, approval: Approval) -> Shown:
    """Return an answer that says under which approval it was had, and whether people changed the request."""
    said = f"{approval.id}; modified" if approval.modified else approval.id
    return replace(shown, headers=[*shown.headers, (b"bailiwick-approval", said.encode())])


def said(status: int, data: Mapping[str, Json], more: Headers) -> Shown:
    """Return an answer of the gateway's own."""
    body = write(data)
    head = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    return Shown(status, [*head, *_SAFE, *more], body)
