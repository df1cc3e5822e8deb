"""The library's tables as SQLAlchemy maps them."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import Column, ForeignKey, Integer, Table, func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import DeclarativeBase, Mapped, column_property, mapped_column, relationship


class Base(DeclarativeBase):
    pass


book_tags = Table(
    "book_tags",
    Base.metadata,
    Column("book_id", Integer, ForeignKey("books.book_id"), primary_key=True),
    Column("tag_id", Integer, ForeignKey("tags.tag_id"), primary_key=True),
)


class Tag(Base):
    __tablename__ = "tags"
    tag_id: Mapped[int] = mapped_column(primary_key=True)
    label: Mapped[str]
    books: Mapped[list[Book]] = relationship(secondary=book_tags, back_populates="tags", order_by="Book.book_id")


class Author(Base):
    __tablename__ = "authors"
    author_id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    email: Mapped[str]
    born: Mapped[date | None]
    books: Mapped[list[Book]] = relationship(back_populates="author", order_by="Book.book_id")


class Book(Base):
    __tablename__ = "books"
    book_id: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int] = mapped_column(ForeignKey("authors.author_id"))
    title: Mapped[str]
    price: Mapped[Decimal]
    published: Mapped[date]
    details: Mapped[dict[str, int]] = mapped_column(JSONB)
    author: Mapped[Author] = relationship(back_populates="books")
    tags: Mapped[list[Tag]] = relationship(secondary=book_tags, back_populates="books", order_by="Tag.tag_id")
    reviews: Mapped[list[Review]] = relationship(
        back_populates="book", order_by="Review.review_id", cascade="all, delete-orphan"
    )

    @hybrid_property
    def dear(self) -> bool:
        """Whether it costs more than twenty: in Python, and in SQL by the same expression."""
        return self.price > 20


class Review(Base):
    __tablename__ = "reviews"
    review_id: Mapped[int] = mapped_column(primary_key=True)
    book_id: Mapped[int] = mapped_column(ForeignKey("books.book_id"))
    stars: Mapped[int]
    body: Mapped[str]
    written: Mapped[datetime] = mapped_column(server_default=func.now())
    book: Mapped[Book] = relationship(back_populates="reviews")


Author.count = column_property(  # type: ignore[attr-defined]  # declared here, where Book exists
    select(func.count(Book.book_id)).where(Book.author_id == Author.author_id).correlate_except(Book).scalar_subquery()
)
