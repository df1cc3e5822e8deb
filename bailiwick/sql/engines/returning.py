"""RETURNING: never evaluated by the database over the real row, but as a query of its own.

The write returns the identity of each row; what the agent wants is then evaluated over the scoped form of just these
rows, in the same transaction: after an insert or an update, before a delete.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from bailiwick.sql.engines.composing import Composed, identity
from bailiwick.sql.engines.dialect import Parameters
from bailiwick.sql.engines.environment import Level, Walk
from bailiwick.sql.engines.predicates import TRUE
from bailiwick.sql.engines.queries import outputs
from bailiwick.sql.engines.refusal import refuse
from bailiwick.sql.engines.scoped import INNER, folded
from bailiwick.sql.engines.tree import Node, argument, children, piece_of
from bailiwick.sql.engines.writes import Write, opened


def returning(clause: Node, found: Write, walk: Walk) -> None:
    """Walk the clause. Raises Refused."""
    target, writing = found.target, walk.dialect.writing
    kinds = {column.name: column.type.partition("(")[0] for column in target.relation.columns}
    by_key = writing is not None and target.key and all(kinds[name] in writing.keys for name in target.key)
    if writing is None or not (writing.by_row or by_key):
        refuse(
            "statement_not_allowed",
            f"rows of `{target.relation.name}` cannot be told apart",
            "the write without RETURNING",
            "have the table get a primary key, or the resource a `key`",
        )
    action = f"{target.resource.name}:read"
    if not target.columns:
        refuse("action_not_granted", f"`{action}` is not granted", "the write without RETURNING", action=action)
    for node in clause.walk():
        if isinstance(node, exp.Query):
            refuse("syntax_not_supported", "a sub-query in RETURNING is not supported here", "a query of its own")
        called = folded(str(argument(node, "this"))) if isinstance(node, exp.Anonymous) else ""
        aggregate = called and writing.is_aggregate(called, len(children(node, "expressions")))
        if isinstance(node, exp.Window | exp.Filter | exp.GroupConcat) or aggregate:
            refuse("syntax_not_supported", "RETURNING is about one row at a time", "expressions over columns")
    level = Level()
    found.back = opened(target, found.alias, level, walk)
    found.columns = outputs(children(clause, "expressions"), level, walk)
    found.returns = tuple(children(clause, "expressions"))  # the walk may have put calls in the place of words


def form_back(found: Write, walk: Walk, parameters: Parameters) -> str:
    """Return the form of the rows that were written, as the scope shows them."""
    writing, target = walk.dialect.writing, found.target
    if found.back is None or writing is None:
        return ""
    place = walk.dialect.parameter(parameters.number("written", "rows"))
    key = [column for name in target.key if (column := target.relation.column(name)) is not None]
    only = writing.among(identity(found, walk, INNER), key, place)
    names = target.in_order(found.back.fields)
    return target.form(parameters, names, fenced=walk.loud and target.hides_rows, only=only or TRUE)


def returned(found: Write, walk: Walk) -> str:
    """Return the query of what the agent wants of the rows."""
    ident, grammar = walk.dialect.ident, walk.dialect.grammar
    name = "" if found.back is None else found.back.name
    wanted = ", ".join(piece_of(each, grammar) for each in found.returns)
    return f"SELECT {wanted} FROM {ident(name)} AS {ident(found.alias)}"  # noqa: S608  # walked


def find(found: Write, made: Composed, walk: Walk) -> str:
    """Return the query of the identities of the rows that a delete will reach."""
    ident = walk.dialect.ident
    wanted: Sequence[str] = identity(found, walk, INNER)
    real = f"{ident(INNER)}.{found.target.row}"
    source = f"{found.target.source()} AS {ident(INNER)}"
    return f"SELECT {', '.join(wanted)} FROM {source} WHERE {real} IN ({made.rows}) AND {made.reach}"  # noqa: S608  # walked
