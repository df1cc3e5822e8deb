"""Lists and searches: of what the session's scope admits, within bounds; nothing else is told or counted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from bailiwick.decide.calls import Admitted, allowance
from bailiwick.decide.files import Placed, could, names_used, redacted_by
from bailiwick.decide.limits import exceeded
from bailiwick.gateway.call import Call
from bailiwick.match.file_paths import folder_problem
from bailiwick.match.redact import redacted
from bailiwick.match.sniff import head_size, is_text, type_of
from bailiwick.model.ceilings import Ceilings
from bailiwick.model.decision import Access, Allow, Denial, Request
from bailiwick.model.files import FileVerb
from bailiwick.model.scope import ToolScope
from bailiwick.mounts.files.admission import Admission, Asked, Known, NotDone, Target, unavailable, union
from bailiwick.mounts.files.folders import Mounted
from bailiwick.mounts.files.store import ChangedError, GoneError, Info, Parts, Store, UnavailableError
from bailiwick.mounts.tool_path import NO_LEDGER, Done

Shown = TypeVar("Shown")
most_entries = 5000
most_matches = 200
_most_walked = 50_000
_most_searched = 64 * 1024 * 1024
_longest_searched = 4 * 1024 * 1024
_search_seconds = 10.0
_longest_query = 200
_longest_line = 300
_PROBE = "-"
"""A name for asking what a file in a folder would be."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file or folder of a list."""

    path: str
    info: Info | None
    """None: it is a folder."""
    level: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """What there is; `complete`: whether all of it."""

    entries: tuple[Entry, ...]
    complete: bool


