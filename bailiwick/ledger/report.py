"""What a verification found. A finding names the records it is about, or the smallest range that can be proven."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

FindingKind = Literal[
    "changed",
    "removed",
    "inserted",
    "reordered",
    "truncated",
    "rolled_back",
    "forked",
    "unprovable",
    "checkpoint",
    "index",
]
"""`unprovable`: not shown to be wrong, but what would prove it right is gone. `index`: the records are right and what
is kept beside them for searching and proving is not. `checkpoint`: a note that is no valid checkpoint of this log."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, with the sequence numbers `first` … `last` when it is about records."""

    kind: FindingKind
    text: str
    first: int | None = None
    last: int | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What was checked, and what was found wrong; without findings the ledger is what was signed."""

    records: int
    """Rows read."""
    size: int | None
    """Records that the signed head is for; None without a valid head."""
    root: bytes | None
    checkpoints: int
    """Valid checkpoints that the records were checked against, head and external ones included."""
    findings: tuple[Finding, ...]

    @property
    def sound(self) -> bool:
        """Whether nothing was found wrong."""
        return not self.findings


def span(first: int, last: int) -> str:
    """Return `record 5` or `records 5 to 9`."""
    return f"record {first}" if first == last else f"records {first} to {last}"


def ranges(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Return sorted numbers as runs (first, last)."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return runs


def overlaps(spans: Iterable[tuple[int, int]], first: int, last: int) -> bool:
    """Tell whether one of the spans (first, last) has a number in common with this one."""
    return any(start <= last and first <= end for start, end in spans)
