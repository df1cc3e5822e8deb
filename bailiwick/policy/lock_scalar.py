"""Text as a YAML scalar that every parser reads as that text."""

from __future__ import annotations

import re

_UNSAFE = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n", "any"})


def scalar_text(found: str) -> str:
    """Return text as a YAML scalar that every parser reads as that text."""
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*([. -][A-Za-z_][A-Za-z0-9_]*)*", found) and found.lower() not in _UNSAFE:
        return found
    return '"' + "".join(_escaped(c) for c in found) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    return character if character.isprintable() else f"\\U{ord(character):08x}"
