"""Mounts of files compared: what another one of the same name opens or closes, in words."""

from __future__ import annotations

from collections.abc import Iterator

from bailiwick.match.in_words import listed
from bailiwick.model.files import FilesMount, Quota


def files_changes(old: FilesMount, new: FilesMount) -> Iterator[tuple[bool, bool, str]]:
    """Yield each change: whether it widens, whether that is certain, and what it is."""
    if (old.url, old.is_local) != (new.url, new.is_local):
        yield True, False, f"points elsewhere: {new.url.text}"
    if old.credential != new.credential:
        yield True, False, "shows its store another credential"
    for name in sorted(old.paths.keys() & new.paths.keys()):
        for widens, mine, other in ((True, new, old), (False, old, new)):
            more = sorted(set(mine.paths[name]) - set(other.paths[name]))
            if more:
                yield widens, True, f"{'now' if widens else 'no longer'} has {listed(more)} as {name}"
    if old.labels != new.labels:
        yield True, False, "labels its files in another way"
    for flag, said in (("hard_links", "files with several names"), ("cross_mounts", "what is mounted within")):
        if getattr(old, flag) != getattr(new, flag):
            serves = bool(getattr(new, flag))
            yield serves, True, f"{'now' if serves else 'no longer'} serves {said}"
    if old.quota != new.quota:
        yield _is_more(old.quota, new.quota), True, f"may hold {_quota(new.quota)}"
    if old.keeping != new.keeping:
        kept = new.keeping
        fewer = kept.versions < old.keeping.versions or kept.span < old.keeping.span
        yield fewer, True, f"keeps {kept.versions} versions of each file for {kept.span.days} days"


def _is_more(old: Quota, new: Quota) -> bool:
    """Return whether a quota lets more in."""
    pairs = ((old.bytes, new.bytes), (old.files, new.files))
    return any(before is not None and (after is None or after > before) for before, after in pairs)


def _quota(quota: Quota) -> str:
    parts = [f"{amount} {what}" for amount, what in ((quota.bytes, "bytes"), (quota.files, "files")) if amount]
    return f"at most {listed(parts)}" if parts else "any amount"
