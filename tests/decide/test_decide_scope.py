"""What is left of a policy for one session."""

from __future__ import annotations

from decimal import Decimal

from decide_samples import CUSTOMER, LOCK, RESOURCES, allow, deny, policy, session

from bailiwick.decide.canonical import digest
from bailiwick.decide.scope import effective_scope
from bailiwick.model.action import Action
from bailiwick.model.lock import Lock
from bailiwick.model.mask import Mask
from bailiwick.model.matcher import Anything, Equal, Not, OneOf
from bailiwick.model.policy import Gate, Grant, Limit, Narrowing, Policy, Role
from bailiwick.model.scope import DenyRows, ResourceScope, RowFilter, Scope
from bailiwick.model.session import Session, User
from bailiwick.model.value import Ref


def scope_of(given: Policy, by: Session | None = None, lock: Lock = LOCK) -> Scope:
    return effective_scope(given, lock, by or session())


def of(name: str, *grants: Grant, by: Session | None = None) -> ResourceScope:
    return scope_of(policy(*grants), by).resources[name]


def test_nothing_granted_leaves_nothing() -> None:
    assert scope_of(policy()).resources == {}


def test_omitted_fields_mean_the_columns_below_confidential() -> None:
    scope = of("customers", allow("customers:read"))
    assert scope.readable() == ("customer_id", "tenant_id", "name")


def test_the_resource_label_counts_for_columns_without_a_level() -> None:
    labels = {"*": frozenset[str]({"confidential"}), "name": frozenset({"public"}), "email": frozenset({"pii"})}
    resource = RESOURCES["customers"]
    made = type(resource)("customers", "crm", "public", "customers", labels=labels)
    scope = scope_of(policy(allow("customers:read"), resources={"customers": made})).resources["customers"]
    assert scope.readable() == ("name",)


def test_named_fields_reach_confidential_columns_but_never_unaccepted_ones() -> None:
    scope = of("customers", allow("customers:read", fields=("email", "nowhere", "name")))
    assert scope.readable() == ("name", "email")


def test_a_resource_that_is_not_in_the_lock_does_not_exist() -> None:
    assert set(scope_of(policy(allow("*:read"))).resources) == {"customers", "tickets"}


def test_a_resource_whose_tenant_column_is_not_in_the_lock_does_not_exist() -> None:
    resource = RESOURCES["tickets"]
    odd = type(resource)("tickets", "crm", "public", "tickets", tenant="org_id")
    assert scope_of(policy(allow("*:read"), resources={"tickets": odd})).resources == {}


def test_a_grant_of_unaccepted_fields_only_disappears() -> None:
    assert scope_of(policy(allow("customers:read", fields=("nowhere",)))).resources == {}


def test_a_filter_on_an_unaccepted_column_drops_the_allow() -> None:
    assert scope_of(policy(allow("customers:read", rows={"nowhere": Equal(1)}))).resources == {}


def test_a_filter_that_takes_anything_is_no_filter() -> None:
    assert of("tickets", allow("tickets:read", rows={"status": Anything()})).reads[0].filter == RowFilter()


def test_a_predicate_in_sql_is_dropped_with_its_allow_where_sql_is_off() -> None:
    grant = allow("tickets:read", sql="priority > 1")
    assert scope_of(policy(grant)).resources == {}
    assert scope_of(policy(grant, sql=True)).resources["tickets"].reads[0].filter.sql == "priority > 1"


def test_wildcards_reach_every_verb_of_every_accepted_resource() -> None:
    scope = of("tickets", allow("*:*"))
    assert scope.reads
    assert scope.updates
    assert scope.creates
    assert scope.deletes


def test_a_grant_of_some_fields_of_every_verb_deletes_nothing() -> None:
    assert not of("tickets", allow("tickets:*", fields=("status",))).deletes


def test_a_field_or_a_group_in_an_update_names_what_may_be_written() -> None:
    assert of("tickets", allow("tickets:update:status")).updates[0].fields == {"status"}
    assert of("customers", allow("customers:update:contact")).updates[0].fields == {"name", "email"}


def test_set_is_kept_for_written_fields_only() -> None:
    values = OneOf(("open", "closed"))
    scope = of("tickets", allow("tickets:update:status", set={"status": values, "priority": Equal(1)}))
    assert scope.updates[0].set == {"status": values}


def test_batch_is_a_ceiling_of_the_write() -> None:
    grant = allow("tickets:update:status", limits=(Limit("batch", Decimal(3)),))
    assert of("tickets", grant).updates[0].batch == 3


