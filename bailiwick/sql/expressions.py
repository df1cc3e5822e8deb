"""Walk expressions: every node kind is on the list below, every name resolved, every function and type allowed.

A handler takes (node, level, walk), may change the node in place, and returns the `Fact` of the expression.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from postgast import pg_query_pb2 as pb
from postgast.pg_query_pb2 import Node

from bailiwick.sql import extensions, json_calls
from bailiwick.sql.calls import call, value_function
from bailiwick.sql.casts import cast, numbered, printed, reg_type, type_name
from bailiwick.sql.environment import NOTHING, UNTYPED, Fact, Level, Walk, joined, refuse
from bailiwick.sql.references import column, field_selection

Handler = Callable[[Node, Level, Walk], Fact]

_SAME_TYPE = {"varchar": "text", "character varying": "text", "bpchar": "character"}


def expression(node: Node, level: Level, walk: Walk) -> Fact:
    """Check and rewrite one expression. Raises Refused."""
    kind = node.WhichOneof("node")
    handler = _HANDLERS.get(kind or "")
    if handler is None:
        refuse("syntax_not_supported", f"`{(kind or 'nothing').replace('_', ' ')}` is not supported here")
    walk.deeper()
    fact = handler(node, level, walk)
    walk.depth -= 1
    if fact.leaky and fact.uses:
        walk.leaks = walk.leaks | fact.uses
    return fact


def expressions(nodes: Iterable[Node], level: Level, walk: Walk) -> list[Fact]:
    """Check several expressions; empty nodes (a missing argument) pass."""
    return [expression(node, level, walk) for node in nodes if node.WhichOneof("node")]


def optional(node: Node, level: Level, walk: Walk) -> Fact:
    """Check an expression that may be absent."""
    return expression(node, level, walk) if node.WhichOneof("node") else NOTHING


def condition(node: Node, level: Level, walk: Walk) -> None:
    """Check an expression that the planner may evaluate before a row filter: WHERE, ON, HAVING.

    INVARIANT: a relation whose values reach a leaky expression here is fenced (SQL-RULES 14 to 17)."""
    if node.WhichOneof("node"):
        fence(expression(node, level, walk))


def fence(fact: Fact) -> None:
    """Fence the relations whose values a leaky expression reads."""
    if fact.leaky:
        for use in fact.uses:
            use.fenced = True


def _constant(node: Node, level: Level, walk: Walk) -> Fact:  # noqa: ARG001  # the signature of handlers
    const = node.a_const
    kind = const.WhichOneof("val")
    if kind == "ival":
        return Fact("integer")
    if kind == "boolval":
        return Fact("boolean")
    if kind == "fval":
        return Fact("numeric" if any(c in const.fval.fval for c in ".eE") else "bigint")
    return UNTYPED


def _parameter(node: Node, level: Level, walk: Walk) -> Fact:  # noqa: ARG001  # the signature of handlers
    number = node.param_ref.number
    if not 1 <= number <= 30_000:
        refuse("syntax_not_supported", f"there is no parameter ${number}")
    walk.parameters = max(walk.parameters, number)
    declared = walk.declared[number - 1] if number <= len(walk.declared) else "unknown"
    if declared != "unknown":
        return Fact(declared)
    walk.places.append(number)
    return Fact("unknown", place=len(walk.places))


def operator_name(parts: Sequence[Node], walk: Walk) -> str:
    """Return an operator's name. Only built-in ones exist, and those of opened extensions: search_path upstream is
    pg_catalog alone."""
    names = [part.string.sval for part in parts]
    if len(names) == 1 or (len(names) == 2 and names[0] == "pg_catalog"):
        return names[-1]
    if len(names) == 2 and any(each[0] == names[0] for each in walk.catalogue.operators.get(names[-1], ())):
        return names[-1]
    refuse("function_not_allowed", f"operator `{'.'.join(names)}` is not allowed", "built-in operators")


def _operators(expr: pb.A_Expr, walk: Walk) -> tuple[str, ...]:
    if expr.kind in (pb.AEXPR_BETWEEN, pb.AEXPR_NOT_BETWEEN, pb.AEXPR_BETWEEN_SYM, pb.AEXPR_NOT_BETWEEN_SYM):
        return (">=", "<=")
    if expr.kind in (pb.AEXPR_DISTINCT, pb.AEXPR_NOT_DISTINCT, pb.AEXPR_NULLIF):
        return ("=",)
    return (operator_name(expr.name, walk),)


_TRUTHS = frozenset({"=", "<>", "<", ">", "<=", ">=", "~~", "!~~", "~~*", "!~~*", "~", "!~", "~*", "!~*", "^@"})
"""Operators that give a boolean."""


def is_leakproof(walk: Walk, operator: str, left: Fact, right: Fact) -> bool:
    """Whether the operator over these types tells nothing about values that it is not asked about."""
    a, b = (_SAME_TYPE.get(fact.type, fact.type) for fact in (left, right))
    if a != b:
        walk.infer(left.place, b)
        walk.infer(right.place, a)
    a, b = (b if a == "unknown" else a), (a if b == "unknown" else b)
    if a == "unknown":
        return True  # two untyped literals
    proof = (operator, a.removesuffix("[]"), b.removesuffix("[]")) in walk.catalogue.leakproof
    if proof:
        walk.trusted.update(walk.places[fact.place - 1] for fact in (left, right) if fact.place)
    return proof


def _sides(expr: pb.A_Expr, operators: Sequence[str], level: Level, walk: Walk) -> tuple[Fact, list[Fact]]:
    """Walk both sides. Compared with a text, a `reg…` value is its name: that is how such columns are shown. Compared
    with an oid, such a column is the number."""
    if expr.rexpr.HasField("list"):
        return optional(expr.lexpr, level, walk), expressions(expr.rexpr.list.items, level, walk)
    first = reg_type(expr.lexpr) is not None
    if operators[0] not in ("=", "<>") or first == (reg_type(expr.rexpr) is not None):
        left, right = optional(expr.lexpr, level, walk), optional(expr.rexpr, level, walk)
        if left.named and right.type == "oid":
            left = numbered(expr.lexpr, left, walk)
        elif right.named and left.type == "oid":
            right = numbered(expr.rexpr, right, walk)
        return left, [right]
    plain, named = (expr.rexpr, expr.lexpr) if first else (expr.lexpr, expr.rexpr)
    other = optional(plain, level, walk)
    fact = printed(named, level, walk) if other.type == "text" else expression(named, level, walk)
    return (fact, [other]) if first else (other, [fact])


def _operation(node: Node, level: Level, walk: Walk) -> Fact:
    expr = node.a_expr
    operators = _operators(expr, walk)
    if expr.kind == pb.AEXPR_OP and operators == ("||",) and _has_both(expr):
        left, rights = printed(expr.lexpr, level, walk), [printed(expr.rexpr, level, walk)]
    else:
        left, rights = _sides(expr, operators, level, walk)
    opened = extensions.meant(expr, operators[0], left, rights, walk.catalogue) if walk.catalogue.operators else None
    proof = (
        opened is None
        and not extensions.is_written_out(expr.name)
        and expr.lexpr.WhichOneof("node") is not None
        and all(is_leakproof(walk, operator, left, right) for operator in operators for right in rights)
    )
    if opened is not None:
        result = opened.result if expr.kind == pb.AEXPR_OP else left.type if expr.kind == pb.AEXPR_NULLIF else "boolean"
        extensions.qualify(node, opened, walk)
        return joined((left, *rights), result, leaky=True)
    if expr.kind == pb.AEXPR_OP:
        result = "boolean" if operators[0] in _TRUTHS else "text" if operators[0] in ("||", "->>", "#>>") else ""
    else:
        result = "" if expr.kind == pb.AEXPR_NULLIF else "boolean"
    return joined((left, *rights), result, leaky=not proof)


def _has_both(expr: pb.A_Expr) -> bool:
    return expr.lexpr.WhichOneof("node") is not None and expr.rexpr.WhichOneof("node") is not None


def _boolean(node: Node, level: Level, walk: Walk) -> Fact:
    return joined(expressions(node.bool_expr.args, level, walk), "boolean")


def _case(node: Node, level: Level, walk: Walk) -> Fact:
    case = node.case_expr
    subject = optional(case.arg, level, walk)
    facts = [subject]
    results: list[Fact] = []
    compared = False
    for branch in case.args:
        when = expression(branch.case_when.expr, level, walk)
        if subject is not NOTHING:
            compared = compared or not is_leakproof(walk, "=", subject, when)
            if extensions.operator_of("=", subject, when, walk.catalogue):
                refuse("syntax_not_supported", "CASE x WHEN is not supported over this type", "CASE WHEN x = …")
        facts += [when, expression(branch.case_when.result, level, walk)]
        results.append(facts[-1])
    if case.defresult.WhichOneof("node"):
        facts.append(expression(case.defresult, level, walk))
        results.append(facts[-1])
    return joined(facts, _common_type(results), leaky=compared)


def _common_type(facts: Iterable[Fact]) -> str:
    """Return the type of what is one of several; empty where they are of several types."""
    kinds = {fact.type for fact in facts if fact.type != "unknown"}
    return kinds.pop() if len(kinds) == 1 else ""


def _collate(node: Node, level: Level, walk: Walk) -> Fact:
    names = [part.string.sval for part in node.collate_clause.collname]
    if len(names) > 2 or (len(names) == 2 and names[0] != "pg_catalog"):
        refuse("function_not_allowed", f"collation `{'.'.join(names)}` is not allowed", "built-in collations")
    return joined((expression(node.collate_clause.arg, level, walk),), "text", leaky=True)


def _array(node: Node, level: Level, walk: Walk) -> Fact:
    facts = expressions(node.a_array_expr.elements, level, walk)
    kinds = {fact.type for fact in facts if fact.type != "unknown"}
    return joined(facts, kinds.pop() + "[]" if len(kinds) == 1 else "unknown" if not kinds else "")


def _row(node: Node, level: Level, walk: Walk) -> Fact:
    facts = expressions(node.row_expr.args, level, walk)
    made = joined(facts)
    starred = any(
        item.HasField("column_ref") and item.column_ref.fields[-1].HasField("a_star") for item in node.row_expr.args
    )
    row = () if starred else tuple((f"f{place}", fact) for place, fact in enumerate(facts, 1))
    return Fact("record", made.uses, made.leaky, row)


def _null_test(node: Node, level: Level, walk: Walk) -> Fact:
    return joined((expression(node.null_test.arg, level, walk),), "boolean")


def _boolean_test(node: Node, level: Level, walk: Walk) -> Fact:
    return joined((expression(node.boolean_test.arg, level, walk),), "boolean")


def _coalesce(node: Node, level: Level, walk: Walk) -> Fact:
    facts = expressions(node.coalesce_expr.args, level, walk)
    kinds = {fact.type for fact in facts if fact.type != "unknown"}
    return joined(facts, kinds.pop() if len(kinds) == 1 else "", leaky=len(kinds) > 1)


def _min_max(node: Node, level: Level, walk: Walk) -> Fact:
    facts = expressions(node.min_max_expr.args, level, walk)
    return joined(facts, _common_type(facts), leaky=True)


def _indirection(node: Node, level: Level, walk: Walk) -> Fact:
    indirection = node.a_indirection
    if any(not part.HasField("a_indices") for part in indirection.indirection):
        return field_selection(node, level, walk)
    facts = [expression(indirection.arg, level, walk)]
    sliced = False
    for part in indirection.indirection:
        facts += expressions((part.a_indices.lidx, part.a_indices.uidx), level, walk)
        sliced = sliced or part.a_indices.is_slice
    array = facts[0].type.endswith("[]")
    return joined(facts, "" if not array else facts[0].type if sliced else facts[0].type[:-2], leaky=True)


def _sub_link(node: Node, level: Level, walk: Walk) -> Fact:
    link = node.sub_link
    test = optional(link.testexpr, level, walk)
    operator = operator_name(link.oper_name, walk) if link.oper_name else "="
    if not link.subselect.HasField("select_stmt"):
        refuse("syntax_not_supported", "only a query can be a sub-query")
    select = link.subselect.select_stmt
    columns, around = walk.correlated(lambda: walk.query(select, level.inner(), walk))
    inner = joined(fact for _, fact in columns)
    uses, leaky = inner.uses | around, inner.leaky or bool(around)
    if link.sub_link_type in (pb.EXPR_SUBLINK, pb.ARRAY_SUBLINK):
        kind = columns[0][1].type if columns and link.sub_link_type == pb.EXPR_SUBLINK else ""
        return Fact(kind, uses, leaky)
    if link.sub_link_type == pb.EXISTS_SUBLINK:
        return Fact("boolean", around, bool(around))
    proof = len(columns) == 1 and is_leakproof(walk, operator, test, columns[0][1])
    if extensions.is_written_out(link.oper_name) or extensions.qualify_link(link, test, columns, walk.catalogue):
        proof = False
    fact = joined((test, Fact("", uses, leaky)), "boolean", leaky=not proof)
    fence(fact)  # it may become a join, whose condition may then be evaluated before any filter
    return fact


def _grouping(node: Node, level: Level, walk: Walk) -> Fact:
    expressions(node.grouping_func.args, level, walk)
    return Fact("integer")


def _named_argument(node: Node, level: Level, walk: Walk) -> Fact:
    return expression(node.named_arg_expr.arg, level, walk)


def _xml(node: Node, level: Level, walk: Walk) -> Fact:
    expr = node.xml_expr
    named = [expression(item.res_target.val, level, walk) for item in expr.named_args]
    return joined([*named, *expressions(expr.args, level, walk)], leaky=True)


def _xml_serialize(node: Node, level: Level, walk: Walk) -> Fact:
    type_name(node.xml_serialize.type_name, walk)
    return joined((expression(node.xml_serialize.expr, level, walk),), leaky=True)


def _merge_action(node: Node, level: Level, walk: Walk) -> Fact:  # noqa: ARG001  # the signature of handlers
    return Fact("text")


def _list(node: Node, level: Level, walk: Walk) -> Fact:
    return joined(expressions(node.list.items, level, walk))


def _default(node: Node, level: Level, walk: Walk) -> Fact:  # noqa: ARG001  # the signature of handlers
    return UNTYPED


_HANDLERS: dict[str, Handler] = {
    "a_const": _constant,
    "param_ref": _parameter,
    "column_ref": column,
    "a_expr": _operation,
    "bool_expr": _boolean,
    "case_expr": _case,
    "type_cast": cast,
    "collate_clause": _collate,
    "func_call": call,
    "sqlvalue_function": value_function,
    "a_array_expr": _array,
    "row_expr": _row,
    "null_test": _null_test,
    "boolean_test": _boolean_test,
    "coalesce_expr": _coalesce,
    "min_max_expr": _min_max,
    "a_indirection": _indirection,
    "sub_link": _sub_link,
    "grouping_func": _grouping,
    "named_arg_expr": _named_argument,
    "xml_expr": _xml,
    "xml_serialize": _xml_serialize,
    "set_to_default": _default,
    "merge_support_func": _merge_action,
    "list": _list,
    "json_object_constructor": json_calls.json_object,
    "json_array_constructor": json_calls.json_array,
    "json_array_query_constructor": json_calls.json_array_query,
    "json_object_agg": json_calls.json_object_agg,
    "json_array_agg": json_calls.json_array_agg,
    "json_is_predicate": json_calls.json_is,
    "json_func_expr": json_calls.json_function,
    "json_parse_expr": json_calls.json_parse,
    "json_scalar_expr": json_calls.json_scalar,
    "json_serialize_expr": json_calls.json_serialize,
}
