"""Limits on functions that an application guards: what is beyond them is not executed, and says when it will be."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bailiwick.guard import DeniedError, Guard

POLICY = """
bailiwick: 1
mounts:
  app:
    kind: python
    functions:
      pay: {action: billing:pay, parameters: [amount]}
      ask: {action: answers:create, parameters: [text], cost: {path: cost, most: 1 USD}}
      find: {action: orders:read, parameters: [kind]}
roles:
  r:
    grants:
      - {allow: billing:pay, reason: tests, args: any, limits: {actions: 2/day}}
      - {allow: answers:create, reason: tests, args: any}
      - {allow: orders:read, reason: tests, args: any, limits: {rows: 3/day}}
agents:
  bot: {owner: o, purpose: p, roles: [r], session: {cost: 1.5 USD}}
"""


@pytest.fixture(scope="module")
def guard() -> Iterator[Guard]:
    folder = Path(tempfile.mkdtemp(prefix="bwlimf"))
    (folder / "policy.yaml").write_text(POLICY)
    (folder / "gateway.yaml").write_text("environment: staging\npostgres: {port: 0}\nmcp: {port: 0}\n")
    try:
        with Guard(folder / "policy.yaml", gateway="here", environ={}) as made:
            yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_a_function_beyond_its_actions_is_not_executed(guard: Guard) -> None:
    paid: list[int] = []

    def pay(amount: int) -> None:
        paid.append(amount)

    guarded = guard.function(pay)
    with guard.session("bot"):
        guarded(1)
        guarded(2)
        with pytest.raises(DeniedError) as error:
            guarded(3)
    assert error.value.code == "limit_exceeded"
    wait = error.value.denied.denial.retry_after
    assert wait is not None
    assert 0 < wait <= 86400
    assert paid == [1, 2]


def test_a_function_costs_what_its_result_says(guard: Guard) -> None:
    def ask(text: str) -> dict[str, object]:
        return {"said": text, "cost": 0.4}

    guarded = guard.function(ask)
    with guard.session("bot"):
        assert guarded("a") == {"said": "a", "cost": 0.4}
        guarded("b")
        with pytest.raises(DeniedError, match=r"1\.5 USD of this session"):
            guarded("c")


def test_rows_of_results_are_charged(guard: Guard) -> None:
    def find(kind: str) -> list[str]:
        return [kind, kind]

    guarded = guard.function(find)
    with guard.session("bot"):
        assert guarded("a") == ["a", "a"]
        assert guarded("a") == ["a", "a"]
        with pytest.raises(DeniedError, match="3 rows in 1 day"):
            guarded("a")
