"""A small application as it was before anybody thought of Bailiwick: all that it knows is a DSN in its environment."""

from __future__ import annotations

import os
from decimal import Decimal

import psycopg


def open_tickets(customer: int) -> list[tuple[object, ...]]:
    """Return a customer's open tickets."""
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        return connection.execute(
            "SELECT t.ticket_id, t.subject, c.name FROM tickets t JOIN customers c USING (customer_id)"
            " WHERE t.customer_id = %s AND t.status = 'open' ORDER BY t.ticket_id",
            (customer,),
        ).fetchall()


def close_ticket(ticket: int, note: str) -> int:
    """Close a ticket; return how many were."""
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        done = connection.execute(
            "UPDATE tickets SET status = 'closed', note = %s WHERE ticket_id = %s", (note, ticket)
        )
        return done.rowcount


def credit(customer: int, amount: Decimal) -> None:
    """Add to a customer's balance, in one transaction with its booking."""
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection, connection.transaction():
        connection.execute("UPDATE customers SET balance = balance + %s WHERE customer_id = %s", (amount, customer))
        connection.execute("INSERT INTO bookings (customer_id, amount) VALUES (%s, %s)", (customer, amount))
