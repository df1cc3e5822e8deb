"""What a write would change, for the person who decides on it: a unified diff within bounds. Pure."""

from __future__ import annotations

import difflib
import hashlib

from bailiwick.match.sniff import is_text
from bailiwick.model.label import Level

longest_compared = 512 * 1024
longest_shown = 12_000
"""Characters."""


def change_of(path: str, before: bytes | None, after: bytes | None, level: Level) -> str:
    """Return a change as text; None: there is no file then. Of what is restricted, or is no text, its extent alone."""
    told = f"{_size(before)} -> {_size(after)}"
    both = [each for each in (before, after) if each is not None]
    if level == "restricted":
        return f"{told} (restricted: the change itself is not shown)"
    if not all(is_text(each) for each in both):
        return f"{told} (not text)"
    if any(len(each) > longest_compared for each in both):
        return f"{told} (too long to be compared)"
    lines = list(
        difflib.unified_diff(
            _lines(before), _lines(after), "before" if before is None else f"a/{path}", f"b/{path}", lineterm=""
        )
    )
    text = "\n".join(lines) or "nothing changes"
    if len(text) > longest_shown:
        added = sum(line.startswith("+") for line in lines[2:])
        removed = sum(line.startswith("-") for line in lines[2:])
        text = f"{text[:longest_shown]}\n… cut here: {added} lines added, {removed} removed in all"
    return text


def _size(content: bytes | None) -> str:
    if content is None:
        return "nothing"
    return f"{len(content)} bytes sha256:{hashlib.sha256(content).hexdigest()[:16]}"


def _lines(content: bytes | None) -> list[str]:
    return [] if content is None else content.decode("utf-8", "replace").splitlines()
