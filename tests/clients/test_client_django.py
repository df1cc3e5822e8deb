"""Django's ORM: models, querysets, expressions, introspection and writes of a small project."""

from __future__ import annotations

import sys

from tests.clients.conftest import FOLDER, Library

OTHERWISE = {"explain", "hidden", "constraints"}
"""Steps that a database of the scope alone answers in another way."""


def test_a_django_project_sees_a_database_of_its_scope_alone(library: Library) -> None:
    scoped, alone = library.both(sys.executable, FOLDER / "library" / "session.py")
    assert len(scoped) > 60
    assert set(scoped) == set(alone)
    assert {name: (scoped[name], alone[name]) for name in scoped if scoped[name] != alone[name]}.keys() <= OTHERWISE
    refused = {name for name, value in scoped.items() if isinstance(value, dict) and "refused" in value}
    assert refused == {"explain", "hidden"}
    assert scoped["hidden"]["refused"] == scoped["explain"]["refused"] == "42501"
    assert scoped["masked"] == "a***@mail.example"
    assert scoped["nothing outside"] == [0, 0]
    assert scoped["after"] == 60
