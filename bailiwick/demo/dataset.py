"""The rows of the made-up support desk. Pure: the same seed and moment give the same rows.

Everything that an agent must never see holds a canary, a text that begins with `CANARY_`: hidden columns, hidden
tables, internal notes, drafts, and the ticket texts of every customer but the one whose ticket is handled.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal

from bailiwick.demo import words

Row = tuple[str | int | bool | date | datetime | Decimal | None, ...]

CANARY = "CANARY_"
TENANT = "acorn"
TICKET = 4210
"""The ticket that the scripted agent handles."""
CUSTOMER = 1180
"""Who wrote it; belongs to `TENANT`."""
tenants: tuple[tuple[str, str, str], ...] = (
    ("acorn", "Acorn Outfitters", "business"),
    ("birch", "Birch & Daughters", "starter"),
    ("cedar", "Cedar Logistics", "enterprise"),
)
sizes: Mapping[str, int] = {
    "teams": 9,
    "staff": 60,
    "customers": 3_000,
    "products": 300,
    "orders": 7_000,
    "order_items": 16_000,
    "invoices": 6_000,
    "payments": 5_000,
    "tickets": 6_000,
    "messages": 18_000,
    "knowledge_base": 240,
    "api_keys": 45,
    "audit_log": 3_000,
    "hr.employees": 60,
    "hr.salaries": 180,
}


@dataclass(slots=True)
class Desk:
    """Draws the rows, table after table; later tables refer to what earlier ones drew."""

    now: datetime
    """Aware. Every moment lies a drawn distance before it."""
    draw: random.Random
    owners: dict[str, Sequence[int]] = field(default_factory=dict[str, Sequence[int]])
    """`table/tenant` → the ids of its rows."""
    orders: dict[int, tuple[str, int, Decimal]] = field(default_factory=dict[int, tuple[str, int, Decimal]])
    tickets: dict[int, tuple[str, int]] = field(default_factory=dict[int, tuple[str, int]])

    def canary(self, kind: str) -> str:
        return f"{CANARY}{kind}_{self.draw.getrandbits(48):012x}"

    def ago(self, days: float) -> datetime:
        return self.now - timedelta(seconds=self.draw.randrange(60, int(days * 86_400)))

    def split(self, table: str) -> Iterator[tuple[int, str]]:
        """Yield the ids of a table with their tenants, a third each, and remember whose they are."""
        for tenant, *_ in tenants:
            self.owners[f"{table}/{tenant}"] = range(1 + self._place(tenant), sizes[table] + 1, len(tenants))
        for number in range(1, sizes[table] + 1):
            yield number, tenants[(number - 1) % len(tenants)][0]

    def one(self, table: str, tenant: str) -> int:
        return self.draw.choice(self.owners[f"{table}/{tenant}"])

    @staticmethod
    def _place(tenant: str) -> int:
        return [name for name, *_ in tenants].index(tenant)


def rows(now: datetime, seed: int = 1) -> Iterator[tuple[str, list[Row]]]:
    """Yield every table, in an order that satisfies its references, with all its rows."""
    desk = Desk(now.replace(microsecond=0), random.Random(seed))  # noqa: S311 -- made-up data, not secrets
    for table, make in _tables.items():
        yield table, list(make(desk))


def _tenants(desk: Desk) -> Iterator[Row]:
    for name, title, plan in tenants:
        yield name, title, plan, desk.canary("billing")


def _teams(desk: Desk) -> Iterator[Row]:
    for number, tenant in desk.split("teams"):
        yield number, tenant, words.teams[(number - 1) // len(tenants) % len(words.teams)]


def _staff(desk: Desk) -> Iterator[Row]:
    for number, tenant in desk.split("staff"):
        name = _person(desk)
        yield number, tenant, desk.one("teams", tenant), name, _email(name, f"{tenant}.example"), desk.canary("login")


def _customers(desk: Desk) -> Iterator[Row]:
    for number, tenant in desk.split("customers"):
        name = _person(desk)
        yield (
            number,
            tenant,
            name,
            _email(name, desk.draw.choice(words.mail_hosts)),
            f"+49 30 {desk.draw.randrange(10**6, 10**7)}",
            desk.draw.choice(words.regions),
            desk.draw.choice((1, 1, 1, 2, 3)),
            date(1940 + desk.draw.randrange(66), 1 + desk.draw.randrange(12), 1 + desk.draw.randrange(28)),
            desk.canary("ssn"),
            desk.canary("login"),
            desk.canary("credit") if desk.draw.random() < 0.2 else None,
            desk.ago(1500),
        )


def _products(desk: Desk) -> Iterator[Row]:
    for number, tenant in desk.split("products"):
        price = Decimal(desk.draw.randrange(500, 40_000)) / 100
        category, things = desk.draw.choice(tuple(words.products.items()))
        name = f"{desk.draw.choice(words.adjectives)} {desk.draw.choice(things)}"
        yield number, tenant, name, category, price, round(price * Decimal("0.6"), 2)


def _orders(desk: Desk) -> Iterator[Row]:
    for number, tenant in desk.split("orders"):
        customer = CUSTOMER if number in words.orders_of_customer else desk.one("customers", tenant)
        total = Decimal(desk.draw.randrange(1_000, 90_000)) / 100
        desk.orders[number] = (tenant, customer, total)
        yield number, tenant, customer, desk.draw.choice(words.order_states), total, desk.ago(700)


def _order_items(desk: Desk) -> Iterator[Row]:
    for number in range(1, sizes["order_items"] + 1):
        order = 1 + (number - 1) % sizes["orders"]
        tenant, customer, _ = desk.orders[order]
        price = Decimal(desk.draw.randrange(500, 40_000)) / 100
        yield number, tenant, order, customer, desk.one("products", tenant), desk.draw.randrange(1, 5), price


def _invoices(desk: Desk) -> Iterator[Row]:
    for number in range(1, sizes["invoices"] + 1):
        tenant, customer, total = desk.orders[number]
        card = f"4{desk.draw.randrange(10**14, 10**15)}"
        due = desk.now.date() + timedelta(days=desk.draw.randrange(-600, 30))
        yield number, tenant, number, customer, total, card, desk.draw.random() < 0.8, due


def _payments(desk: Desk) -> Iterator[Row]:
    for number in range(1, sizes["payments"] + 1):
        tenant, _, total = desk.orders[number]
        yield number, tenant, number, total, desk.canary("processor"), desk.ago(600)


def _tickets(desk: Desk) -> Iterator[Row]:
    for number, tenant in desk.split("tickets"):
        customer = CUSTOMER if number in words.tickets_of_customer else desk.one("customers", tenant)
        desk.tickets[number] = (tenant, customer)
        subject, body = desk.draw.choice(words.subjects), desk.draw.choice(words.complaints)
        if number == TICKET:
            subject, body = words.handled
        if customer != CUSTOMER:
            body = f"{body} My reference is {desk.canary('ticket')}."
        status = "open" if number == TICKET else desk.draw.choice(words.ticket_states)
        created = desk.now - timedelta(days=2) if customer == CUSTOMER else desk.ago(400)
        priority = desk.draw.choice(words.priorities)
        yield number, tenant, customer, desk.one("staff", tenant), subject, body, status, priority, created


def _messages(desk: Desk) -> Iterator[Row]:
    for number in range(1, sizes["messages"] + 1):
        ticket = 1 + (number - 1) % sizes["tickets"]
        tenant, customer = desk.tickets[ticket]
        internal = number > 2 * sizes["tickets"]
        body = desk.draw.choice(words.notes if internal else words.replies)
        if internal or customer != CUSTOMER:
            body = f"{body} ({desk.canary('message')})"
        yield number, tenant, ticket, "staff" if internal else "customer", internal, body, desk.ago(1)


def _knowledge_base(desk: Desk) -> Iterator[Row]:
    for number in range(1, sizes["knowledge_base"] + 1):
        topic = words.topics[number % len(words.topics)]
        draft = number % 8 == 0
        body = f"Step 1. {desk.draw.choice(words.advice)} Step 2. {desk.draw.choice(words.advice)}"
        title = f"{topic} ({desk.canary('draft')})" if draft else f"{topic}, part {1 + number // len(words.topics)}"
        yield number, title, body, "draft" if draft else "published"


def _api_keys(desk: Desk) -> Iterator[Row]:
    for number, tenant in desk.split("api_keys"):
        yield number, tenant, f"integration {number}", desk.canary("apikey")


def _audit_log(desk: Desk) -> Iterator[Row]:
    for number, tenant in desk.split("audit_log"):
        yield number, tenant, desk.one("staff", tenant), "signed in", desk.canary("audit"), desk.ago(300)


def _employees(desk: Desk) -> Iterator[Row]:
    for number in range(1, sizes["hr.employees"] + 1):
        hired = desk.now.date() - timedelta(days=desk.draw.randrange(30, 4000))
        yield number, number, desk.canary("iban"), desk.canary("address"), hired


def _salaries(desk: Desk) -> Iterator[Row]:
    for number in range(1, sizes["hr.salaries"] + 1):
        amount = Decimal(desk.draw.randrange(3_000_000, 12_000_000)) / 100
        yield number, 1 + (number - 1) % sizes["hr.employees"], amount, desk.canary("salary")


def _person(desk: Desk) -> str:
    return f"{desk.draw.choice(words.first_names)} {desk.draw.choice(words.last_names)}"


def _email(name: str, host: str) -> str:
    return f"{name.lower().replace(' ', '.')}@{host}"


_tables: Mapping[str, Callable[[Desk], Iterator[Row]]] = {
    "tenants": _tenants,
    "teams": _teams,
    "staff": _staff,
    "customers": _customers,
    "products": _products,
    "orders": _orders,
    "order_items": _order_items,
    "invoices": _invoices,
    "payments": _payments,
    "tickets": _tickets,
    "messages": _messages,
    "knowledge_base": _knowledge_base,
    "api_keys": _api_keys,
    "audit_log": _audit_log,
    "hr.employees": _employees,
    "hr.salaries": _salaries,
}
