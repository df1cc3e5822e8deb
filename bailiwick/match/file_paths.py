"""Paths of files as agents write them, and the patterns of a policy over them. Pure.

A path has one spelling: whatever two systems could read differently is refused, so that nothing has to be normalised.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from bailiwick.match.glob import glob_matches

longest_path = 1024
"""Bytes of a path in UTF-8."""
longest_part = 200
"""Bytes of one part: the gateway's own names beside it stay within what file systems take."""
deepest = 32
"""Parts of a path."""
OWN_PREFIX = ".bailiwick-"
"""Names that the gateway gives to what it is still writing; no agent's file has such a name."""
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul", "conin$", "conout$", "clock$"}
    | {f"{kind}{number}" for kind in ("com", "lpt") for number in "0123456789¹²³"}
)
_ENCODED = re.compile(r"%[0-9A-Fa-f]{2}|%u[0-9A-Fa-f]{4}|&#|\\[xu]")
_FORBIDDEN = frozenset('\\:*?"<>|\x7f')
_LOOKALIKES = frozenset("\u2024\u2025\u2026\u2044\u2215\u29f8\u29f5\u29f9\ufe52\ufe68\uff0e\uff0f\uff3c\u2216")
"""Characters that look like dots and slashes, and that some systems make dots and slashes of."""


def path_problem(path: str) -> str:
    """Return why a text is no path of a file, empty when it is one: `kb/articles/refunds.md`."""
    if not path:
        return "it is empty"
    try:
        size = len(path.encode("utf-8"))
    except UnicodeEncodeError:
        return "it is not Unicode"
    if size > longest_path:
        return f"it is longer than {longest_path} bytes"
    if path.startswith("/") or path.endswith("/"):
        return "it begins or ends with `/`"
    parts = path.split("/")
    if len(parts) > deepest:
        return f"it has more than {deepest} parts"
    return next((problem for part in parts if (problem := _part_problem(part))), "")


@lru_cache(maxsize=8192)
def name_problem(name: str) -> str:
    """Return why a text is no name of a file in a folder, empty when it is one. A name is asked for again and again."""
    return path_problem(name) if "/" not in name else "it has a slash"


@lru_cache(maxsize=8192)
def _part_problem(part: str) -> str:
    if not part:
        return "a part of it is empty"
    if part.strip(". ") == "":
        return "a part of it is made of dots"
    if part[0] == " " or part[-1] in ". ":
        return "a part of it begins with a space, or ends with a dot or a space"
    if len(part.encode("utf-8")) > longest_part:
        return f"a part of it is longer than {longest_part} bytes"
    if not part.isascii() or not part.isprintable():
        problem = _letters_problem(part)
        if problem:
            return problem
    if _FORBIDDEN.intersection(part):
        return 'it has one of the characters \\ : * ? " < > |'
    if _ENCODED.search(part):
        return "it is percent-encoded, or escaped"
    if part.casefold().startswith(OWN_PREFIX):
        return "a part of it has a name of the gateway's own"
    if part.partition(".")[0].strip().casefold() in _DEVICES:
        return "a part of it is the name of a device"
    if part.startswith("~"):
        return "a part of it begins with `~`"
    if re.search(r"~[0-9]+(\.|$)", part):
        return "a part of it looks like a short name of another file"
    return ""


def _letters_problem(part: str) -> str:
    for character in part:
        kind = unicodedata.category(character)
        if kind[0] == "C" or kind in ("Zl", "Zp") or (kind == "Zs" and character != " "):
            return "it has a control character, an invisible one, or a space that is none"
        if character in _LOOKALIKES:
            return "it has a character that looks like a dot or a slash"
    if unicodedata.normalize("NFC", part) != part:
        return "it is not in the normal form NFC"
    if any(mark in unicodedata.normalize("NFKC", part) for mark in ("/", "\\", "..")):
        return "it has a character that stands for a dot or a slash"
    return ""


def folder_problem(path: str) -> str:
    """Return why a text is no path of a folder; the empty text is the whole mount."""
    return path_problem(path) if path else ""