class TestInheritance:
    base = Role("base", (), (allow("tickets:read", id="base-read"), deny("tickets:delete", id="base-deny")))

    def heir(self, *grants: Grant, agent_roles: tuple[str, ...] = ("heir",)) -> Scope:
        heir = Role("heir", ("base",), grants)
        return scope_of(policy(roles=(self.base, heir), agent_roles=agent_roles))

    def test_a_role_has_what_it_inherits(self) -> None:
        assert [grant.grant for grant in self.heir().resources["tickets"].reads] == ["base-read"]

    def test_override_replaces_the_inherited_allow_of_the_same_action(self) -> None:
        scope = self.heir(allow("tickets:read", id="mine", fields=("status",), override=True))
        assert [grant.grant for grant in scope.resources["tickets"].reads] == ["mine"]

    def test_without_override_both_stand(self) -> None:
        scope = self.heir(allow("tickets:read", id="mine", fields=("status",)))
        assert [grant.grant for grant in scope.resources["tickets"].reads] == ["base-read", "mine"]

    def test_override_leaves_what_another_role_brings(self) -> None:
        scope = self.heir(allow("tickets:read", id="mine", override=True), agent_roles=("heir", "base"))
        assert {grant.grant for grant in scope.resources["tickets"].reads} == {"mine", "base-read"}

    def test_override_never_touches_a_deny(self) -> None:
        scope = self.heir(allow("tickets:delete", id="mine", override=True))
        assert not scope.resources["tickets"].deletes

    def test_roles_that_inherit_each_other_end(self) -> None:
        one, two = Role("one", ("two",), (allow("tickets:read"),)), Role("two", ("one",), ())
        assert scope_of(policy(roles=(one, two), agent_roles=("two",))).resources["tickets"].reads


class TestWhen:
    leads = 'session.user.groups.exists(g, g == "leads")'

    def test_an_allow_needs_it_true(self) -> None:
        grant = allow("tickets:read", when=self.leads)
        lead = session(user=User("ann", frozenset({"leads"})))
        assert scope_of(policy(grant), lead).resources["tickets"].reads
        assert scope_of(policy(grant), session(user=User("bob"))).resources == {}

    def test_unknown_drops_an_allow(self) -> None:
        assert scope_of(policy(allow("tickets:read", when=self.leads)), session(user=None)).resources == {}

    def test_unknown_keeps_a_deny(self) -> None:
        grants = (allow("tickets:read"), deny("tickets:read", when='session.user.region == "eu"'))
        assert scope_of(policy(*grants), session(user=User("ann"))).resources == {}

    def test_false_drops_a_deny(self) -> None:
        grants = (allow("tickets:read"), deny("tickets:read", when='session.user.region == "eu"'))
        assert scope_of(policy(*grants), session(user=User("ann", claims={"region": "us"}))).resources

    def test_a_condition_that_does_not_compile_is_unknown(self) -> None:
        assert scope_of(policy(allow("tickets:read", when="1 +"))).resources == {}

    def test_it_sees_the_resource(self) -> None:
        scope = scope_of(policy(allow("*:read", when='resource.name == "tickets"')))
        assert set(scope.resources) == {"tickets"}


