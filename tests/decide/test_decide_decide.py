"""Decisions as values: what is allowed, with what; what is not, why, and what would be."""

from __future__ import annotations

from datetime import timedelta

import pytest
from decide_samples import LOCK, allow, deny, policy, session

from bailiwick.decide.decide import DecisionTable, decide, table_of
from bailiwick.decide.scope import effective_scope
from bailiwick.model.action import Action
from bailiwick.model.decision import Access, Allow, Decision, Denial, Deny, Hold, Request
from bailiwick.model.mask import Mask
from bailiwick.model.matcher import Equal
from bailiwick.model.policy import ElevationRule, Gate, Grant, Policy, Role


def ask(given: Policy, *accesses: tuple[str, str, tuple[str, ...]], mount: str = "crm") -> Decision:
    scope = effective_scope(given, LOCK, session())
    return decide(given, scope, Request(mount, tuple(Access(*access) for access in accesses)))


def denial(decision: Decision) -> Denial:
    assert not isinstance(decision, Allow)
    return decision.denial


READ = allow("tickets:read")


def test_a_granted_read_is_allowed_with_its_grants_and_labels() -> None:
    grant = allow("customers:read", fields=("name", "email"))
    assert ask(policy(grant), ("customers", "read", ("email", "name"))) == Allow(
        ("customers:read",), frozenset({"confidential", "pii"})
    )


def test_only_grants_that_show_a_field_contribute() -> None:
    grants = (allow("tickets:read", id="a", fields=("status",)), allow("tickets:read", id="b", fields=("priority",)))
    assert ask(policy(*grants), ("tickets", "read", ("status",))) == Allow(("a",))
    assert ask(policy(*grants), ("tickets", "read", ("priority", "status"))) == Allow(("b", "a"))
    assert ask(policy(*grants), ("tickets", "read", ())) == Allow(("a", "b"))


def test_fields_that_are_written_together_need_one_grant_for_them_all() -> None:
    fields = ("priority", "status")
    apart = (allow("tickets:update:status", id="a"), allow("tickets:update:priority", id="b"))
    found = denial(ask(policy(*apart), ("tickets", "update", fields)))
    assert (found.code, found.allowed) == ("field_not_granted", "update of each of them by itself on `tickets`")
    both = allow("tickets:update", id="c", fields=("status", "priority", "customer_id"))
    assert ask(policy(*apart, both), ("tickets", "update", fields)) == Allow(("c",))


def test_a_request_without_accesses_is_allowed() -> None:
    assert ask(policy()) == Allow(())


def test_an_unknown_resource_is_denied_naming_the_known_ones() -> None:
    found = denial(ask(policy(READ, allow("tickets:delete")), ("customers", "read", ("name",))))
    assert found.code == "resource_unknown"
    assert found.message == "`customers` is not a resource of this session"
    assert found.allowed == "`tickets` (read, delete)"
    assert found.remedy == "ask `support-platform`, who owns `bot`, for a grant"
    assert found.action == "customers:read"


def test_a_resource_of_another_mount_is_unknown() -> None:
    assert denial(ask(policy(READ), ("tickets", "read", ()), mount="shop")).code == "resource_unknown"


def test_a_verb_that_is_not_granted_is_denied_naming_the_others() -> None:
    made = policy(allow("tickets:read", fields=("status",)), allow("tickets:update:status"))
    found = denial(ask(made, ("tickets", "delete", ())))
    assert (found.code, found.message) == ("action_not_granted", "`tickets:delete` is not granted")
    assert found.allowed == "on `tickets`: read of `status`; update of `status`"


def test_a_field_that_is_not_granted_is_denied_naming_the_others() -> None:
    found = denial(ask(policy(allow("customers:read", fields=("name",))), ("customers", "read", ("name", "ssn"))))
    assert (found.code, found.action) == ("field_not_granted", "customers:read:ssn")
    assert found.message == "`customers:read` is not granted for `ssn`"
    assert found.allowed == "read of `name` on `customers`"


def test_one_denied_access_denies_the_request() -> None:
    made = policy(READ)
    assert isinstance(ask(made, ("tickets", "read", ()), ("customers", "read", ())), Deny)
    assert isinstance(ask(made, ("tickets", "read", ()), ("tickets", "read", ("status",))), Allow)


def test_a_deny_that_decided_is_named() -> None:
    decision = ask(policy(allow("tickets:*"), deny("tickets:update")), ("tickets", "update", ("status",)))
    assert isinstance(decision, Deny)
    assert decision.grants == ("no-tickets:update",)
    assert "denies it expressly" in decision.denial.remedy


def test_a_deny_of_another_field_is_not_named() -> None:
    made = policy(allow("customers:read", fields=("name", "email")), deny("customers:read:email"))
    decision = ask(made, ("customers", "read", ("ssn",)))
    assert isinstance(decision, Deny)
    assert decision.grants == ()


