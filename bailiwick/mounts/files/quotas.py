"""How much may lie in a mount: counted in the store itself, and looked at before each write."""

from __future__ import annotations

import asyncio
import time

from bailiwick.model.decision import Denial
from bailiwick.mounts.files.folders import Mounted
from bailiwick.mounts.files.store import UnavailableError

_most_counted = 1_000_000
_known_seconds = 30.0


async def over_quota(mounted: Mounted, more: int, new: bool) -> Denial | None:  # what it is about
    """Return why a write would be too much; None: it may be done, and is counted. Held under `mounted.writing`."""
    quota = mounted.mount.quota
    if quota.bytes is None and quota.files is None:
        return None
    known = mounted.usage
    if not known or time.monotonic() - known[0] > _known_seconds:
        try:
            files, size = await asyncio.to_thread(mounted.store.usage, _most_counted)
        except UnavailableError:
            return Denial(
                "limit_unavailable", "what lies in this mount cannot be counted now", remedy="try again later"
            )
        known[:] = [time.monotonic(), files, size]
    files, size = int(known[1]) + new, int(known[2]) + more
    if quota.files is not None and new and files > quota.files:
        return _over("files", quota.files)
    if quota.bytes is not None and more > 0 and size > quota.bytes:
        return _over("bytes", quota.bytes)
    known[1:] = [files, size]
    return None


def _over(what: str, most: int) -> Denial:
    message = f"this mount may hold at most {most} {what}, and this write would exceed it"
    return Denial("limit_exceeded", message, f"up to {most} {what}", "delete what is not needed, or ask its owner")
