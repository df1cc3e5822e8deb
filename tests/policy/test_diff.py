"""What a changed policy makes possible and impossible."""

from __future__ import annotations

from itertools import pairwise

import pytest

from bailiwick.model.lock import Lock, LockedColumn, LockedTable
from bailiwick.model.policy import Policy
from bailiwick.policy.diff import Change, diff, widened
from bailiwick.policy.load import load

TEXT = """
bailiwick: 1
mounts:
  crm:
    kind: postgres
    url: ${CRM_URL}
    resources:
      customers:
        table: customers
        key: customer_id
        tenant: tenant_id
        labels: {ssn: restricted}
      tickets: {table: tickets, key: ticket_id}
roles:
  support:
    grants:
      - allow: customers:read
        reason: addresses people
        fields: [customer_id, name, email, ssn]
        mask: {email: partial, ssn: last4}
        rows: {customer_id: $customer_id}
      - allow: tickets:read
        reason: answers them
        rows: {status: [open, pending], priority: {min: 2}}
      - allow: tickets:update:status
        reason: closes them
        set: {status: [open, closed]}
        rows: {ticket_id: $ticket_id}
        limits: {batch: 1, actions: 30/min}
      - {allow: tickets:delete, reason: purges spam, when: session.user.id == "ann"}
      - {deny: tickets:read, rows: {status: secret}}
      - {deny: customers:read, when: session.user.region == "eu"}
agents:
  bot:
    owner: team
    purpose: helps
    roles: [support]
    session: {ttl: 30m, hours: Mon-Fri 07:00-19:00 Europe/Berlin}
tasks:
  look:
    agents: [bot]
    users: {groups: [support]}
    context: {ticket_id: integer, customer_id: {type: integer, from: tickets, by: ticket_id}}
    only: {customers: {}, tickets: {verbs: [read]}}
"""


def table(name: str, *columns: str) -> LockedTable:
    return LockedTable("public", name, "r", tuple(LockedColumn(column, "text") for column in columns))


def lock(*tables: LockedTable) -> Lock:
    return Lock({"crm": {("public", each.name): each for each in tables}})


CUSTOMERS = table("customers", "customer_id", "tenant_id", "name", "email", "ssn")
TICKETS = table("tickets", "ticket_id", "status", "priority", "customer_id")
PEOPLE = table("people", "customer_id", "tenant_id", "name", "email", "ssn")
LOCK = lock(CUSTOMERS, TICKETS, PEOPLE)


def loaded(text: str) -> Policy:
    result = load({"policy.yaml": text})
    assert result.policy is not None, result.problems
    return result.policy


def changed(before: str, after: str) -> str:
    assert TEXT.count(before) == 1, before
    return TEXT.replace(before, after)


def changes(before: str, after: str) -> tuple[Change, ...]:
    return diff(loaded(TEXT), loaded(changed(before, after)), LOCK, LOCK)


def said(found: tuple[Change, ...]) -> str:
    return "\n".join(str(change) for change in found)