def test_a_held_verb_needs_an_approval() -> None:
    decision = ask(policy(allow("tickets:*")), ("tickets", "delete", ()))
    assert isinstance(decision, Hold)
    assert (decision.gate, decision.denial.code, decision.denial.action) == (
        "delete",
        "needs_approval",
        "tickets:delete",
    )


def test_a_loosened_delete_is_allowed() -> None:
    loose = Gate("delete", loosen=(Action("tickets", "delete"),), reason="own drafts")
    assert ask(policy(allow("tickets:delete"), gates=(loose,)), ("tickets", "delete", ())) == Allow(("tickets:delete",))


def test_a_restricted_field_in_clear_needs_an_approval_and_the_others_do_not() -> None:
    made = policy(allow("customers:read", fields=("name", "ssn")))
    decision = ask(made, ("customers", "read", ("name", "ssn")))
    assert isinstance(decision, Hold)
    assert decision.denial.message == "read of `ssn` on `customers` needs an approval: gate `restricted` holds it"
    assert decision.denial.allowed == "read of `name` on `customers`"
    assert isinstance(ask(made, ("customers", "read", ("name",))), Allow)


def test_a_masked_restricted_field_is_allowed() -> None:
    made = policy(allow("customers:read", fields=("ssn",), mask={"ssn": Mask("last4")}))
    assert ask(made, ("customers", "read", ("ssn",))) == Allow(("customers:read",), frozenset({"restricted"}))


def test_deny_goes_before_hold() -> None:
    made = policy(allow("tickets:delete"), allow("tickets:read"))
    assert isinstance(ask(made, ("tickets", "delete", ()), ("customers", "read", ())), Deny)


def test_the_gate_of_a_policy_holds() -> None:
    gate = Gate("careful", on=Action("tickets", "update"))
    decision = ask(policy(allow("tickets:update:status"), gates=(gate,)), ("tickets", "update", ("status",)))
    assert isinstance(decision, Hold)
    assert decision.gate == "careful"


class TestElevation:
    def made(self, *granted: Grant, agents: tuple[str, ...] = ("bot",)) -> Policy:
        rule = ElevationRule("escalation", "more", agents, timedelta(hours=4), ("leads",))
        return policy(READ, roles=(Role("more", (), granted),), elevations=(rule,))

    def test_one_that_could_open_it_is_named(self) -> None:
        found = denial(ask(self.made(allow("tickets:update:status")), ("tickets", "update", ("status",))))
        assert found.remedy == "elevation `escalation`, granted by `leads` could open it"

    def test_one_that_could_not_is_not_named(self) -> None:
        assert "elevation" not in denial(ask(self.made(allow("tickets:delete")), ("tickets", "update", ()))).remedy
        other = self.made(allow("tickets:update:priority"))
        assert "elevation" not in denial(ask(other, ("tickets", "update", ("status",)))).remedy

    def test_one_of_another_agent_is_not_named(self) -> None:
        made = self.made(allow("tickets:update"), agents=("other",))
        assert "elevation" not in denial(ask(made, ("tickets", "update", ("status",)))).remedy


def test_hostile_names_stay_on_one_line() -> None:
    found = denial(ask(policy(READ), ("a`\nb\x1b[0m" + "x" * 500, "read", ())))
    assert found.message.isprintable()
    assert len(found.message) < 120
    assert found.message.count("`") == 2


def test_a_denial_names_nothing_outside_of_scope_and_request() -> None:
    made = policy(allow("tickets:read", fields=("status",), rows={"customer_id": Equal(7)}))
    for access in (("customers", "read", ("name",)), ("tickets", "update", ("status",)), ("tickets", "read", ("a",))):
        found = denial(ask(made, access))
        said = f"{found.message} {found.allowed} {found.remedy}"
        for hidden in ("priority", "ssn", "email", "ticket_id", "tenant_id", "customer_id", "unaccepted"):
            assert hidden not in said


def test_the_same_request_gives_the_same_decision_again() -> None:
    made = policy(allow("customers:read", fields=("name", "ssn")))
    table = DecisionTable(made, effective_scope(made, LOCK, session()))
    for fields in (("name",), ("ssn",), ("email",)):
        request = Request("crm", (Access("customers", "read", fields),))
        assert table.decide(request) == table.decide(request)


@pytest.mark.parametrize("times", [1, 3])
def test_a_table_is_made_once_for_a_scope_and_never_for_an_unequal_one(times: int) -> None:
    made = policy(READ)
    scope, other = effective_scope(made, LOCK, session()), effective_scope(made, LOCK, session())
    first = table_of(made, scope)
    for _ in range(times):
        assert table_of(made, scope) is first
    assert table_of(made, other) is not first