class TestDeny:
    def test_it_removes_the_verb(self) -> None:
        scope = of("tickets", allow("tickets:*"), deny("tickets:update"))
        assert scope.reads
        assert not scope.updates

    def test_with_fields_it_removes_those(self) -> None:
        scope = of("tickets", allow("tickets:*"), deny("tickets:*", fields=("priority",)))
        assert "priority" not in scope.readable()
        assert "priority" not in scope.updates[0].fields
        assert "status" in scope.updates[0].fields

    def test_of_fields_that_do_not_exist_it_removes_nothing(self) -> None:
        assert of("tickets", allow("tickets:read"), deny("tickets:read", fields=("nowhere",))).reads

    def test_of_a_field_of_every_verb_it_leaves_delete(self) -> None:
        assert of("tickets", allow("tickets:*"), deny("tickets:*:status")).deletes

    def test_with_rows_it_takes_rows_from_the_read_scope(self) -> None:
        scope = of("tickets", allow("tickets:*"), deny("tickets:read", rows={"status": Equal("closed")}))
        assert scope.denied_rows == (DenyRows("no-tickets:read", RowFilter((("status", Equal("closed")),))),)

    def test_with_rows_and_fields_it_takes_those_fields_of_those_rows(self) -> None:
        grant = deny("tickets:read", rows={"status": Equal("closed")}, fields=("priority",))
        assert of("tickets", allow("tickets:read"), grant).denied_rows[0].fields == {"priority"}

    def test_of_a_write_with_rows_it_leaves_reads_alone(self) -> None:
        scope = of("tickets", allow("tickets:*"), deny("tickets:update", rows={"status": Equal("closed")}))
        assert scope.denied_rows == ()
        assert scope.updates[0].filter.conditions == (("status", Not(Equal("closed"))),)
        assert scope.deletes[0].filter == RowFilter()

    def test_of_a_write_with_two_conditions_either_may_fail(self) -> None:
        grant = deny("tickets:delete", rows={"status": Equal("closed"), "priority": Equal(1)})
        filters = [write.filter.conditions for write in of("tickets", allow("tickets:delete"), grant).deletes]
        assert filters == [(("status", Not(Equal("closed"))),), (("priority", Not(Equal(1))),)]

    def test_of_some_written_fields_with_rows_the_others_stay(self) -> None:
        grant = deny("tickets:update:priority", rows={"status": Equal("closed")})
        made = of("tickets", allow("tickets:update", fields=("status", "priority")), grant).updates
        assert [(set(write.fields), bool(write.filter.conditions)) for write in made] == [
            ({"status", "priority"}, True),
            ({"status"}, False),
        ]

    def test_that_cannot_be_evaluated_denies_every_row(self) -> None:
        assert scope_of(policy(allow("tickets:read"), deny("tickets:read", rows={"nowhere": Equal(1)}))).resources == {}

    def test_too_many_splits_leave_nothing(self) -> None:
        many = [
            deny("tickets:delete", id=f"d{place}", rows={"status": Equal(str(place)), "priority": Equal(place)})
            for place in range(8)
        ]
        assert scope_of(policy(allow("tickets:delete"), *many)).resources == {}

    def test_it_takes_part(self) -> None:
        scope = scope_of(policy(allow("tickets:*"), deny("tickets:update")))
        assert set(scope.grants) == {"tickets:*", "no-tickets:update"}


class TestGates:
    def test_delete_is_held(self) -> None:
        assert of("tickets", allow("tickets:delete")).held == {"delete": "delete"}

    def test_delete_is_loosened_for_a_reason(self) -> None:
        loose = Gate("delete", loosen=(Action("tickets", "delete"),), reason="own drafts")
        assert scope_of(policy(allow("*:delete"), gates=(loose,))).resources["tickets"].held == {}
        assert scope_of(policy(allow("*:delete"), gates=(loose,))).resources["customers"].held == {"delete": "delete"}

    def test_delete_is_not_loosened_without_a_reason(self) -> None:
        loose = Gate("delete", loosen=(Action("tickets", "delete"),))
        assert scope_of(policy(allow("tickets:delete"), gates=(loose,))).resources["tickets"].held

    def test_a_restricted_field_in_clear_is_held(self) -> None:
        assert of("customers", allow("customers:read", fields=("name", "ssn"))).held == {"read:ssn": "restricted"}

    def test_a_masked_restricted_field_is_not_held(self) -> None:
        grant = allow("customers:read", fields=("name", "ssn"), mask={"ssn": Mask("last4")})
        assert of("customers", grant).held == {}

    def test_a_policys_own_gate_holds_its_action(self) -> None:
        gate = Gate("careful", on=Action("tickets", "update", "status"))
        made = scope_of(policy(allow("tickets:update"), gates=(gate,)))
        assert made.resources["tickets"].held == {"update:status": "careful"}


