"""What it takes to start: `bailiwick --help`, and `policy check` of a small policy and of a thousand grants.

Whole processes, one after the other in every round; beside them Python that does nothing.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from common import Report, machine, median, record

ROOT = Path(__file__).parents[1]
BAILIWICK = Path(sys.executable).with_name("bailiwick")
SMALL = """\
bailiwick: 1
mounts:
  crm:
    kind: postgres
    url: ${CRM_URL}
    resources:
      tickets: {table: public.tickets}
roles:
  support:
    grants:
      - {allow: tickets:read, reason: answers, fields: [ticket_id, subject], rows: {tier: 1}}
agents:
  bot: {owner: team, purpose: answers, roles: [support]}
"""
GRANT = """\
      - allow: tickets:read
        reason: number N
        rows: {tier: N, created_at: {within: 90d}}
        fields: [ticket_id, subject]
        mask: {subject: partial}
"""


def took(command: Sequence[str | Path]) -> float:
    """Return how many seconds a process takes."""
    began = time.perf_counter()
    subprocess.run(command, capture_output=True, check=True)  # noqa: S603  # our own program
    return time.perf_counter() - began


def main() -> int:
    """Measure, print, and return the exit code."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="few rounds: under 40 seconds")
    options.add_argument("--rounds", type=int, default=15)
    options.add_argument("--write", action="store_true", help="put the figures into docs/benchmarks.md")
    chosen = options.parse_args()
    rounds = 4 if chosen.quick else int(chosen.rounds)
    with tempfile.TemporaryDirectory() as made:
        small, large = Path(made) / "small.yaml", Path(made) / "large.yaml"
        small.write_text(SMALL)
        grants = "".join(GRANT.replace("N", str(number)) for number in range(1000))
        large.write_text(SMALL.replace("    grants:\n", "    grants:\n" + grants))
        ways: dict[str, Sequence[str | Path]] = {
            "python": (sys.executable, "-c", ""),
            "help": (BAILIWICK, "--help"),
            "small": (BAILIWICK, "policy", "check", small),
            "large": (BAILIWICK, "policy", "check", large),
        }
        found = {name: list[float]() for name in ways}
        for _ in range(rounds):
            for name, command in ways.items():
                found[name].append(took(command))
    report = Report()
    report.say(machine())
    report.say("")
    report.line("python that does nothing", median(found["python"]), "s")
    report.line("bailiwick --help", median(found["help"]), "s", 0.4, most=True)
    report.line("policy check, one grant", median(found["small"]), "s", 0.4, most=True)
    report.line("policy check, 1,001 grants", median(found["large"]), "s", 1, most=True)
    if chosen.write:
        record("start", report)
    return 1 if report.short else 0


if __name__ == "__main__":
    sys.exit(main())
