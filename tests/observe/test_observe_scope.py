"""Observe mode lets through what was accepted: never what is denied, beyond its boundary, or held by a gate."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.decide.calls import Admitted, Asking, Held, Refused, decide_call
from bailiwick.decide.decide import decide
from bailiwick.decide.scope import effective_scope
from bailiwick.model.decision import Access, Allow, Deny, Hold, Request
from bailiwick.model.lock import Lock, LockedColumn, LockedTable
from bailiwick.model.mask import Mask
from bailiwick.model.policy import Policy
from bailiwick.model.scope import RowFilter, Scope
from bailiwick.model.session import Session
from bailiwick.policy.diff import diff, widened
from bailiwick.policy.load import load
from bailiwick.policy.locked_tools import locked_tool
from bailiwick.policy.matrix import matrix
from bailiwick.policy.observed import staging_only

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
MOUNTS = """
bailiwick: 1
mounts:
  crm:
    kind: postgres
    url: ${CRM_URL}
    resources:
      customers:
        table: public.customers
        tenant: tenant_id
        labels: {email: confidential, ssn: restricted}
      tickets: {table: public.tickets}
      notes: {table: public.notes}
  desk:
    kind: mcp
    url: https://desk.example/mcp
    tools:
      search: {action: articles:read}
      refund: {action: billing:refund, effects: [money]}
