"""Reads `corpus/*.sql`: statements, each with a name, what is expected of both depths, and why it is there.

    -- case NAME [expected, mark …]: why it is there
    statement; every further statement that ends a line with `;` is another step on the same connection

Whatever is expected, nothing shows that is out of scope, and `LEAKBIT` never. Expected, when nothing is said: `answer`
in files `legitimate_*`, `refuse` in files `hostile_*`.

- `answer`: both depths give the same rows, at least one (or change the same rows, at least one).
- `empty`: both give no row and change none.
- `refuse`: both refuse.
- `gateway`: only the gateway refuses, by the kind of statement; natively it may run.
- `rewrite`: the gateway answers; natively it is refused or coarser, for a reason that docs/native.md gives.
- `contained`: both give the same, or neither gives anything (refused, or no row).

Marks: `ordered` (the rows' order counts), `since N` (PostgreSQL N), `xml` (a server that was built with libxml),
`not natively` (only the gateway is asked: the server itself shows its catalogue, and lets a role be given up),
`not both` (refused with `enforce: both`, since relations are views there).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, get_args

FOLDER = Path(__file__).parent
Expected = Literal["answer", "empty", "refuse", "gateway", "rewrite", "contained"]
_HEAD = re.compile(r"^-- case (?P<name>[a-z0-9-]+)(?: \[(?P<marks>[^]]*)\])?: (?P<why>.+)$")


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    hostile: bool
    expected: Expected
    why: str
    steps: tuple[str, ...]
    ordered: bool = False
    since: int = 0
    xml: bool = False
    natively: bool = True
    both: bool = True

    @property
    def reads(self) -> bool:
        """Whether it is one statement that only reads: then its meaning can be computed by hand-written views."""
        first = self.steps[0].split(None, 1)[0].upper()
        words = r"(?i)\b(insert|update|delete|merge|pg_class|information_schema|current_user|for (share|key|no key))\b"
        return len(self.steps) == 1 and first in _READING and not re.search(words, self.steps[0])


_READING = {"SELECT", "WITH", "TABLE", "VALUES", "(SELECT", "COPY"}


@cache
def cases() -> tuple[Case, ...]:
    """Return every case of the corpus."""
    return tuple(case for path in sorted((FOLDER / "corpus").glob("*.sql")) for case in _read(path))


def _read(path: Path) -> Iterator[Case]:
    hostile = path.name.startswith("hostile_")
    for block in re.split(r"(?m)^(?=-- case )", path.read_text())[1:]:
        head, _, text = block.partition("\n")
        found = _HEAD.match(head)
        if found is None:
            raise ValueError(f"{path.name}: not the head of a case: {head}")
        steps = tuple(step.strip() for step in re.split(r";[ \t]*(?:\n|$)", text) if step.strip())
        yield _case(found, hostile, steps)


def _case(head: re.Match[str], hostile: bool, steps: tuple[str, ...]) -> Case:
    marks = [mark.strip() for mark in (head["marks"] or "").split(",") if mark.strip()]
    expected: Expected = "refuse" if hostile else "answer"
    since, ordered, xml, natively, both = 0, False, False, True, True
    for mark in marks:
        if mark in get_args(Expected):
            expected = mark  # pyright: ignore[reportAssignmentType]  # checked by the line above
        elif mark == "ordered":
            ordered = True
        elif mark == "xml":
            xml = True
        elif mark == "not both":
            both = False
        elif mark == "not natively":
            natively, expected = False, "contained"
        elif mark.startswith("since "):
            since = int(mark.removeprefix("since "))
        else:
            raise ValueError(f"case {head['name']}: unknown mark `{mark}`")
    return Case(head["name"], hostile, expected, head["why"], steps, ordered, since, xml, natively, both)
