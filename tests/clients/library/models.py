"""The library's tables as Django models; the tenant's column does not exist for the agent."""

from __future__ import annotations

from django.db import models


class Author(models.Model):
    author_id = models.IntegerField(primary_key=True)
    name = models.TextField()
    email = models.TextField()
    born = models.DateField(null=True)

    class Meta:
        app_label, managed, db_table = "library", False, "authors"


class Tag(models.Model):
    tag_id = models.IntegerField(primary_key=True)
    label = models.TextField()

    class Meta:
        app_label, managed, db_table = "library", False, "tags"


class Book(models.Model):
    book_id = models.IntegerField(primary_key=True)
    author = models.ForeignKey(Author, models.DO_NOTHING, related_name="books")
    title = models.TextField()
    price = models.DecimalField(max_digits=8, decimal_places=2)
    published = models.DateField()
    details = models.JSONField()
    tags = models.ManyToManyField(Tag, through="BookTag")

    class Meta:
        app_label, managed, db_table = "library", False, "books"


class BookTag(models.Model):
    id = models.IntegerField(primary_key=True)
    book = models.ForeignKey(Book, models.DO_NOTHING)
    tag = models.ForeignKey(Tag, models.DO_NOTHING)

    class Meta:
        app_label, managed, db_table = "library", False, "book_tags"


class Review(models.Model):
    review_id = models.AutoField(primary_key=True)
    book = models.ForeignKey(Book, models.DO_NOTHING, related_name="reviews")
    stars = models.IntegerField()
    body = models.TextField()
    written = models.DateTimeField()

    class Meta:
        app_label, managed, db_table = "library", False, "reviews"
