"""The demonstration from end to end, as a person runs it; and that it notices what is not as expected."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bailiwick.demo.agent import Outcome, difference
from bailiwick.demo.dataset import CANARY
from bailiwick.demo.steps import Done, Refused, Rows, Step, steps

bailiwick = str(Path(sys.executable).with_name("bailiwick"))


@pytest.fixture(scope="module")
def kept() -> Iterator[subprocess.Popen[str]]:
    environ = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
    process = subprocess.Popen(
        [bailiwick, "demo", "--keep", "--check", "--plain"], stdout=subprocess.PIPE, text=True, env=environ
    )
    yield process
    process.kill()
    process.wait()


def test_every_step_is_as_expected_and_what_is_kept_works_by_hand(kept: subprocess.Popen[str]) -> None:
    assert kept.stdout is not None
    lines: list[str] = []
    for line in kept.stdout:
        lines.append(line)
        if "service=desk" in line:
            break
    psql = lines[-1].strip()
    listed = kept.stdout.readline().split()
    assert listed[:3] == ["bailiwick", "session", "list"]
    sessions = subprocess.run([bailiwick, *listed[1:]], capture_output=True, text=True, timeout=60, check=True)
    assert sessions.stdout.count("ses_") == 1
    counted = subprocess.run(
        ["/bin/sh", "-c", f"{psql} -At -c 'SELECT count(*) FROM tickets' -c 'SELECT ssn FROM customers'"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert counted.stdout == "6\n"
    assert "42501" in counted.stderr or "not in the scope" in counted.stderr
    assert "password=" not in psql
    assert "eyJ" not in "".join(lines)
    kept.send_signal(signal.SIGTERM)
    rest, _ = kept.communicate(timeout=60)
    told = "".join(lines) + rest
    assert f"{len(steps)} of {len(steps)} steps as expected" in told
    assert re.search(r"ledger verified: \d+ records", told)
    assert CANARY not in told + counted.stdout + counted.stderr
    assert kept.returncode == 0


def test_there_are_about_twenty_calls_and_each_kind_of_decision() -> None:
    assert len(steps) >= 20
    assert {step.shown for step in steps} == {"ALLOWED", "MASKED", "FILTERED", "DENIED", "HELD", "CUT"}


def _step(expect: Rows | Done | Refused) -> Step:
    return replace(steps[1], expect=expect)


def test_an_expected_outcome_differs_in_nothing() -> None:
    assert difference(_step(Rows(1, ("a",), {"a": 1})), Outcome(Rows(1, ("a",), {"a": 1}))) == ""
    assert difference(_step(Refused("needs_approval")), Outcome(Refused("needs_approval"))) == ""


@pytest.mark.parametrize(
    ("expect", "came"),
    [
        (Rows(1), Rows(2)),
        (Rows(1, ("a",)), Rows(1, ("a", "b"))),
        (Rows(1, first={"a": 1}), Rows(1, ("a",), {"a": 2})),
        (Rows(0), Refused("field_not_granted")),
        (Refused("field_not_granted"), Rows(1)),
        (Refused("field_not_granted"), Refused("internal_error")),
        (Done("UPDATE 1"), Done("UPDATE 6000")),
    ],
)
def test_any_other_outcome_is_a_difference(expect: Rows | Done | Refused, came: Rows | Done | Refused) -> None:
    assert difference(_step(expect), Outcome(came)) != ""


@pytest.mark.parametrize("field", ["message", "remedy", "allowed"])
def test_a_canary_anywhere_is_a_difference(field: str) -> None:
    leaking = replace(Outcome(Refused("needs_approval")), **{field: f"x {CANARY}ssn_1 x"})
    assert difference(_step(Refused("needs_approval")), leaking) != ""
    rows = Outcome(Rows(1), rows=((f"{CANARY}ssn_1",),))
    assert difference(_step(Rows(1)), rows) != ""
