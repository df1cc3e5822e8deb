"""Reading a file: opened, decided on by what it is, masked where the policy says so, and given away in parts."""

from __future__ import annotations

import asyncio
import codecs
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from bailiwick.decide.calls import Refused
from bailiwick.decide.files import redacted_by
from bailiwick.match.redact import Redactor
from bailiwick.match.sniff import head_size, is_text, type_of
from bailiwick.model.ceilings import Ceilings
from bailiwick.model.decision import Denial
from bailiwick.model.files import Redaction
from bailiwick.mounts.files.admission import Admission, Asked, Known, NotDone, Target, changed, unavailable
from bailiwick.mounts.files.store import ChangedError, GoneError, Info, Opened, Store, UnavailableError
from bailiwick.mounts.tool_path import NO_LEDGER, Done

first_part = 256 * 1024
"""Bytes that are read with the opening of a file."""
part_size = 1024 * 1024
longest_masked = 32 * 1024 * 1024
"""Bytes of a text that is masked; a longer one is not shown."""
Shown = TypeVar("Shown")


class WithheldError(Exception):
    """Nothing of a file can be shown: it cannot be masked. `args[0]` says why."""


@dataclass(frozen=True, slots=True)
class Found:
    """A file that may be read: what is shown of it."""

    path: str
    info: Info
    type: str
    labels: frozenset[str]
    bounds: Ceilings
    size: int
    """Bytes of what is shown."""
    masked: bool
    _opened: Opened
    _first: bytes
    """What is known of it already, from its beginning; of a masked one, all that is shown."""

    async def part(self, start: int, size: int) -> bytes:
        """Return so many bytes of what is shown. Raises ChangedError, UnavailableError."""
        size = max(0, min(size, self.size - start))
        if start + size <= len(self._first) or self.masked:
            return self._first[start : start + size]
        return await asyncio.to_thread(self._opened.read, start, size)


async def read(
    admission: Admission, asked: Asked, use: Callable[[Found], Awaitable[Done[Shown]]], verb: str = "read"
) -> Shown | NotDone:
    """Return what `use` makes of a file that the session may read, which is on record by then."""
    target = admission.target(asked, ("read",))
    if isinstance(target, Denial):
        return await admission.refuse(asked, verb, target)
    try:
        opened, first = await asyncio.to_thread(_open, target.mounted.store, target)
    except GoneError:
        return await admission.refuse(asked, verb, admission.absent(asked, ("read",)), target)
    except ChangedError:
        return await admission.refuse(asked, verb, changed(), target)
    except UnavailableError as error:
        return await admission.unavailable(asked, ("read",), target, error)
    try:
        return await _read(admission, asked, target, opened, first, use)
    finally:
        opened.close()


async def _read(
    admission: Admission,
    asked: Asked,
    target: Target,
    opened: Opened,
    first: bytes,
    use: Callable[[Found], Awaitable[Done[Shown]]],
) -> Shown | NotDone:
    kind = type_of(target.parts[-1], first[:head_size])
    decided = admission.decide(target, "read", Known(opened.info, kind))
    if isinstance(decided, Refused):  # as if it was not there
        return await admission.refuse(asked, "read", admission.absent(asked, ("read",)), target, decided.decision)
    going = await admission.clear(decided, target, "read", asked)
    if isinstance(going, NotDone):
        return going
    kinds = redacted_by(going.admitted.view.grants)

    async def execute() -> Done[Shown]:
        shown, size = first, opened.info.size
        try:
            if kinds:
                shown = await asyncio.to_thread(_masked, opened, first, kinds)
                size = len(shown)
            bounds = going.admitted.allow.ceilings or Ceilings()
            labels = target.placed.labels
            found = Found(target.path, opened.info, kind, labels, bounds, size, bool(kinds), opened, shown)
            return await use(found)
        except WithheldError as error:
            return Done(denial=Denial("result_withheld", str(error.args[0]), "", "ask for a grant without `mask`"))
        except ChangedError:
            return Done(denial=changed())
        except UnavailableError as error:
            return Done(denial=unavailable(error))

    call = admission.call(going, target, "read", asked, version=opened.info.version, masked=[*sorted(kinds)])
    watched = admission.path.watch_files([going.admitted], admission.terms.digest)
    done = await admission.path.run(call, execute, intends=False, approval=going.approval, watched=watched)
    if done.denial is not None or done.shown is None:
        return NotDone(done.denial or NO_LEDGER, done.record)
    return done.shown


def _open(store: Store, target: Target) -> tuple[Opened, bytes]:
    opened = store.open(target.parts)
    try:
        first = opened.read(0, min(first_part, opened.info.size)) if opened.info.size else b""
    except BaseException:
        opened.close()
        raise
    if len(first) == opened.info.size:
        opened.close()  # all of it is here
    return opened, first


def _masked(opened: Opened, first: bytes, kinds: frozenset[Redaction]) -> bytes:
    """Return a whole text as it may be shown. Raises WithheldError for what is none."""
    size = opened.info.size
    if size > longest_masked:
        raise WithheldError("the file is too long to be masked, so nothing of it is shown")
    redactor, decoder = Redactor(kinds), codecs.getincrementaldecoder("utf-8")()
    shown: list[str] = []
    at = 0
    try:
        while at < size or not at:
            data = first if not at else opened.read(at, min(part_size, size - at))
            at += len(data)
            if b"\x00" in data or (at == len(data) and not is_text(data[:head_size])):
                raise WithheldError("the file is not text, so nothing of it can be masked")
            shown.append(redactor.feed(decoder.decode(data, final=at >= size)))
            if not data:
                break
    except UnicodeDecodeError:
        raise WithheldError("the file is not text, so nothing of it can be masked") from None
    return "".join([*shown, redactor.end()]).encode()


@dataclass(frozen=True, slots=True)
class Fetched:
    """A whole file that goes on within the gateway, e.g. as an attachment: as the session may read it."""

    name: str
    type: str
    labels: frozenset[str]
    version: str
    content: bytes


async def fetch(admission: Admission, asked: Asked, most: int) -> Fetched | NotDone:
    """Return a file of at most so many bytes; decided, masked and recorded as any other read of it."""

    async def use(found: Found) -> Done[Fetched]:
        bound = most if found.bounds.bytes is None else min(most, found.bounds.bytes)
        if found.size > bound:
            allowed = f"files of up to {bound} bytes"
            return Done(denial=Denial("bytes_exceeded", f"the file is longer than {bound} bytes", allowed))
        content = await found.part(0, found.size)
        name = found.path.rpartition("/")[2]
        return Done(Fetched(name, found.type, found.labels, found.info.version, content), size=len(content))

    return await read(admission, asked, use)
