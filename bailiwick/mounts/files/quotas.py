"""How much may lie in a mount: counted in the store itself, and looked at before each write."""

from __future__ import annotations

import asyncio
import time

from bailiwick.model.decision import Denial
from bailiwick.mounts.files.folders import Mounted
from bailiwick.mounts.files.store import UnavailableError

_most_counted = 1_000_000
_known_seconds = 30.0
largest_write = 5 * 1024**3
"""Bytes of one file that are taken at most, whatever the quota."""


async def over_quota(mounted: Mounted, more: int, new: bool) -> Denial | None:
    """Return why a write would be too much; None: it may be done, and is counted. Held under `mounted.writing`."""
    quota = mounted.mount.quota
    if quota.bytes is None and quota.files is None:
        return None
    known = await _counted(mounted)
    if isinstance(known, Denial):
        return known
    files, size = int(known[1]) + new, int(known[2]) + more
    if quota.files is not None and new and files > quota.files:
        return _over("files", quota.files)
    if quota.bytes is not None and more > 0 and size > quota.bytes:
        return _over("bytes", quota.bytes)
    known[1:] = [files, size]
    return None


async def room(mounted: Mounted, replaced: int | None) -> int | Denial:
    """Return how many bytes a write may have, before any of them is taken; `replaced`: of what it takes the place of,
    None where that must not be told. What is written is looked at again by `over_quota`."""
    most = mounted.mount.quota.bytes
    if most is None:
        return largest_write
    if replaced is None:
        return min(most, largest_write)
    known = await _counted(mounted)
    left = known if isinstance(known, Denial) else max(0, most - int(known[2])) + replaced
    return left if isinstance(left, Denial) else min(left, largest_write)


async def _counted(mounted: Mounted) -> list[float] | Denial:
    known = mounted.usage
    if not known or time.monotonic() - known[0] > _known_seconds:
        try:
            files, size = await asyncio.to_thread(mounted.store.usage, _most_counted)
        except UnavailableError:
            message = "what lies in this mount cannot be counted now"
            return Denial("limit_unavailable", message, remedy="try again later")
        known[:] = [time.monotonic(), files, size]
    return known


def over(mounted: Mounted) -> Denial:
    """Return the denial of a write that is longer than there is room for."""
    if mounted.mount.quota.bytes is None:
        return Denial(
            "bytes_exceeded", f"the file is longer than {largest_write} bytes", f"up to {largest_write} bytes"
        )
    return _over("bytes", mounted.mount.quota.bytes)


def _over(what: str, most: int) -> Denial:
    message = f"this mount may hold at most {most} {what}, and this write would exceed it"
    return Denial("limit_exceeded", message, f"up to {most} {what}", "delete what is not needed, or ask its owner")
