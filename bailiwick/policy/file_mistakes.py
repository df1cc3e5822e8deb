"""Mistakes of mounts of files: patterns that take files from one another, and labels with gaps."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from bailiwick.match.file_paths import Pattern, folded_pattern, overlap, pattern_folded, pattern_of
from bailiwick.model.files import FilesMount
from bailiwick.model.policy import Grant, Policy
from bailiwick.policy.mistakes import NOBODYS_FILES, TAKEN_FILES, UNLABELLED_FILES, Mistake
from bailiwick.policy.where import Path

Found = Iterator[tuple[Mistake, Path, str]]


def file_mistakes(policy: Policy) -> Found:
    """Yield each mistake, the place of it, and what exactly it is."""
    for mount in policy.files.values():
        yield from _claimed_twice(policy, mount)
        yield from _labels(mount)
    for role in policy.roles.values():
        for index, grant in enumerate(role.grants):
            if grant.effect == "deny":
                path = ("roles", role.name, "grants", str(index), "deny")
                yield from ((TAKEN_FILES, path, said) for said in _taken(policy, grant))


def _claimed_twice(policy: Policy, mount: FilesMount) -> Found:
    """A resource that nobody is allowed anything of may well take files from another one: so they are nobody's."""
    granted = [each for each in _patterns(mount) if _has(policy, each[0], "*", "allow")]
    for (first, one), (second, other) in combinations(granted, 2):
        if first != second and one.literal == other.literal and overlap(one, other):
            message = f"`{one.text}` of `{first}` and `{other.text}` of `{second}` match the same files"
            yield NOBODYS_FILES, ("mounts", mount.name, "resources", second, "paths"), message


def _taken(policy: Policy, deny: Grant) -> Iterator[str]:
    """Yield which files a deny does not hold for, where somebody is allowed the same of these."""
    for mount in policy.files.values():
        known = _patterns(mount)
        for _, wide in (each for each in known if each[0] == deny.action.resource):
            for other, near in known:
                nearer = other != deny.action.resource and near.literal > wide.literal and overlap(near, wide)
                if (
                    nearer
                    and _has(policy, other, deny.action.verb, "allow")
                    and not _has(policy, other, deny.action.verb, "deny")
                ):
                    yield f"`{deny.action}` is not denied of `{near.text}`, which is of `{other}`"


def _has(policy: Policy, resource: str, verb: str, effect: str) -> bool:
    """Return whether some role has such a grant; `*`: of any verb."""
    return any(
        grant.effect == effect
        and grant.action.resource in (resource, "*")
        and ("*" in (verb, grant.action.verb) or grant.action.verb == verb)
        for role in policy.roles.values()
        for grant in role.grants
    )


def _labels(mount: FilesMount) -> Found:
    """Labels are compared without case, as in `decide.files`."""
    paths = [folded_pattern(pattern) for _, pattern in _patterns(mount)]
    marked = [pattern_folded(text).parts for text, _ in mount.labels]
    for text, _ in mount.labels:
        label, path = pattern_folded(text), ("mounts", mount.name, "labels", text)
        if not any(overlap(label, each) for each in paths):
            yield UNLABELLED_FILES, path, f"`{text}` labels no file of a resource of `{mount.name}`"
        elif label.parts[-1:] == ("*",) and len(label.parts) > 1 and (*label.parts[:-1], "**") not in marked:
            below = pattern_folded(f"{text}/*/**")
            if any(overlap(below, each) for each in paths):
                yield UNLABELLED_FILES, path, f"`{text}` does not label files in the folders below it"


def _patterns(mount: FilesMount) -> list[tuple[str, Pattern]]:
    return [(name, pattern_of(text)) for name, texts in mount.paths.items() for text in texts]