@dataclass(frozen=True, slots=True)
class Match:
    """One line in which something was found."""

    path: str
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Matches:
    """What was found; `complete`: whether all files of the scope were looked at to their end."""

    found: tuple[Match, ...]
    complete: bool


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for, in which folder."""

    text: str
    exact: bool = False
    """Whether upper and lower case differ."""
    most: int = 50


class _Scanning:
    """One walk through what the session may list, or read. Runs in a thread; decides as it goes."""

    def __init__(self, admission: Admission, mounted: Mounted, verb: FileVerb) -> None:
        self.allows: dict[str, Allow] = {}
        self.met: dict[tuple[str, str], Admitted] = {}
        """Resource and level → the first file of them that was admitted."""
        self.complete = True
        self._admission = admission
        self._mounted = mounted
        self._verb: FileVerb = verb
        self._asking = admission.gateway.asking(admission.live)
        """One moment for all of it."""
        self._tools: dict[str, ToolScope | None] = {}
        self._used: dict[str, frozenset[str]] = {}
        self._plain: dict[tuple[str, str], Admitted | None] = {}
        """Resource and level → what is decided of all such files, where nothing else of them matters."""
        self._walked = 0

    def below(self, folder: str, *, deep: bool) -> Iterator[tuple[Entry, Admitted | None]]:
        """Yield the files that are admitted, and the folders in which some could be. Raises GoneError."""
        pending = [folder]
        while pending:
            at = pending.pop()
            try:
                yield from self._folder(at, pending, deep=deep)
            except GoneError:
                if at == folder:
                    raise

    def _folder(self, at: str, pending: list[str], *, deep: bool) -> Iterator[tuple[Entry, Admitted | None]]:
        parts: Parts = tuple(at.split("/")) if at else ()
        for each in self._mounted.store.listed(parts):
            self._walked += 1
            if self._walked > _most_walked:
                self.complete = False
                return
            path = f"{at}/{each.name}" if at else each.name
            if each.info is None:
                if self.reaches(path):
                    if deep:
                        pending.append(path)
                    else:
                        yield Entry(path, None), None
                continue
            placed = self._mounted.places.place(path)
            tool = None if placed is None else self._tool(placed.resource)
            admitted = None if placed is None or tool is None else self._decided(path, placed, tool, each.info)
            if placed is not None and admitted is not None:
                yield Entry(path, each.info, placed.level), admitted

    @property
    def store(self) -> Store:
        """Where the files are."""
        return self._mounted.store

    def reaches(self, folder: str) -> bool:
        """Return whether files of the session's could be in a folder, as far as the policy's patterns say."""
        places = self._mounted.places
        probe = places.place(f"{folder}/{_PROBE}" if folder else _PROBE)
        tool = None if probe is None else self._tool(probe.resource)
        if probe is not None and tool is not None and could(self._asking, tool, f"{folder}/{_PROBE}", probe):
            return True
        known = places.below(folder) - ({probe.resource} if probe is not None else frozenset())
        return any(self._tool(name) is not None for name in known) or (
            probe is not None and tool is not None and _names_paths(tool)
        )

    def _tool(self, resource: str) -> ToolScope | None:
        if resource not in self._tools:
            self._tools[resource] = self._admission.tool(self._mounted, resource, self._verb)
        return self._tools[resource]

    def _decided(self, path: str, placed: Placed, tool: ToolScope, info: Info) -> Admitted | None:
        used = self._used.get(placed.resource)
        if used is None:
            used = self._used[placed.resource] = names_used(tool)
        plain = not used & {"path", "folded", "size", "type", "modified"}
        key = (placed.resource, placed.level)
        if plain and key in self._plain:
            return self._plain[key]
        target = Target(self._mounted, path, placed, {self._verb: tool})
        if not could(self._asking, tool, path, placed):  # what is not reached is not looked at
            found = None
        else:
            found = self._known(target, Known(info, self._type(target) if "type" in used else None))
        if plain:
            self._plain[key] = found
        return found

    def _known(self, target: Target, known: Known) -> Admitted | None:
        decided = self._admission.decide(target, self._verb, known)
        if not isinstance(decided, Admitted):
            return None
        self.allows.setdefault(str(decided.allow.grants) + target.placed.resource, decided.allow)
        self.met.setdefault((target.placed.resource, target.placed.level), decided)
        return decided

    def _type(self, target: Target) -> str | None:
        try:
            opened = self._mounted.store.open(target.parts)
        except GoneError:
            return None
        try:
            return type_of(target.parts[-1], opened.read(0, min(head_size, opened.info.size)))
        except ChangedError:
            return None
        finally:
            opened.close()


def _names_paths(tool: ToolScope) -> bool:
    """Return whether a grant names paths: then nobody knows of a folder whether something in it is meant."""
    return any("path" in grant.args for grant in tool.allows)


async def list_files(
    admission: Admission, asked: Asked, *, deep: bool = False, most: int = 1000, after: str = ""
) -> Listing | NotDone:
    """Return what is in a folder, or below it."""
    scanning = _admitted(admission, asked, "list")
    if isinstance(scanning, Denial):
        return await admission.refuse(asked, "list", scanning)
    most = max(1, min(most, most_entries))

    def scan() -> Listing:
        found: list[Entry] = []
        for entry, _ in scanning.below(asked.path, deep=deep):
            if entry.path > after:
                found.append(entry)
                if not deep and len(found) > most:
                    break
        found.sort(key=lambda each: each.path)
        return Listing(tuple(found[:most]), scanning.complete and len(found) <= most)

    try:
        listing = await asyncio.to_thread(scan)
    except GoneError:
        return await admission.refuse(asked, "list", admission.absent(asked, ("list",)))
    except UnavailableError as error:
        return await admission.refuse(asked, "list", unavailable(error))

    async def shown() -> Done[Listing]:
        return Done(listing, items=len(listing.entries), denial=_too_many(allow.ceilings, len(listing.entries)))

    allow = _allow(admission, asked, scanning, "list")
    return await _recorded(admission, asked, "list", allow, shown, scanning.met)


async def search_files(admission: Admission, asked: Asked, wanted: Wanted) -> Matches | NotDone:
    """Return the lines of texts in which something stands, below a folder."""
    if not 0 < len(wanted.text) <= _longest_query or "\n" in wanted.text:
        wrong = Denial("argument_not_granted", f"`text` is one line of 1 to {_longest_query} characters")
        return await admission.refuse(asked, "search", wrong)
    scanning = _admitted(admission, asked, "read")
    if isinstance(scanning, Denial):
        return await admission.refuse(asked, "search", scanning)
    try:
        matches = await asyncio.to_thread(_searched, scanning, asked.path, wanted)
    except GoneError:
        return await admission.refuse(asked, "search", admission.absent(asked, ("read",)))
    except UnavailableError as error:
        return await admission.refuse(asked, "search", unavailable(error))
    size = sum(len(each.text) for each in matches.found)

    async def shown() -> Done[Matches]:
        return Done(matches, items=len(matches.found), size=size, denial=_too_many(allow.ceilings, len(matches.found)))

    allow = _allow(admission, asked, scanning, "read")
    return await _recorded(admission, asked, "search", allow, shown, scanning.met)


def _admitted(admission: Admission, asked: Asked, verb: FileVerb) -> _Scanning | Denial:
    blocked = admission.live.blocked(asked.mount)
    if blocked is not None:
        return blocked
    mounted = admission.folders.get(asked.mount) if asked.mount in admission.mounts() else None
    if mounted is None:
        known = ", ".join(f"`{name}`" for name in admission.mounts())
        return Denial("resource_unknown", "that is no mount of files of this session", known)
    problem = folder_problem(asked.path)
    if problem:
        message = f"this is no path of a folder: {problem}"
        return Denial("argument_not_granted", message, "", "write it as in `kb/articles`; empty is the whole mount")
    scanning = _Scanning(admission, mounted, verb)
    return scanning if scanning.reaches(asked.path) else admission.absent(asked, (verb,))


def _allow(admission: Admission, asked: Asked, scanning: _Scanning, verb: FileVerb) -> Allow:
    """Return by what a walk was allowed: by the grants of what was found; of nothing, by those that were asked."""
    if scanning.allows:
        return union(scanning.allows.values())
    tools = [tool for tool in admission.live.files.tools.values() if tool.mount == asked.mount]
    asking = admission.gateway.asking(admission.live)
    return union(allowance(asking, tool, tool.allows) for tool in tools if tool.tool.action.verb == verb)


async def _recorded(
    admission: Admission,
    asked: Asked,
    verb: str,
    allow: Allow,
    shown: Callable[[], Awaitable[Done[Shown]]],
    met: Mapping[tuple[str, str], Admitted],
) -> Shown | NotDone:
    accesses = tuple(
        Access(tool.tool.action.resource, tool.tool.action.verb)
        for tool in admission.live.files.tools.values()
        if tool.mount == asked.mount
        and any(grant.grant in allow.grants for grant in tool.allows)
        and tool.tool.action.verb == ("read" if verb == "search" else verb)
    )
    request = Request(asked.mount, accesses, asked.purpose)
    call = Call(asked.mount, f"{verb} {asked.mount}/{asked.path}", request, allow, {"file": {"verb": verb}})
    watched = admission.path.watch_files(met.values(), admission.terms.digest, walked=True)
    done = await admission.path.run(call, shown, intends=False, watched=watched)
    if done.denial is not None or done.shown is None:
        return NotDone(done.denial or NO_LEDGER, done.record)
    return done.shown


def _too_many(bounds: Ceilings | None, number: int) -> Denial | None:
    if bounds is None or bounds.rows is None or number <= bounds.rows:
        return None
    return exceeded("rows_exceeded", bounds, number)


def _searched(scanning: _Scanning, folder: str, wanted: Wanted) -> Matches:
    """Look through the texts of the scope. Plain text, so that no pattern can make it slow."""
    until = time.monotonic() + _search_seconds
    needle = wanted.text if wanted.exact else wanted.text.casefold()
    found: list[Match] = []
    left, complete = _most_searched, True
    most = max(1, min(wanted.most, most_matches))
    for entry, admitted in scanning.below(folder, deep=True):
        if admitted is None or entry.info is None:
            continue
        if time.monotonic() > until or left <= 0:
            complete = False
            break
        if entry.info.size > _longest_searched:
            complete = False
            continue
        text = _text(scanning, entry.path, admitted)
        left -= entry.info.size
        for number, line in enumerate(text.splitlines(), 1):
            if needle in (line if wanted.exact else line.casefold()):
                found.append(Match(entry.path, number, line[:_longest_line]))
                if len(found) > most:
                    return Matches(tuple(found[:most]), complete=False)
    return Matches(tuple(found), complete and scanning.complete)


def _text(scanning: _Scanning, path: str, admitted: Admitted) -> str:
    """Return what may be shown of a text, masked where the policy says so; empty: it is none, or was changed."""
    try:
        opened = scanning.store.open(tuple(path.split("/")))
    except GoneError:
        return ""
    try:
        data = opened.read(0, min(opened.info.size, _longest_searched))
    except ChangedError:
        return ""
    finally:
        opened.close()
    if not is_text(data[:head_size]):
        return ""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return ""
    return redacted(text, redacted_by(admitted.view.grants))[0]
