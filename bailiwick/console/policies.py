"""The policy in force and those before it, as the pages need them: kept as it comes in force, compared in words."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bailiwick.errors import BailiwickError
from bailiwick.gateway.files import read_lock, read_policy
from bailiwick.gateway.moments import Clock
from bailiwick.gateway.policies.archive import Archived, PolicyArchive
from bailiwick.gateway.sessions.sessions import Sessions
from bailiwick.model.lock import Lock
from bailiwick.model.policy import Policy
from bailiwick.policy.diff import Change, diff
from bailiwick.policy.load import load
from bailiwick.policy.lockfile import parse_lock


@dataclass(frozen=True, slots=True)
class Compared:
    """What a version changed, in words and as text."""

    changes: Sequence[Change]
    lines: Sequence[tuple[str, str]]
    """(`+`, `-`, `@` or space; the line)."""


class Policies:
    """What was and is in force."""

    def __init__(self, path: Path, archive: PolicyArchive, sessions: Sessions, clock: Clock) -> None:
        self._path = path
        self._archive = archive
        self._sessions = sessions
        self._clock = clock

    @property
    def policy(self) -> Policy:
        """The policy in force."""
        return self._sessions.force.policy

    @property
    def lock(self) -> Lock:
        """The lock in force."""
        return self._sessions.force.lock

    async def current(self) -> Archived | None:
        """Return the policy in force as it is written; None when its files say something else by now."""
        version = self.policy.version
        found = await asyncio.to_thread(self._archive.find, version)
        return found or await asyncio.to_thread(self._kept, version)

    async def kept(self) -> list[Archived]:
        """Return the versions that are kept, the newest first."""
        await self.current()
        return await asyncio.to_thread(self._archive.list)

    async def compared(self, version: str) -> tuple[Archived, Archived | None, Compared] | None:
        """Return a version, the one before it, and what it changed; None when it is not kept."""
        versions = await self.kept()
        places = [place for place, each in enumerate(versions) if each.version == version]
        if not places:
            return None
        new = versions[places[0]]
        old = versions[places[0] + 1] if places[0] + 1 < len(versions) else None
        return new, old, await asyncio.to_thread(compare, old, new)

    def _kept(self, version: str) -> Archived | None:
        try:
            files, lock = read_policy(self._path), read_lock(self._path)
        except BailiwickError:
            return None
        named = {Path(name).name: text for name, text in files.items()}
        found = Archived(version, self._clock(), named, lock)
        loaded = load(files).policy
        if loaded is None or loaded.version != version:
            return None
        self._archive.keep(found)
        return found


def read(found: Archived) -> tuple[Policy | None, Lock | None]:
    """Return what an archived policy and its lock mean; None for what cannot be read any more."""
    try:
        return load(dict(found.files)).policy, None if found.lock is None else parse_lock(found.lock)
    except BailiwickError:
        return None, None


def compare(old: Archived | None, new: Archived) -> Compared:
    """Return what changed from one version to another."""
    if old is None:
        return Compared((), ())
    before, after = read(old), read(new)
    changes = () if before[0] is None or after[0] is None else diff(before[0], after[0], before[1], after[1])
    lines: list[tuple[str, str]] = []
    for name in dict.fromkeys((*old.files, *new.files, "bailiwick.lock")):
        texts = [(each.lock or "") if name == "bailiwick.lock" else each.files.get(name, "") for each in (old, new)]
        found = difflib.unified_diff(texts[0].splitlines(), texts[1].splitlines(), name, name, lineterm="", n=2)
        lines += [(line[:1], line) for line in found if not line.startswith(("---", "+++"))]
    return Compared(changes, lines)
