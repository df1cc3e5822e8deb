"""What stands in an argument of something that we write otherwise is scoped as it is everywhere."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from google.protobuf.message import Message

from bailiwick.model.mask import Mask
from bailiwick.model.scope import ReadGrant, ResourceScope, RowFilter, WriteGrant
from bailiwick.sql.plan import Plan
from tests.sql.rewrite_samples import CUSTOMERS, denial, plan, resources, rewriter

REWRITTEN = [
    "{}::regclass",
    "{}::regtype::text",
    "format('%s', {}::regclass)",
    "'x' || {}::regclass",
    "{}::regclass = 'tickets'",
    "to_regclass({})",
    "to_regtype({})",
    "pg_typeof({})",
    "pg_get_userbyid({}::oid)",
    "pg_table_is_visible({}::oid)",
    "has_table_privilege({}::text, 'select')",
    "format_type({}::oid, NULL)",
    "obj_description({}::oid, 'pg_class')",
    "pg_table_is_visible({}::regclass)",
    "pg_table_is_visible(to_regclass({}::regclass::text))",
]
"""Forms that are answered from the scope: what they are written as repeats their arguments, or leaves them out."""


@pytest.mark.parametrize("form", REWRITTEN)
@pytest.mark.parametrize("relation", ["customers", "public.customers"])
def test_a_sub_query_in_what_we_rewrite_is_scoped(form: str, relation: str) -> None:
    inner = f"(SELECT (SELECT name FROM {relation} c LIMIT 1) FROM kb.articles LIMIT 1)"
    sql = plan(f"SELECT {form.format(inner)}").sql
    assert sql.count("customers") == sql.count("FROM public.customers bw WHERE bw.customer_id = $1::int AND"), sql
    assert sql.count("kb.articles") == sql.count("FROM kb.articles bw"), sql


def test_a_column_of_a_write_s_target_stays_masked_in_what_we_rewrite() -> None:
    read = ReadGrant("r", RowFilter(), {"customer_id": None, "name": Mask("full"), "email": None})
    write = WriteGrant("w", RowFilter(), frozenset({"email"}), {})
    masked = rewriter(resources(customers=ResourceScope(CUSTOMERS, (read,), (write,))))
    for value in ("name::regclass::text", "format('%s', name::regclass)", "to_regclass(name)::text", "name || 'x'"):
        for sql in (f"UPDATE customers SET email = {value}", f"UPDATE customers SET email = 'a' RETURNING {value}"):
            (found,) = masked.rewrite(sql)
            assert isinstance(found, Plan), found
            assert "'***'" in found.sql
            assert not re.search(r"(?<!AS )(?<!::)\bname\b", found.sql), found.sql


def test_rows_are_not_locked_in_an_argument_that_is_repeated() -> None:
    assert denial("SELECT (SELECT subject FROM tickets FOR UPDATE)::regclass").code == "syntax_not_supported"
    assert plan("SELECT (SELECT subject FROM tickets)::regclass").sql


def test_a_relation_that_was_not_replaced_is_never_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    sql = "SELECT (SELECT subject FROM public.tickets)::regclass"
    assert plan(sql).sql

    def none(tree: Message) -> Iterator[Message]:  # noqa: ARG001  # copies are forgotten
        return iter(())

    monkeypatch.setattr("bailiwick.sql.templates._parts", none)
    assert denial(sql).code == "syntax_not_supported"
