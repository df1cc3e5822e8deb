"""What was overwritten or deleted, kept in the gateway's own folder, where no agent's path leads.

One folder for each mount, in it one for each path (by its digest); a version is a file with its content and one, in
JSON, that says what it was. All of it blocks, and runs in threads.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from bailiwick.gateway.ulid import Ulids
from bailiwick.model.files import Keeping
from bailiwick.mounts.files.store import Opened, UnavailableError

_PART = 1024 * 1024
_ulids = Ulids()


@dataclass(frozen=True, slots=True)
class Version:
    """One version that is kept."""

    id: str
    path: str
    size: int
    kept_at: datetime
    why: str
    """What came in its place: `update`, `delete`, `restore`."""
    session: str
    agent: str


class Versions:
    """Those of one mount."""

    def __init__(self, folder: Path, keeping: Keeping) -> None:
        self._folder = folder
        self._keeping = keeping

    def keep(self, path: str, opened: Opened, why: str, session: str, agent: str) -> Version:
        """Keep a file as it is. On the disk when this returns. Raises OSError, ChangedError, UnavailableError."""
        place = self._place(path)
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        version = Version(_ulids.new(), path, opened.info.size, datetime.now(UTC), why, session, agent)
        temporary = place / f".{secrets.token_hex(8)}"
        try:
            with _private(temporary) as file:
                at = 0
                while at < opened.info.size and (data := opened.read(at, min(_PART, opened.info.size - at))):
                    _all(file, data)
                    at += len(data)
                os.fsync(file)
            temporary.rename(place / f"{version.id}.data")
            with _private(temporary) as file:
                _all(file, json.dumps(_told(version)).encode())
                os.fsync(file)
            temporary.rename(place / f"{version.id}.json")
        except OSError as error:
            raise UnavailableError(f"the version before cannot be kept: {error.strerror}") from None
        finally:
            temporary.unlink(missing_ok=True)
        self._prune(place)
        return version

    def listed(self, path: str) -> tuple[Version, ...]:
        """Return what is kept of a path, the newest first."""
        return tuple(sorted(self._of(self._place(path)), key=lambda each: each.id, reverse=True))

    def open(self, version: Version) -> Path:
        """Return the file with the content of a version."""
        return self._place(version.path) / f"{version.id}.data"

    def prune(self) -> None:
        """Forget what is past its time, of all paths."""
        with contextlib.suppress(FileNotFoundError):
            for place in self._folder.iterdir():
                self._prune(place)

    def _place(self, path: str) -> Path:
        digest = hashlib.sha256(path.encode()).hexdigest()
        return self._folder / digest[:40]

    def _of(self, place: Path) -> Iterator[Version]:
        with contextlib.suppress(FileNotFoundError):
            for each in place.glob("*.json"):
                found = _read(each)
                if found is not None:
                    yield found

    def _prune(self, place: Path) -> None:
        known = sorted(self._of(place), key=lambda each: each.id, reverse=True)
        oldest = datetime.now(UTC) - self._keeping.span
        gone = [each for number, each in enumerate(known) if number >= self._keeping.versions or each.kept_at < oldest]
        for each in gone:
            (place / f"{each.id}.json").unlink(missing_ok=True)
            (place / f"{each.id}.data").unlink(missing_ok=True)
        if known and len(gone) == len(known):
            shutil.rmtree(place, ignore_errors=True)


@contextlib.contextmanager
def _private(path: Path) -> Generator[int]:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        yield file
    finally:
        os.close(file)


def _all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def _told(version: Version) -> dict[str, object]:
    return {
        "id": version.id,
        "path": version.path,
        "size": version.size,
        "kept_at": version.kept_at.isoformat(),
        "why": version.why,
        "session": version.session,
        "agent": version.agent,
    }


def _read(file: Path) -> Version | None:
    try:
        found = cast("dict[str, object]", json.loads(file.read_bytes()))
        return Version(
            str(found["id"]),
            str(found["path"]),
            int(str(found["size"])),
            datetime.fromisoformat(str(found["kept_at"])),
            str(found["why"]),
            str(found["session"]),
            str(found["agent"]),
        )
    except (OSError, ValueError, KeyError):
        return None  # half written when the gateway was killed
