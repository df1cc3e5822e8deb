"""Values that lead out of where they seem to be: paths and URLs with a `..` in them, however it is written.

What starts with `/srv/files/` may lie elsewhere when `..` follows, so of such a value its start and its shape say
nothing. Which argument is a path nobody knows for certain; so the value decides, of whatever argument.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime
from urllib.parse import unquote_to_bytes

from bailiwick.match.evaluate import Resolve, holds
from bailiwick.model.matcher import Every, Glob, Matcher, Not, Prefix

_separators = re.compile(r"[/\\?#;&=:]")
_controls = re.compile(r"[\x00-\x1f\x7f]")
_overlong = {b"\xc0\xae": b".", b"\xc0\xaf": b"/"}
"""What some decoders make of bytes that are no UTF-8."""
_most_rounds = 4
"""How often a value may be percent-encoded; what is so more often leads out, as far as anybody knows."""


def climbs(value: object) -> bool:
    """Return whether a value is a text with a `..` between its separators, in any of its usual spellings."""
    if not isinstance(value, str):
        return False
    if ".." not in value and "%" not in value and value.isascii() and value.isprintable():
        return False
    for _ in range(_most_rounds):
        plain = _controls.sub("", unicodedata.normalize("NFKC", value))
        if any(part.strip() == ".." for part in _separators.split(plain)):
            return True
        value = _decoded(plain)
        if value == plain:
            return False
    return True


def _decoded(text: str) -> str:
    if "%" not in text:
        return text
    data = unquote_to_bytes(text)
    for bad, meant in _overlong.items():
        data = data.replace(bad, meant)
    return data.decode(errors="replace")


def holds_of_argument(matcher: Matcher, value: object, resolve: Resolve, now: datetime) -> bool | None:
    """Return whether the value of an argument matches; as `holds`, but of a value that climbs neither its start nor its
    shape is known."""
    if isinstance(matcher, Prefix | Glob | Not | Every) and climbs(value):
        matcher = _blind(matcher)
    return holds(matcher, value, resolve, now)


def _blind(matcher: Matcher) -> Matcher:
    """Return the matcher with nothing known where it looks at the start or the shape of a text."""
    match matcher:
        case Prefix() | Glob():
            return Every(())
        case Not(inner):
            return Not(_blind(inner))
        case Every(parts):
            return Every(tuple(_blind(part) for part in parts))
        case _:
            return matcher
