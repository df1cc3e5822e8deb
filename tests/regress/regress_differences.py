"""The known differences: which one a statement is, and what docs/regression.md says of each."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

from tests.regress.regress_rig import Tried

FILE = Path(__file__).with_name("differences.yaml")
DOCS = Path(__file__).parents[2] / "docs" / "regression.md"
_ROW = re.compile(r"^\| ([^|]+?) \| (\d+) \| (\d+) \| (\d+) \| [^|]{20,} \|$", re.MULTILINE)
COLUMNS = ("rowsecurity-15", "privileges-15", "rowsecurity-18")
"""The runs that the table in the docs counts, in its order."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A kind of difference. Empty patterns match everything."""

    name: str
    kind: Sequence[str]
    code: str = ""
    text: str = ""
    said: str = ""
    unsaid: str = ""

    def matches(self, tried: Tried) -> bool:
        """Whether a statement is one of these."""
        return (
            tried.kind in self.kind
            and (not self.code or self.code == tried.code)
            and re.search(self.text, tried.text, re.IGNORECASE) is not None
            and re.search(self.said, tried.detail) is not None
            and re.search(self.unsaid, " | ".join(tried.unsaid)) is not None
        )


def known() -> Sequence[Difference]:
    """Read the known differences, in their order."""
    entries = cast("list[dict[str, Any]]", yaml.safe_load(FILE.read_text()))
    return [Difference(**entry) for entry in entries]


def counted(tried: Iterable[Tried]) -> tuple[Counter[str], list[Tried]]:
    """Count the differences by name, and return those that are none of the known."""
    counts: Counter[str] = Counter()
    unknown: list[Tried] = []
    differences = known()
    for each in tried:
        if each.kind != "same":
            name = next((difference.name for difference in differences if difference.matches(each)), None)
            if name is None:
                unknown.append(each)
            else:
                counts[name] += 1
    return counts, unknown


def documented() -> dict[str, dict[str, int]]:
    """Return what the table in the docs says: run → difference → how many statements."""
    rows = _ROW.findall(DOCS.read_text())
    return {
        run: {row[0]: int(row[place]) for row in rows if int(row[place])} for place, run in enumerate(COLUMNS, start=1)
    }
