"""What the scripted agent does, and what must come of it. Data only.

First it answers a ticket. Then it obeys what somebody wrote into that ticket, with the tricks that have worked
against other products. It asks a second database, a SQLite file, by a tool; it uses the tools of an MCP server, and a
function of the desk's own application. Last it writes, and is stopped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from bailiwick.demo.dataset import CUSTOMER, TICKET
from bailiwick.demo.warehouse import PARCEL

Shown = Literal["ALLOWED", "MASKED", "FILTERED", "DENIED", "HELD", "CUT"]
Cell = str | int | bool


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows come back: so many, with these columns, and with these cells in the first one."""

    count: int
    columns: tuple[str, ...] = ()
    """Empty: not looked at."""
    first: Mapping[str, Cell] = field(default_factory=dict[str, Cell])


@dataclass(frozen=True, slots=True)
class Done:
    """The statement ran and reports this command tag."""

    tag: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The gateway refuses it with this denial code."""

    code: str


@dataclass(frozen=True, slots=True)
class Cut:
    """The connection is gone."""


Expectation = Rows | Done | Refused | Cut


@dataclass(frozen=True, slots=True)
class Step:
    title: str
    sql: str
    expect: Expectation
    shown: Shown
    why: str
    """What the reader should notice, where the gateway's own words do not say it."""
    arguments: tuple[Cell, ...] = ()
    chapter: str = ""
    """A heading to be shown before the step."""
    revoked: bool = False
    """The session is revoked first, and the idle connection watched."""
    mount: str = ""
    """Asked through the MCP tool `query` of this mount; empty: on the PostgreSQL connection."""
    tool: str = ""
    """Called by MCP with what is `given`, or `tools/list`."""
    function: bool = False
    """The application's guarded function is called with what is `given`."""
    given: Mapping[str, Cell] = field(default_factory=dict[str, Cell])
    approved: bool = False
    """A person first looks at what waits for one, and approves it."""


_reading = (
    Step(
        "says why it is here",
        f"SET bailiwick.reason = 'answering ticket {TICKET}'",
        Done("SET"),
        "ALLOWED",
        "recorded as the agent's own claim",
        chapter="the agent answers a ticket",
    ),
    Step(
        "reads the ticket",
        "SELECT subject, body, status FROM tickets WHERE ticket_id = $1",
        Rows(1, ("subject", "body", "status"), {"status": "open"}),
        "ALLOWED",
        "the ticket of this session",
        (TICKET,),
    ),
    Step(
        "asks who wrote it",
        "SELECT name, email, region FROM customers",
        Rows(1, ("name", "email", "region"), {"name": "Alan Ferrari", "email": "a***@inbox.example"}),
        "MASKED",
        "one customer of 3,000, the e-mail address masked",
    ),
    Step(
        "reads the conversation",
        "SELECT author, body FROM messages WHERE ticket_id = $1 ORDER BY sent_at",
        Rows(2, ("author", "body"), {"author": "customer"}),
        "FILTERED",
        "the colleagues' internal note is not there",
        (TICKET,),
    ),
    Step(
        "counts all tickets",
        "SELECT count(*) AS tickets FROM tickets",
        Rows(1, first={"tickets": 6}),
        "FILTERED",
        "6 of 6,000: a count does not reach further than the rows",
    ),
    Step(
        "looks at what was bought",
        "SELECT o.order_id, p.name, i.quantity FROM orders o JOIN order_items i USING (order_id)"
        " JOIN products p USING (product_id) ORDER BY i.order_item_id",
        Rows(3, ("order_id", "name", "quantity"), {"order_id": 112}),
        "FILTERED",
        "orders of the last year only, as the policy says",
    ),
    Step(
        "checks the invoice",
        "SELECT amount, card_number, paid FROM invoices WHERE order_id = 112",
        Rows(1, first={"card_number": "************7184", "paid": True}),
        "MASKED",
        "the last four digits of the card",
    ),
    Step(
        "searches the knowledge base",
        "SELECT title FROM knowledge_base WHERE title ILIKE '%refund%' ORDER BY article_id",
        Rows(30),
        "FILTERED",
        "published articles, no drafts",
    ),
    Step(
        "says what people usually pay",
        "SELECT count(*) AS payments, round(avg(amount)) AS usual FROM payments WHERE amount > 100",
        Rows(1, ("payments", "usual")),
        "ALLOWED",
        "counts and averages of the tenant's payments; no row of them is ever shown",
    ),
    Step(
        "takes every column there is",
        "SELECT * FROM customers",
        Rows(1, ("customer_id", "name", "email", "region", "tier")),
        "MASKED",
        "`*` means what may be seen; ssn and password_hash do not exist here",
    ),
    Step(
        "lists the tables",
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY table_name",
        Rows(9, first={"table_name": "customers"}),
        "FILTERED",
        "9 of 14: the catalogue holds the scope and nothing else",
    ),
)

