"""How fast decisions are, against cedarpy on an equivalent policy set in the same run.

    python bench/decide.py [--quick]

Every grant allows one action on some fields; one request in eight asks for a field too many and is denied. cedarpy gets
its policies and entities parsed beforehand and is asked one by one and in batches; the better figure counts. Both
sides' requests are made before the clock starts, and both sides' answers are compared. Rounds of both are interleaved;
figures are medians of rounds. `first` is a decision on a table that has not seen the request, `again` one that has.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

import cedarpy

from bailiwick.decide.decide import DecisionTable
from bailiwick.decide.scope import effective_scope
from bailiwick.model.action import Action
from bailiwick.model.decision import Access, Allow, Request
from bailiwick.model.lock import Lock, LockedColumn, LockedTable
from bailiwick.model.matcher import Equal
from bailiwick.model.policy import Agent, Grant, Mount, Policy, Resource, Role, SecretRef
from bailiwick.model.scope import Scope
from bailiwick.model.session import Session

FIELDS = tuple(f"f{number}" for number in range(8))
GRANTED = FIELDS[:6]
VERBS = ("read", "update", "create")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
CedarRequest = dict[str, object]


@dataclass(frozen=True)
class Case:
    """One size: the policy on both sides, and the same requests for both."""

    grants: int
    policy: Policy
    scope: Scope
    scoped_in: float
    """Seconds that `effective_scope` took."""
    requests: tuple[Request, ...]
    cedar: tuple[CedarRequest, ...]
    policies: cedarpy.PolicySet


class Cedar:
    """cedarpy with what it needs parsed beforehand."""

    def __init__(self, policies: cedarpy.PolicySet) -> None:
        self._policies = policies
        self._entities = cedarpy.Entities.from_json_str("[]")  # pyright: ignore[reportUnknownMemberType]  # bare dict

    def one(self, request: CedarRequest) -> bool:
        """Return whether one request is allowed."""
        answer = cedarpy.is_authorized(  # pyright: ignore[reportUnknownMemberType]  # bare dict
            request, self._policies, self._entities
        )
        return answer.allowed

    def many(self, requests: Sequence[CedarRequest]) -> int:
        """Return how many of the requests are answered, in one call."""
        answers = cedarpy.is_authorized_batch(  # pyright: ignore[reportUnknownMemberType]  # bare dict
            list(requests), self._policies, self._entities
        )
        return len(answers)


def main() -> int:
    """Measure and print; return 1 when a target is missed."""
    parser = argparse.ArgumentParser(description="Measure decisions.")
    parser.add_argument("--quick", action="store_true", help="fewer rounds; under 40 seconds")
    quick = cast("bool", parser.parse_args().quick)
    rounds = 21 if quick else 61
    compared = {size: make_case(size, size) for size in (10, 100, 1000)}
    good = True
    for size, case in compared.items():
        good = against_cedar(case, rounds, target=10.0 if size == 100 else None) and good
    good = latency(compared[1000], rounds) and good
    good = growth(rounds) and good
    worst_case(rounds)
    return 0 if good else 1


def make_case(grants: int, distinct: int) -> Case:
    """Return a case of so many grants, each on an action of its own, asked about `distinct` of them."""
    actions = [(f"r{number // 3}", VERBS[number % 3]) for number in range(grants)]
    made = [
        Grant(f"g{place}", "allow", Action(resource, verb), "all", "bench", fields=GRANTED)
        for place, (resource, verb) in enumerate(actions)
    ]
    policy, lock = make_policy(made, (grants + 2) // 3)
    started = time.perf_counter()
    scope = effective_scope(policy, lock, session())
    scoped_in = time.perf_counter() - started
    chance = random.Random(1)  # noqa: S311 - repeatable, not secret
    asked = [actions[place * grants // distinct] for place in range(distinct)]
    wanted: list[tuple[str, str, tuple[str, ...]]] = []
    for place in range(max(distinct, 512)):
        resource, verb = asked[place % distinct]
        names = chance.sample(GRANTED, chance.randint(1, 5)) + ([FIELDS[7]] if place % 8 == 7 else [])
        wanted.append((resource, verb, tuple(sorted(names))))
    requests = tuple(Request("crm", (Access(*each),)) for each in wanted)
    cedar = tuple(cedar_request(*each) for each in wanted)
    return Case(grants, policy, scope, scoped_in, requests, cedar, cedar_policies(actions))


def make_policy(grants: Sequence[Grant], resources: int) -> tuple[Policy, Lock]:
    """Return a policy of one role over so many resources, and its lock."""
    names = [f"r{number}" for number in range(resources)]
    mapped = {name: Resource(name, "crm", "public", name) for name in names}
    columns = tuple(LockedColumn(name, "text") for name in FIELDS)
    lock = Lock({"crm": {("public", name): LockedTable("public", name, "r", columns) for name in names}})
    mounts = {"crm": Mount("crm", "postgres", SecretRef("${URL}"), mapped)}
    policy = Policy(
        "v", mounts, {"all": Role("all", (), tuple(grants))}, {"bot": Agent("bot", "team", "bench", ("all",))}, {}
    )
    return policy, lock


def session() -> Session:
    """Return the session whose scope is measured."""
    return Session("s", "bot", None, None, {"n": 1}, None, NOW, NOW, None)


def cedar_policies(actions: Sequence[tuple[str, str]]) -> cedarpy.PolicySet:
    """Return one permit for each action, equivalent to the grants."""
    fields = ", ".join(f'"{name}"' for name in GRANTED)
    text = "\n".join(
        f'permit(principal == Agent::"bot", action == Action::"{verb}", resource == Resource::"{resource}") '
        f"when {{ [{fields}].containsAll(context.fields) }};"
        for resource, verb in actions
    )
    return cedarpy.PolicySet.from_str(text)


def cedar_request(resource: str, verb: str, fields: tuple[str, ...]) -> CedarRequest:
    """Return the same request for cedarpy, in its cheapest form."""
    return {
        "principal": {"type": "Agent", "id": "bot"},
        "action": {"type": "Action", "id": verb},
        "resource": {"type": "Resource", "id": resource},
        "context": {"fields": list(fields)},
    }


def against_cedar(case: Case, rounds: int, target: float | None) -> bool:
    """Print decisions a second of both; with a target, whether ours are so many times theirs."""
    ask = Cedar(case.policies)
    asked = case.cedar[: 64 if case.grants >= 1000 else 256]
    table = DecisionTable(case.policy, case.scope)
    ours = [isinstance(table.decide(request), Allow) for request in case.requests[: len(asked)]]
    theirs = [ask.one(request) for request in asked]
    if ours != theirs:
        raise SystemExit(f"the two policy sets of {case.grants} grants are not equivalent")
    one: list[float] = []
    batch: list[float] = []
    first: list[float] = []
    again: list[float] = []
    for _ in range(max(3, rounds // 3)):
        one.append(rate(len(asked), lambda: [ask.one(each) for each in asked]))
        batch.append(rate(len(asked), lambda: ask.many(asked)))
        fresh = DecisionTable(case.policy, case.scope)
        first.append(rate(len(case.requests), lambda fresh=fresh: decide_all(fresh, case.requests)))
        again.append(rate(len(case.requests), lambda fresh=fresh: decide_all(fresh, case.requests)))
    cedar = max(statistics.median(one), statistics.median(batch))
    mine = statistics.median(first)
    say(f"decisions/s at {case.grants} grants: {mine:,.0f} first, {statistics.median(again):,.0f} again")
    say(f"cedarpy decisions/s at {case.grants} grants: {cedar:,.0f} (scope made in {case.scoped_in * 1e3:.1f} ms)")
    if target is None:
        say(f"times cedarpy at {case.grants} grants: {mine / cedar:,.0f}")
        return True
    return judged(f"times cedarpy at {case.grants} grants", mine / cedar, target, atleast=True, unit="x")


def latency(case: Case, rounds: int) -> bool:
    """Print the 99th percentile of single decisions, each on a table that has not seen the request.

    It is the median of the rounds' percentiles: what another process does to one round is not in it.
    """
    taken: list[int] = []
    denied: list[int] = []
    slowest: list[float] = []
    for _ in range(rounds):
        table = DecisionTable(case.policy, case.scope)
        before = len(taken)
        for request in case.requests:
            started = time.perf_counter_ns()
            decision = table.decide(request)
            ended = time.perf_counter_ns()
            taken.append(ended - started)
            if not isinstance(decision, Allow):
                denied.append(ended - started)
        slowest.append(statistics.quantiles(taken[before:], n=100)[98] / 1e3)
    say(f"p50 of a decision at {case.grants} grants: {statistics.median(taken) / 1e3:.2f} µs")
    say(f"p50 of a denial at {case.grants} grants: {statistics.median(denied) / 1e3:.2f} µs")
    p99 = statistics.median(slowest)
    return judged(f"p99 of a decision at {case.grants} grants", p99, 50.0, atleast=False, unit=" µs")


def growth(rounds: int) -> bool:
    """Print how much slower decisions are with 10,000 grants than with 10, spread over actions.

    Both are asked equally many distinct requests, again and about ten actions, so that only the size differs.
    """
    small, large = make_case(10, 10), make_case(10_000, 10)
    tables = [(DecisionTable(case.policy, case.scope), case.requests) for case in (small, large)]
    ratios: list[float] = []
    for _ in range(rounds * 4):
        times: list[float] = []
        for table, requests in tables:
            allowed = [each for place, each in enumerate(requests) if place % 8 != 7]
            started = time.perf_counter()
            for _ in range(8):
                decide_all(table, allowed)
            times.append(time.perf_counter() - started)
        ratios.append(times[1] / times[0])
    say(f"scope of 10000 grants: {large.scoped_in * 1e3:.0f} ms, once for all sessions of its shape")
    slower = (statistics.median(ratios) - 1) * 100
    return judged("slower from 10 to 10000 grants", slower, 10.0, atleast=False, unit="%")


def worst_case(rounds: int) -> None:
    """Print the worst case: many grants on one action, each with rows and fields of its own."""
    for count in (100, 1000, 10_000):
        made = [
            Grant(
                f"g{place}",
                "allow",
                Action("r0", "read"),
                "all",
                "bench",
                rows={"f0": Equal(place)},
                fields=(FIELDS[place % 8], FIELDS[(place // 8) % 8]),
            )
            for place in range(count)
        ]
        policy, lock = make_policy(made, 1)
        scope = effective_scope(policy, lock, session())
        request = Request("crm", (Access("r0", "read", FIELDS),))
        first: list[float] = []
        again: list[float] = []
        for _ in range(rounds):
            table = DecisionTable(policy, scope)
            first.append(1e6 / rate(1, lambda table=table, request=request: table.decide(request)))
            again.append(1e6 / rate(1, lambda table=table, request=request: table.decide(request)))
        said = f"first {statistics.median(first):,.1f} µs, again {statistics.median(again):.1f} µs"
        say(f"worst case, {count} grants on one action: {said}")


def decide_all(table: DecisionTable, requests: Sequence[Request]) -> None:
    """Decide requests one after the other."""
    for request in requests:
        table.decide(request)


def rate(count: int, work: Callable[[], object]) -> float:
    """Return how many of `count` were done a second."""
    started = time.perf_counter()
    work()
    return count / (time.perf_counter() - started)


def say(line: str) -> None:
    """Print one figure at once: a run takes a while."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def judged(name: str, figure: float, target: float, *, atleast: bool, unit: str) -> bool:
    """Print a figure against its target and return whether it is reached."""
    good = figure >= target if atleast else figure < target
    sign = ">=" if atleast else "<"
    say(f"{name}: {figure:,.1f}{unit} (target {sign} {target:g}{unit}) {'ok' if good else 'short'}")
    return good


if __name__ == "__main__":
    sys.exit(main())
