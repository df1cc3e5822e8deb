"""The second reading of a statement for DuckDB: by DuckDB's own parser, of the very text that is about to run.

DuckDB has no authorizer. It tells how it reads a query, as a tree in JSON; each kind of node, relation and function in
that tree has to be one that the plan names, wherever the rewriter thought the statement would end. The real tables
stand in the gateway's own queries alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

import orjson

from bailiwick.model.record import JsonValue
from bailiwick.sql.engines.duckdb_names import full
from bailiwick.sql.engines.plan import Step
from bailiwick.sql.engines.scoped import INNER, folded

READ_QUERY = "SELECT json_serialize_sql($1)"
_QUERIES = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE"})
_SOURCES = frozenset({"BASE_TABLE", "SUBQUERY", "JOIN", "EXPRESSION_LIST", "EMPTY"})
_EXPRESSIONS_WORDS = """
BETWEEN CASE CAST COLLATE COLUMN_REF COMPARISON CONJUNCTION CONSTANT FUNCTION OPERATOR PARAMETER STAR SUBQUERY
TYPE WINDOW
"""
_EXPRESSIONS = frozenset(_EXPRESSIONS_WORDS.split())
_MODIFIERS = frozenset({"ORDER_MODIFIER", "LIMIT_MODIFIER", "DISTINCT_MODIFIER"})
_OPERATORS_WORDS = """
+ - * / // % ** ^ || & | << >> ~ ~~ !~~ ~~* !~~* ~~~ like_escape not_like_escape ilike_escape not_ilike_escape
count_star date_part row list_value power to_years to_quarters to_months to_weeks to_days to_hours to_minutes
to_seconds to_milliseconds to_microseconds trunc struct_pack array_extract array_slice
"""
_OPERATORS = frozenset(_OPERATORS_WORDS.split())
"""What DuckDB calls some of the grammar that is no call in the text."""
_TYPES_WORDS = """
BOOLEAN TINYINT SMALLINT INTEGER BIGINT HUGEINT UTINYINT USMALLINT UINTEGER UBIGINT FLOAT DOUBLE DECIMAL
VARCHAR DATE TIME TIMESTAMP UUID BLOB INTERVAL LIST JSON
"""
_TYPES = frozenset(_TYPES_WORDS.split()) | {
    "TIMESTAMP WITH TIME ZONE",
    "INT",
    "INT4",
    "INT8",
    "TEXT",
    "REAL",
    "TIMESTAMPTZ",
    "INT128",
    "STRING",
}
Tree = Mapping[str, JsonValue]


def refused(told: str, step: Step) -> str:
    """Return what of a query, as DuckDB reads it, is not in the plan; empty: it is the plan's."""
    read = cast("JsonValue", orjson.loads(told))
    statements = read.get("statements") if isinstance(read, dict) and read.get("error") is False else None
    if not isinstance(statements, list) or len(statements) != 1:
        return "the text is not one query"
    names = {name for node in _nodes(statements[0]) for name in _defined(node)}
    if len([name for node in _nodes(statements[0]) for name in _defined(node)]) != len(names):
        return "a name is defined twice"
    return next(_beyond(statements[0], step, names, ""), "")


def _nodes(value: JsonValue) -> Iterator[Tree]:
    stack: list[JsonValue] = [value]
    while stack:
        each = stack.pop()
        if isinstance(each, dict):
            yield each
            stack.extend(each.values())
        elif isinstance(each, list):
            stack.extend(each)


def _defined(node: Tree) -> Iterator[str]:
    """Yield the names of the queries that a node defines."""
    found = node.get("cte_map")
    for entry in _entries(found):
        yield folded(str(entry.get("key")))


def _entries(found: JsonValue) -> list[Tree]:
    listed = found.get("map") if isinstance(found, dict) else None
    return [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []


def _beyond(value: JsonValue, step: Step, names: set[str], inside: str) -> Iterator[str]:
    """Yield what is not in the plan; `inside` is the generated name whose query this is part of."""
    stack: list[tuple[JsonValue, str]] = [(value, inside)]
    while stack:
        each, where = stack.pop()
        if isinstance(each, list):
            stack.extend((one, where) for one in each)
        elif isinstance(each, dict):
            found = _of(each, step, names, where)
            if found:
                yield found
            for key, child in each.items():
                if key == "cte_map":
                    for entry in _entries(child):
                        name = str(entry.get("key"))
                        stack.append((entry.get("value"), name if name in step.reads else where))
                else:
                    stack.append((child, where))


def _of(node: Tree, step: Step, names: set[str], where: str) -> str:
    """Return what is wrong with one node."""
    kind, expression = str(node.get("type") or ""), node.get("class")
    if expression is not None:
        return _of_expression(node, str(expression), step, where)
    if kind.endswith("_NODE") and kind not in _QUERIES:
        return f"a {kind}"
    if "modifiers" in node and node.get("sample") is not None:
        return "a sample"
    if kind.endswith("_MODIFIER"):
        return "" if kind in _MODIFIERS else f"a {kind}"
    if "ref_type" in node or ("sample" in node and "modifiers" not in node):  # an item of a FROM clause
        if kind not in _SOURCES:
            return f"a {kind}"
        if kind == "BASE_TABLE":
            return _of_table(node, step, names, where)
    return ""


def _of_table(node: Tree, step: Step, names: set[str], where: str) -> str:
    told = node.get("qualified_name")
    path = told.get("path") if isinstance(told, dict) else None
    found = tuple(str(each) for each in path) if isinstance(path, list) else ()
    if node.get("at_clause") is not None:
        return "a table of another time"
    if len(found) == 1 and folded(found[0]) in names:
        return ""
    reached = step.reads.get(where)
    if reached is not None and found == full(reached.schema, reached.relation):
        return ""
    return f"the relation {'.'.join(found)}"


def _of_expression(node: Tree, kind: str, step: Step, where: str) -> str:
    if kind not in _EXPRESSIONS:
        return f"a {kind}"
    if kind in ("FUNCTION", "WINDOW"):
        name, told = folded(str(node.get("function_name"))), node.get("qualified_name")
        if not isinstance(told, dict) or told.get("path") != [node.get("function_name")]:
            return f"the function {name} of a schema"
        ours = where and name == "unnest"  # of the identities of rows that were written
        return "" if name in step.functions or name in _OPERATORS or ours else f"the function {name}"
    if kind == "STAR":
        plain = not (node.get("columns") or node.get("expr") or node.get("exclude_list") or node.get("replace_list"))
        return "" if plain and not where and not node.get("rename_list") else "a `*`"
    if kind == "COLUMN_REF" and where:
        path = node.get("column_names")
        reached = step.reads[where]
        row = reached.row and path == [INNER, "rowid"]
        known = isinstance(path, list) and len(path) == 2 and path[0] == INNER and path[1] in reached.columns
        return "" if known or row else f"a column of {reached.relation}"
    if kind == "TYPE":
        return "" if str(node.get("type_name")).upper() in _TYPES else f"the type {node.get('type_name')}"
    return ""
