"""Glob patterns: literal characters, `*` (any run) and `?` (exactly one). No regular expressions, no backtracking."""

from __future__ import annotations


def glob_matches(pattern: str, text: str) -> bool:
    """Return whether the whole text matches. One step of an automaton a character, whatever the pattern."""
    literal: dict[str, int] = {}
    any_one = loops = size = 0
    for character in pattern:
        if character == "*":
            loops |= 1 << size
            continue
        if character == "?":
            any_one |= 1 << size
        else:
            literal[character] = literal.get(character, 0) | 1 << size
        size += 1
    states = 1  # bit i: the first i characters of the pattern (stars apart) are matched
    for character in text:
        states = ((states & (any_one | literal.get(character, 0))) << 1) | (states & loops)
        if not states:
            return False
    return bool(states >> size & 1)
