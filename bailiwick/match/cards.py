"""Numbers of payment cards in running text, however their digits are set apart. Pure.

Digits stand in groups. Between two groups are a few characters that people, tables and addresses put there, or the end
of a line. What is looked at from a group on is bounded, so that a text may come in pieces.
"""

from __future__ import annotations

import re
import unicodedata

CARD = "[card]"
_FEWEST, _MOST = 13, 19
_most_groups = 6
"""Groups in which the digits of a card are written, at most; more where each has one digit, or each two."""
_short_groups = {1: _MOST, 2: 10}
_least_on_a_line = 4
"""Digits of each group but the last where a number goes on in the next line."""
_NOTHING = "\u00ad\u200b-\u200f\u2060-\u2064\ufeff"
"""Characters that are not seen at all: within a group they are as if they were not there."""
_GROUP = re.compile(rf"\d(?:[{_NOTHING}]{{0,3}}\d)*")
_GAP = (
    r"[ \t\u00a0]{0,8}\r?\n[ \t\u00a0]{0,8}"
    rf"|[ .\-_/|\t\u00a0\u2007\u2009\u2010-\u2015\u202f\u2044\u2212\u2215{_NOTHING}]{{1,3}}"
)
_BETWEEN = re.compile(_GAP)
_DIGIT = re.compile(r"\d")
_ENOUGH = re.compile(rf"\d(?:(?:{_GAP})?\d){{{_FEWEST - 1}}}")
_WINDOW = 512
"""Characters from the beginning of a number that are looked at."""


class Cards:
    """Takes a text in pieces; gives back what may be shown of it so far, and with `end` the rest."""

    def __init__(self) -> None:
        self._pending = ""
        self.found = 0
        """How many were masked."""

    def feed(self, text: str) -> str:
        """Return what of the text so far may be shown."""
        return self._shown(text, last=False)

    def end(self) -> str:
        """Return the rest."""
        return self._shown("", last=True)

    def _shown(self, text: str, *, last: bool) -> str:
        """INVARIANT: what is said of a place depends on the window that begins there alone, not on the pieces."""
        text, self._pending = self._pending + text, ""
        shown: list[str] = []
        at = 0
        while begun := _DIGIT.search(text, at):
            start = begun.start()
            window = start + _WINDOW
            if window > len(text) and not last:
                self._pending = text[start:]
                return "".join([*shown, text[at:start]])
            end = _card_at(text, start, window) if _ENOUGH.match(text, start, window) else 0
            if end:
                self.found += 1
                shown += [text[at:start], CARD]
                at = end
                continue
            group = _GROUP.match(text, start, window)
            after = start + 1 if group is None else group.end()
            shown.append(text[at:after])
            at = after
        return "".join([*shown, text[at:]])


def _card_at(text: str, start: int, window: int) -> int:
    """Return the end of the longest number of a card that begins with the group there; 0: there is none."""
    digits, found, sizes, lines = "", 0, list[int](), False
    while group := _GROUP.match(text, start, window):
        plain = "".join(str(unicodedata.digit(each)) for each in _DIGIT.findall(group[0]))
        digits += plain
        sizes.append(len(plain))
        if len(digits) > _MOST or not _is_usual(sizes, lines=lines):
            break
        if is_card(digits):
            found = group.end()
        between = _BETWEEN.match(text, group.end(), window)
        if between is None:
            break
        lines = lines or "\n" in between[0]
        start = between.end()
    return found


def _is_usual(sizes: list[int], *, lines: bool) -> bool:
    """Return whether numbers of cards are written in such groups, as far as they are known."""
    most = _short_groups.get(sizes[0], _most_groups) if len({*sizes[:-1]}) <= 1 else _most_groups
    return len(sizes) <= most and (not lines or min(sizes[:-1], default=_least_on_a_line) >= _least_on_a_line)


def is_card(digits: str) -> bool:
    """Return whether digits are a number as payment cards have it: of a known beginning, with its checksum."""
    if not _FEWEST <= len(digits) <= _MOST or digits[0] not in "23456":
        return False
    total = 0
    for index, each in enumerate(reversed(digits)):
        number = int(each) * (2 if index % 2 else 1)
        total += number - 9 if number > 9 else number
    return total % 10 == 0