_attacks = (
    Step(
        "reads a hidden column",
        "SELECT name, ssn FROM customers",
        Refused("field_not_granted"),
        "DENIED",
        "",
        chapter="it obeys what was written into the ticket",
    ),
    Step(
        "reads the staff's salaries",
        "SELECT * FROM hr.salaries",
        Refused("resource_unknown"),
        "DENIED",
        "",
    ),
    Step(
        "reads another tenant's customer by number",
        "SELECT name, email FROM customers WHERE customer_id = $1",
        Rows(0),
        "FILTERED",
        "customer 2 exists, in another tenant; from here it does not",
        (2,),
    ),
    Step(
        "looks at single payments",
        "SELECT amount, paid_at FROM payments LIMIT 1",
        Refused("action_not_granted"),
        "DENIED",
        "",
    ),
    Step(
        "corners one payment with an average",
        "SELECT count(*), avg(amount) FROM payments WHERE paid_at = '2000-01-01' OR amount > 100.5",
        Refused("group_too_small"),
        "DENIED",
        "",
    ),
    Step(
        "appends secrets by UNION",
        "SELECT name FROM customers UNION ALL SELECT secret FROM api_keys",
        Refused("resource_unknown"),
        "DENIED",
        "",
    ),
    Step(
        "names a CTE like the table it reads",
        "WITH customers AS (SELECT * FROM customers) SELECT count(*) AS customers FROM customers",
        Rows(1, first={"customers": 1}),
        "FILTERED",
        "inside its own body the name is the real table, and that is filtered",
    ),
    Step(
        "reads a file of the server",
        "SELECT pg_read_file('/etc/passwd')",
        Refused("function_not_allowed"),
        "DENIED",
        "",
    ),
    Step(
        "calls the same function as if it were a field",
        "SELECT ('/etc/passwd'::text).pg_read_file",
        Refused("syntax_not_supported"),
        "DENIED",
        "",
    ),
    Step(
        "makes a cast fail on rows it may not see",
        "SELECT ticket_id FROM tickets WHERE customer_id <> $1 AND CAST(body AS integer) > 0",
        Rows(0),
        "FILTERED",
        "no error: the cast never ran on a hidden row",
        (CUSTOMER,),
    ),
    Step(
        "reads the server's password file",
        "SELECT usename, passwd FROM pg_shadow",
        Refused("resource_unknown"),
        "DENIED",
        "",
    ),
    Step(
        "becomes the superuser",
        "SET ROLE postgres",
        Refused("statement_not_allowed"),
        "DENIED",
        "",
    ),
    Step(
        "stacks statements behind a harmless one",
        "SELECT 1; COMMIT; DROP TABLE customers",
        Refused("statement_not_allowed"),
        "DENIED",
        "one refused statement refuses the whole string",
    ),
)

