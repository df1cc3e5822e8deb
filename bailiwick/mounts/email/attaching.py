"""Files that go with messages: read before a message is decided on, as the session may read them, and kept till then.

A file of a mount is read through its mount, which decides, masks and records that read like any other. What was read is
what is decided on, shown to people and sent. INVARIANT: a content is found by its digest alone, which stands in the
arguments that were admitted.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

from bailiwick.decide.asking import Arguments, UnclearError, matcher_of
from bailiwick.decide.messages import ATTACHED, refs_of
from bailiwick.gateway.sessions.live import Live
from bailiwick.match.sniff import head_size, type_of
from bailiwick.model.decision import Denial
from bailiwick.model.email import UPLOAD, Attachment
from bailiwick.mounts.files.admission import Asked
from bailiwick.mounts.files.admission import NotDone as NotRead
from bailiwick.mounts.files.reading import Fetched
from bailiwick.mounts.offered import Before, NotDone

longest_attached = 20 * 1024 * 1024
"""Bytes of all attachments of a message."""
_most_known = 200
Fetch = Callable[[Live, Asked, int], Awaitable[Fetched | NotRead]]


@dataclass(slots=True)
class _Content:
    """Bytes, and by how many messages on their way they are used."""

    data: bytes
    uses: int = 0


@dataclass(frozen=True, slots=True)
class Attaching:
    """The attachments of all messages that are on their way."""

    fetch: Fetch | None
    """Reads a file for a session; None: this gateway serves no files."""
    _contents: dict[tuple[str, str], _Content] = field(default_factory=dict[tuple[str, str], _Content])
    """Session and digest → what is sent."""

    @asynccontextmanager
    async def prepared(self, live: Live, before: Before) -> AsyncGenerator[NotDone | None]:
        """Have the attachments of a call at hand while it is decided and run; None: they are, or it names none that
        the session may send, which is for the decision to say."""
        tool = live.tools.tools.get(before.name)
        given = before.arguments.get(ATTACHED)
        if given is None or tool is None or all(matcher_of(grant, ATTACHED) is None for grant in tool.allows):
            yield None
            return
        held: list[tuple[str, str]] = []
        try:
            yield await self._all(live, before, given, held)
        finally:
            for key in held:
                content = self._contents[key]
                content.uses -= 1
                if not content.uses:
                    del self._contents[key]

    async def _all(self, live: Live, before: Before, given: object, held: list[tuple[str, str]]) -> NotDone | None:
        try:
            refs = refs_of(given)
        except UnclearError:
            return None  # the decision says so, too
        left = longest_attached
        for ref in refs:
            found = await self._one(live, before, ref, left)
            if isinstance(found, NotDone):
                return found
            attachment, data = found
            known = live.attached.get(ref)
            if known is not None and known != attachment and (live.session.id, known.digest) in self._contents:
                message = "another message with another version of this attachment is on its way"
                return NotDone(Denial("data_changed", message, remedy="send this one after it"))
            key = (live.session.id, attachment.digest)
            self._contents.setdefault(key, _Content(data)).uses += 1
            held.append(key)
            live.attached.pop(ref, None)
            live.attached[ref] = attachment
            while len(live.attached) > _most_known:
                del live.attached[next(iter(live.attached))]
            left -= len(data)
        return None

    async def _one(self, live: Live, before: Before, ref: str, left: int) -> tuple[Attachment, bytes] | NotDone:
        if ref.startswith(UPLOAD):
            data = before.uploads.get(ref)
            if data is None:
                return NotDone(Denial("argument_not_granted", "there is no such attachment", "`MOUNT/PATH` of a file"))
            name = ref.removeprefix(UPLOAD)
            return Attachment(ref, name, type_of(name, data[:head_size]), len(data), frozenset(), _digest(data)), data
        mount, _, path = ref.partition("/")
        if self.fetch is None:
            return NotDone(Denial("backend_unavailable", "this gateway serves no files"))
        found = await self.fetch(live, Asked(mount, path, before.purpose, before.patience), left)
        if isinstance(found, NotRead):
            return NotDone(found.denial, found.record, found.approval)
        size, digest = len(found.content), _digest(found.content)
        return Attachment(ref, found.name, found.type, size, found.labels, digest), found.content

    def of(self, live: Live, arguments: Arguments) -> list[tuple[Attachment, bytes]] | None:
        """Return what goes with a message that was admitted; None: it is not what was admitted, or not at hand."""
        refs = cast("list[str]", arguments.get(ATTACHED) or [])
        told = cast("list[str]", arguments.get(f"{ATTACHED}.files") or [])
        found: list[tuple[Attachment, bytes]] = []
        for ref in refs:
            known = live.attached.get(ref)
            content = None if known is None else self._contents.get((live.session.id, known.digest))
            if known is None or content is None:
                return None
            found.append((known, content.data))
        return found if [str(each) for each, _ in found] == told else None


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def uploads_of(files: Mapping[str, bytes]) -> Mapping[str, bytes]:
    """Return what a mail program handed over, by reference."""
    return {UPLOAD + name: data for name, data in files.items()}
