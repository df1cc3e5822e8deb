"""Rows and composites: a field is selected only of what is known to have it; anything else could call a function."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bailiwick.model.decision import Denial
from bailiwick.model.lock import Lock, LockedColumn
from bailiwick.model.scope import ReadGrant, ResourceScope, Scope
from bailiwick.sql.plan import Plan
from bailiwick.sql.rewrite import Rewriter
from bailiwick.sql.snapshot import snapshot
from tests.sql.rewrite_samples import LOCK, MINE, MOUNT, TICKETS, resources

COMPOSITES = {"public.place": (("street", "text"), ("geo", "public.geo")), "public.geo": (("x", "integer"),)}


def composite_rewriter() -> Rewriter:
    """Return a rewriter over the sample scope, whose tickets have a place, several places and a hidden one."""
    tables = dict(LOCK.mounts["crm"])
    tickets = tables["public", "tickets"]
    added = (LockedColumn("at", "public.place", "c"), LockedColumn("all_at", "public.place[]", "c"))
    hidden = (LockedColumn("secret_at", "public.place", "c"), LockedColumn("other", "public.tickets_row", "c"))
    tables["public", "tickets"] = replace(tickets, columns=(*tickets.columns, *added, *hidden))
    shown = ReadGrant("g", MINE, dict.fromkeys(("ticket_id", "subject", "at", "all_at", "other")))
    scopes = resources(tickets=ResourceScope(TICKETS, (shown,)))
    catalogue = replace(snapshot(MOUNT, Lock({"crm": tables})), composites=COMPOSITES)
    return Rewriter(Scope("s", "bot", scopes), catalogue, "crm")


REFUSED_AND_TWIN = [
    ("SELECT (at).to_secret FROM tickets", "SELECT (at).street FROM tickets"),
    ("SELECT (t.at).geo.to_secret FROM tickets t", "SELECT (t.at).geo.x FROM tickets t"),
    ("SELECT ((at).street).pg_read_file FROM tickets", "SELECT ((at).geo).x FROM tickets"),
    ("SELECT (secret_at).street FROM tickets", "SELECT (tickets.at).street FROM tickets"),
    ("SELECT (all_at).street FROM tickets", "SELECT (all_at[1]).street FROM tickets"),
    ("SELECT (all_at[1:2]).street FROM tickets", "SELECT all_at[1:2] FROM tickets"),
    ("SELECT (subject).street FROM tickets", "SELECT (at).* FROM tickets"),
    ("SELECT (other).subject FROM tickets", "SELECT other FROM tickets"),
    ("SELECT a.to_secret FROM tickets, unnest(all_at) a", "SELECT a.street FROM tickets, unnest(all_at) a"),
    ("SELECT (upper(subject)).street FROM tickets", "SELECT (coalesce(at, at)).street FROM tickets"),
    ("SELECT (ROW(1, 2)).pg_read_file", "SELECT (ROW(1, 2)).f2"),
    (
        "SELECT (q.r).mood FROM (SELECT t AS r FROM tickets t) q",
        "SELECT (q.r).at FROM (SELECT t AS r FROM tickets t) q",
    ),
    (
        "SELECT (q.r).subject FROM (SELECT t AS r FROM tickets t UNION SELECT c FROM customers c) q",
        "SELECT (q.r).subject FROM (SELECT t AS r FROM tickets t WHERE subject LIKE 'x') q",
    ),
    ("SELECT ROW('a', NULL)::public.customers", "SELECT ROW('a', NULL)::public.place"),
    ("SELECT NULL::customers", "SELECT NULL::place"),
    ("SELECT t::public.mood FROM tickets t", "SELECT t::text FROM tickets t"),
    (
        "SELECT * FROM jsonb_populate_record(NULL::public.customers, '{}')",
        "SELECT p.geo FROM jsonb_populate_record(NULL::public.place, '{}') p",
    ),
]


@pytest.mark.parametrize(("refused", "twin"), REFUSED_AND_TWIN)
def test_a_field_is_selected_of_a_known_row_only(refused: str, twin: str) -> None:
    (found,) = composite_rewriter().rewrite(refused)
    assert isinstance(found, Denial), found
    assert "secret_at" not in found.allowed
    (passed,) = composite_rewriter().rewrite(twin)
    assert isinstance(passed, Plan), passed


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1 FROM tickets WHERE (at).street = 'x' AND (all_at[2]).street::int = 1",
        "SELECT 1 FROM tickets WHERE ((at).street)::int = 1",
        "SELECT 1 FROM (SELECT t AS r FROM tickets t) q WHERE ((q.r).subject)::int = 1",
    ],
)
def test_a_leaky_condition_over_a_field_fences_its_relation(sql: str) -> None:
    (found,) = composite_rewriter().rewrite(sql)
    assert isinstance(found, Plan), found
    assert "OFFSET '0'::bigint" in found.sql


def test_types_in_the_form_of_a_call_are_casts() -> None:
    for sql in ("SELECT uuid(subject) FROM tickets", "SELECT pg_catalog.tsquery('a')", "SELECT jsonb('[]')"):
        (found,) = composite_rewriter().rewrite(sql)
        assert isinstance(found, Plan), found
        assert "::" in found.sql
    for sql in ("SELECT regclass('x')", "SELECT place('x')", "SELECT uuid(subject, 1) FROM tickets"):
        assert isinstance(composite_rewriter().rewrite(sql)[0], Denial), sql
