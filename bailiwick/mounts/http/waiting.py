"""How HTTP clients wait for people: `Prefer: wait=N`, then 202 with a status address, and the same request again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final, Protocol

from bailiwick.model.approval import Approval
from bailiwick.mounts.held_calls import Pending, longest_wait, status_of
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


def standing(approval: Approval) -> Shown:
    """Return how something stands that waits, or waited, for people."""
    return said(200, status_of(approval), [(b"retry-after", b"5")] if approval.state == "PENDING" else [])


def with_approval(shown: Shown, approval: Approval) -> Shown:
    """Return an answer that says under which approval it was had, and whether people changed the request."""
    said = f"{approval.id}; modified" if approval.modified else approval.id
    return replace(shown, headers=[*shown.headers, (b"bailiwick-approval", said.encode())])


def said(status: int, data: Mapping[str, Json], more: Headers) -> Shown:
    """Return an answer of the gateway's own."""
    body = write(data)
    head = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    return Shown(status, [*head, *_SAFE, *more], body)
