"""Bodies that pass as they come: nothing waits but what may be the beginning of a credential."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from bailiwick.gateway.http_client import Answer, HttpError
from bailiwick.mounts.http.answers import Headers, Shown
from bailiwick.mounts.http.upstream import ApiError, TooLongError

Send = Callable[[dict[str, object]], Awaitable[None]]


class WithheldError(ApiError):
    """The answer held one of the gateway's own credentials, so nobody gets it."""


class Sieve:
    """Lets bytes pass that are no part of a mark."""

    def __init__(self, marks: Sequence[bytes]) -> None:
        self._marks = marks
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """Return what may pass now. Raises WithheldError."""
        if not self._marks:
            return data
        found = self._held + data
        if any(mark in found for mark in self._marks):
            raise WithheldError("the answer holds a credential of the gateway")
        keep = max(_begun(mark, found) for mark in self._marks)
        self._held = found[len(found) - keep :]
        return found[: len(found) - keep]

    def end(self) -> bytes:
        """Return what was held back."""
        return self._held


def _begun(mark: bytes, data: bytes) -> int:
    """Return how many bytes at the end of some data are the beginning of a mark."""
    place = data.find(mark[:1], max(0, len(data) - len(mark) + 1))
    while place >= 0:
        if mark.startswith(data[place:]):
            return len(data) - place
        place = data.find(mark[:1], place + 1)
    return 0


async def pass_on(
    send: Send, status: int, headers: Headers, before: bytes, answer: Answer, sieve: Sieve, most: int
) -> int:
    """Send an answer as it comes, all but its end; return the bytes of its body. Raises ApiError."""
    await send({"type": "http.response.start", "status": status, "headers": headers})
    size, part = 0, before
    try:
        while part := part or await answer.part():
            size += len(part)
            if size > most:
                raise TooLongError("the answer is too long")
            shown = sieve.feed(part)
            part = b""
            if shown:
                await send({"type": "http.response.body", "body": shown, "more_body": True})
    except HttpError as error:
        raise ApiError(str(error)) from None
    held = sieve.end()
    if held:
        await send({"type": "http.response.body", "body": held, "more_body": True})
    return size


async def reply(send: Send, shown: Shown) -> None:
    """Send a whole answer."""
    await send({"type": "http.response.start", "status": shown.status, "headers": shown.headers})
    await send({"type": "http.response.body", "body": shown.body})
