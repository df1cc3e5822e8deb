"""Operators of opened extensions: which one a bare name means, and how it is written so that it is meant upstream.

The search path upstream stays pg_catalog alone, so an operator of an extension is emitted with its schema. A bare name
means what it would mean with the extension's schema on the path, as far as types are known here; where they are not,
the server refuses the operands rather than take another operator, but for `citext`, which it can also read as text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from postgast import pg_query_pb2 as pb
from postgast.pg_query_pb2 import Node, SubLink

from bailiwick.sql.catalogue import Catalogue
from bailiwick.sql.environment import Columns, Fact, Walk, refuse
from bailiwick.sql.quote import ident
from bailiwick.sql.templates import put

_TEXTS = ("character varying", "varchar", "character", "name")
_PREFIX = Fact("-")
"""What `format_type` prints where there is no left operand."""
_ROWS = "rows with a value of an extension's type cannot be compared"


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator of an opened extension."""

    schema: str
    result: str
    """Type of what it gives; empty when it is not known which of several is meant."""
    own: str
    """The extension's own type among its operands; empty when it is over built-in ones."""


def operator_of(name: str, left: Fact, right: Fact, catalogue: Catalogue) -> Operator | None:
    """Return the opened operator that is meant by a bare name over such operands; None when a built-in one is."""
    candidates = catalogue.operators.get(name, ())
    if not candidates:
        return None
    for first, second in ((left.type, right.type), (_plain(left.type), _plain(right.type))):
        a, b = (second if first == "unknown" else first), (first if second == "unknown" else second)
        for schema, own_left, own_right, result in candidates:
            if (a, b) == (own_left, own_right):
                return Operator(schema, result, next((kind for kind in (a, b) if kind in catalogue.opened), ""))
    return _by_own_type(left.type, right.type, candidates, catalogue)


def _by_own_type(
    left: str, right: str, candidates: Sequence[tuple[str, str, str, str]], catalogue: Catalogue
) -> Operator | None:
    """Where no operator is over exactly these types: the one of the type that only the extension's operators take."""
    for place, (kind, other) in enumerate(((left, right), (right, left)), 1):
        if kind not in catalogue.opened or (other not in ("unknown", "") and _is_text_too(kind)):
            continue
        found = [each for each in candidates if each[place] == kind]
        results = {result for *_, result in found}
        if found:
            return Operator(found[0][0], results.pop() if len(results) == 1 else "", kind)
    return None


def _is_text_too(kind: str) -> bool:
    """Whether the server takes the type for text where its own operators do not fit."""
    return kind.rpartition(".")[2] == "citext"


def _plain(kind: str) -> str:
    return "text" if kind in _TEXTS else kind


def is_written_out(name: Sequence[Node]) -> bool:
    """Whether an operator was written with a schema other than pg_catalog: `OPERATOR(ext.->)`."""
    return len(name) > 1 and name[0].string.sval != "pg_catalog"


def meant(expr: pb.A_Expr, name: str, left: Fact, rights: Sequence[Fact], catalogue: Catalogue) -> Operator | None:
    """Return the extension's operator that an operation means; None when a built-in one is, or it says so itself."""
    if len(expr.name) > 1:
        return None
    _refuse_rows(expr, (left, *rights), catalogue)
    if expr.kind in (pb.AEXPR_OP_ANY, pb.AEXPR_OP_ALL):
        rights = [_element(expr.rexpr, right) for right in rights]
    if not expr.lexpr.WhichOneof("node"):
        left = _PREFIX
    found = [operator_of(name, left, right, catalogue) for right in rights]
    known = [each for each in found if each is not None]
    if not known or (expr.kind == pb.AEXPR_IN and len(known) < len(found)):
        return None  # of several items the server makes one type
    return known[0]


def _element(node: Node, array: Fact) -> Fact:
    """Return what the elements of an array are; those of an untyped `ARRAY['a']` are text."""
    made = node.HasField("a_array_expr") and array.type == "unknown"
    return Fact("text") if made else replace(array, type=array.type.removesuffix("[]"))


