"""SQLAlchemy's ORM: loading strategies, expressions, the unit of work, streaming."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Engine, create_engine, delete, exists, func, insert, or_, select, text, tuple_, update
from sqlalchemy.orm import Session, aliased, contains_eager, joinedload, raiseload, selectinload, subqueryload

from tests.clients.conftest import Library
from tests.clients.library_tables import Author, Book, Review, Tag

Work = Callable[[Session], object]


def _joined(session: Session) -> object:
    found = session.scalars(select(Book).options(joinedload(Book.author), joinedload(Book.tags)).order_by(Book.book_id))
    return [(book.title, book.author.name, [tag.label for tag in book.tags]) for book in found.unique()]


def _select_in(session: Session) -> object:
    options = selectinload(Author.books).selectinload(Book.reviews), raiseload("*")
    found = session.scalars(select(Author).options(*options).order_by(Author.author_id))
    return [[[review.stars for review in book.reviews] for book in author.books] for author in found]


def _by_subquery(session: Session) -> object:
    found = session.scalars(select(Tag).options(subqueryload(Tag.books)).order_by(Tag.tag_id))
    return [[book.book_id for book in tag.books] for tag in found]


def _contains_eager(session: Session) -> object:
    query = select(Author).join(Author.books).where(Book.price > 25).options(contains_eager(Author.books))
    found = session.scalars(query.order_by(Author.author_id, Book.book_id)).unique()
    return [[book.book_id for book in author.books] for author in found]


def _lazily(session: Session) -> object:
    book = session.get_one(Book, 3)
    return [book.author.email, [tag.label for tag in book.tags], len(book.reviews)]


def _hybrid(session: Session) -> object:
    found = session.execute(select(Book.dear.label("dear"), func.count()).group_by(text("dear")).order_by(text("dear")))
    return [*map(tuple, found), session.get_one(Book, 20).dear]


def _column_property(session: Session) -> object:
    return [author.count for author in session.scalars(select(Author).order_by(Author.author_id))]  # type: ignore[attr-defined]  # see there


def _self_join(session: Session) -> object:
    other = aliased(Book)
    query = select(Book.book_id, other.book_id).join(other, Book.author_id == other.author_id)
    return [*map(tuple, session.execute(query.where(Book.price < other.price).order_by(Book.book_id, other.book_id)))]


def _expressions(session: Session) -> object:
    best = select(Review.book_id, func.avg(Review.stars).label("stars")).group_by(Review.book_id).cte("best")
    rank = func.rank().over(partition_by=Book.author_id, order_by=Book.price.desc())
    query = select(Book.title, best.c.stars, rank).join(best, best.c.book_id == Book.book_id)
    query = query.where(or_(Book.dear, exists().where(Review.book_id == Book.book_id, Review.stars == 5)))
    return [*map(tuple, session.execute(query.order_by(Book.book_id)))]


def _tuples(session: Session) -> object:
    pairs = tuple_(Book.author_id, Book.book_id)
    return [*session.scalars(select(Book.title).where(pairs.in_([(2, 1), (2, 6), (9, 9)])).order_by(Book.book_id))]


def _json(session: Session) -> object:
    pages = Book.details["pages"].as_integer()
    return [*session.scalars(select(pages).where(Book.details.contains({"pages": 105})))]


def _flush(session: Session) -> object:
    book = session.get_one(Book, 1)
    review = Review(stars=5, body="by the unit of work")
    book.reviews.append(review)
    session.flush()
    review.stars = 4
    session.flush()
    session.refresh(review)
    session.delete(review)
    session.flush()
    return [review.stars, session.scalar(select(func.count()).select_from(Review))]


def _nested(session: Session) -> object:
    with session.begin_nested() as point:
        session.execute(delete(Review).where(Review.stars < 5))
        left = session.scalar(select(func.count(Review.review_id)))
        point.rollback()
    return [left, session.scalar(select(func.count(Review.review_id)))]


def _rolled_back(session: Session) -> object:
    review = session.get_one(Review, 1)
    review.stars = 1
    session.flush()
    session.rollback()
    return review.stars


def _bulk(session: Session) -> object:
    rows = [{"book_id": n, "stars": 3, "body": f"bulk {n}"} for n in range(1, 8)]
    made = session.scalars(insert(Review).returning(Review.stars), rows).all()
    changed = session.execute(update(Review).where(Review.body.like("bulk%")).values(stars=Review.stars + 1))
    return [made, getattr(changed, "rowcount", None)]


def _bulk_by_key(session: Session) -> object:
    session.execute(update(Review), [{"review_id": 1, "stars": 2}, {"review_id": 2, "stars": 2}])
    return session.scalars(select(Review.stars).order_by(Review.review_id).limit(3)).all()


def _returning(session: Session) -> object:
    found = session.scalars(delete(Review).where(Review.book_id == 2).returning(Review.review_id))
    return sorted(found)


def _locked(session: Session) -> object:
    return session.scalars(select(Review.stars).where(Review.review_id == 4).with_for_update()).one()


def _partitioned(session: Session) -> object:
    result = session.scalars(select(Review.review_id).order_by(Review.review_id))
    return [len(part) for part in result.partitions(25)]


WORK: list[Work] = [
    _joined, _select_in, _by_subquery, _contains_eager, _lazily, _hybrid, _column_property, _self_join, _expressions,
    _tuples, _json, _flush, _nested, _rolled_back, _bulk, _bulk_by_key, _returning, _locked, _partitioned,
]  # fmt: skip


@pytest.fixture(scope="module", params=["psycopg", "psycopg2"])
def engines(library: Library, request: pytest.FixtureRequest) -> Iterator[tuple[Engine, Engine]]:
    made = [create_engine(library.url(scoped=scoped, scheme=f"postgresql+{request.param}")) for scoped in (True, False)]
    yield made[0], made[1]
    for engine in made:
        engine.dispose()


@pytest.mark.parametrize("work", WORK, ids=lambda work: work.__name__.strip("_"))
def test_the_orm_sees_a_database_of_its_scope_alone(
    library: Library, engines: tuple[Engine, Engine], work: Work
) -> None:
    seen: list[object] = []
    for engine in engines:
        with Session(engine) as session:
            seen.append(work(session))
            session.rollback()
    assert seen[0] == seen[1]
    assert seen[0]
    library.desk.clean(seen)