"""
COLUMNS = {
    "customers": ("customer_id", "tenant_id", "name", "email", "ssn"),
    "tickets": ("ticket_id", "customer_id", "status"),
}
PROPERTIES = {"inputSchema": {"properties": {"text": {"type": "string"}, "amount": {"type": "number"}}}}
LOCK = Lock(
    {
        "crm": {
            ("public", name): LockedTable("public", name, "r", tuple(LockedColumn(each, "text") for each in columns))
            for name, columns in COLUMNS.items()
        }
    },
    {"desk": {name: locked_tool(name, PROPERTIES) for name in ("search", "refund")}},
)


def policy_of(observe: str, grants: str = "[]", rest: str = "") -> Policy:
    agent = "agents: {bot: {owner: desk, purpose: helps, roles: [some]"
    roles = f"roles: {{some: {{grants: {grants}}}}}"
    loaded = load({"policy.yaml": f"{MOUNTS}\n{roles}\n{agent}, {observe}}}}}\n{rest}"})
    assert loaded.policy is not None, loaded.problems
    return loaded.policy


def session(task: str | None = None) -> Session:
    return Session("s", "bot", None, task, {}, "acme", NOW, NOW + timedelta(hours=1), None)


def scope_of(policy: Policy, task: str | None = None) -> Scope:
    return effective_scope(policy, LOCK, session(task))


def call(policy: Policy, name: str, **arguments: object) -> Admitted | Held | Refused:
    return decide_call(Asking(policy, scope_of(policy), lambda _: None, {}, NOW), name, arguments)


def test_an_observed_agent_without_a_grant_reaches_all_that_was_accepted_and_nothing_else() -> None:
    policy = policy_of("observe: true")
    scope = scope_of(policy)
    assert set(scope.resources) == {"customers", "tickets"}, "`notes` was not accepted"
    assert scope.resources["tickets"].readable() == COLUMNS["tickets"]
    assert set(scope.tools) == {"search", "refund"}
    assert scope.observed == {"crm", "desk"}
    for verb in ("read", "create", "update"):
        assert isinstance(decide(policy, scope, Request("crm", (Access("tickets", verb, ("status",)),))), Allow)


def test_an_agent_that_is_not_observed_has_what_it_is_granted() -> None:
    scope = scope_of(policy_of("observe: false"))
    assert (scope.resources, scope.tools, scope.observed) == ({}, {}, frozenset())


def test_a_mount_that_is_observed_is_so_for_every_agent_and_alone() -> None:
    text = MOUNTS.replace("    kind: mcp\n", "    kind: mcp\n    observe: true\n")
    loaded = load(
        {"policy.yaml": text + "roles: {some: {}}\nagents: {bot: {owner: o, purpose: p, roles: [some]}}"}
    ).policy
    assert loaded is not None
    scope = scope_of(loaded)
    assert (set(scope.resources), set(scope.tools)) == (set(), {"search", "refund"})
    assert scope.observed == {"desk"}


def test_a_restricted_field_is_seen_as_a_hash_and_a_confidential_one_in_clear() -> None:
    fields = scope_of(policy_of("observe: true")).resources["customers"].reads[0].fields
    assert fields["ssn"] == Mask("hash")
    assert (fields["email"], fields["name"]) == (None, None)


def test_a_restricted_field_that_the_policy_loosens_is_seen_in_clear() -> None:
    rest = "gates: {restricted: {loosen: ['customers:read:ssn'], reason: staging has made-up numbers}}"
    assert scope_of(policy_of("observe: true", rest=rest)).resources["customers"].reads[0].fields["ssn"] is None


def test_a_restricted_field_granted_in_clear_is_held_as_before() -> None:
    grant = "[{allow: 'customers:read', reason: r, fields: [ssn]}]"
    policy = policy_of("observe: true", grant)
    asked = Request("crm", (Access("customers", "read", ("ssn",)),))
    assert isinstance(decide(policy, scope_of(policy), asked), Hold)


def test_built_in_gates_hold_as_before() -> None:
    policy = policy_of("observe: true")
    assert isinstance(decide(policy, scope_of(policy), Request("crm", (Access("tickets", "delete"),))), Hold)
    assert isinstance(call(policy, "refund", amount=5), Held)
    assert isinstance(call(policy, "search", text="x"), Admitted)


def test_what_is_denied_stays_denied() -> None:
    denies = "[{deny: 'customers:read', fields: [email]}, {deny: 'tickets:update'}, {deny: 'articles:*'}]"
    policy = policy_of("observe: true", denies)
    scope = scope_of(policy)
    assert "email" not in scope.resources["customers"].readable()
    assert scope.resources["tickets"].updates == ()
    assert isinstance(call(policy, "search", text="x"), Refused)
    assert isinstance(call(policy, "refund", amount=5), Held), "the neighbouring tool is there"


def test_the_tenant_and_the_task_hold() -> None:
    task = "tasks: {one: {agents: [bot], only: {tickets: {fields: [status]}}}}"
    scope = scope_of(policy_of("observe: true", rest=task), "one")
    assert set(scope.resources) == {"tickets"}
    assert scope.resources["tickets"].readable() == ("status",)
    assert scope_of(policy_of("observe: true")).resources["customers"].resource.tenant == "tenant_id"


def test_a_boundary_is_the_most_that_is_reached_by_any_grant() -> None:
    grant = "[{allow: 'customers:read', reason: r}]"
    policy = policy_of("observe: {boundary: {tickets: {verbs: [read], rows: {status: open}}, articles: {}}}", grant)
    scope = scope_of(policy)
    assert set(scope.resources) == {"tickets"}
    assert [dict(read.filter.conditions).keys() for read in scope.resources["tickets"].reads] == [{"status"}]
    assert scope.resources["tickets"].updates == ()
    assert set(scope.tools) == {"search"}


def test_a_boundary_of_a_mount_bounds_that_mount_alone() -> None:
    text = MOUNTS.replace("    kind: postgres\n", "    kind: postgres\n    observe: {boundary: {tickets: {}}}\n")
    loaded = load(
        {"policy.yaml": text + "roles: {some: {}}\nagents: {bot: {owner: o, purpose: p, roles: [], observe: true}}"}
    ).policy
    assert loaded is not None
    scope = scope_of(loaded)
    assert (set(scope.resources), set(scope.tools)) == ({"tickets"}, {"search", "refund"})


def test_staging_only_names_every_use() -> None:
    assert [each.message for each in staging_only(policy_of("observe: true"))] == [
        "`observe` of agent `bot` is for staging only"
    ]
    assert staging_only(policy_of("observe: false")) == ()


def test_the_comparison_says_that_it_widens_and_the_matrix_that_it_is_on() -> None:
    without, with_it = policy_of("observe: false"), policy_of("observe: true")
    changes = diff(without, with_it, LOCK, LOCK)
    assert widened(changes)
    assert any("agent `bot` is observed" in change.text for change in changes)
    assert not widened(diff(with_it, without, LOCK, LOCK))
    assert any("agent `bot` is observed" in note for note in matrix(with_it, LOCK).notes)
    assert not matrix(without, LOCK).notes


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ("observe: 5", "wrong_type"),
        ("observe: {}", "missing_key"),
        ("observe: {boundary: {nowhere: {}}}", "unknown_resource"),
        ("observe: {boundary: {tickets: {}}, until: 1d}", "unknown_key"),
    ],
)
def test_what_is_written_wrongly_is_a_problem(document: str, code: str) -> None:
    agent = f"agents: {{bot: {{owner: o, purpose: p, roles: [], {document}}}}}"
    found = load({"policy.yaml": f"{MOUNTS}\n{agent}"})
    assert found.policy is None
    assert code in {problem.code for problem in found.problems}


def test_a_boundary_of_a_mount_names_its_own_resources_and_compiled_roles_are_not_observed() -> None:
    foreign = MOUNTS.replace("    kind: postgres\n", "    kind: postgres\n    observe: {boundary: {articles: {}}}\n")
    assert {each.code for each in load({"policy.yaml": foreign}).problems} == {"unknown_resource"}
    native = MOUNTS.replace("    kind: postgres\n", "    kind: postgres\n    observe: true\n    enforce: both\n")
    assert {each.code for each in load({"policy.yaml": native}).problems} == {"misplaced_key"}


def test_no_grant_of_a_policy_can_be_called_as_one_of_observe_mode() -> None:
    grant = "roles: {some: {grants: [{allow: 'tickets:read', reason: r, id: 'observe:tickets'}]}}"
    assert {each.code for each in load({"policy.yaml": f"{MOUNTS}\n{grant}"}).problems} == {"bad_name"}


_fields = st.lists(st.sampled_from(("ticket_id", "customer_id", "status")), min_size=1, max_size=3, unique=True)
_verbs = st.sampled_from(("read", "create", "update", "delete", "*"))
_denies = st.lists(st.tuples(st.sampled_from(("tickets", "customers", "*")), _verbs, st.none() | _fields), max_size=4)
_bounds = st.none() | st.dictionaries(
    st.sampled_from(("tickets", "customers")),
    st.tuples(st.none() | _fields, st.none() | st.lists(_verbs.filter(lambda verb: verb != "*"), min_size=1)),
)


@given(_denies, _bounds)
def test_observing_never_widens_past_a_deny_or_the_boundary(
    denies: list[tuple[str, str, list[str] | None]],
    bounds: dict[str, tuple[list[str] | None, list[str] | None]] | None,
) -> None:
    texts = [
        f"{{deny: '{resource}:{verb}', id: d{place}"
        + (f", fields: {fields}" if fields and verb != "delete" else "")
        + "}"
        for place, (resource, verb, fields) in enumerate(denies)
    ]
    left = {
        name: ", ".join(
            f"{key}: {sorted(set(each))}" for key, each in (("fields", fields), ("verbs", verbs)) if each is not None
        )
        for name, (fields, verbs) in (bounds or {}).items()
    }
    boundary = ", ".join(f"{name}: {{{each}}}" for name, each in left.items())
    mode = "true" if bounds is None else f"{{boundary: {{{boundary}}}}}"
    policy = policy_of(f"observe: {mode}", f"[{', '.join(texts)}]")
    scope = scope_of(policy)
    for name, columns in COLUMNS.items():
        within = None if bounds is None else bounds.get(name, ([], []))
        for verb in ("read", "create", "update", "delete"):
            for column in columns if verb != "delete" else ("",):
                asked = Access(name, verb, (column,) if column else ())
                decision = decide(policy, scope, Request("crm", (asked,)))
                denied = any(
                    resource in ("*", name)
                    and (of in ("*", verb))
                    and (fields is None or column in fields or (not column and of == "delete"))
                    for resource, of, fields in denies
                )
                beyond = within is not None and (
                    name not in (bounds or {})
                    or (column and within[0] is not None and column not in within[0])
                    or (within[1] is not None and verb not in within[1])
                )
                assert isinstance(decision, Deny) == bool(denied or beyond), (asked, decision)


def test_rows_that_are_denied_stay_away() -> None:
    policy = policy_of("observe: true", "[{deny: 'tickets:read', rows: {status: secret}}]")
    tickets = scope_of(policy).resources["tickets"]
    assert [deny.grant for deny in tickets.denied_rows] == [policy.roles["some"].grants[0].id]
    assert tickets.reads[0].filter == RowFilter()


def test_a_delegated_session_reaches_no_more_than_who_delegates() -> None:
    text = MOUNTS + "roles: {some: {grants: [{allow: 'tickets:read', reason: r}]}}\n"
    agents = "bot: {owner: o, purpose: p, roles: [some], observe: true}, desk: {owner: o, purpose: p, roles: [some]}"
    policy = load({"policy.yaml": f"{text}agents: {{{agents}}}"}).policy
    assert policy is not None
    parent = replace(session(), agent="desk")
    scope = effective_scope(policy, LOCK, replace(session(), parent=parent))
    assert set(scope.resources) == {"tickets"}
    assert (scope.resources["tickets"].updates, scope.tools) == ((), {})
