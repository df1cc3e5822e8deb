"""The policies that were in force, as they were written: for people who ask what changed. No secret stands in one."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import cast

_most = 500
_VERSION_LENGTH = 128


@dataclass(frozen=True, slots=True)
class Archived:
    """A policy as it was."""

    version: str
    at: datetime
    """When it was first in force."""
    files: Mapping[str, str]
    """Name → text."""
    lock: str | None


class PolicyArchive:
    """A folder with one file a version."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, found: Archived) -> None:
        """Keep a version, if it is not kept already. What cannot be written is left out: nothing depends on it."""
        place = self._place(found.version)
        if place is None or place.exists():
            return
        values = {"at": found.at.isoformat(), "files": dict(found.files), "lock": found.lock}
        draft = place.with_suffix(".draft")
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
                json.dump(values, file, ensure_ascii=False)
            draft.replace(place)
            for old in sorted(self._folder.glob("*.json"), key=lambda each: each.stat().st_mtime)[:-_most]:
                old.unlink(missing_ok=True)
        except OSError:
            return

    def find(self, version: str) -> Archived | None:
        """Return a version, None when it is not kept."""
        place = self._place(version)
        try:
            read = cast("object", json.loads(place.read_text(encoding="utf-8"))) if place is not None else None
        except (OSError, ValueError):
            return None
        if not isinstance(read, dict):
            return None
        values = cast("Mapping[str, object]", read)
        files, at, lock = values.get("files"), values.get("at"), values.get("lock")
        if not isinstance(files, dict) or not isinstance(at, str) or not isinstance(lock, str | None):
            return None
        return Archived(version, datetime.fromisoformat(at), cast("dict[str, str]", files), lock)

    def list(self) -> list[Archived]:
        """Return all that are kept, the newest first."""
        names = [each.stem for each in self._folder.glob("*.json")] if self._folder.is_dir() else []
        found = [one for name in names if (one := self.find(name)) is not None]
        return sorted(found, key=lambda each: each.at, reverse=True)

    def _place(self, version: str) -> Path | None:
        """Return the file of a version; None for what is none, which may come from a request."""
        fine = version.isascii() and version.isalnum() and len(version) <= _VERSION_LENGTH
        return self._folder / f"{version}.json" if fine else None
