"""The whole way from policy text to `Policy`."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from bailiwick.model.action import Action
from bailiwick.model.mask import Mask
from bailiwick.model.matcher import Bound, Equal, OneOf, Within
from bailiwick.model.policy import ContextRule, Policy
from bailiwick.model.value import Ref
from bailiwick.policy.load import load

DESIGN = (Path(__file__).parent / "design.yaml").read_text()
SPINE = (Path(__file__).parent / "spine.yaml").read_text()


def loaded(text: str) -> Policy:
    result = load({"policy.yaml": text})
    assert result.problems == ()
    assert result.policy is not None
    return result.policy


def test_the_design_s_example_has_no_problem() -> None:
    assert loaded(DESIGN).email["mail"].templates == "templates/"


def test_a_policy_of_postgres_mounts_loads_without_problems() -> None:
    policy = loaded(SPINE)
    assert set(policy.mounts["crm"].resources) == {"customers", "tickets"}
    assert len(policy.version) == 64
    customers = policy.resource("customers")
    assert customers is not None
    assert (customers.schema, customers.table, customers.key, customers.tenant) == (
        "public",
        "customers",
        ("customer_id",),
        "tenant_id",
    )
    assert customers.labels["email"] == {"confidential", "pii"}
    tickets = policy.resource("tickets")
    assert tickets is not None
    assert tickets.groups == {"assignment": ("assignee_id", "team_id")}


def test_grants_hold_matchers_masks_and_limits() -> None:
    read, update, names = loaded(SPINE).roles["support"].grants
    assert read.action == Action("tickets", "read")
    assert read.rows == {
        "customer_id": Equal(Ref(("customer_id",))),
        "tier": Equal(1),
        "created_at": Within(timedelta(days=90)),
    }
    assert update.action == Action("tickets", "update", "status")
    assert update.set == {"status": OneOf(("open", "pending", "closed"))}
    assert [(item.name, item.amount, item.per) for item in update.limits] == [
        ("actions", Decimal(30), timedelta(minutes=1)),
        ("batch", Decimal(1), None),
    ]
    assert names.mask == {"email": Mask("partial")}
    assert names.fields == ("customer_id", "name", "email", "region")
    assert names.rows["score"] == Bound(min=Decimal("0.5"), max=10)


def test_tasks_hold_their_context_and_what_is_derived() -> None:
    task = loaded(SPINE).tasks["handle-ticket"]
    assert task.context == {
        "ticket_id": ContextRule("integer"),
        "customer_id": ContextRule("integer", source="tickets", by="ticket_id"),
    }
    assert task.only is not None
    assert set(task.only) == {"tickets", "customers"}
    assert task.users is not None
    assert task.users.groups == {"support"}


def test_every_key_s_place_is_known() -> None:
    policy = loaded(SPINE)
    at = policy.positions[("roles", "support", "grants", "0", "rows", "tier")]
    line = SPINE.splitlines()[at.line - 1]
    assert line[at.column - 1 :].startswith("tier")


def test_a_folder_s_files_add_up() -> None:
    head, tail = SPINE.split("agents:\n")
    result = load({"a.yaml": head, "b.yaml": "agents:\n" + tail})
    assert result.problems == ()
    assert result.policy is not None
    assert result.policy.version == loaded(SPINE).version


def test_a_name_in_two_files_is_reported_with_both_places() -> None:
    result = load({"a.yaml": SPINE, "b.yaml": "roles:\n  base:\n    grants: []\n"})
    assert [str(p) for p in result.problems] == [
        "b.yaml:2:3: error: role `base` stands twice; first in a.yaml:21:3 (remove or rename one)"
    ]