CASES = [
    (
        "fields: [customer_id, name, email, ssn]",
        "fields: [customer_id, name, email, ssn, tenant_id]",
        "reads tenant_id",
    ),
    ("mask: {email: partial, ssn: last4}", "mask: {ssn: last4}", "now: reads email; only rows"),
    ("mask: {email: partial, ssn: last4}", "mask: {email: partial, ssn: hash}", "cannot be compared"),
    ("rows: {customer_id: $customer_id}", "rows: {}", "reads customer_id, name"),
    ("rows: {customer_id: $customer_id}", "rows: {customer_id: $ticket_id}", "cannot be compared"),
    ("status: [open, pending], ", "status: [open, pending, closed], ", "status is open, pending or closed"),
    ("priority: {min: 2}", "priority: {min: 1}", "priority is at least 1"),
    ("set: {status: [open, closed]}", "set: {status: [open, closed, spam]}", "to open, closed or spam"),
    ("set: {status: [open, closed]}", "set: {}", "updates status; only rows"),
    ("batch: 1, ", "batch: 2, ", "at most 2 rows at a time"),
    ("actions: 30/min", "actions: 31/min", "at most 31 actions"),
    ("allow: tickets:update:status", "allow: tickets:update", "updates ticket_id, priority, customer_id"),
    (', when: session.user.id == "ann"', "", "now: deletes rows; after approval only (gate delete) [before:"),
    ('session.user.id == "ann"', 'session.user.id == "bob"', "cannot be compared"),
    ("      - {deny: tickets:read, rows: {status: secret}}\n", "", "now: rows where status is secret"),
    ("rows: {status: secret}", "rows: {status: secret, priority: 1}", "now: rows where status is secret"),
    ('      - {deny: customers:read, when: session.user.region == "eu"}\n', "", "what was denied when"),
    ('session.user.region == "eu"', 'session.user.region == "cn"', "what was denied when"),
    ("        tenant: tenant_id\n", "", "rows of any tenant"),
    ("tenant: tenant_id", "tenant: name", "rows of any tenant"),
    ("table: customers", "table: people", "table public.people of mount crm by this name"),
    ("roles: [support]", "roles: [support, more]", "now: creates rows"),
    ("ttl: 30m", "ttl: 1h", "sessions: ttl 1 hour (before: 30 minutes)"),
    ("ttl: 30m, ", "", "sessions: ttl not limited"),
    ("Mon-Fri 07:00", "Mon-Fri 06:00", "sessions: hours"),
    ("Mon-Fri 07:00", "Mon-Sat 07:00", "sessions: hours"),
    ("groups: [support]", "groups: [support, sales]", "for group sales"),
    ("    users: {groups: [support]}\n", "", "for any user"),
    ("{type: integer, from: tickets, by: ticket_id}", "integer", "what the opener says"),
    ("tickets: {verbs: [read]}", "tickets: {verbs: [read, update]}", "bot in task look, tickets: now: updates status"),
    ("${CRM_URL}", "${OTHER_URL}", "points elsewhere"),
    ("url: ${CRM_URL}", "url: ${CRM_URL}\n    plaintext: true", "without TLS"),
]
MORE = "roles:\n  more: {grants: [{allow: tickets:create, reason: files them}]}\n"


@pytest.mark.parametrize(("before", "after", "words"), CASES)
def test_a_widening_is_said_and_its_reverse_is_none(before: str, after: str, words: str) -> None:
    old, new = TEXT.replace("roles:\n", MORE, 1), changed(before, after).replace("roles:\n", MORE, 1)
    there = diff(loaded(old), loaded(new), LOCK, LOCK)
    assert widened(there)
    assert there[0].widens
    assert words in said(there)
    uncertain = any(not change.certain for change in there)
    assert uncertain or not widened(diff(loaded(new), loaded(old), LOCK, LOCK))


def test_a_narrowing_says_what_is_no_longer_possible() -> None:
    found = changes("status: [open, pending], ", "status: [open], ")
    assert not widened(found)
    assert str(found[0]) == (
        "- bot, tickets: no longer: reads every column; only rows where status is open or pending and priority is at "
        "least 2 [instead: reads ticket_id, status, priority, customer_id; only rows where status is open and priority "
        "is at least 2]"
    )


def test_ceilings_of_a_mount_widen_when_they_grow_or_go() -> None:
    def under(limits: str) -> str:
        return TEXT.replace("    url: ${CRM_URL}\n", f"    url: ${{CRM_URL}}\n{limits}")

    texts = [under("    limits: {rows: 5, timeout: 1m}\n"), under("    limits: {rows: 6, timeout: 1m}\n"), TEXT]
    for narrow, wide in pairwise(texts):
        assert widened(diff(loaded(narrow), loaded(wide), LOCK, LOCK))
        assert not widened(diff(loaded(wide), loaded(narrow), LOCK, LOCK))
    found = said(diff(loaded(texts[0]), loaded(texts[1]), LOCK, LOCK))
    assert "limits of mount crm: rows: at most 6 rows at a time (before: at most 5 rows at a time)" in found


def test_equal_policies_have_no_changes() -> None:
    assert diff(loaded(TEXT), loaded(TEXT), LOCK, LOCK) == ()
    assert diff(loaded(TEXT), loaded("\n\n" + TEXT)) == ()


def test_other_words_for_the_same_are_no_change() -> None:
    assert changes("status: [open, pending], ", "status: [pending, open], ") == ()
    assert changes("rows: {customer_id: $customer_id}", "rows: {customer_id: [$customer_id]}")[0].certain is False


