"""A real gateway's ledger: a desk of customers and tickets, functions, and what an agent did in both."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psycopg

from bailiwick.cli.policy_plan import side_at
from bailiwick.gateway.ledger.reader import open_reader
from bailiwick.guard import DeniedError, Guard
from bailiwick.guard.denied import ApprovalPendingError
from bailiwick.review.kept import kept_sides
from bailiwick.review.plan import Change, Planned, gather, plan
from bailiwick.review.records import Group
from bailiwick.review.side import Side
from tests.support.gateway import RunningGateway

SCRIPT = """
CREATE TABLE public.customers (id int PRIMARY KEY, tenant_id int NOT NULL, name text, email text, ssn text, tier int);
CREATE TABLE public.tickets (id int PRIMARY KEY, customer_id int, tenant_id int NOT NULL, status text, body text);
CREATE TABLE public.notes (id int PRIMARY KEY, tenant_id int NOT NULL, body text);
CREATE TABLE public.papers (id int PRIMARY KEY, tenant_id int NOT NULL, title text);
INSERT INTO public.customers SELECT g, 4, 'name ' || g, 'c' || g || '@mail.example', 'CANARY_SSN_' || g, g % 3
  FROM generate_series(1, 30) g;
INSERT INTO public.tickets SELECT g, g % 10, 4, 'open', 'body ' || g FROM generate_series(1, 60) g;
INSERT INTO public.notes SELECT g, 4, 'note ' || g FROM generate_series(1, 5) g;
INSERT INTO public.papers SELECT g, 4, 'paper ' || g FROM generate_series(1, 5) g;
"""
POLICY = """
bailiwick: 1
mounts:
  crm:
    kind: postgres
    url: ${PLAN_URL}
    resources:
      customers: {table: public.customers, key: id, tenant: tenant_id, labels: {ssn: restricted}}
      tickets: {table: public.tickets, key: id, tenant: tenant_id}
      notes: {table: public.notes, key: id, tenant: tenant_id}
      papers: {table: public.papers, key: id, tenant: tenant_id}
  own:
    kind: python
    functions:
      refund: {action: billing:refund, parameters: [customer_id, amount, currency, note]}
      send: {action: mail:send, parameters: [to, text]}
      look_up: {action: people:read, parameters: [customer_id]}
      wipe: {action: jobs:wipe, parameters: [days]}
roles:
  support:
    grants:
      - {allow: customers:read, reason: names, fields: [id, name, email, tier], rows: {id: $customer_id}}
      - {allow: tickets:read, reason: answers, fields: [id, status, customer_id]}
      - {allow: tickets:update:status, reason: closes, set: {status: [open, closed]}}
      - {allow: papers:read, reason: by appointment}
      - {allow: notes:read, reason: for the team of $user, when: 'session.user.groups.exists(g, g == "team")'}
      - allow: billing:refund
        reason: small ones
        args: {customer_id: $customer_id, amount: {max: 500}, currency: [EUR, USD], note: any}
      - {allow: mail:send, reason: answers, args: {to: {glob: "*@mail.example"}, text: any}}
      - {allow: people:read, reason: names, args: {customer_id: $customer_id}}
  spare:
    grants: []
agents:
  bot: {owner: desk, purpose: tests, roles: [support]}
tasks:
  work: {agents: [bot], context: {customer_id: integer}}
gates:
  reading: {on: papers:read, approvers: [owners]}
approvers:
  owners: {users: [ann]}
"""
STATEMENTS = (
    *("SELECT name, email FROM customers", "SELECT name, email FROM customers WHERE id = 7"),
    *("SELECT count(*) FROM tickets WHERE status = 'open'", "SELECT * FROM tickets ORDER BY id LIMIT 20"),
    "SELECT c.name, t.status FROM customers c JOIN tickets t ON t.customer_id = c.id",
    "UPDATE tickets SET status = 'closed' WHERE id = 3",
    "SELECT current_date, version()",
    *("SELECT body FROM notes", "SELECT ssn FROM customers", "SELECT body FROM tickets", "SELECT 1 FROM salaries"),
    *(
        "SELECT id FROM papers",
        "DELETE FROM tickets WHERE id = 4",
        "SELEC nonsense",
        "SELECT date '2026-01-01', tier FROM customers",
    ),
)


def work(gateway: RunningGateway) -> None:
    """Do what the tests know of: two people's sessions, data and functions, allowed, denied and held."""
    for user, groups in (("grace", ("team",)), ("henry", ())):
        session = gateway.open_session(
            "bot", task="work", user=user, groups=groups, tenant="4", values={"customer_id": "7"}
        )
        with psycopg.connect(session.url(), autocommit=True) as connection:
            for statement in STATEMENTS:
                with suppress(psycopg.Error):
                    connection.execute(statement.encode())
    with Guard(gateway.policy, gateway="beside", environ={}) as guard:
        session = guard.session("bot", task="work", user="grace", tenant="4", values={"customer_id": 7})
        with session:
            for name, arguments in CALLS:
                with suppress(DeniedError, ApprovalPendingError), guard.call(name, arguments) as call:
                    call.give({"id": 7, "email": "ada@mail.example", "name": "Ada"})


CALLS: tuple[tuple[str, dict[str, object]], ...] = (
    ("refund", {"customer_id": 7, "amount": 30, "currency": "EUR", "note": "a"}),
    ("refund", {"customer_id": 7, "amount": 400, "currency": "USD", "note": "b"}),
    ("refund", {"customer_id": 7, "amount": 900, "currency": "EUR", "note": "c"}),
    ("send", {"to": "ada@mail.example", "text": "hello"}),
    ("send", {"to": "eve@evil.example", "text": "hello"}),
    ("look_up", {"customer_id": 7}),
    ("wipe", {"days": 3}),
)


class Past:
    """A ledger, and the folder of the gateway that wrote it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        reader = open_reader(folder / ".bailiwick" / "ledger.db")
        self.groups: list[Group] = list(gather(reader, 0, lambda _: None).groups.values())
        reader.close()

    def side(self, text: str) -> Side:
        """Return a policy with the lock that was in force."""
        place = self.folder / "new" / "policy.yaml"
        place.parent.mkdir(exist_ok=True)
        place.write_text(text)
        (place.parent / "bailiwick.lock").write_text((self.folder / "bailiwick.lock").read_text())
        return side_at(place)

    def planned(self, text: str, before: Callable[[str], Side | None] | None = None) -> Planned:
        """Return what another policy changes."""
        kept = kept_sides(self.folder / ".bailiwick" / "policies", [])
        return plan(self.groups, self.side(text), before or kept)


def about(planned: Planned, words: str) -> list[Change]:
    """Return the changes of requests that say these words."""
    return [each for each in planned.changes if any(words in asked for _, asked in each.examples)]
