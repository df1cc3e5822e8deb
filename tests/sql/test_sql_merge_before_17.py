"""MERGE with `enforce: both` on a PostgreSQL that cannot merge into views: refused, with what to do instead."""

from __future__ import annotations

import pytest

from bailiwick.model.decision import Denial
from bailiwick.model.policy import Resource
from bailiwick.model.scope import ReadGrant, ResourceScope, RowFilter, Scope, WriteGrant
from bailiwick.sql.catalogue import Catalogue, Column, Relation
from bailiwick.sql.plan import Plan
from bailiwick.sql.rewrite import Rewriter
from bailiwick.sql.snapshot import LEAKPROOF

COLUMNS = (Column("id", 1, "integer"), Column("note", 2, "text"))
TABLE = Relation("public", "notes", 16400, "r", COLUMNS, ("id",), (("id",),))
MERGE = (
    "MERGE INTO notes n USING (VALUES (1, 'x')) v(i, t) ON n.id = v.i"
    " WHEN MATCHED AND n.note <> v.t THEN UPDATE SET note = v.t"
)


def rewritten(version: int, native: dict[str, str] | None) -> Plan | Denial:
    notes = Resource("notes", "m", "public", "notes", ("id",))
    read = ReadGrant("r", RowFilter(), {"id": None, "note": None})
    update = WriteGrant("u", RowFilter(), frozenset({"note"}), {})
    scope = Scope("s", "bot", {"notes": ResourceScope(notes, (read,), updates=(update,))})
    catalogue = Catalogue({("public", "notes"): TABLE}, leakproof=LEAKPROOF, version=version)
    (found,) = Rewriter(scope, catalogue, "m", native=native).rewrite(MERGE)
    return found


@pytest.mark.parametrize("version", [150000, 160000])
def test_it_is_refused_where_only_views_are_reached_and_the_denial_says_what_to_use(version: int) -> None:
    found = rewritten(version, {"public": "bw_views"})
    assert isinstance(found, Denial)
    assert found.code == "syntax_not_supported"
    assert "needs PostgreSQL 17, which can merge into views" in found.message
    assert found.allowed == "INSERT, UPDATE and DELETE, one after the other"


@pytest.mark.parametrize(("version", "native"), [(150000, None), (160000, None), (170000, {"public": "bw_views"})])
def test_it_works_on_tables_and_from_17_on(version: int, native: dict[str, str] | None) -> None:
    found = rewritten(version, native)
    assert isinstance(found, Plan), found
    assert "MERGE" in found.sql
