"""The doctor's look at mounts of files: reached as the gateway reaches them, and by nobody else on this machine."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from bailiwick.gateway.doctor.finding import Finding, ok, problem, warning
from bailiwick.gateway.policies.ready import FileSecrets, file_secrets
from bailiwick.model.files import FilesMount
from bailiwick.mounts.files.store import GoneError, UnavailableError

_looked_at = 100
"""Entries: enough to know that it can be listed."""


async def files_findings(
    mount: FilesMount, environ: Mapping[str, str], base: Path, own: Path | None
) -> Sequence[Finding]:
    """Return what is to be said of a folder or bucket; nothing is written. `own`: where the gateway keeps its data."""
    given = file_secrets(mount, environ, base)
    who = f"mount `{mount.name}`"
    try:
        await asyncio.to_thread(_look, mount, given)
    except (UnavailableError, GoneError) as error:
        why = str(error.args[0]) if error.args else "there is no such place"
        remedy = "check `root`, and that the gateway's account may read it" if mount.is_local else _REMEDY
        return [problem("backends", f"{who}: its files cannot be listed: {why}", remedy)]
    place = "folder" if mount.is_local else "bucket"
    well = ok("backends", f"{who}: the {place} is listed with the gateway's credential")
    return [well, *(_folder(who, Path(given.url.reveal()), own) if mount.is_local else ())]


_REMEDY = "check `url` and `credential` of the mount, and that the bucket is there"


def _look(mount: FilesMount, given: FileSecrets) -> None:
    from bailiwick.mounts.files.folders import store_of

    store = store_of(mount, given)
    for _ in islice(store.listed(()), _looked_at):
        pass


def _folder(who: str, root: Path, own: Path | None) -> Iterator[Finding]:
    if own is not None and own.resolve().is_relative_to(root.resolve()):
        what = f"{who}: the gateway's own data (`{own}`) lies within its folder"
        yield problem("files", what, "move one of the two: keys and ledger are nobody's to read")
    may = others(root.resolve())
    if may & stat.S_IWOTH:
        what = f"{who}: everybody on this machine can change its folder without the gateway"
        yield problem("around", what, f"run `chmod o-rwx {root}`, and run agents as another user")
    elif may & stat.S_IXOTH:
        what = f"{who}: everybody on this machine can enter its folder without the gateway"
        yield warning("around", what, f"run `chmod o-rwx {root}`, and run agents as another user")
    else:
        yield ok("around", f"{who}: other users of this machine cannot enter its folder")


def others(root: Path) -> int:
    """Return what others may do with a folder, which is nothing where they cannot come through a folder above it."""
    modes = [each.stat().st_mode for each in (root, *root.parents)]
    return modes[0] if all(mode & stat.S_IXOTH for mode in modes) else 0
