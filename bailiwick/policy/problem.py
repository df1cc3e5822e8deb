"""Problems: what is wrong with a policy, where, and what was probably meant. Values; nothing here raises."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from bailiwick.model.position import Position

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. `code` is stable; `suggestion` is a whole phrase (`did you mean …?`) or empty."""

    position: Position
    code: str
    message: str
    suggestion: str = ""
    severity: Severity = "error"

    def __str__(self) -> str:
        tail = f" ({self.suggestion})" if self.suggestion else ""
        return f"{self.position}: {self.severity}: {self.message}{tail}"


class Report:
    """Collects problems while a policy is read, so that the first one does not hide the others."""

    __slots__ = ("problems",)

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def error(self, position: Position, code: str, message: str, suggestion: str = "") -> None:
        """Note one problem."""
        self.problems.append(Problem(position, code, message, suggestion))

    def sorted(self) -> tuple[Problem, ...]:
        """Return the problems in document order, each once."""
        unique = dict.fromkeys(self.problems)
        return tuple(sorted(unique, key=lambda problem: (problem.position, problem.code, problem.message)))


def near(name: str, known: Collection[str]) -> str:
    """Return ``did you mean `x`?`` for the known name nearest to `name`, or an empty string."""
    if not name or len(name) > 100:
        return ""
    from difflib import get_close_matches  # only when something is wrong: a good policy loads without it

    found = get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return f"did you mean `{found[0]}`?" if found else ""


def quoted(text: str) -> str:
    """Return user input fit for a one-line message: in backticks, shortened, without control characters."""
    short = text if len(text) <= 80 else text[:77] + "…"
    return "`" + "".join(c if c.isprintable() and c != "`" else "�" for c in short) + "`"
