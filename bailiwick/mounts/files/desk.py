"""What people can do with the files of a mount: see what is kept of one, and put a version back."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from bailiwick.errors import ConfigError
from bailiwick.gateway.desk import Answer
from bailiwick.gateway.enforce import Gateway
from bailiwick.gateway.recorder import Fact
from bailiwick.gateway.wire import Fields, Json
from bailiwick.match.file_paths import path_problem
from bailiwick.model.approval import Reviewer
from bailiwick.mounts.files.folders import Folders, Mounted
from bailiwick.mounts.files.store import (
    ChangedError,
    ExistsError,
    GoneError,
    Opened,
    UnavailableError,
)
from bailiwick.mounts.files.versions import Version


class FileDesk:
    """Answers `files.versions` and `files.restore`."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders
        self.gateway: Gateway | None = None
        """Whom it tells what is done; there is one once the gateway has started."""

    @property
    def answers(self) -> Mapping[str, Answer]:
        """What can be asked of it."""
        return {"files.versions": self._versions, "files.restore": self._restore}

    async def _versions(self, fields: Fields, by: Reviewer) -> Mapping[str, Json]:
        del by
        mounted, path = self._named(fields)
        fields.done()
        kept = await asyncio.to_thread(mounted.versions.listed, path)
        return {"versions": [_told(each) for each in kept]}

    async def _restore(self, fields: Fields, by: Reviewer) -> Mapping[str, Json]:
        mounted, path = self._named(fields)
        wanted = fields.text("version")
        fields.done()
        kept = await asyncio.to_thread(mounted.versions.listed, path)
        version = next((each for each in kept if each.id == wanted), None)
        if version is None:
            raise ConfigError("there is no such version of that file", remedy="`bailiwick files versions` lists them")
        if self.gateway is None:
            raise ConfigError("the gateway is stopping", remedy="start it again")
        detail: dict[str, Json] = {"path": path, "version": version.id, "by": by.name}
        await self.gateway.keep(Fact("file.restored", mount=mounted.mount.name, detail=detail))
        try:
            size = await asyncio.to_thread(_put_back, mounted, version, by.name)
        except (ChangedError, ExistsError, GoneError, UnavailableError) as error:
            failed = Fact("file.restored", "backend_unavailable", "it was not put back", detail=detail)
            await self.gateway.keep(failed)
            why = str(error.args[0]) if error.args else "something else stands in its place, or changed meanwhile"
            raise ConfigError(f"the file was not put back: {why}", remedy="look at it, then try again") from None
        return {"path": path, "version": version.id, "size": size}

    def _named(self, fields: Fields) -> tuple[Mounted, str]:
        name, path = fields.text("mount"), fields.text("path")
        mounted = self._folders.get(name)
        if mounted is None:
            raise ConfigError(f"there is no mount of files `{name}`", remedy="name one of the policy")
        problem = path_problem(path)
        if problem:
            raise ConfigError(f"this is no path of a file: {problem}", remedy="write it from the root of the mount")
        return mounted, path


def _put_back(mounted: Mounted, version: Version, by: str) -> int:
    parts = tuple(version.path.split("/"))
    try:
        opened = mounted.store.open(parts)
        base = opened.info
        opened.close()
    except GoneError:
        base = None

    def keep(opened: Opened) -> None:
        mounted.versions.keep(version.path, opened, "restore", "", by)

    with mounted.versions.open(version).open("rb") as content:
        mounted.store.write(parts, content, version.size, base, keep)
    return version.size


def _told(version: Version) -> dict[str, Json]:
    return {
        "version": version.id,
        "size": version.size,
        "kept_at": version.kept_at.isoformat(timespec="seconds"),
        "replaced_by": version.why,
        "agent": version.agent,
        "session": version.session,
    }
