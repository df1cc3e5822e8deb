"""Texts that differ in their literals only are analysed once.

A text is cut at its literals; analysed is a twin whose literals are stand-ins of the same lexical class, and the
stand-ins' places in the result take the literals, token by token, as they stood in the text. That holds only where
neither decision nor rewriting looks at a literal's value: whoever does says so (`Walk.by_value`), and then nothing is
kept. Whatever could be lexed in another way than here (comments, escapes, dollar quotes, prefixed strings, adjacent
strings) is not cut at all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

_UNSURE = re.compile(r"--|/\*|\\|\$(?!\d)|[\x00-\x02]")
_TOKENS = re.compile(
    r"""(?P<name>"(?:[^"]|"")*")|(?P<string>(?<![\w&$])'(?:[^']|'')*')|(?<![\w$.])(?P<number>\d{1,9})(?![\w.$])""",
    re.ASCII,
)
_MOST = 64
"""Literals of one text; a long list of values is analysed as it is."""
_STRING, NUMBER = "\x01", "\x02"
"""Marks in a shape."""
_ADJACENT = re.compile(r"\x01\s*\x01")
_MARK = re.compile(f"[{_STRING}{NUMBER}]")
_STAND_IN = re.compile(r"'bw\$literal\$(\d+)'|1008(\d{5})(?!\d)")
"""Without a look at what stands before, which would make the search several times slower."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A text without its literals."""

    shape: str
    """The text with one mark for each literal; equal for texts that differ in their literals only."""
    literals: tuple[str, ...]
    """The literals as they stood in the text, quotes included."""


def cut(sql: str) -> Cut | None:
    """Cut a text at its literals. None when it has none, too many, or could be read in another way."""
    if _UNSURE.search(sql) or not sql.isascii():
        return None
    literals: list[str] = []

    def mark(match: re.Match[str]) -> str:
        kind = match.lastgroup
        if kind == "name":
            return match.group()
        literals.append(match.group())
        return _STRING if kind == "string" else NUMBER

    shape = _TOKENS.sub(mark, sql)
    if not literals or len(literals) > _MOST or "'" in shape or shape.count('"') % 2 or _ADJACENT.search(shape):
        return None
    return Cut(shape, tuple(literals))


def twin(found: Cut) -> str | None:
    """Return the text with a stand-in for every literal; None when the text itself holds what looks like one."""
    if "1008" in found.shape or "bw$literal$" in found.shape:
        return None
    place = count()

    def stand_in(mark: re.Match[str]) -> str:
        return f"'bw$literal${next(place)}'" if mark.group() == _STRING else str(number_of(next(place)))

    return _MARK.sub(stand_in, found.shape)


def number_of(place: int) -> int:
    """Return the stand-in for a number that is the literal in that place."""
    return 100_800_000 + place


@dataclass(frozen=True, slots=True)
class Form:
    """A result whose stand-ins were cut out: texts between, and which literal stands after each but the last."""

    texts: tuple[str, ...]
    places: tuple[int, ...]

    def fill(self, literals: Sequence[str]) -> str:
        """Return the result for other literals of the same classes."""
        parts = [self.texts[0]]
        for place, text in zip(self.places, self.texts[1:], strict=True):
            parts += (literals[place], text)
        return "".join(parts)


def form(sql: str, literals: int) -> Form | None:
    """Cut a result at its stand-ins. None unless each of so many literals is in it."""
    texts: list[str] = []
    places: list[int] = []
    start = 0
    for match in _STAND_IN.finditer(sql):
        if match.group(2) and sql[match.start() - 1 : match.start()].isdecimal():
            continue
        texts.append(sql[start : match.start()])
        places.append(int(match.group(1) or match.group(2)))
        start = match.end()
    texts.append(sql[start:])
    return Form(tuple(texts), tuple(places)) if set(places) == set(range(literals)) else None
