"""SQLAlchemy 2: Core, ORM and reflection."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, ForeignKey, MetaData, Table, create_engine, exc, func, inspect, select, text, update
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from tests.support.desk import TABLES, Desk


class Base(DeclarativeBase):
    pass


class Customer(Base):
    __tablename__ = "customers"
    customer_id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    email: Mapped[str]
    region: Mapped[str]
    tickets: Mapped[list[Ticket]] = relationship(back_populates="customer", order_by="Ticket.ticket_id")


class Ticket(Base):
    __tablename__ = "tickets"
    ticket_id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.customer_id"))
    subject: Mapped[str]
    status: Mapped[str]
    customer: Mapped[Customer] = relationship(back_populates="tickets")


@pytest.fixture(params=["psycopg", "psycopg2"])
def engine(desk: Desk, request: pytest.FixtureRequest) -> Iterator[Engine]:
    made = create_engine(desk.session.url(scheme=f"postgresql+{request.param}"))
    yield made
    made.dispose()


def test_core_selects_with_parameters(engine: Engine) -> None:
    with engine.connect() as connection:
        found = connection.execute(text("SELECT subject FROM tickets WHERE ticket_id = :n"), {"n": 502}).scalar_one()
    assert found == "Invoice copy"


def test_the_orm_follows_relationships(engine: Engine) -> None:
    with Session(engine) as session:
        customer = session.scalars(select(Customer)).one()
        assert (customer.name, customer.email) == ("Xenia Marsh", "x***@example.com")
        assert [ticket.ticket_id for ticket in customer.tickets] == [501, 502, 503]


def test_the_orm_groups_and_joins(engine: Engine) -> None:
    query = select(Customer.name, func.count()).join(Ticket).group_by(Customer.name)
    with Session(engine) as session:
        assert session.execute(query).all() == [("Xenia Marsh", 3)]


def test_the_orm_writes_in_scope(engine: Engine, desk: Desk) -> None:
    with Session(engine) as session:
        ticket = session.get_one(Ticket, 501)
        ticket.status = "pending"
        session.commit()
    assert desk.upstream.rows("SELECT status FROM public.tickets WHERE ticket_id = 501") == [("pending",)]


def test_an_update_is_rolled_back(engine: Engine, desk: Desk) -> None:
    with engine.connect() as connection:
        connection.execute(update(Ticket).values(status="closed"))
        connection.rollback()
    assert desk.upstream.rows("SELECT status FROM public.tickets WHERE ticket_id = 501") == [("open",)]


def test_a_refusal_has_its_code(engine: Engine) -> None:
    with engine.connect() as connection, pytest.raises(exc.ProgrammingError) as refused:
        connection.execute(text("SELECT ssn FROM customers"))
    original = refused.value.orig
    assert "42501" in (getattr(original, "sqlstate", None) or "", getattr(original, "pgcode", None) or "")


def test_inspection_shows_the_scope(engine: Engine, desk: Desk) -> None:
    seen = inspect(engine)
    assert set(seen.get_table_names()) == TABLES
    assert [column["name"] for column in seen.get_columns("customers")] == ["customer_id", "name", "email", "region"]
    for table in sorted(TABLES):
        desk.clean([seen.get_pk_constraint(table), seen.get_foreign_keys(table), seen.get_indexes(table)])
        desk.clean([seen.get_unique_constraints(table), seen.get_check_constraints(table)])
    assert seen.get_view_names() == []


def test_reflection_builds_the_tables_of_the_scope(engine: Engine) -> None:
    metadata = MetaData()
    metadata.reflect(engine)
    assert set(metadata.tables) == TABLES
    tickets: Table = metadata.tables["tickets"]
    with engine.connect() as connection:
        assert len(connection.execute(select(tickets)).all()) == 3
