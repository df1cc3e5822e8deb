"""What the benchmarks share: lines of results, medians, a description of the machine."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # processes that are measured start as a user's do

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"


@dataclass
class Report:
    """Collects the lines and whether a target was missed."""

    short: bool = False
    lines: list[str] = field(default_factory=list[str])

    def line(self, name: str, figure: float, unit: str, target: float | None = None, most: bool = False) -> None:
        """Print `NAME: FIGURE (target T) ok|short`. With `most` the target is a ceiling, else a floor."""
        shown = f"{figure:.3g} {unit}".strip() if figure < 1000 else f"{figure:,.0f} {unit}".strip()
        if target is None:
            self.say(f"{name}: {shown}")
            return
        good = figure <= target if most else figure >= target
        self.short |= not good
        sign = "<=" if most else ">="
        self.say(f"{name}: {shown} (target {sign} {target:.3g} {unit}".rstrip() + f") {'ok' if good else 'short'}")

    def say(self, text: str) -> None:
        """Print a line and keep it."""
        print(text, flush=True)  # noqa: T201  # a benchmark's output is its purpose
        self.lines.append(text)


def record(part: str, report: Report) -> None:
    """Put the lines between the marks of a part of docs/benchmarks.md."""
    first, last = f"<!-- {part}: begin -->", f"<!-- {part}: end -->"
    before, _, rest = DOCUMENT.read_text().partition(first)
    _, _, after = rest.partition(last)
    listed = [f"- {line}" if ": " in line and not line.startswith("|") else line for line in report.lines]
    DOCUMENT.write_text(f"{before}{first}\n" + "\n".join(listed) + f"\n{last}{after}")


def median(values: Sequence[float]) -> float:
    """Return the median, NaN of nothing."""
    return statistics.median(values) if values else float("nan")


def geometric_mean(values: Sequence[float]) -> float:
    """Return the geometric mean."""
    return statistics.geometric_mean(values) if values else float("nan")


def machine() -> str:
    """Describe the machine: cores, memory, system. No names."""
    try:
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        pages = 0
    model = next(
        (line.partition(":")[2].strip() for line in _cpuinfo().splitlines() if line.startswith("model name")), "unknown"
    )
    size = f"{os.cpu_count()} cores ({model}), {pages / 2**30:.0f} GiB"
    return f"{size}, {platform.system()}, Python {platform.python_version()}"


def _cpuinfo() -> str:
    path = Path("/proc/cpuinfo")
    return path.read_text() if path.exists() else ""
