"""Extensions that a mount may open as a whole: their functions, operators and types.

Each was looked at: what it brings only computes over what it is given, and reads no table, file or setting. Whatever
else an extension brings (dblink, tablefunc, xml2, adminpack, postgis …) is opened function by function, if at all.
An operator of an extension is emitted with its schema: the search path upstream stays pg_catalog alone, so what is not
opened cannot be meant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from postgast import pg_query_pb2 as pb
from postgast.pg_query_pb2 import Node, SubLink

from bailiwick.sql.catalogue import Catalogue
from bailiwick.sql.environment import Fact, refuse
from bailiwick.sql.quote import ident
from bailiwick.sql.templates import put

REVIEWED: Mapping[str, frozenset[str]] = {
    "citext": frozenset(),
    "cube": frozenset(),
    "fuzzystrmatch": frozenset(),
    "hstore": frozenset({"hstore_version_diag"}),
    "intarray": frozenset(),
    "isn": frozenset({"isn_weak"}),
    "ltree": frozenset(),
    "pg_trgm": frozenset({"set_limit"}),
    "pgcrypto": frozenset(),
    "seg": frozenset(),
    "unaccent": frozenset(),
    "uuid-ossp": frozenset({"uuid_generate_v1"}),
    "vector": frozenset(),
}
"""Extension → its functions that stay closed: those that set something for the whole session, or tell something of the
machine (its network address stands in a UUID of version 1)."""

_TEXTS = ("character varying", "varchar", "character", "name")


def schema_of(operator: str, left: Fact, right: Fact, catalogue: Catalogue) -> str:
    """Return the schema of the opened operator that is meant by a bare name over operands of these types; empty when a
    built-in one is."""
    return _of_types(operator, left.type, right.type, catalogue) or _of_types(
        operator, _plain(left.type), _plain(right.type), catalogue
    )


def _of_types(operator: str, left: str, right: str, catalogue: Catalogue) -> str:
    for schema, first, second in catalogue.operators.get(operator, ()):
        known = [kind for kind, wanted in ((left, first), (right, second)) if kind == wanted]
        open_ = [kind for kind in (left, right) if kind in ("unknown", "")]
        if known and len(known) + len(open_) == 2:
            return schema
        if known and _is_own(known[0], catalogue):
            return schema
    return ""


def _plain(kind: str) -> str:
    return "text" if kind in _TEXTS else kind


def _is_own(kind: str, catalogue: Catalogue) -> bool:
    return kind in catalogue.types


def check_equality(name: str, facts: Sequence[Fact], catalogue: Catalogue) -> None:
    """Refuse NATURAL and USING where the server would compare with an operator of an extension: it looks it up by its
    bare name, and would find the one for text."""
    if schema_of("=", facts[0], facts[-1], catalogue):
        refuse("syntax_not_supported", f"column `{name}` cannot be joined by USING or NATURAL", "JOIN … ON a = b")


def qualify(node: Node, schema: str) -> None:
    """Write an operation so that its operators are those of a schema."""
    expr = node.a_expr
    if expr.kind in (pb.AEXPR_OP, pb.AEXPR_OP_ANY, pb.AEXPR_OP_ALL):
        expr.name.insert(0, Node(string=pb.String(sval=schema)))
        return
    where = ident(schema)
    left, right = expr.lexpr, expr.rexpr
    name = expr.name[0].string.sval
    if expr.kind in (pb.AEXPR_LIKE, pb.AEXPR_ILIKE):
        put(node, f"$1 OPERATOR({where}.{name}) $2", (left, right))
    elif expr.kind == pb.AEXPR_IN:
        items = list(right.list.items)
        each = (f"$1 OPERATOR({where}.{name}) ${place}" for place in range(2, len(items) + 2))
        put(node, _alone((" OR " if name == "=" else " AND ").join(each)), (left, *items))
    elif expr.kind in (pb.AEXPR_DISTINCT, pb.AEXPR_NOT_DISTINCT):
        same = f"COALESCE($1 OPERATOR({where}.=) $2, $1 IS NULL AND $2 IS NULL)"
        put(node, same if expr.kind == pb.AEXPR_NOT_DISTINCT else f"NOT {same}", (left, right))
    elif expr.kind == pb.AEXPR_NULLIF:
        put(node, f"CASE WHEN $1 OPERATOR({where}.=) $2 THEN NULL ELSE $1 END", (left, right))
    elif expr.kind in (pb.AEXPR_BETWEEN, pb.AEXPR_NOT_BETWEEN):
        low, high = right.list.items
        within = _alone(f"$1 OPERATOR({where}.>=) $2 AND $1 OPERATOR({where}.<=) $3")
        put(node, within if expr.kind == pb.AEXPR_BETWEEN else f"NOT {within}", (left, low, high))
    else:
        refuse("syntax_not_supported", "this comparison is not supported over a type of an extension")


def _alone(condition: str) -> str:
    """Keep a condition apart from one around it: the parser would make one of an AND within an AND."""
    return f"COALESCE({condition}, NULL)"


def qualify_link(link: SubLink, schema: str) -> None:
    """Write `x IN (SELECT …)` or `x op ANY (SELECT …)` likewise."""
    name = link.oper_name[-1].string.sval if link.oper_name else "="
    del link.oper_name[:]
    link.oper_name.add().string.sval = schema
    link.oper_name.add().string.sval = name
