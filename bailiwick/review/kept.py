"""Policies as they were written → what decides by them: of the archive of a gateway, or of texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from bailiwick.errors import BailiwickError
from bailiwick.gateway.policies.archive import PolicyArchive
from bailiwick.gateway.policies.ready import Written, read_force
from bailiwick.review.side import Side


def side_of(place: Path, written: Written) -> Side:
    """Return the policy of these texts. Raises PolicyError."""
    return Side(*read_force(place, written))


def kept_sides(folder: Path, known: Sequence[Side]) -> Callable[[str], Side | None]:
    """Return what finds a policy that was in force by its version: in the archive, or among those that are known."""
    archive, found = PolicyArchive(folder), dict[str, Side | None]()

    def find(version: str) -> Side | None:
        if version not in found:
            kept = archive.find(version)
            try:
                side = None if kept is None else side_of(folder, Written(kept.files, kept.lock))
            except BailiwickError:
                side = None
            alike = (each for each in known if each.policy.version == version)
            found[version] = side if side is not None and side.policy.version == version else next(alike, None)
        return found[version]

    return find
