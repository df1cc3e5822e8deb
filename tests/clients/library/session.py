"""A session of a small Django project: prints one JSON line a step, for tests/clients/test_client_django.py."""
# ruff: noqa: T201, E402 - a program of its own; models exist only once Django is set up

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import django
from django.conf import settings

sys.path.insert(0, str(Path(__file__).parents[1]))
settings.configure(
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": os.environ["PGHOST"],
            "PORT": os.environ["PGPORT"],
            "USER": os.environ["PGUSER"],
            "NAME": os.environ["PGDATABASE"],
            "PASSWORD": os.environ["PGPASSWORD"],
            "DISABLE_SERVER_SIDE_CURSORS": os.environ.get("CURSORS") != "server",
        }
    },
    INSTALLED_APPS=["library"],
    USE_TZ=True,
    TIME_ZONE="UTC",
)
django.setup()

from django.db import connection, transaction
from django.db.models import (
    Avg,
    Case,
    Count,
    Exists,
    F,
    Max,
    Min,
    OuterRef,
    Prefetch,
    Q,
    Subquery,
    Sum,
    TextField,
    Value,
    When,
    Window,
)
from django.db.models.functions import Coalesce, Concat, ExtractMonth, Length, Lower, Rank, RowNumber, TruncMonth, Upper
from library.models import Author, Book, Review, Tag

WHEN = datetime(2026, 3, 1, tzinfo=UTC)


class Rollback(Exception):  # noqa: N818  # it is not an error here: it takes a step's writes back
    pass


def step(name: str, work: Callable[[], object]) -> None:
    try:
        value = work()
    except django.db.Error as error:
        value = {"refused": getattr(error.__cause__, "sqlstate", None), "message": str(error)}
    print(json.dumps({"step": name, "value": value}, default=str))


def undone(work: Callable[[], object]) -> object:
    """Do the work in a transaction that is rolled back."""
    found: list[object] = []
    try:
        with transaction.atomic():
            found.append(work())
            raise Rollback
    except Rollback:
        return found[0]


def reads() -> None:
    step("all", lambda: [a.name for a in Author.objects.order_by("author_id")])
    step("masked", lambda: Author.objects.get(pk=1).email)
    step("filter", lambda: Book.objects.filter(price__gte=25, title__contains="Book", published__year=2020).count())
    step("exclude", lambda: Book.objects.exclude(author__name="Author 1").count())
    step(
        "q",
        lambda: sorted(Book.objects.filter(Q(price__lt=13) | Q(title__iendswith="20")).values_list("pk", flat=True)),
    )
    step("in", lambda: Book.objects.filter(pk__in=[1, 2, 7710001]).count())
    step("range", lambda: Book.objects.filter(published__range=(date(2020, 1, 2), date(2020, 1, 5))).count())
    step("regex", lambda: Book.objects.filter(title__iregex=r"^book 1\d$").count())
    step("json", lambda: Book.objects.filter(details__pages__gt=115).count())
    step("json value", lambda: list(Book.objects.order_by("pk").values_list("details__pages", flat=True)[:2]))
    step("annotate", lambda: list(Author.objects.annotate(n=Count("books")).order_by("pk").values_list("n", flat=True)))
    step("aggregate", lambda: Book.objects.aggregate(Sum("price"), Avg("price"), Min("price"), Max("price")))
    step("filtered aggregate", lambda: Author.objects.aggregate(n=Count("books", filter=Q(books__price__gt=20))))
    step("having", lambda: Author.objects.annotate(n=Count("books")).filter(n__gte=4).count())
    step("values", lambda: list(Review.objects.values("stars").annotate(n=Count("*")).order_by("stars")))
    step("select_related", lambda: [b.author.name for b in Book.objects.select_related("author").order_by("pk")[:3]])
    step(
        "prefetch",
        lambda: [[b.pk for b in a.books.all()] for a in Author.objects.prefetch_related("books").order_by("pk")],
    )
    some = Prefetch("books", Book.objects.filter(price__gt=25).order_by("pk"), to_attr="dear")
    step(
        "prefetch some", lambda: [[b.pk for b in a.dear] for a in Author.objects.prefetch_related(some).order_by("pk")]
    )
    step("many to many", lambda: [t.label for t in Book.objects.get(pk=1).tags.all()])
    step("many to many back", lambda: Tag.objects.get(label="crime").book_set.count())
    step("across", lambda: Review.objects.filter(book__author__name="Author 2", book__tags__label="crime").count())
    step("iterator", lambda: sum(1 for _ in Review.objects.iterator(chunk_size=7)))
    step("exists", lambda: [Book.objects.filter(pk=1).exists(), Book.objects.filter(pk=7710001).exists()])
    step("slice", lambda: [b.pk for b in Book.objects.order_by("-pk")[2:5]])
    step("first last", lambda: [Book.objects.order_by("pk").first().pk, Book.objects.order_by("pk").last().pk])
    step("in_bulk", lambda: sorted(Book.objects.in_bulk([1, 2, 7710001])))
    step(
        "only defer",
        lambda: [Book.objects.only("title").get(pk=1).title, Book.objects.defer("details").get(pk=2).title],
    )
    step("distinct", lambda: Book.objects.values("author_id").distinct().count())
    step("distinct on", lambda: [b.pk for b in Book.objects.order_by("author_id", "-price").distinct("author_id")])
    step("dates", lambda: Book.objects.dates("published", "month").count())
    step("union", lambda: len(Book.objects.filter(pk=1).union(Book.objects.filter(pk=2), Book.objects.filter(pk=1))))
    step("intersection", lambda: len(Book.objects.filter(pk__lt=5).intersection(Book.objects.filter(pk__gt=3))))
    step("explain", lambda: Book.objects.filter(pk=1).explain())
    step("hidden", lambda: list(Book.objects.extra(select={"m": "margin"})))