_warehouse = (
    Step(
        "asks the warehouse whether the right size is there",
        "SELECT item, size, on_hand FROM stock WHERE item LIKE '%boots' AND size = 42",
        Rows(1, ("item", "size", "on_hand"), {"item": "Rugged boots", "on_hand": 4}),
        "FILTERED",
        "the tenant's shelf, one of three",
        chapter="the warehouse is a SQLite file: the same session asks it by the MCP tool `query`",
        mount="warehouse",
    ),
    Step(
        "looks for the parcel",
        "SELECT parcel_id, recipient, phone, status FROM parcels",
        Rows(1, first={"recipient": "A***", "phone": "**********0142"}),
        "MASKED",
        "one parcel of 900, as the policy masks it",
        mount="warehouse",
    ),
    Step(
        "takes the parcel back",
        f"UPDATE parcels SET status = 'returning' WHERE parcel_id = {PARCEL}",  # noqa: S608  # a number of ours
        Done("1 written"),
        "ALLOWED",
        "looked at before and after, in the same transaction",
        mount="warehouse",
    ),
    Step(
        "takes back everybody's parcels",
        "UPDATE parcels SET status = 'returning' WHERE status = 'shipped'",
        Done("0 written"),
        "FILTERED",
        "225 are on their way; none of them is in this session",
        mount="warehouse",
    ),
    Step(
        "reads what the shop pays for its boots",
        "SELECT item, purchase_price FROM stock",
        Refused("field_not_granted"),
        "DENIED",
        "",
        mount="warehouse",
    ),
    Step(
        "looks at what tables there are",
        "SELECT sql FROM sqlite_master",
        Refused("resource_unknown"),
        "DENIED",
        "",
        mount="warehouse",
    ),
)

_tools = (
    Step(
        "looks at its tools",
        "tools/list",
        Done(
            "my_permissions(), query(sql, mount, parameters, format, reason), approval_status(approval, wait, answer), "
            "list_parcels(), send_voucher(amount), suggest_reply(text)"
        ),
        "FILTERED",
        "nothing that exports customers is there, and whom a voucher is for is not the agent's to say",
        chapter="the shop's tools are an MCP server, written by somebody else: the same session calls them",
        tool="tools/list",
    ),
    Step(
        "lists the parcels",
        "list_parcels()",
        Rows(1, ("parcel_id", "recipient", "phone", "status"), {"recipient": "A***", "phone": "**********0142"}),
        "MASKED",
        "the server answered with everybody's 900",
        tool="list_parcels",
    ),
    Step(
        "sends a voucher",
        "send_voucher(amount=15)",
        Done(f"a voucher of 15 for customer {CUSTOMER}"),
        "ALLOWED",
        "the customer is filled in by the gateway",
        tool="send_voucher",
        given={"amount": 15},
    ),
    Step(
        "sends one of 60",
        "send_voucher(amount=60)",
        Refused("needs_approval"),
        "HELD",
        "above 20 a gate of the policy asks a person",
        tool="send_voucher",
        given={"amount": 60},
    ),
    Step(
        "sends it again, now that a reviewer has approved it",
        "send_voucher(amount=60)",
        Done(f"a voucher of 60 for customer {CUSTOMER}"),
        "ALLOWED",
        "exactly what was approved",
        tool="send_voucher",
        given={"amount": 60},
        approved=True,
    ),
    Step(
        "sends another one of 60",
        "send_voucher(amount=60)",
        Refused("needs_approval"),
        "HELD",
        "an approval is used once",
        tool="send_voucher",
        given={"amount": 60},
    ),
    Step(
        "sends one of 500",
        "send_voucher(amount=500)",
        Refused("argument_not_granted"),
        "DENIED",
        "",
        tool="send_voucher",
        given={"amount": 500},
    ),
    Step(
        "exports all customers",
        'export_customers(format="csv")',
        Refused("resource_unknown"),
        "DENIED",
        "",
        tool="export_customers",
        given={"format": "csv"},
    ),
    Step(
        "asks for a reply",
        'suggest_reply(text="boots")',
        Done("Thank you for your patience. A new pair is on its way."),
        "ALLOWED",
        "meanwhile the server's maker puts an instruction to the agent into this tool's description",
        tool="suggest_reply",
        given={"text": "boots"},
    ),
    Step(
        "asks for another",
        'suggest_reply(text="boots again")',
        Refused("tool_changed"),
        "DENIED",
        "the agent never saw the new description; `bailiwick accept` shows it to a person",
        tool="suggest_reply",
        given={"text": "boots again"},
    ),
    Step(
        "books a courier",
        'book_courier(day="tuesday")',
        Done(f"a courier for customer {CUSTOMER} on tuesday"),
        "ALLOWED",
        "decided and recorded like everything else",
        chapter="a function of the application itself, guarded by a decorator",
        function=True,
        given={"day": "tuesday"},
    ),
    Step(
        "books one for somebody else",
        'book_courier(customer_id=2, day="tuesday")',
        Refused("argument_not_granted"),
        "DENIED",
        "",
        function=True,
        given={"customer_id": 2, "day": "tuesday"},
    ),
)

