"""What single expressions of a statement say: which column stands alone, which value, what a comparison asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from postgast.pg_query_pb2 import A_Const, A_Expr, ColumnRef, Node

from bailiwick.model.observation import Comparison
from bailiwick.sql.usage import Operand, Parameter, UsedCondition, Written

_RANGES = frozenset({"<", "<=", ">", ">="})
_NEGATED = frozenset({"<>", "!="})


def names_of(reference: ColumnRef) -> list[str]:
    """Return the parts of a column's name."""
    return [part.string.sval for part in reference.fields]


def reference_of(node: Node) -> list[str] | None:
    """Return the names of a column that stands alone, whatever it is cast to."""
    while node.WhichOneof("node") == "type_cast":
        node = node.type_cast.arg
    if node.WhichOneof("node") != "column_ref" or node.column_ref.fields[-1].WhichOneof("node") != "string":
        return None
    return names_of(node.column_ref)


def operand(node: Node) -> Operand | None:
    """Return the value that an expression is: a literal or a parameter, whatever it is cast to."""
    while node.WhichOneof("node") == "type_cast":
        node = node.type_cast.arg
    match node.WhichOneof("node"):
        case "a_const":
            return _literal(node.a_const)
        case "param_ref" if node.param_ref.number > 0:
            return Parameter(node.param_ref.number)
        case _:
            return None


def _literal(constant: A_Const) -> Written | None:
    if constant.isnull:
        return Written("null", "")
    match constant.WhichOneof("val"):
        case "ival":
            return Written("integer", str(constant.ival.ival))
        case "fval":
            return Written("number", constant.fval.fval)
        case "sval":
            return Written("string", constant.sval.sval)
        case "boolval":
            return Written("boolean", "true" if constant.boolval.boolval else "false")
        case _:
            return None


def condition_of(node: A_Expr, name: str, right: Node) -> UsedCondition:
    """Return what a comparison asks of its column."""
    value = operand(right)
    values = () if value is None else (value,)
    match node.kind:
        case 1:  # an operator
            comparison: Comparison = "equal" if name == "=" else "range" if name in _RANGES else "other"
            if name in _NEGATED or (comparison == "equal" and value is None):
                comparison, values = "other", ()
            return UsedCondition("", comparison, values)
        case 2 if name == "=":  # = ANY
            if isinstance(value, Parameter):
                return UsedCondition("", "one_of", (replace(value, listed=True),))
            elements = [operand(each) for each in right.a_array_expr.elements]
            return _one_of(elements)
        case 7 if name == "=":  # IN
            return _one_of([operand(each) for each in right.list.items])
        case 8:  # LIKE
            return _like(name, value)
        case 11:  # BETWEEN
            ends = [operand(each) for each in right.list.items]
            return UsedCondition("", "range", tuple(each for each in ends if each is not None))
        case _:
            return UsedCondition("", "other")


def _one_of(values: Sequence[Operand | None]) -> UsedCondition:
    known = tuple(each for each in values if each is not None)
    return UsedCondition("", "one_of", known) if known and len(known) == len(values) else UsedCondition("", "other")


def _like(name: str, value: Operand | None) -> UsedCondition:
    if name != "~~" or not isinstance(value, Written):
        return UsedCondition("", "like" if name == "~~" else "other", () if value is None else (value,))
    start = value.text.removesuffix("%")
    if value.text.endswith("%") and not any(mark in start for mark in "%_\\"):
        return UsedCondition("", "prefix", (Written("string", start),))
    return UsedCondition("", "like", (value,))
