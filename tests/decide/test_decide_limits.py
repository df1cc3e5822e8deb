"""Ceilings: every grant that contributes holds a statement, and so does the mount; the strictest counts."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Literal

import pytest
from decide_samples import LOCK, allow, policy, session
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.decide.decide import decide
from bailiwick.decide.limits import ceilings, exceeded, strictest
from bailiwick.decide.scope import effective_scope
from bailiwick.model.ceilings import Ceilings
from bailiwick.model.decision import Access, Allow, Request
from bailiwick.model.policy import Grant, Limit

Verb = Literal["read", "update", "create", "delete"]


def most(name: str, amount: int) -> Limit:
    return Limit(name, Decimal(amount))


def asked(*grants: Grant, accesses: tuple[Access, ...], mount: tuple[Limit, ...] = ()) -> Ceilings | None:
    made = policy(*grants)
    made = replace(made, mounts={name: replace(each, limits=mount) for name, each in made.mounts.items()})
    found = decide(made, effective_scope(made, LOCK, session()), Request("crm", accesses))
    assert isinstance(found, Allow), found
    return found.ceilings


READ = Access("tickets", "read", ("status",))
UPDATE = Access("tickets", "update", ("status",))
FEW = allow("tickets:read", id="few", fields=("status",), limits=(most("rows", 10), most("timeout", 5)))
MANY = allow("tickets:read", id="many", fields=("status", "priority"), limits=(most("rows", 100), most("bytes", 7)))
FREE = allow("customers:read", id="free", fields=("name",))
EDIT = allow("tickets:update:status", id="edit", limits=(most("batch", 3),))


def test_a_statement_without_ceilings_has_none() -> None:
    assert asked(FREE, accesses=(Access("customers", "read", ("name",)),)) is None


def test_the_strictest_of_the_contributing_grants_counts() -> None:
    assert asked(FEW, MANY, accesses=(READ,)) == Ceilings(rows=10, bytes=7, timeout=5)


def test_a_grant_that_does_not_contribute_does_not_count() -> None:
    assert asked(FEW, MANY, accesses=(Access("tickets", "read", ("priority",)),)) == Ceilings(rows=100, bytes=7)


def test_the_ceilings_of_all_accesses_are_taken_together() -> None:
    assert asked(FEW, FREE, EDIT, accesses=(UPDATE, READ, Access("customers", "read", ("name",)))) == Ceilings(
        batch=3, rows=10, timeout=5
    )


def test_a_mount_holds_every_statement_on_its_resources() -> None:
    mount = (most("rows", 5), most("batch", 1), most("timeout", 9), most("bytes", 50))
    assert asked(FREE, accesses=(Access("customers", "read", ("name",)),), mount=mount) == Ceilings(None, 5, 50, 9)
    assert asked(FEW, EDIT, accesses=(UPDATE, READ), mount=mount) == Ceilings(1, 5, 50, 5)


def test_a_statement_without_resources_is_held_in_time_and_bytes_only() -> None:
    mount = (most("rows", 5), most("batch", 1), most("timeout", 9), most("bytes", 50))
    assert asked(accesses=(), mount=mount) == Ceilings(bytes=50, timeout=9)


amounts = st.none() | st.integers(1, 9)
some = st.builds(Ceilings, amounts, amounts, amounts, amounts)


@given(some, some, some)
def test_taking_the_strictest_is_a_meet(a: Ceilings, b: Ceilings, c: Ceilings) -> None:
    both = strictest(a, b)
    assert both == strictest(b, a)
    assert strictest(both, c) == strictest(a, strictest(b, c))
    assert strictest(both, a) == both


@given(st.lists(st.tuples(st.sampled_from(["batch", "rows", "bytes", "timeout"]), st.integers(1, 9)), max_size=6))
def test_no_limit_loosens_another(pairs: list[tuple[str, int]]) -> None:
    limits = tuple(most(name, amount) for name, amount in pairs)
    before = ceilings([allow("tickets:read", limits=limits[:-1])], (), "read") or Ceilings()
    after = ceilings([allow("tickets:read", limits=limits)], (), "read") or Ceilings()
    assert strictest(before, after) == after or strictest(before, after) == Ceilings() == after


@pytest.mark.parametrize("verb", ["update", "create", "delete"])
def test_rows_of_a_grant_to_write_do_not_count_what_is_returned(verb: Verb) -> None:
    assert ceilings([allow("*:*", limits=(most("rows", 1), most("batch", 2)))], (), verb) == Ceilings(batch=2)


def test_a_denial_says_the_real_count_and_what_would_be_allowed() -> None:
    found = exceeded("batch_exceeded", Ceilings(batch=1), 205, "tickets:update")
    assert found.message == "the statement would write 205 rows, but it may write at most 1"
    assert found.allowed == "writing up to 1 row in one statement"
    assert "`batch`" in found.remedy