class TestNarrowing:
    def test_a_task_leaves_only_what_it_names(self) -> None:
        made = policy(allow("*:read"), only={"tickets": Narrowing()})
        assert set(scope_of(made, session("handle")).resources) == {"tickets"}
        assert set(scope_of(made).resources) == {"tickets", "customers"}

    def test_its_rows_are_anded_to_every_filter(self) -> None:
        only = {"tickets": Narrowing({"customer_id": CUSTOMER})}
        made = scope_of(policy(allow("tickets:*", rows={"status": Equal("open")}), only=only), session("handle"))
        expected = (("status", Equal("open")), ("customer_id", CUSTOMER))
        tickets = made.resources["tickets"]
        for grant in (*tickets.reads, *tickets.updates, *tickets.creates, *tickets.deletes):
            assert grant.filter.conditions == expected

    def test_its_fields_and_verbs_intersect(self) -> None:
        only = {"tickets": Narrowing(fields=("status",), verbs=("read", "update"))}
        tickets = scope_of(policy(allow("tickets:*"), only=only), session("handle")).resources["tickets"]
        assert tickets.readable() == ("status",)
        assert tickets.updates[0].fields == {"status"}
        assert not tickets.deletes
        assert not tickets.creates

    def test_an_unaccepted_column_in_it_leaves_nothing(self) -> None:
        only = {"tickets": Narrowing({"nowhere": Equal(1)})}
        assert scope_of(policy(allow("tickets:*"), only=only), session("handle")).resources == {}

    def test_what_was_asked_narrows_too(self) -> None:
        by = session(asked={"tickets": Narrowing(verbs=("read",))})
        made = scope_of(policy(allow("*:*")), by)
        assert set(made.resources) == {"tickets"}
        assert not made.resources["tickets"].updates

    def test_an_unknown_task_or_one_of_other_agents_leaves_nothing(self) -> None:
        assert scope_of(policy(allow("*:*")), session("missing")).resources == {}
        assert scope_of(policy(allow("*:*")), session("others")).resources == {}

    def test_an_unknown_agent_may_do_nothing(self) -> None:
        assert scope_of(policy(allow("*:*")), session(agent="ghost")).resources == {}


class TestIdentity:
    def test_session_values_do_not_change_it(self) -> None:
        made = policy(allow("tickets:read", rows={"customer_id": CUSTOMER}))
        assert scope_of(made, session(customer=1)).id == scope_of(made, session(customer=2)).id

    def test_which_grants_pass_changes_it(self) -> None:
        made = policy(allow("tickets:read"), allow("customers:read", when='session.user.id == "ann"'))
        assert scope_of(made, session(user=User("ann"))).id != scope_of(made, session(user=User("bob"))).id

    def test_task_lock_and_asked_change_it(self) -> None:
        made = policy(allow("tickets:read"))
        smaller = Lock({"crm": {key: LOCK.mounts["crm"][key] for key in (("public", "tickets"),)}})
        asked = session(asked={"tickets": Narrowing()})
        ids = {scope_of(made).id, scope_of(made, session("handle")).id, scope_of(made, asked).id}
        assert len(ids | {scope_of(made, lock=smaller).id}) == 4

    def test_it_is_the_same_in_every_process(self) -> None:
        assert digest(frozenset({"a", "b", "c"}), {"y": 1, "x": Equal(Ref(("n",)))}) == (
            "a58b1b9a823182ebcca4470d11173d2fdc9f8d18931c5b9e84ae4148a73b27c0"
        )


def test_a_write_through_the_queue_is_in_scope_and_needs_no_gate() -> None:
    queue, direct = allow("tickets:delete", id="q", through="queue"), allow("tickets:delete", id="d")
    assert of("tickets", queue).held == {}
    assert of("tickets", queue, direct).held == {}
    assert of("tickets", direct).held == {"delete": "delete"}


class TestAggregatesOnly:
    def test_they_let_nothing_be_read(self) -> None:
        found = scope_of(policy(allow("tickets:read", aggregate=10))).resources["tickets"]
        assert found.reads == ()
        assert found.aggregate is not None
        assert (found.aggregate.min_group, found.aggregate.groupings) == (10, 20)

    def test_the_strictest_bounds_of_several_hold(self) -> None:
        grants = (
            allow("tickets:read", aggregate=5, groupings=7),
            allow("tickets:read", id="b", aggregate=12, groupings=9),
        )
        found = scope_of(policy(*grants)).resources["tickets"].aggregate
        assert found is not None
        assert (len(found.grants), found.min_group, found.groupings) == (2, 12, 7)

    def test_a_read_beside_them_is_what_counts(self) -> None:
        found = scope_of(policy(allow("tickets:read", aggregate=10), allow("tickets:read", id="r", fields=("status",))))
        assert found.resources["tickets"].aggregate is None
        assert [sorted(read.fields) for read in found.resources["tickets"].reads] == [["status"]]

    def test_nothing_may_be_aggregated_that_may_be_written(self) -> None:
        for action in ("tickets:create", "tickets:update", "tickets:delete"):
            found = scope_of(policy(allow("tickets:read", aggregate=10), allow(action)))
            assert found.resources["tickets"].aggregate is None

    def test_of_every_verb_only_the_read_is_given(self) -> None:
        found = scope_of(policy(allow("tickets:*", aggregate=10))).resources["tickets"]
        assert (found.updates, found.creates, found.deletes) == ((), (), ())

    def test_a_deny_takes_them_away(self) -> None:
        assert scope_of(policy(allow("tickets:read", aggregate=10), deny("tickets:read"))).resources == {}
