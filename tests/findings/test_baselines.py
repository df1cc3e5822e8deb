"""What is usual: nothing is said of stationary use beyond a stated rate, and every kind of departure is found once."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bailiwick.ledger.baselines import (
    ACCEPTED,
    Baseline,
    Departure,
    Observation,
    Rules,
    begin,
    dump,
    observation_of,
    restore,
)
from bailiwick.ledger.departures import told

MONDAY = datetime(2026, 11, 2, 0, 0, tzinfo=UTC)
RULES = Rules()
Draw = Callable[[random.Random], int]
poisson: Draw = lambda draw: sum(draw.random() < 0.1 for _ in range(120))  # noqa: E731  # a name for a table
heavy: Draw = lambda draw: round(10 * draw.lognormvariate(0, 0.5))  # noqa: E731  # likewise
even: Draw = lambda draw: draw.randint(5, 15)  # noqa: E731  # likewise


def call(at: datetime, *, denied: bool = False, rows: int = 3, action: str = "tickets:read") -> Observation:
    return Observation(at, "bot", "answer", "ses_1", f"rec_{at:%d%H%M%S}", 1, denied, rows, (action,))


def hours(weeks: int, start: datetime = MONDAY) -> Iterator[datetime]:
    """Yield the hours of an office: Monday to Friday, 8 to 18."""
    for day in range(weeks * 7):
        for hour in range(8, 18):
            at = start + timedelta(days=day, hours=hour)
            if at.weekday() < 5:
                yield at


def work(known: Baseline, draw: random.Random, weeks: int, calls: Draw, start: datetime = MONDAY) -> list[Departure]:
    """Let an agent work; return what was found."""
    found: list[Departure] = []
    for at in hours(weeks, start):
        for number in range(calls(draw)):
            seen = call(
                at + timedelta(seconds=number),
                denied=draw.random() < 0.03,
                rows=round(20 * draw.lognormvariate(0, 0.4)),
                action=draw.choice(["tickets:read", "tickets:update", "articles:read"]),
            )
            found += known.observe(seen, RULES)
    return found


@settings(max_examples=8)
@given(st.integers(0, 2**32), st.sampled_from([poisson, heavy, even]))
def test_stationary_use_departs_less_than_once_in_500_hours(seed: int, calls: Draw) -> None:
    known = begin(call(MONDAY))
    found = work(known, random.Random(seed), 30, calls)
    assert known.active_hours >= 1400
    assert len(found) <= known.active_hours / 500


def learned(seed: int = 1, weeks: int = 4) -> tuple[Baseline, datetime]:
    """Return what is known of an agent that worked for weeks, and the Monday after."""
    known = begin(call(MONDAY))
    work(known, random.Random(seed), weeks, even)
    return known, MONDAY + timedelta(weeks=weeks)


def planted(kind: str, at: datetime) -> list[Observation]:
    """Return a departure: an hour at the usual time of day, but for `hour`."""
    morning = at.replace(hour=10)
    seconds = [timedelta(seconds=number) for number in range(200)]
    match kind:
        case "calls":
            return [call(morning + each) for each in seconds]
        case "denials":
            return [call(morning + each, denied=True) for each in seconds[:15]]
        case "rows":
            return [call(morning + each, rows=120) for each in seconds[:40]]
        case "largest":
            return [call(morning, rows=5_000)]
        case "action":
            return [call(morning, action="payroll:read"), call(morning, action="payroll:read")]
        case _:
            return [call(at.replace(hour=3) + each) for each in seconds[:5]]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["calls", "denials", "rows", "largest", "action", "hour"])
def test_a_planted_departure_of_each_kind_is_found_once_with_its_evidence(kind: str, seed: int) -> None:
    known, monday = learned(seed)
    found = [each for seen in planted(kind, monday) for each in known.observe(seen, RULES)]
    of_kind = [each for each in found if each.measure == kind]
    assert len(of_kind) == 1
    assert {each.measure for each in found} <= {kind, "rows"}  # a large call makes a large hour
    detail = told(of_kind[0]).detail
    assert detail["measure"] == kind
    assert detail["usual"]
    assert told(of_kind[0]).code == f"unusual_{kind}"
    assert "agent `bot` in task `answer`" in told(of_kind[0]).message


@pytest.mark.parametrize("kind", ["calls", "denials", "rows", "largest", "action", "hour"])
def test_what_is_just_usual_is_not_found(kind: str) -> None:
    """The twin of the test above: half of the planted, at the usual time."""
    known, monday = learned()
    seen = planted(kind, monday)
    if kind in ("action", "hour"):
        seen = [call(monday.replace(hour=10), action="articles:read")]
    elif kind == "largest":
        seen = [call(monday.replace(hour=10), rows=100)]
    else:
        seen = seen[: len(seen) // 10]
    assert [each for one in seen for each in known.observe(one, RULES)] == []


def test_nothing_is_said_while_it_learns() -> None:
    known = begin(call(MONDAY))
    draw = random.Random(3)
    assert work(known, draw, 1, even) == []
    early = begin(call(MONDAY))
    found = [each for number in range(5000) for each in early.observe(call(MONDAY + timedelta(seconds=number)), RULES)]
    assert found == []


def test_a_departure_that_lasts_is_said_once_and_becomes_usual_after_a_day_of_hours() -> None:
    known, monday = learned()
    found: list[Departure] = []
    for at in list(hours(1, monday))[:ACCEPTED]:
        for number in range(80):
            found += known.observe(call(at + timedelta(seconds=30 * number)), RULES)
    # nights lie between the days: it may be said anew each morning, not each hour
    assert Counter(each.measure for each in found)["calls"] <= 3
    later: list[Departure] = []
    for at in list(hours(2, monday))[60:80]:
        for number in range(80):
            later += known.observe(call(at + timedelta(seconds=30 * number)), RULES)
    assert [each for each in later if each.measure == "calls"] == []


def test_an_hour_out_of_the_usual_does_not_make_the_next_one_usual() -> None:
    known, monday = learned()
    for day in range(3):
        at = (monday + timedelta(days=day)).replace(hour=10)
        found = [each for n in range(200) for each in known.observe(call(at + timedelta(seconds=n)), RULES)]
        assert [each.measure for each in found if each.measure == "calls"] == ["calls"]


def test_many_new_actions_of_one_hour_are_not_one_finding_each() -> None:
    known, monday = learned()
    at = monday.replace(hour=10)
    found = [each for n in range(60) for each in known.observe(call(at, action=f"secret{n}:read"), RULES)]
    assert 1 <= len([each for each in found if each.measure == "action"]) <= 5


def test_what_is_known_is_bounded() -> None:
    known = begin(call(MONDAY))
    for number in range(3000):
        at = MONDAY + timedelta(hours=number)
        known.observe(call(at, action=f"a{number}:read"), RULES)
    assert len(json.dumps(dump(known))) < 64 * 1024


@settings(max_examples=20)
@given(st.integers(0, 2**32), st.integers(1, 4))
def test_what_is_stored_goes_on_as_if_nothing_had_happened(seed: int, weeks: int) -> None:
    known = begin(call(MONDAY))
    work(known, random.Random(seed), weeks, even)
    again = restore(json.loads(json.dumps(dump(known))))
    monday = MONDAY + timedelta(weeks=weeks)
    for kind in ("calls", "denials", "largest", "action", "hour"):
        for seen in planted(kind, monday):
            assert again.observe(seen, RULES) == known.observe(seen, RULES)
    assert dump(again) == dump(known)


@pytest.mark.parametrize(
    ("document", "calls"),
    [
        ({"kind": "call", "agent": "a", "at": "2026-11-22T08:00:00Z", "rows": 5}, 1),
        ({"kind": "intent", "agent": "a", "at": "2026-11-22T08:00:00Z"}, 1),
        ({"kind": "outcome", "agent": "a", "at": "2026-11-22T08:00:00Z", "rows": 5}, 0),
        ({"kind": "finding", "agent": "a", "at": "2026-11-22T08:00:00Z"}, None),
        ({"kind": "call", "at": "2026-11-22T08:00:00Z"}, None),
        ({"kind": "call", "agent": "a", "at": "yesterday"}, None),
    ],
)
def test_calls_are_counted_once_and_findings_never(document: dict[str, object], calls: int | None) -> None:
    seen = observation_of(json.loads(json.dumps(document)))
    assert (None if seen is None else seen.calls) == calls
