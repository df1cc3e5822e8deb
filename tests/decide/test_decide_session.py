"""Opening sessions, and sessions that may do nothing any more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from decide_samples import NOW, policy, session
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.decide.session import Opening, blocked, check_opening, derived_value, parse_value, within_hours
from bailiwick.model.decision import Denial
from bailiwick.model.policy import Agent, ContextRule, Hours, Policy, SessionRules, Task, Users
from bailiwick.model.session import SessionState, User
from bailiwick.model.value import Scalar, ValueType

DAY = timedelta(days=1)
OFFICE = Hours(frozenset(range(5)), time(7), time(19), "Europe/Berlin")
CONTEXT = {
    "ticket_id": ContextRule("integer"),
    "customer_id": ContextRule("integer", source="tickets", by="ticket_id"),
}


def made(
    users: Users | None = None, rules: SessionRules | None = None, context: Mapping[str, ContextRule] = CONTEXT
) -> Policy:
    agent = Agent("bot", "support-platform", "answers", ("support",), rules or SessionRules())
    task = Task("handle", ("bot",), users, context, None)
    elsewhere = Task("elsewhere", ("other",), None, {}, None)
    return replace(policy(), agents={"bot": agent}, tasks={"handle": task, "elsewhere": elsewhere})


def opening(
    given: Policy | None = None,
    *,
    agent: str = "bot",
    task: str | None = "handle",
    user: User | None = None,
    context: Mapping[str, Scalar] | None = None,
    tenant: Scalar | None = None,
    ttl: timedelta | None = None,
    now: datetime = NOW,
) -> Opening | Denial:
    brought = {"ticket_id": "42"} if context is None else context
    return check_opening(given or made(), agent, task, user, brought, tenant, ttl=ttl, longest=DAY, now=now)


def opened(found: Opening | Denial) -> Opening:
    assert isinstance(found, Opening), found
    return found


def refused(found: Opening | Denial) -> Denial:
    assert isinstance(found, Denial)
    return found


def test_context_is_typed_and_the_rest_is_to_be_looked_up() -> None:
    found = opened(opening())
    assert found.context == {"ticket_id": 42}
    assert list(found.derived) == ["customer_id"]
    assert found.ttl == DAY


def test_without_a_task_there_is_no_context() -> None:
    assert opened(opening(task=None, context={})).context == {}
    assert refused(opening(task=None, context={"ticket_id": 1})).code == "context_missing"


def test_missing_mistyped_unknown_and_derived_values_are_refused() -> None:
    assert "`ticket_id` is missing" in refused(opening(context={})).message
    assert "not of type integer" in refused(opening(context={"ticket_id": "42; drop"})).message
    assert "`extra` is not declared" in refused(opening(context={"ticket_id": 1, "extra": 1})).message
    assert "looked up, not believed" in refused(opening(context={"ticket_id": 1, "customer_id": 7})).message


def test_an_unknown_agent_or_task_and_a_task_of_others_are_refused() -> None:
    assert refused(opening(agent="ghost")).code == "agent_mismatch"
    assert refused(opening(task="ghost")).code == "action_not_granted"
    assert refused(opening(task="elsewhere", context={})).code == "action_not_granted"


class TestUsers:
    rule = made(Users(frozenset({"ann"}), frozenset({"support"})))

    @pytest.mark.parametrize("user", [User("ann"), User("bob", frozenset({"support"}))])
    def test_an_id_or_a_group_is_enough(self, user: User) -> None:
        assert opened(opening(self.rule, user=user))

    @pytest.mark.parametrize("user", [None, User("bob"), User("support"), User("bob", frozenset({"ann"}))])
    def test_nobody_else_may(self, user: User | None) -> None:
        assert refused(opening(self.rule, user=user)).code == "action_not_granted"

    def test_an_empty_rule_is_for_nobody(self) -> None:
        assert refused(opening(made(Users()), user=User("ann", frozenset({"support"})))).code == "action_not_granted"


class TestTenant:
    context: Mapping[str, ContextRule] = {"tenant": ContextRule("integer")}

    def test_it_is_the_openers(self) -> None:
        assert opened(opening(tenant="3")).tenant == "3"

    def test_it_is_the_context_value_of_that_name_typed(self) -> None:
        assert opened(opening(made(context=self.context), context={"tenant": "3"})).tenant == 3
        assert opened(opening(made(context=self.context), context={}, tenant="3")).tenant == 3

    def test_two_that_differ_are_refused(self) -> None:
        found = opening(made(context=self.context), context={"tenant": "3"}, tenant="4")
        assert refused(found).message == "tenant is given twice and differs"
        assert opened(opening(made(context=self.context), context={"tenant": "3"}, tenant="3")).tenant == 3

    def test_a_derived_one_is_not_believed(self) -> None:
        context = {"ticket_id": ContextRule("integer"), "tenant": ContextRule("integer", "tickets", "ticket_id")}
        assert refused(opening(made(context=context), tenant=1)).code == "context_missing"
        assert opened(opening(made(context=context))).tenant is None


def test_ttl_is_capped_by_the_agent_and_by_the_gateway() -> None:
    short = made(rules=SessionRules(ttl=timedelta(minutes=30)))
    assert opened(opening(short)).ttl == timedelta(minutes=30)
    assert opened(opening(short, ttl=timedelta(hours=2))).ttl == timedelta(minutes=30)
    assert opened(opening(short, ttl=timedelta(minutes=1))).ttl == timedelta(minutes=1)
    assert opened(opening(ttl=timedelta(days=9))).ttl == DAY
    assert refused(opening(ttl=timedelta(0)))


def test_out_of_hours_nothing_opens() -> None:
    rules = made(rules=SessionRules(hours=OFFICE))
    monday = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
    assert opened(opening(rules, now=monday))
    found = refused(opening(rules, now=NOW))
    assert (found.code, found.allowed) == ("out_of_hours", "Mon, Tue, Wed, Thu, Fri 07:00-19:00 Europe/Berlin")


@pytest.mark.parametrize(
    ("moment", "inside"),
    [
        (datetime(2026, 11, 23, 5, 59, tzinfo=UTC), False),
        (datetime(2026, 11, 23, 6, 0, tzinfo=UTC), True),
        (datetime(2026, 11, 23, 17, 59, tzinfo=UTC), True),
        (datetime(2026, 11, 23, 18, 0, tzinfo=UTC), False),
        (datetime(2026, 7, 20, 5, 0, tzinfo=UTC), True),
        (datetime(2026, 11, 22, 12, 0, tzinfo=UTC), False),
    ],
)
def test_hours_are_local_and_end_before_their_end(moment: datetime, inside: bool) -> None:
    assert within_hours(OFFICE, moment) is inside


@pytest.mark.parametrize("zone", ["Nowhere/At_All", "../etc/passwd", ""])
def test_an_unknown_zone_is_never_open(zone: str) -> None:
    assert not within_hours(replace(OFFICE, zone=zone), datetime(2026, 11, 23, 9, 0, tzinfo=UTC))


@pytest.mark.parametrize(
    ("state", "code"), [("REVOKED", "session_revoked"), ("CLOSED", "session_closed"), ("EXPIRED", "session_expired")]
)
def test_a_session_that_is_not_open_is_blocked(state: SessionState, code: str) -> None:
    found = blocked(replace(session(), state=state), NOW, NOW, SessionRules())
    assert found is not None
    assert found.code == code


def test_a_session_is_blocked_from_its_expiry_on() -> None:
    live = session()
    assert blocked(live, live.expires_at - timedelta(microseconds=1), NOW, SessionRules()) is None
    found = blocked(live, live.expires_at, NOW, SessionRules())
    assert found is not None
    assert found.code == "session_expired"


def test_a_session_is_blocked_when_idle_for_longer_than_it_may() -> None:
    live = replace(session(), idle=timedelta(minutes=5))
    assert blocked(live, NOW + timedelta(minutes=5), NOW, SessionRules()) is None
    found = blocked(live, NOW + timedelta(minutes=5, seconds=1), NOW, SessionRules())
    assert found is not None
    assert found.code == "session_idle"


def test_a_session_is_blocked_out_of_hours() -> None:
    found = blocked(session(), NOW, NOW, SessionRules(hours=OFFICE))
    assert found is not None
    assert found.code == "out_of_hours"


@pytest.mark.parametrize(
    ("kind", "given", "value"),
    [
        ("integer", "42", 42),
        ("integer", 42, 42),
        ("integer", "9223372036854775808", None),
        ("integer", "4_2", None),
        ("integer", "٤", None),
        ("integer", " 4", None),
        ("integer", "4\n", None),
        ("integer", True, None),
        ("integer", Decimal(4), None),
        ("number", "12.50", Decimal("12.50")),
        ("number", 3, Decimal(3)),
        ("number", "NaN", None),
        ("number", "1e9", None),
        ("number", Decimal("Infinity"), None),
        ("number", True, None),
        ("string", "a b", "a b"),
        ("string", 4, None),
        ("string", "a\x00b", None),
        ("string", "a" * 5000, None),
        ("boolean", "true", True),
        ("boolean", False, False),
        ("boolean", "1", None),
        ("boolean", 1, None),
        ("uuid", "0F8FAD5B-D9CB-469F-A165-70867728950E", "0f8fad5b-d9cb-469f-a165-70867728950e"),
        ("uuid", UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ("uuid", "0f8fad5bd9cb469fa16570867728950e", None),
        ("date", "2026-01-31", date(2026, 1, 31)),
        ("date", "2026-02-31", None),
        ("date", "20260131", None),
        ("date", datetime(2026, 1, 31, tzinfo=UTC), None),
        ("timestamp", "2026-01-31T12:00:00+02:00", datetime(2026, 1, 31, 10, tzinfo=UTC)),
        ("timestamp", "2026-01-31T12:00:00", None),
        ("timestamp", "0001-01-01T00:00:00+14:00", None),
        ("timestamp", NOW, NOW),
    ],
)
def test_values_are_parsed_as_their_type_and_nothing_else(kind: ValueType, given: object, value: object) -> None:
    found = parse_value(kind, given)
    assert found == value
    assert type(found) is type(value)


@given(st.integers(-(2**63), 2**63 - 1))
def test_every_integer_of_64_bits_is_read_as_itself(number: int) -> None:
    assert parse_value("integer", str(number)) == number


def test_a_looked_up_value_must_exist_and_be_of_its_type() -> None:
    rule = CONTEXT["customer_id"]
    assert derived_value("customer_id", rule, 7) == 7
    for missing in (None, "seven", 1.5):
        found = derived_value("customer_id", rule, missing)
        assert isinstance(found, Denial)
        assert "`customer_id` was not found in `tickets` by `ticket_id`" in found.message
