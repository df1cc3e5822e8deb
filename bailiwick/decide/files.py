"""Files in a scope: which resource a path is of, with which labels; what grants on files mean. Pure.

What the policy takes away, it takes away in every spelling: denies and labels are compared without case, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from bailiwick.decide.calls import Asking
from bailiwick.match.file_paths import Pattern, folded, folded_pattern, matches, pattern_of, reaches
from bailiwick.match.paths import holds_of_argument
from bailiwick.model.files import FilesMount, Redaction, redactions
from bailiwick.model.label import Level, level_of, levels
from bailiwick.model.matcher import Anything, Equal, Every, Glob, Matcher, OneOf, Prefix
from bailiwick.model.scope import CallGrant, ToolScope
from bailiwick.model.tool import EVERY_ARGUMENT

_open: tuple[Level, ...] = levels[: levels.index("confidential")]
RESTRICTED: Mapping[str, Matcher] = {"level": Equal("restricted")}
"""Which files the built-in gate `restricted` holds the reading of."""


@dataclass(frozen=True, slots=True)
class Placed:
    """What the policy says of one path."""

    resource: str
    labels: frozenset[str]

    @property
    def level(self) -> Level:
        """Its level."""
        return level_of(self.labels)


class FilePlaces:
    """The patterns of one mount."""

    def __init__(self, mount: FilesMount) -> None:
        self._resources = [(name, pattern_of(text)) for name, texts in mount.paths.items() for text in texts]
        self._folded = [(name, folded_pattern(each)) for name, each in self._resources]
        self._labels = [(pattern_of(text), marks) for text, marks in mount.labels]
        self._folded_labels = [(folded_pattern(each), marks) for each, marks in self._labels]
        self.place = lru_cache(maxsize=8192)(self._place)

    def _place(self, path: str) -> Placed | None:
        """Return what a path is; None when it is of no resource, or nobody can say of which.

        INVARIANT: a path that is of another resource when its case is left aside is of none."""
        parts, plain = tuple(path.split("/")), tuple(folded(path).split("/"))
        exact, loose = _nearest(self._resources, parts), _nearest(self._folded, plain)
        if len(exact) != 1 or exact != loose:
            return None
        marks = [
            each
            for (pattern, each), (without_case, _) in zip(self._labels, self._folded_labels, strict=True)
            if matches(pattern, parts) or matches(without_case, plain)
        ]
        return Placed(next(iter(exact)), _strictest(marks))

    def below(self, folder: str) -> frozenset[str]:
        """Return the resources of which files can lie below a folder."""
        parts = tuple(folder.split("/")) if folder else ()
        return frozenset(name for name, pattern in self._resources if reaches(pattern, parts))


def _nearest(patterns: Iterable[tuple[str, Pattern]], parts: tuple[str, ...]) -> frozenset[str]:
    """Return the resources of the patterns that match and name most folders: one, or it is not clear which."""
    best, found = -1, set[str]()
    for name, pattern in patterns:
        if pattern.literal >= best and matches(pattern, parts):
            if pattern.literal > best:
                best, found = pattern.literal, set[str]()
            found.add(name)
    return frozenset(found)


def _strictest(marks: Iterable[frozenset[str]]) -> frozenset[str]:
    """Return all labels, of the levels only the highest."""
    every = frozenset[str]().union(*marks)
    known = [each for each in levels if each in every]
    return every - frozenset(known[:-1])


def of_files(grant: CallGrant, *, denies: bool) -> CallGrant:
    """Return a grant as it is about files: what it says nothing of is free, but for labels of `confidential` and above.

    A deny is about every spelling of the paths that it names."""
    if denies:
        return replace(grant, args=_in_every_spelling(grant.args))
    if EVERY_ARGUMENT in grant.args:
        return grant
    return replace(grant, args={"level": OneOf(_open), **grant.args, EVERY_ARGUMENT: Anything()})


def shows_restricted(grant: CallGrant) -> bool:
    """Return whether a grant, as it is about files, may reach what is labelled `restricted`."""
    return grant.args.get("level") != OneOf(_open)


def _in_every_spelling(args: Mapping[str, Matcher]) -> Mapping[str, Matcher]:
    matcher = args.get("path")
    if matcher is None:
        return args
    loose = _loose(matcher)
    if loose is None:
        return args
    return {**{name: each for name, each in args.items() if name != "path"}, "folded": loose}


def _loose(matcher: Matcher) -> Matcher | None:
    """Return a matcher for folded paths that matches at least what the given one does; None: there is none."""
    match matcher:
        case Equal(str() as text):
            return Equal(folded(text))
        case Prefix(str() as text):
            return Prefix(folded(text))
        case Glob(text):
            return Glob(folded(text))
        case OneOf(operands) if all(isinstance(each, str) for each in operands):
            return OneOf(tuple(folded(str(each)) for each in operands))
        case Every(parts):
            loose = [_loose(part) for part in parts]
            known = tuple(each for each in loose if each is not None)
            return Every(known) if len(known) == len(parts) else None
        case _:
            return None


def names_used(tool: ToolScope) -> frozenset[str]:
    """Return what has to be known of a file for a decision."""
    grants = (*tool.allows, *tool.denies)
    named = {name for grant in grants for name in grant.args}
    if any(grant.when is not None for grant in grants):
        named |= {"size", "type", "modified"}
    return frozenset(named | {name for bounds in tool.bounds.values() for name in bounds})


def could(asking: Asking, tool: ToolScope, path: str, placed: Placed) -> bool:
    """Return whether some grant reaches a path, whatever else the file is. What is not reached is not looked at."""
    known: dict[str, object] = {"path": path, "level": placed.level}
    return any(
        all(
            holds_of_argument(grant.args[name], value, asking.resolve, asking.now) is True
            for name, value in known.items()
            if name in grant.args
        )
        for grant in tool.allows
    )


def redacted_by(grants: Iterable[CallGrant]) -> frozenset[Redaction]:
    """Return what is masked in a file: what every grant masks that admits it."""
    every = [set(grant.masks) for grant in grants]
    return frozenset(kind for kind in redactions if every and all(kind in masks for masks in every))
