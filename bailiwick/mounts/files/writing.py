"""Writing, deleting and moving files: of just the version that was decided on, with what was before kept."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from bailiwick.decide.calls import Admitted, Decided, Held, Refused
from bailiwick.decide.files import names_used, redacted_by
from bailiwick.gateway.call import Call
from bailiwick.match.sniff import head_size, type_of
from bailiwick.model.decision import Decision, Denial
from bailiwick.model.files import FileVerb
from bailiwick.model.label import levels
from bailiwick.mounts.files.admission import (
    Admission,
    Asked,
    Going,
    Known,
    NotDone,
    Target,
    changed,
    is_held,
    unavailable,
)
from bailiwick.mounts.files.content import Content, Scratch, anywhere
from bailiwick.mounts.files.diffs import change_of, longest_compared
from bailiwick.mounts.files.quotas import over, over_quota, room
from bailiwick.mounts.files.store import (
    ChangedError,
    ExistsError,
    GoneError,
    Info,
    Keep,
    Opened,
    UnavailableError,
)
from bailiwick.mounts.tool_path import NO_LEDGER, Done

NOTHING = "none"
"""The condition that there is no file yet."""
ANY = "*"
"""The condition that there is one."""
longest_tried = 256 * 1024
"""Bytes of a write that is tried before it is known whether something is there: more would be sent in vain."""


@dataclass(frozen=True, slots=True)
class Written:
    """What was done."""

    path: str
    info: Info | None
    """None: it was deleted."""
    created: bool = False


async def write(admission: Admission, asked: Asked, content: Content, condition: str = "") -> Written | NotDone:
    """Write a file, new or in the place of the one that is there. `condition`: see `_against`."""
    verbs: tuple[FileVerb, ...] = ("create", "update")
    target = admission.target(asked, verbs)
    if isinstance(target, Denial):
        return await admission.refuse(asked, "write", target)
    if condition in ("", NOTHING) and content.size <= longest_tried:
        tried = await _tried(admission, asked, target, content)
        if tried is not None:
            return tried
    try:
        base = await asyncio.to_thread(target.mounted.store.look, target.parts)
    except UnavailableError as error:
        return await admission.unavailable(asked, verbs, target, error)
    return await _write(admission, asked, target, _Change(content, condition, base))


def scratch_of(admission: Admission, asked: Asked) -> Scratch:
    """Return what opens the files in which long content waits to be decided on: where it may stay, if it may be."""
    target = admission.target(asked, ("create", "update"))
    if isinstance(target, Denial):
        return anywhere
    return lambda: target.mounted.store.scratch(target.parts) or anywhere()


async def room_for(admission: Admission, asked: Asked) -> int | NotDone:
    """Return how many bytes a write may have, before any of them is taken."""
    verbs: tuple[FileVerb, ...] = ("create", "update")
    target = admission.target(asked, verbs)
    if isinstance(target, Denial):
        return await admission.refuse(asked, "write", target)
    update = target.tools.get("update")
    replaced: int | None = 0
    if update is not None:
        # which of the files it may change is not known yet: of one that it may not, the size is not told
        bounded = target.mounted.mount.quota.bytes is not None
        by_path = bounded and not update.denies and "modified" not in names_used(update)
        try:
            base = await asyncio.to_thread(target.mounted.store.look, target.parts) if by_path else None
        except UnavailableError as error:
            return await admission.unavailable(asked, verbs, target, error)
        replaced = (base.size if base is not None else 0) if by_path else None
    found = await room(target.mounted, replaced)
    return await admission.refuse(asked, "write", found, target) if isinstance(found, Denial) else found


async def too_long(admission: Admission, asked: Asked) -> NotDone:
    """Record that more was to be written than there is room for."""
    target = admission.target(asked, ("create", "update"))
    if isinstance(target, Denial):
        return await admission.refuse(asked, "write", target)
    return await admission.refuse(asked, "write", over(target.mounted), target)


@dataclass(frozen=True, slots=True)
class _Change:
    """What is to be written, in the place of what."""

    content: Content
    condition: str
    base: Info | None


async def _write(admission: Admission, asked: Asked, target: Target, change: _Change) -> Written | NotDone:
    content, base = change.content, change.base
    verb: FileVerb = "create" if base is None else "update"
    known = _known(target, content, base)
    decided = _decided(admission, asked, target, verb, known)
    if isinstance(decided, tuple):
        return await admission.refuse(asked, "write", decided[0], target, decided[1])
    against = _against(change.condition, base)  # of what it may write: of nothing else may a condition tell anything
    if against is not None:
        return await admission.refuse(asked, verb, against, target)
    if isinstance(decided, Held):
        try:
            shown = await asyncio.to_thread(_change, target, base, content)
        except ChangedError:
            return await admission.refuse(asked, verb, changed(), target)
        except UnavailableError as error:
            return await admission.unavailable(asked, (verb,), target, error)
        decided = admission.decide(target, verb, replace(known, more={**known.more, "change": shown}))
    going = await admission.clear(decided, target, verb, asked)
    if isinstance(going, NotDone):
        return going

    async def execute() -> Done[Written]:
        async with target.mounted.writing:
            over = await over_quota(target.mounted, content.size - (base.size if base is not None else 0), base is None)
            if over is not None:
                return Done(denial=over)
            content.file.seek(0)
            done = await _effect(
                lambda: target.mounted.store.write(
                    target.parts, content.file, content.size, base, _keeper(admission, target, verb)
                )
            )
        if isinstance(done, Denial):
            return Done(denial=done)
        return Done(Written(target.path, done, created=base is None), size=content.size)

    return await _run(admission, going, _call(admission, going, target, verb, asked, content), execute)


async def _tried(admission: Admission, asked: Asked, target: Target, content: Content) -> Written | NotDone | None:
    """Create a file in a place that itself refuses to replace one, without having looked: one request of two.

    None: nothing was done, by a gate, a grant, or because there is one; then it is looked at."""
    mount = target.mounted.mount
    bounded = (mount.quota.bytes, mount.quota.files) != (None, None)
    observed = mount.name in admission.live.scope.observed  # it would be seen to use what it does not
    if not target.mounted.store.tries or "create" not in target.tools or bounded or observed:
        return None
    decided = admission.decide(target, "create", _known(target, content, None))
    if not isinstance(decided, Admitted):
        return None
    going = await admission.clear(decided, target, "create", asked)
    if isinstance(going, NotDone):
        return going
    taken = False

    async def execute() -> Done[Written]:
        nonlocal taken
        keep = _keeper(admission, target, "create")
        content.file.seek(0)
        done = await _effect(lambda: target.mounted.store.write(target.parts, content.file, content.size, None, keep))
        if isinstance(done, Denial):
            taken = done.code == "data_changed"
            return Done(denial=done, vain=taken)
        return Done(Written(target.path, done, created=True), size=content.size)

    found = await _run(admission, going, _call(admission, going, target, "create", asked, content), execute)
    return None if taken and isinstance(found, NotDone) and found.denial.code == "data_changed" else found


def _known(target: Target, content: Content, base: Info | None) -> Known:
    more = {"content": content.digest, "base": "" if base is None else base.version}
    return Known(base, type_of(target.parts[-1], content.head), content.size, more)


def _call(admission: Admission, going: Going, target: Target, verb: FileVerb, asked: Asked, content: Content) -> Call:
    digest = admission.digested(content.digest)
    return admission.call(going, target, verb, asked, content=digest, size=content.size)


async def delete(admission: Admission, asked: Asked, condition: str = "") -> Written | NotDone:
    """Delete a file."""
    target = admission.target(asked, ("delete",))
    if isinstance(target, Denial):
        return await admission.refuse(asked, "delete", target)
    found = await _looked_at(admission, asked, target, "delete")
    if isinstance(found, NotDone):
        return found
    info, kind, shown = found
    decided = admission.decide(target, "delete", Known(info, kind, more={"base": info.version}))
    if isinstance(decided, Refused):
        return await admission.refuse(asked, "delete", admission.absent(asked, ("delete",)), target, decided.decision)
    against = _against(condition, info)  # of a file that it may delete: of no other may a condition tell anything
    if against is not None:
        return await admission.refuse(asked, "delete", against, target)
    if is_held(decided):
        decided = admission.decide(target, "delete", Known(info, kind, more={"base": info.version, "change": shown}))
    going = await admission.clear(decided, target, "delete", asked)
    if isinstance(going, NotDone):
        return going

    async def execute() -> Done[Written]:
        keep = _keeper(admission, target, "delete")
        done = await _effect(lambda: target.mounted.store.delete(target.parts, info, keep))
        if isinstance(done, Denial):
            return Done(denial=done)
        return Done(Written(target.path, None), size=info.size)

    call = admission.call(going, target, "delete", asked, version=info.version, size=info.size)
    return await _run(admission, going, call, execute)


async def move(admission: Admission, asked: Asked, to: str, condition: str = "") -> Written | NotDone:
    """Move a file within its mount, to where nothing is: `move` there, `create` here, and never to lower labels."""
    target = admission.target(asked, ("move",))
    if isinstance(target, Denial):
        return await admission.refuse(asked, "move", target)
    there = Asked(asked.mount, to, asked.purpose)
    place = admission.target(there, ("create",))
    if isinstance(place, Denial):
        return await admission.refuse(there, "move", place)
    found = await _looked_at(admission, asked, target, "move")
    if isinstance(found, NotDone):
        return found
    info, kind, _ = found
    decided = admission.decide(target, "move", Known(info, kind, more={"base": info.version, "to": to}))
    if isinstance(decided, Refused):
        return await admission.refuse(asked, "move", admission.absent(asked, ("move",)), target, decided.decision)
    against = _against(condition, info) or _against_move(admission, target, place, Known(info, kind))
    if against is not None:
        return await admission.refuse(asked, "move", against, target)
    going = await admission.clear(decided, target, "move", asked)
    if isinstance(going, NotDone):
        return going

    async def execute() -> Done[Written]:
        done = await _effect(lambda: target.mounted.store.move(target.parts, place.parts, info))
        return Done(denial=done) if isinstance(done, Denial) else Done(Written(to, done, created=True), size=info.size)

    call = admission.call(going, target, "move", asked, to=admission.told(to, place.placed), version=info.version)
    return await _run(admission, going, call, execute)


def _against_move(admission: Admission, target: Target, place: Target, known: Known) -> Denial | None:
    """Return why a file may not be moved: not be created there, lose labels by it, or become readable by it."""
    created = admission.decide(place, "create", Known(None, known.type, known.info.size if known.info else 0))
    if isinstance(created, Refused):
        return created.decision.denial
    if is_held(created):
        return Denial(
            "action_not_granted", "what is moved there would be held for people", "", "write it there instead"
        )
    own, other = target.placed, place.placed
    if levels.index(other.level) < levels.index(own.level) or not own.labels - set(levels) <= other.labels:
        message = "moving it there would take labels from it"
        return Denial("action_not_granted", message, "places with at least the same labels", "ask a person to move it")
    here, there = _read(admission, target, known), _read(admission, place, known)
    if isinstance(here, Admitted) and not any(grant.masks for grant in here.view.grants):
        return None
    if own.resource != other.resource:
        message = "moving it to another resource needs the right to read it in clear"
        return Denial("action_not_granted", message, "moving it within its resource", "ask for a grant")
    if _shows_no_more(here, there):
        return None
    message = "moving it there would show more of it than may be read where it is"
    return Denial("action_not_granted", message, "places where no more of it may be read", "ask for a grant")


def _read(admission: Admission, target: Target, known: Known) -> Decided | None:
    """Return what is decided of reading a file, if it were there; None: nothing there can be read."""
    reads = admission.known_target(target.mounted, target.path, ("read",))
    return None if reads is None else admission.decide(reads, "read", known)


def _shows_no_more(here: Decided | None, there: Decided | None) -> bool:
    """Return whether of a file nothing is shown by a read of the second kind that one of the first does not show."""
    if there is None or isinstance(there, Refused):
        return True
    if here is None or isinstance(here, Refused):
        return False
    first, second = (each if isinstance(each, Admitted) else each.admitted for each in (here, there))
    if not set(redacted_by(first.view.grants)) <= set(redacted_by(second.view.grants)):
        return False
    gates = here.hold.gates if isinstance(here, Held) else ()
    return set(gates) <= set(there.hold.gates if isinstance(there, Held) else ())


async def _looked_at(
    admission: Admission, asked: Asked, target: Target, verb: FileVerb
) -> tuple[Info, str, str] | NotDone:
    """Return what a file is, its type, and what its deletion would change."""
    try:
        found = await asyncio.to_thread(_looked, target, verb)
    except UnavailableError as error:
        return await admission.unavailable(asked, (verb,), target, error)
    except ChangedError:
        return await admission.refuse(asked, verb, changed(), target)
    if found is None:
        return await admission.refuse(asked, verb, admission.absent(asked, (verb,)), target)
    return found


def _looked(target: Target, verb: FileVerb) -> tuple[Info, str, str] | None:
    opened = _opened(target)
    if opened is None:
        return None
    try:
        head = opened.read(0, min(opened.info.size, longest_compared + 1 if verb == "delete" else head_size))
        kind = type_of(target.parts[-1], head[:head_size])
        return opened.info, kind, change_of(target.path, head, None, target.placed.level) if verb == "delete" else ""
    finally:
        opened.close()


def _opened(target: Target) -> Opened | None:
    try:
        return target.mounted.store.open(target.parts)
    except GoneError:
        return None


def _change(target: Target, base: Info | None, content: Content) -> str:
    old: bytes | None = None
    if base is not None:
        opened = _opened(target)
        if opened is None:
            raise ChangedError
        try:
            if opened.info.version != base.version:
                raise ChangedError
            old = opened.read(0, min(base.size, longest_compared + 1))
        finally:
            opened.close()
    return change_of(target.path, old, content.whole(longest_compared), target.placed.level)


def _against(condition: str, base: Info | None) -> Denial | None:
    """Return why a condition is not met: a version, `*` for any, `none` for no file; empty: there is no condition."""
    if not condition or (condition == ANY and base is not None) or (condition == NOTHING and base is None):
        return None
    if base is not None and condition == base.version:
        return None
    return changed("there is a file already" if condition == NOTHING else "the file is not the version that was named")


def _decided(
    admission: Admission, asked: Asked, target: Target, verb: FileVerb, known: Known
) -> Decided | tuple[Denial, Decision | None]:
    """Return a write that is granted, or held; else why it is not, as it is said and as it is recorded.

    INVARIANT: who may only change files is told the same of one that it may not change and of none; who may only
    create them learns of one that is there where it could have created one, and by that alone."""
    asked_for: FileVerb = verb if verb in target.tools else "create" if verb == "update" else "update"
    if asked_for != verb:
        known = replace(known, info=None, more={**known.more, "base": ""})
    decided = admission.decide(target, asked_for, known)
    refused = decided if isinstance(decided, Refused) else None
    if refused is not None and (asked_for == "create" or "modified" not in names_used(target.tools[asked_for])):
        return refused.decision.denial, refused.decision
    if asked_for == "update" and (refused is not None or verb == "create"):
        return admission.absent(asked, ("update",)), None if refused is None else refused.decision
    if asked_for == verb:
        return decided
    action = f"{target.placed.resource}:update"
    message = "there is a file already, and changing it is not granted"
    return Denial("action_not_granted", message, f"`{target.placed.resource}:create`", "ask for a grant", action), None


def _keeper(admission: Admission, target: Target, why: str) -> Keep:
    session = admission.live.session

    def keep(opened: Opened) -> None:
        target.mounted.versions.keep(target.path, opened, why, session.id, session.agent)

    return keep


async def _effect(work: Callable[[], Info | None]) -> Info | Denial:
    """Do something to a store in a thread. Once begun it is not stopped, so that it is done or undone, never half."""
    try:
        done = await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, work))
    except ChangedError:
        return changed()
    except ExistsError:
        return changed("something is there already")
    except GoneError:
        return changed("it is not there any more, or the folder that it would be in is none")
    except UnavailableError as error:
        return unavailable(error)
    return done if done is not None else Info(0, None, "")


async def _run(
    admission: Admission, going: Going, call: Call, execute: Callable[[], Awaitable[Done[Written]]]
) -> Written | NotDone:
    watched = admission.path.watch_files([going.admitted], admission.terms.digest)
    done = await admission.path.run(call, execute, intends=True, approval=going.approval, watched=watched)
    if done.denial is not None or done.shown is None:
        return NotDone(done.denial or NO_LEDGER, done.record)
    return done.shown
