"""The ledger's database: whether the gateway's role can add to the log, and nothing more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

from bailiwick.gateway.doctor.finding import Finding, ok, problem, warning
from bailiwick.gateway.ledger.address import LedgerAddress, PostgresAddress
from bailiwick.gateway.ledger.pg_link import FAILURES, Link, reason, remedy
from bailiwick.gateway.ledger.pg_schema import FROZEN

_SECONDS = 10.0
_ROLE = """
SELECT r.rolsuper, r.rolname::text, n.oid IS NOT NULL,
  coalesce(pg_has_role(session_user, n.nspowner, 'MEMBER'), false)
FROM pg_roles AS r LEFT JOIN pg_namespace AS n ON n.nspname = $1 WHERE r.rolname = session_user
"""
_TABLES = """
SELECT c.relname::text, pg_has_role(session_user, c.relowner, 'MEMBER'),
  has_any_column_privilege(session_user, c.oid, 'UPDATE') AND c.relname <> 'head'
    OR has_table_privilege(session_user, c.oid, 'DELETE, TRUNCATE'),
  (SELECT count(*) FROM pg_trigger AS t WHERE t.tgrelid = c.oid AND t.tgname IN ('guard', 'guard_all')
    AND t.tgenabled IN ('O', 'A'))
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relkind = 'r' ORDER BY 1
"""
_APART = "let another role own it: `bailiwick ledger schema --writer ROLE`, run by the owner"


def ledger_findings(ledger: LedgerAddress) -> Iterator[Finding]:
    """Yield what is to be said of a ledger in PostgreSQL; of a file `file_findings` says it."""
    if not isinstance(ledger, PostgresAddress):
        return
    try:
        link = Link(ledger, {}, _SECONDS)
        try:
            role = link.rows(_ROLE, ledger.log)[0]
            tables = link.rows(_TABLES, ledger.log)
        finally:
            link.close()
    except FAILURES as error:
        yield problem("ledger", f"the ledger `{ledger}` cannot be looked at: {reason(error)}", remedy(error))
        return
    yield from _findings(ledger, role, cast("list[tuple[str, bool, bool, int]]", tables))


def _findings(
    ledger: PostgresAddress, role: Sequence[object], tables: list[tuple[str, bool, bool, int]]
) -> Iterator[Finding]:
    superuser, name, there, owner = role
    if not there:
        yield warning("ledger", f"there is no ledger `{ledger}` yet", "`bailiwick serve` makes it at its first start")
        return
    if superuser:
        yield problem("ledger", f"`{name}`, which writes the ledger `{ledger}`, is a superuser", _APART)
        return
    owned = [table for table, owns, _, _ in tables if owns]
    if owner or owned:
        yield warning("ledger", f"`{name}` owns the ledger `{ledger}`, and could take its guards off", _APART)
    changed = [table for table, owns, changes, _ in tables if changes and not owns]
    if changed:
        what = f"`{name}` may change or remove rows of {', '.join(changed)} in the ledger `{ledger}`"
        yield problem("ledger", what, "revoke UPDATE, DELETE and TRUNCATE: see `bailiwick ledger schema`")
    guarded = {table for table, _, _, guards in tables if guards == 2}
    open_to_change = sorted(set(FROZEN) - guarded)
    if open_to_change:
        what = f"nothing guards {', '.join(open_to_change)} of the ledger `{ledger}` against changes"
        yield problem("ledger", what, "see `bailiwick ledger verify`, and enable its triggers again")
    if not (owner or owned or changed or open_to_change):
        yield ok("ledger", f"`{name}` can add to the ledger `{ledger}`, and change nothing in it")