@lru_cache(maxsize=16384)
def folded(path: str) -> str:
    """Return what all spellings of a path have in common that some file system takes for one: case and form apart."""
    once = unicodedata.normalize("NFKC", unicodedata.normalize("NFKD", path).casefold())
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKD", once).casefold())


@dataclass(frozen=True, slots=True)
class Pattern:
    """One pattern of paths: parts with `*` (any run within a part) and `?`; `**` alone is any number of parts."""

    text: str
    parts: tuple[str, ...]

    @property
    def literal(self) -> int:
        """How many parts stand in it before the first wildcard: of two patterns, the one with more is nearer."""
        found = 0
        for part in self.parts:
            if "*" in part or "?" in part:
                break
            found += 1
        return found


def pattern_problem(text: str) -> str:
    """Return why a text is no pattern, empty when it is one."""
    parts = text.split("/")
    if any("**" in part and part != "**" for part in parts):
        return "`**` stands for whole parts: write it alone between slashes"
    if parts.count("**") > 4:
        return "it has more than four `**`"
    plain = "/".join("x" if part == "**" else re.sub(r"[*?]", "x", part) for part in parts)
    return path_problem(plain)


@lru_cache(maxsize=4096)
def pattern_of(text: str) -> Pattern:
    """Return a pattern; one that has a problem matches nothing."""
    return Pattern(text, () if pattern_problem(text) else tuple(text.split("/")))


def matches(pattern: Pattern, parts: tuple[str, ...]) -> bool:
    """Return whether a pattern matches a path, by its parts. `kb/**` matches what is below `kb`, not `kb` itself."""
    if not pattern.parts:
        return False
    return len(pattern.parts) in _ways(pattern.parts, parts) and bool(parts)


def reaches(pattern: Pattern, parts: tuple[str, ...]) -> bool:
    """Return whether a pattern can match something below a folder."""
    ways = _ways(pattern.parts, parts)
    return any(place < len(pattern.parts) for place in ways)


def overlap(one: Pattern, other: Pattern) -> bool:
    """Return whether some path can match both."""
    return _meet(one.parts, other.parts, "**", _parts_meet)


def _parts_meet(one: str, other: str) -> bool:
    return _meet(tuple(one), tuple(other), "*", lambda a, b: a == b or "?" in (a, b))


def _meet(one: tuple[str, ...], other: tuple[str, ...], run: str, same: Callable[[str, str], bool]) -> bool:
    """Return whether two sequences, in which `run` stands for any run, can be one. A table over both, row by row."""
    row = [not other[:place] or set(other[:place]) == {run} for place in range(len(other) + 1)]
    for first in one:
        below = [row[0] and first == run]
        for place, second in enumerate(other):
            if run in (first, second):
                below.append(row[place + 1] or below[place])
            else:
                below.append(row[place] and same(first, second))
        row = below
    return row[-1] and bool(one) and bool(other)


def _ways(pattern: tuple[str, ...], parts: tuple[str, ...]) -> set[int]:
    """Return where in the pattern one can be when all parts are matched. One step a part, whatever the pattern."""
    places = _through({0}, pattern)
    for part in parts:
        step: set[int] = set()
        for place in places:
            if place < len(pattern):
                if pattern[place] == "**":
                    step.add(place)
                elif glob_matches(pattern[place], part):
                    step.add(place + 1)
        places = _through(step, pattern)
        if not places:
            break
    # `**` at the end takes at least one part
    if parts and pattern and pattern[-1] == "**" and len(parts) < _least(pattern):
        places.discard(len(pattern))
    return places


def _through(places: set[int], pattern: tuple[str, ...]) -> set[int]:
    found = set(places)
    for place in sorted(places):
        while place < len(pattern) and pattern[place] == "**":
            place += 1
            found.add(place)
    return found


def _least(pattern: tuple[str, ...]) -> int:
    return sum(part != "**" for part in pattern) + 1


def folded_pattern(pattern: Pattern) -> Pattern:
    """Return a pattern for paths that are `folded`."""
    return pattern_folded(pattern.text)


@lru_cache(maxsize=4096)
def pattern_folded(text: str) -> Pattern:
    """Return the pattern of a text, folded."""
    return Pattern(text, tuple(folded(part) for part in pattern_of(text).parts))
