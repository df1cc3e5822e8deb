"""Matchers of arguments that are paths or URLs, and fit more than whoever wrote them will have meant."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from bailiwick.model.matcher import Every, Glob, Matcher, Not, Prefix
from bailiwick.model.value import Ref

_names = re.compile(r"(?:^|_)(?:path|file|filename|dir|directory|folder|uri|url|href|link)s?$", re.IGNORECASE)
_authority = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]*://([^/]*)(/?)")
_Shape = Prefix | Glob


def openings(args: Mapping[str, Matcher], *, deny: bool) -> Iterator[tuple[str, str]]:
    """Yield (argument, what it fits too) of a grant's matchers, or of a deny's."""
    for name, matcher in args.items():
        for shape, excludes in _shapes(matcher, deny):
            said = _said(name, shape, excludes)
            if said:
                yield name, said


def _shapes(matcher: Matcher, excludes: bool) -> Iterator[tuple[_Shape, bool]]:
    """Yield the matchers that look at a text's start or shape, and whether they say what may not be."""
    match matcher:
        case Prefix() | Glob():
            yield matcher, excludes
        case Not(inner):
            yield from _shapes(inner, not excludes)
        case Every(parts):
            for part in parts:
                yield from _shapes(part, excludes)
        case _:
            return


def _said(name: str, shape: _Shape, excludes: bool) -> str:
    text = shape.operand if isinstance(shape, Prefix) else shape.pattern
    path_like = _names.search(name) is not None or (isinstance(text, str) and re.search(r"[/\\]", text) is not None)
    if not path_like:
        return ""
    kind = "prefix" if isinstance(shape, Prefix) else "glob"
    shown = f"`{kind}: {f'${text.path}' if isinstance(text, Ref) else text}`"
    if excludes:
        return f"{shown} can be spelled around, e.g. with `//` or another case"
    if isinstance(shape, Glob):
        host = _authority.match(shape.pattern)
        if host is not None and re.search(r"[*?]", host[1]):
            return f"{shown} also fits other hosts: `*` and `?` fit `/`, too"
        return f"{shown} fits in every folder and at every host" if shape.pattern.startswith("*") else ""
    if isinstance(text, Ref):
        return f"{shown} also fits what only begins like the session's value"
    if not isinstance(text, str) or text.endswith(("/", "\\")):
        return ""
    host = _authority.match(text)
    if host is not None and not host[2]:
        return f"{shown} ends within the host, so it also fits `{text}.evil.example`"
    return f"{shown} also fits `{text}-other`"