def expressions() -> None:
    newest = Review.objects.filter(book=OuterRef("pk")).order_by("-written")
    step(
        "subquery",
        lambda: [b.s for b in Book.objects.annotate(s=Subquery(newest.values("stars")[:1])).order_by("pk")[:3]],
    )
    step("exists in filter", lambda: Book.objects.filter(Exists(newest.filter(stars=5))).count())
    step("f", lambda: Book.objects.filter(price__gt=F("author__author_id") * 10).count())
    kind = Case(When(price__lt=15, then=Value("cheap")), default=Value("dear"))
    step("case", lambda: list(Book.objects.values(kind=kind).annotate(n=Count("pk")).order_by("kind")))
    full = Concat(Upper("title"), Value(" by "), "author__name", output_field=TextField())
    step("functions", lambda: Book.objects.annotate(full=full, n=Length("title"), low=Lower("title")).get(pk=3).full)
    step(
        "coalesce",
        lambda: Author.objects.aggregate(
            n=Coalesce(Sum("books__price", filter=Q(pk=99)), Value(0), output_field=Book._meta.get_field("price"))
        ),
    )
    rank = Window(Rank(), partition_by=F("author"), order_by=F("price").desc())
    step("window", lambda: list(Book.objects.annotate(r=rank).filter(r=1).order_by("pk").values_list("pk", flat=True)))
    step("row number", lambda: Book.objects.annotate(n=Window(RowNumber(), order_by=F("pk").asc())).order_by("-n")[0].n)
    step("trunc", lambda: Review.objects.annotate(m=TruncMonth("written")).values("m").annotate(n=Count("pk")).count())
    step("extract", lambda: Review.objects.annotate(m=ExtractMonth("written")).filter(m=1).count())
    step("raw", lambda: [b.title for b in Book.objects.raw("SELECT * FROM books WHERE book_id = %s", [4])])
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM books WHERE price > %s", [20])
        step("cursor", lambda: cursor.fetchone()[0])
    step("tables", lambda: sorted(connection.introspection.table_names()))
    with connection.cursor() as cursor:
        columns = connection.introspection.get_table_description(cursor, "books")
        step("columns", lambda: [column.name for column in columns])
        step("keys", lambda: connection.introspection.get_primary_key_columns(cursor, "books"))
        step("relations", lambda: connection.introspection.get_relations(cursor, "books"))
        step("constraints", lambda: sorted(connection.introspection.get_constraints(cursor, "books")))


def writes() -> None:
    new = {"book_id": 1, "stars": 4, "body": "new", "written": WHEN}
    step("create", lambda: undone(lambda: Review.objects.create(**new).pk))
    step("save", lambda: undone(saved))
    step("update", lambda: undone(lambda: Review.objects.filter(book_id=1).update(stars=3)))
    step("update all", lambda: undone(lambda: Review.objects.update(stars=F("stars"))))
    step("update by f", lambda: undone(lambda: Review.objects.filter(stars__lt=5).update(stars=F("stars") + 1)))
    step(
        "update by case",
        lambda: undone(lambda: Review.objects.update(stars=Case(When(stars=1, then=2), default=F("stars")))),
    )
    step("delete", lambda: undone(lambda: Review.objects.filter(stars=1).delete()[0]))
    step("delete one", lambda: undone(lambda: Review.objects.get(pk=3).delete()[0]))
    step("bulk_create", lambda: undone(lambda: len(Review.objects.bulk_create([Review(**new), Review(**new)]))))
    step("bulk_update", lambda: undone(bulk_updated))
    step(
        "get_or_create",
        lambda: undone(
            lambda: [
                Review.objects.get_or_create(body="Review 1", defaults=new)[1],
                Review.objects.get_or_create(body="none yet", defaults=new | {"body": "none yet"})[1],
            ]
        ),
    )
    step(
        "update_or_create",
        lambda: undone(lambda: Review.objects.update_or_create(body="Review 1", defaults={"stars": 2})[1]),
    )
    step("select_for_update", lambda: undone(lambda: Review.objects.select_for_update().get(pk=2).stars))
    step("savepoints", lambda: undone(nested))
    step(
        "related create",
        lambda: undone(lambda: Book.objects.get(pk=1).reviews.create(stars=1, body="x", written=WHEN).stars),
    )
    step(
        "nothing outside",
        lambda: undone(
            lambda: [Review.objects.filter(pk=7700001).update(stars=1), Review.objects.filter(pk=7700001).delete()[0]]
        ),
    )
    step("after", lambda: Review.objects.count())


def saved() -> list[int]:
    review = Review.objects.get(pk=1)
    review.stars = 5
    review.save()
    review.stars = 4
    review.save(update_fields=["stars"])
    review.refresh_from_db()
    return [review.stars]


def bulk_updated() -> int:
    reviews = list(Review.objects.filter(pk__lte=3))
    for review in reviews:
        review.stars = 2
    return Review.objects.bulk_update(reviews, ["stars"])


def nested() -> int:
    try:
        with transaction.atomic():
            Review.objects.all().delete()
            raise Rollback
    except Rollback:
        return Review.objects.count()


reads()
expressions()
writes()
