"""A small scope, built by hand, for the tests of the rewriter."""

from __future__ import annotations

from collections.abc import Mapping

from bailiwick.model.decision import Denial
from bailiwick.model.lock import Lock, LockedColumn, LockedTable
from bailiwick.model.mask import Mask
from bailiwick.model.matcher import Equal, Matcher, OneOf
from bailiwick.model.policy import Mount, Resource, SecretRef
from bailiwick.model.scope import ReadGrant, ResourceScope, RowFilter, Scope, WriteGrant
from bailiwick.model.value import Ref
from bailiwick.sql.plan import Plan
from bailiwick.sql.rewrite import Rewriter
from bailiwick.sql.snapshot import snapshot

CUSTOMERS = Resource("customers", "crm", "public", "customers", ("customer_id",), "tenant_id")
TICKETS = Resource("tickets", "crm", "public", "tickets", ("ticket_id",))
ARTICLES = Resource("articles", "crm", "kb", "articles", ("id",))
LOCK = Lock(
    {
        "crm": {
            ("public", "customers"): LockedTable(
                "public",
                "customers",
                "r",
                (
                    LockedColumn("customer_id", "integer"),
                    LockedColumn("tenant_id", "integer"),
                    LockedColumn("name", "text"),
                    LockedColumn("email", "character varying(80)"),
                    LockedColumn("ssn", "text"),
                    LockedColumn("balance", "numeric(12,2)"),
                ),
                ("customer_id",),
            ),
            ("public", "tickets"): LockedTable(
                "public",
                "tickets",
                "r",
                (
                    LockedColumn("ticket_id", "integer"),
                    LockedColumn("customer_id", "integer"),
                    LockedColumn("subject", "text"),
                    LockedColumn("status", "text"),
                    LockedColumn("mood", "public.mood", "e"),
                ),
                ("ticket_id",),
            ),
            ("kb", "articles"): LockedTable(
                "kb", "articles", "r", (LockedColumn("id", "integer"), LockedColumn("title", "text")), ("id",)
            ),
        }
    }
)
MOUNT = Mount("crm", "postgres", SecretRef("${CRM_URL}"), {r.name: r for r in (CUSTOMERS, TICKETS, ARTICLES)}, sql=True)


def rows(conditions: Mapping[str, Matcher], sql: str | None = None) -> RowFilter:
    """Return a filter of the conditions."""
    return RowFilter(tuple(conditions.items()), sql)


MINE = rows({"customer_id": Equal(Ref(("customer_id",)))})
CUSTOMER_READ = ReadGrant("g1", MINE, {"customer_id": None, "name": None, "email": Mask("partial")})
TICKET_READ = ReadGrant(
    "g2", MINE, {"ticket_id": None, "customer_id": None, "subject": None, "status": None, "mood": None}
)
STATUS = WriteGrant("g3", MINE, frozenset({"status"}), {"status": OneOf(("open", "closed"))})
SUBJECT = WriteGrant("g4", RowFilter(), frozenset({"subject"}), {})
NEW_CUSTOMER = WriteGrant("g5", RowFilter(), frozenset({"customer_id", "name"}), {})


def resources(customers: ResourceScope | None = None, tickets: ResourceScope | None = None) -> dict[str, ResourceScope]:
    """Return the sample resources, some of them replaced."""
    return {
        "customers": customers or ResourceScope(CUSTOMERS, (CUSTOMER_READ,), creates=(NEW_CUSTOMER,)),
        "tickets": tickets or ResourceScope(TICKETS, (TICKET_READ,), updates=(STATUS, SUBJECT)),
        "articles": ResourceScope(ARTICLES, (ReadGrant("g6", RowFilter(), {"id": None, "title": None}),)),
    }


def rewriter(scopes: Mapping[str, ResourceScope] | None = None) -> Rewriter:
    """Return a rewriter over the sample scope, without a database."""
    return Rewriter(Scope("s", "bot", scopes or resources()), snapshot(MOUNT, LOCK), "crm")


def plan(sql: str, scopes: Mapping[str, ResourceScope] | None = None) -> Plan:
    """Rewrite one statement that must be allowed."""
    (found,) = rewriter(scopes).rewrite(sql)
    assert isinstance(found, Plan), f"{sql}: {found}"
    return found


def denial(sql: str, scopes: Mapping[str, ResourceScope] | None = None) -> Denial:
    """Rewrite a text of which at least one statement must be denied."""
    found = [each for each in rewriter(scopes).rewrite(sql) if isinstance(each, Denial)]
    assert found, f"{sql} was allowed"
    return found[0]
