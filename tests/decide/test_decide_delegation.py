"""Scopes within scopes: what both admit, row by row and field by field."""

from __future__ import annotations

from collections.abc import Mapping

from decide_samples import LOCK, NOW, allow, deny, policy
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.decide.delegation import within
from bailiwick.decide.scope import scope_where
from bailiwick.match.evaluate import all_of, holds
from bailiwick.model.lock import Lock
from bailiwick.model.mask import Mask
from bailiwick.model.matcher import Anything, Equal, Matcher, OneOf
from bailiwick.model.policy import Grant, Limit, Policy
from bailiwick.model.scope import CallGrant, Scope, WriteGrant

_NAMES = ("customer_id", "name", "email")
_masks = st.sampled_from([None, Mask("full"), Mask("partial")])
_reads = st.tuples(
    st.integers(0, 3),
    st.none() | st.sets(st.integers(1, 4), min_size=1),
    st.dictionaries(st.sampled_from(_NAMES), _masks, min_size=1),
)


def scope_of(made: Policy, lock: Lock = LOCK) -> Scope:
    return scope_where(made, lock, "bot", None, None, lambda _grant, _resource: True)


def _policy(prefix: str, shares: list[tuple[int, set[int] | None, dict[str, Mask | None]]]) -> Policy:
    return policy(*(_grant(f"{prefix}{place}", each[1], each[2]) for place, each in enumerate(shares)))


def _grant(name: str, customers: set[int] | None, fields: Mapping[str, Mask | None]) -> Grant:
    rows: dict[str, Matcher] = {} if customers is None else {"customer_id": OneOf(tuple(sorted(customers)))}
    masks = {field: mask for field, mask in fields.items() if mask is not None}
    return allow("customers:read", id=name, fields=tuple(fields), rows=rows, mask=masks)


def shown(scope: Scope, customer: int) -> dict[str, set[Mask | None]]:
    """Return field → as what it is shown of one customer's row."""
    found: dict[str, set[Mask | None]] = {}
    resource = scope.resources.get("customers")
    for read in resource.reads if resource else ():
        conditions = (holds(matcher, customer, lambda _ref: None, NOW) for _, matcher in read.filter.conditions)
        if all_of(conditions) is True:
            for name, mask in read.fields.items():
                found.setdefault(name, set()).add(mask)
    return found


@given(st.lists(_reads, max_size=3), st.lists(_reads, max_size=3))
def test_a_field_is_shown_only_where_both_show_it_and_clear_only_where_both_do(
    mine: list[tuple[int, set[int] | None, dict[str, Mask | None]]],
    theirs: list[tuple[int, set[int] | None, dict[str, Mask | None]]],
) -> None:
    child, parent = scope_of(_policy("c", mine)), scope_of(_policy("p", theirs))
    both = within(policy(), child, parent)
    for customer in (1, 2, 3, 4, 5):
        one, other, left = shown(child, customer), shown(parent, customer), shown(both, customer)
        for name in _NAMES:
            assert (None in left.get(name, set())) == (None in one.get(name, set()) and None in other.get(name, set()))
            if name in left:
                assert name in one
                assert name in other


@given(st.lists(_reads, max_size=4))
def test_a_scope_within_itself_is_itself(
    shares: list[tuple[int, set[int] | None, dict[str, Mask | None]]],
) -> None:
    scope = scope_of(_policy("c", shares))
    assert within(policy(), scope, scope).resources == scope.resources


def test_two_different_masks_of_a_field_show_nothing_of_it() -> None:
    child = scope_of(policy(_grant("c", None, {"email": Mask("full"), "name": None})))
    parent = scope_of(policy(_grant("p", None, {"email": Mask("partial"), "name": Mask("full")})))
    (read,) = within(policy(), child, parent).resources["customers"].reads
    assert read.fields == {"name": Mask("full")}


def test_writes_obey_the_values_ceilings_and_queues_of_both() -> None:
    one = allow("tickets:update:status", id="c", set={"status": OneOf(("open", "closed"))}, limits=(_batch(5),))
    two = allow("tickets:update:status", id="p", set={"status": Equal("open")}, limits=(_batch(2),), through="queue")
    read = allow("tickets:read")
    found = within(policy(), scope_of(policy(one, read)), scope_of(policy(two, read)))
    (write,) = found.resources["tickets"].updates
    assert write == WriteGrant("c within p", write.filter, frozenset({"status"}), {"status": write.set["status"]}, 2)
    assert holds(write.set["status"], "open", lambda _ref: None, NOW) is True
    assert holds(write.set["status"], "closed", lambda _ref: None, NOW) is False
    assert found.grants["c within p"].through == "queue"
    assert set(found.grants["c within p"].limits) == {_batch(5), _batch(2)}


def test_denied_rows_of_either_are_denied() -> None:
    read = allow("customers:read", fields=("customer_id",))
    less = deny("customers:read", rows={"customer_id": Equal(3)})
    for child, parent in (((read, less), (read,)), ((read,), (read, less))):
        found = within(policy(), scope_of(policy(*child)), scope_of(policy(*parent)))
        assert [each.grant for each in found.resources["customers"].denied_rows] == ["no-customers:read"]


def test_a_mount_whose_database_enforces_too_cannot_be_delegated() -> None:
    from dataclasses import replace

    made = policy(allow("tickets:read"))
    native = replace(made, mounts={"crm": replace(made.mounts["crm"], enforce="both")})
    scope = scope_of(made)
    assert within(native, scope, scope).resources == {}
    assert set(within(made, scope, scope).resources) == {"tickets"}


def _batch(amount: int) -> Limit:
    from decimal import Decimal

    return Limit("batch", Decimal(amount))


def test_arguments_are_those_that_both_admit() -> None:
    from bailiwick.decide import delegation

    arguments = delegation._arguments  # pyright: ignore[reportPrivateUsage]  # a table of cases
    low, any_ = Equal(1), Anything()
    assert arguments({"a": low}, {"a": any_}) == {"a": low}
    assert arguments({"a": any_, "b": any_}, {"a": low}) == {"a": low}
    assert arguments({"a": low, "b": low}, {"a": any_}) is None
    assert arguments({"a": any_}, {"a": low, "b": low}) is None
    assert arguments({"*": any_}, {"a": low}) == {"a": low}
    assert arguments({"*": any_}, {"*": any_}) == {"*": any_}
    assert arguments({}, {}) == {}


def test_calls_need_a_grant_of_both_and_conditions_are_not_shared() -> None:
    from bailiwick.decide import delegation

    call = delegation._call  # pyright: ignore[reportPrivateUsage]  # a table of cases
    one, other = CallGrant("c", {"a": Anything()}), CallGrant("p", {"a": Equal(1)}, fields=("id",))
    pair = call(one, other, {}, alike=False)
    assert pair == CallGrant("c within p", {"a": Equal(1)}, fields=("id",))
    asked = CallGrant("w", {"a": Anything()}, when='session.agent == "x"')
    assert call(asked, asked, {}, alike=False) is None
    assert call(asked, asked, {}, alike=True) == asked
    assert call(CallGrant("m", {}, fields=("a",)), CallGrant("n", {}, fields=("b",)), {}, alike=True) is None