def _refuse_rows(expr: pb.A_Expr, facts: Sequence[Fact], catalogue: Catalogue) -> None:
    """Refuse `(a, b) = (c, d)` over such values: the server looks the operators up by their bare name."""
    items = expr.rexpr.list.items if expr.rexpr.HasField("list") else (expr.rexpr,)
    if any(each.HasField("row_expr") for each in (expr.lexpr, *items)) and _has_own(facts, catalogue):
        refuse("syntax_not_supported", _ROWS, "comparing them value by value")


def _has_own(facts: Sequence[Fact], catalogue: Catalogue) -> bool:
    return any(field.type in catalogue.opened for fact in facts for _, field in fact.row)


def check_equality(name: str, facts: Sequence[Fact], catalogue: Catalogue) -> None:
    """Refuse NATURAL and USING where the server would compare with an operator of an extension: it looks it up by its
    bare name, and would find the one for text."""
    if operator_of("=", facts[0], facts[-1], catalogue):
        refuse("syntax_not_supported", f"column `{name}` cannot be joined by USING or NATURAL", "JOIN … ON a = b")


def qualify(node: Node, opened: Operator, walk: Walk) -> None:
    """Write an operation so that its operators are those of the extension."""
    expr = node.a_expr
    if expr.kind in (pb.AEXPR_OP, pb.AEXPR_OP_ANY, pb.AEXPR_OP_ALL):
        expr.name.insert(0, Node(string=pb.String(sval=opened.schema)))
        return
    where, name = ident(opened.schema), expr.name[0].string.sval
    left, right = expr.lexpr, expr.rexpr
    if expr.kind in (pb.AEXPR_LIKE, pb.AEXPR_ILIKE):
        put(node, f"$1 OPERATOR({where}.{name}) $2", (left, right), walk)
    elif expr.kind == pb.AEXPR_IN and opened.own:
        items = list(right.list.items)
        values = ", ".join(f"${place}" for place in range(2, len(items) + 2))
        some = "ANY" if name == "=" else "ALL"
        put(node, f"$1 OPERATOR({where}.{name}) {some} (ARRAY[{values}]::{opened.own}[])", (left, *items), walk)
    elif expr.kind in (pb.AEXPR_DISTINCT, pb.AEXPR_NOT_DISTINCT) and opened.own:
        sign = "=" if expr.kind == pb.AEXPR_NOT_DISTINCT else "<>"  # arrays compare by their elements' own equality
        put(node, f"ARRAY[$1]::{opened.own}[] {sign} ARRAY[$2]::{opened.own}[]", (left, right), walk)
    elif expr.kind == pb.AEXPR_NULLIF:
        put(node, f"CASE WHEN $1 OPERATOR({where}.=) $2 THEN NULL ELSE $1 END", (left, right), walk)
    elif expr.kind in (pb.AEXPR_BETWEEN, pb.AEXPR_NOT_BETWEEN):
        low, high = right.list.items
        # COALESCE keeps it apart from a condition around it: the parser makes one of an AND within an AND
        within = f"COALESCE($1 OPERATOR({where}.>=) $2 AND $1 OPERATOR({where}.<=) $3, NULL)"
        put(node, within if expr.kind == pb.AEXPR_BETWEEN else f"NOT {within}", (left, low, high), walk)
    else:
        refuse("syntax_not_supported", "this comparison is not supported over a type of an extension")


def qualify_link(link: SubLink, test: Fact, columns: Columns, catalogue: Catalogue) -> bool:
    """Write `x IN (SELECT …)` and `x op ANY (SELECT …)` likewise. Returns whether an extension's operator is meant."""
    if len(link.oper_name) > 1:
        return False
    if len(columns) != 1:
        if _has_own((test,), catalogue) or any(fact.type in catalogue.opened for _, fact in columns):
            refuse("syntax_not_supported", _ROWS, "EXISTS with a condition for each value")
        return False
    name = link.oper_name[0].string.sval if link.oper_name else "="
    opened = operator_of(name, test, columns[0][1], catalogue)
    if opened is None:
        return False
    del link.oper_name[:]
    link.oper_name.add().string.sval = opened.schema
    link.oper_name.add().string.sval = name
    return True
