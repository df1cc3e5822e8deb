"""The name that PostgreSQL gives to an unnamed output column (`FigureColname` in parse_target.c)."""

from __future__ import annotations

from postgast import pg_query_pb2 as pb
from postgast.pg_query_pb2 import Node

UNNAMED = "?column?"

_FIXED = {
    "a_array_expr": "array",
    "row_expr": "row",
    "coalesce_expr": "coalesce",
    "grouping_func": "grouping",
    "xml_serialize": "xmlserialize",
    "json_parse_expr": "json",
    "json_scalar_expr": "json_scalar",
    "json_serialize_expr": "json_serialize",
    "json_object_constructor": "json_object",
    "json_array_constructor": "json_array",
    "json_array_query_constructor": "json_array",
    "json_object_agg": "json_objectagg",
    "json_array_agg": "json_arrayagg",
}
_VALUE_FUNCTIONS = {
    pb.SVFOP_CURRENT_DATE: "current_date",
    pb.SVFOP_CURRENT_TIME: "current_time",
    pb.SVFOP_CURRENT_TIME_N: "current_time",
    pb.SVFOP_CURRENT_TIMESTAMP: "current_timestamp",
    pb.SVFOP_CURRENT_TIMESTAMP_N: "current_timestamp",
    pb.SVFOP_LOCALTIME: "localtime",
    pb.SVFOP_LOCALTIME_N: "localtime",
    pb.SVFOP_LOCALTIMESTAMP: "localtimestamp",
    pb.SVFOP_LOCALTIMESTAMP_N: "localtimestamp",
    pb.SVFOP_CURRENT_ROLE: "current_role",
    pb.SVFOP_CURRENT_USER: "current_user",
    pb.SVFOP_USER: "user",
    pb.SVFOP_SESSION_USER: "session_user",
    pb.SVFOP_CURRENT_CATALOG: "current_catalog",
    pb.SVFOP_CURRENT_SCHEMA: "current_schema",
}
_XML = {
    pb.IS_XMLCONCAT: "xmlconcat",
    pb.IS_XMLELEMENT: "xmlelement",
    pb.IS_XMLFOREST: "xmlforest",
    pb.IS_XMLPARSE: "xmlparse",
    pb.IS_XMLPI: "xmlpi",
    pb.IS_XMLROOT: "xmlroot",
    pb.IS_XMLSERIALIZE: "xmlserialize",
}
_JSON_FUNCTIONS = {
    pb.JSON_EXISTS_OP: "json_exists",
    pb.JSON_QUERY_OP: "json_query",
    pb.JSON_VALUE_OP: "json_value",
}


def output_name(node: Node) -> str:
    """Return the name of an output column made of this expression."""
    return _figure(node)[1] or UNNAMED


def _figure(node: Node) -> tuple[int, str]:
    """Return (strength, name): 0 none, 1 weak (a type's name), 2 a good one."""
    kind = node.WhichOneof("node") or ""
    if kind in _FIXED:
        return 2, _FIXED[kind]
    match kind:
        case "column_ref":
            names = [part.string.sval for part in node.column_ref.fields if part.HasField("string")]
            return (2, names[-1]) if names else (0, "")
        case "a_indirection":
            names = [part.string.sval for part in node.a_indirection.indirection if part.HasField("string")]
            return (2, names[-1]) if names else _figure(node.a_indirection.arg)
        case "func_call":
            return 2, node.func_call.funcname[-1].string.sval
        case "a_expr" if node.a_expr.kind == pb.AEXPR_NULLIF:
            return 2, "nullif"
        case "type_cast":
            strength, name = _figure(node.type_cast.arg)
            if strength <= 1 and node.type_cast.type_name.names:
                return 1, node.type_cast.type_name.names[-1].string.sval
            return strength, name
        case "collate_clause":
            return _figure(node.collate_clause.arg)
        case "case_expr":
            strength, name = _figure(node.case_expr.defresult)
            return (strength, name) if strength > 1 else (1, "case")
        case "min_max_expr":
            return 2, "greatest" if node.min_max_expr.op == pb.IS_GREATEST else "least"
        case "sqlvalue_function":
            return 2, _VALUE_FUNCTIONS.get(node.sqlvalue_function.op, "")
        case "xml_expr":
            return 2, _XML.get(node.xml_expr.op, "")
        case "json_func_expr":
            return 2, _JSON_FUNCTIONS.get(node.json_func_expr.op, "")
        case "sub_link":
            return _sub_link(node.sub_link)
        case _:
            return 0, ""


def _sub_link(link: pb.SubLink) -> tuple[int, str]:
    if link.sub_link_type == pb.EXISTS_SUBLINK:
        return 2, "exists"
    if link.sub_link_type == pb.ARRAY_SUBLINK:
        return 2, "array"
    if link.sub_link_type == pb.EXPR_SUBLINK:
        select = link.subselect.select_stmt
        while select.op != pb.SETOP_NONE and select.HasField("larg"):
            select = select.larg
        if select.target_list:
            target = select.target_list[0].res_target
            return (2, target.name) if target.name else _figure(target.val)
        if select.values_lists:
            return 2, "column1"
    return 0, ""