def test_widenings_come_first() -> None:
    new = changed("priority: {min: 2}", "priority: {min: 1}").replace("ttl: 30m", "ttl: 10m")
    found = diff(loaded(TEXT), loaded(new), LOCK, LOCK)
    assert [change.widens for change in found] == sorted((change.widens for change in found), reverse=True)
    assert len({change.widens for change in found}) == 2


def test_a_loosened_gate_widens() -> None:
    new = TEXT + "gates:\n  delete: {loosen: [tickets:delete], reason: spam}\n"
    assert "now: delete without approval (gate delete)" in said(diff(loaded(TEXT), loaded(new), LOCK, LOCK))
    assert not widened(diff(loaded(new), loaded(TEXT), LOCK, LOCK))


def test_a_mask_in_place_of_an_approval_widens_and_so_does_the_reverse() -> None:
    old, new = loaded(TEXT), loaded(changed("mask: {email: partial, ssn: last4}", "mask: {email: partial}"))
    assert "; ssn in clear after approval only [before: reads ssn cut to its last four" in said(
        diff(old, new, LOCK, LOCK)
    )
    assert "now: read of ssn, masked, without approval" in said(diff(new, old, LOCK, LOCK))


def test_a_column_added_to_the_lock_widens_a_grant_without_fields() -> None:
    larger = lock(CUSTOMERS, table("tickets", "ticket_id", "status", "priority", "customer_id", "note"))
    assert "now: reads note" in said(diff(loaded(TEXT), loaded(TEXT), LOCK, larger))
    assert not widened(diff(loaded(TEXT), loaded(TEXT), larger, LOCK))


def test_without_locks_a_grant_of_every_plain_column_is_wider_than_one_of_the_named() -> None:
    old, new = (
        loaded(TEXT),
        loaded(
            changed("        fields: [customer_id, name, email, ssn]\n        mask: {email: partial, ssn: last4}\n", "")
        ),
    )
    assert "every other column" in said(diff(old, new))


def test_a_new_task_is_a_widening_for_its_agents() -> None:
    new = TEXT + "  more: {agents: [bot], context: {customer_id: integer}, only: {customers: {}}}\n"
    found = diff(loaded(TEXT), loaded(new), LOCK, LOCK)
    assert {(change.task, change.resource, change.widens) for change in found} == {("more", "customers", True)}


def test_a_new_agent_is_a_widening_and_a_gone_one_is_not() -> None:
    new = TEXT.replace("agents:\n  bot:", "agents:\n  new: {owner: o, purpose: p, roles: [support]}\n  bot:")
    assert {change.agent for change in diff(loaded(TEXT), loaded(new), LOCK, LOCK)} == {"new"}
    assert not widened(diff(loaded(new), loaded(TEXT), LOCK, LOCK))


def test_what_changed_for_the_agent_as_such_is_not_repeated_for_its_tasks() -> None:
    found = changes("fields: [customer_id, name, email, ssn]", "fields: [customer_id, name, email, ssn, tenant_id]")
    assert [change.task for change in found] == [None]


def test_elevations_gates_and_flows_count() -> None:
    role = "roles:\n  more: {grants: [{allow: tickets:create, reason: files them}]}\n"
    base = TEXT.replace("roles:\n", role, 1)
    raised = base + "elevations:\n  up: {role: more, for: [bot], max: 1h, approvers: [leads]}\n"
    longer = raised.replace("max: 1h", "max: 2h")
    assert "now: elevation up to role more" in said(diff(loaded(base), loaded(raised), LOCK, LOCK))
    assert "now: elevation up for up to 2 hours" in said(diff(loaded(raised), loaded(longer), LOCK, LOCK))
    assert not widened(diff(loaded(longer), loaded(raised), LOCK, LOCK))
    gated = base + "gates:\n  careful: {on: tickets:update, approvers: [leads]}\n"
    found = diff(loaded(gated), loaded(base), LOCK, LOCK)
    assert "now: update without approval (gate careful)" in said(found)
    assert "gate careful is gone" in said(found)
    assert not widened(diff(loaded(base), loaded(gated), LOCK, LOCK))


def test_enforcing_by_rewriting_alone_is_wider() -> None:
    both = changed("url: ${CRM_URL}", "url: ${CRM_URL}\n    enforce: both")
    there, back = (diff(loaded(a), loaded(b), LOCK, LOCK) for a, b in ((both, TEXT), (TEXT, both)))
    assert widened(there)
    assert "mount crm is enforced by rewriting alone" in str(there)
    assert not widened(back)