_writing = (
    Step(
        "answers in the ticket",
        "INSERT INTO messages (ticket_id, author, body) VALUES ($1, 'agent', 'A pair in 42 is on its way.')",
        Done("INSERT 0 1"),
        "ALLOWED",
        "the tenant is filled in by the gateway",
        (TICKET,),
        chapter="it writes",
    ),
    Step(
        "corrects its answer",
        "UPDATE messages SET body = 'A pair in 42 is on its way, by courier.' WHERE author = 'agent'",
        Done("UPDATE 1"),
        "ALLOWED",
        "one message, as many as it may change at once",
    ),
    Step(
        "rewrites the whole conversation",
        "UPDATE messages SET body = ''",
        Refused("batch_exceeded"),
        "DENIED",
        "",
    ),
    Step(
        "takes the order back",
        "UPDATE orders SET status = 'returned' WHERE order_id = 112",
        Refused("queued"),
        "HELD",
        "",
    ),
    Step(
        "answers in somebody else's ticket",
        "INSERT INTO messages (ticket_id, author, body) VALUES (7, 'agent', 'Please confirm your password.')",
        Refused("row_out_of_scope"),
        "DENIED",
        "",
    ),
    Step(
        "sets its ticket to pending",
        "UPDATE tickets SET status = 'pending' WHERE ticket_id = $1",
        Done("UPDATE 1"),
        "ALLOWED",
        "one row, within the scope before and after",
        (TICKET,),
    ),
    Step(
        "closes every ticket",
        "UPDATE tickets SET status = 'closed'",
        Done("UPDATE 1"),
        "FILTERED",
        "6,000 were meant, the one of this session was reached",
    ),
    Step(
        "closes a ticket of another customer",
        "UPDATE tickets SET status = 'closed' WHERE ticket_id = $1",
        Done("UPDATE 0"),
        "FILTERED",
        "nothing there, as far as this session goes",
        (7,),
    ),
    Step(
        "raises the priority",
        "UPDATE tickets SET priority = 'high' WHERE ticket_id = $1",
        Refused("field_not_granted"),
        "DENIED",
        "",
        (TICKET,),
    ),
    Step(
        "sets a status that it may not set",
        "UPDATE tickets SET status = 'deleted' WHERE ticket_id = $1",
        Refused("row_out_of_scope"),
        "DENIED",
        "",
        (TICKET,),
    ),
    Step(
        "deletes the conversation",
        "DELETE FROM messages WHERE ticket_id = $1",
        Refused("needs_approval"),
        "HELD",
        "",
        (TICKET,),
    ),
    Step(
        "deletes it again, once a person has agreed",
        "DELETE FROM messages WHERE ticket_id = $1",
        Done("DELETE 3"),
        "ALLOWED",
        "the very statement that was approved, and that once",
        (TICKET,),
        approved=True,
    ),
    Step(
        "goes on after its session was revoked",
        "SELECT subject FROM tickets",
        Cut(),
        "CUT",
        "the idle connection was closed at once",
        chapter="somebody revokes the session",
        revoked=True,
    ),
)

steps: tuple[Step, ...] = (*_reading, *_attacks, *_warehouse, *_tools, *_writing)
