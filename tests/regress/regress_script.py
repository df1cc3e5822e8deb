"""Reads PostgreSQL's regression files as psql does: by statements, with the data behind a COPY … FROM stdin."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.support.installed import REGRESSION

_PIECE = re.compile(
    r"""(?P<space>\s+|--[^\n]*)|(?P<comment>/\*)|(?P<quoted>[eE]'(?:[^'\\]|''|\\.)*'|'(?:[^']|'')*'|"(?:[^"]|"")*")"""
    r"""|(?P<dollar>\$(?:[A-Za-z_]\w*)?\$)|(?P<word>\w+)|(?P<sign>.)""",
    re.DOTALL,
)
_SAID = re.compile(r"^(ERROR|NOTICE|WARNING|INFO):  (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Step:
    """A statement, or a command of psql's own."""

    line: int
    text: str

    @property
    def meta(self) -> bool:
        """Whether it is a command of psql's own."""
        return self.text.startswith("\\")

    @property
    def word(self) -> str:
        """The first word."""
        found = re.match(r"[\s(]*(\w+)", self.text)
        return found[1].upper() if found else ""

    @property
    def plain(self) -> str:
        """The statement on one line and without comments."""
        pieces: list[str] = []
        place = 0
        while place < len(self.text):
            piece, kind, place = _piece(self.text, place)
            pieces.append(" " if kind in ("space", "comment") else piece)
        return re.sub(r"\s+", " ", "".join(pieces)).strip()


class Script:
    """A file that is read from its beginning to its end."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._place = 0

    def step(self) -> Step | None:
        """Return the next step, None at the end."""
        start = end = self._begin()
        if start >= len(self._text):
            return None
        line = self._text.count("\n", 0, start) + 1
        if self._text[start] == "\\":
            return Step(line, self._line(start))
        depth = 0
        while end < len(self._text):
            piece, _, end = _piece(self._text, end)
            depth += {"(": 1, ")": -1}.get(piece, 0)
            if piece == ";" and depth <= 0:
                break
        self._place = end
        return Step(line, self._text[start:end].removesuffix(";").rstrip())

    def data(self) -> str:
        """Return the lines that follow for a COPY … FROM stdin, without the `\\.` at their end."""
        self._line(self._place)
        lines: list[str] = []
        while (line := self._line(self._place)) != "\\.":
            lines.append(line + "\n")
        return "".join(lines)

    def _begin(self) -> int:
        place = self._place
        while place < len(self._text):
            piece, kind, after = _piece(self._text, place)
            if kind not in ("space", "comment") and piece != ";":
                break
            place = after
        return place

    def _line(self, start: int) -> str:
        end = self._text.find("\n", start)
        end = len(self._text) if end < 0 else end
        self._place = end + 1
        return self._text[start:end]


def _piece(text: str, place: int) -> tuple[str, str, int]:
    """Return the piece of SQL that starts there, its kind, and where it ends."""
    found = _PIECE.match(text, place)
    if found is None:
        return text[place:], "sign", len(text)
    kind, end = found.lastgroup or "", found.end()
    if kind == "comment":
        depth = 1
        while depth and end < len(text):
            opened, closed = text.find("/*", end), text.find("*/", end)
            deeper = 0 <= opened < closed
            depth += 1 if deeper else -1
            end = (opened if deeper else closed) + 2
    elif kind == "dollar":
        closing = text.find(found[0], end)
        end = len(text) if closing < 0 else closing + len(found[0])
    return text[place:end], kind, end


def script(name: str) -> Script:
    """Return one of the files."""
    return Script((REGRESSION / f"{name}.sql").read_text())


def expected(name: str) -> list[str]:
    """Return the errors, notices and warnings that PostgreSQL's own run of a file shows, first lines, in order."""
    return [f"{kind}: {said}" for kind, said in _SAID.findall((REGRESSION / f"{name}.out").read_text())]
