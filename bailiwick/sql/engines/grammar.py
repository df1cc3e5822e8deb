"""The allow-list of the grammar: which nodes may stand in an agent's statement, and what each may hold.

A node, or something that it holds, that is not listed here denies the statement, whatever it means.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from sqlglot import exp

from bailiwick.sql.engines.refusal import refuse
from bailiwick.sql.engines.tree import Node, argument, child, parts

_BINARY = ("this", "expression")
_QUERY = ("with_", "order", "limit", "offset")
_WORDS = re.compile(r"[A-Za-z_ ]*")

HOLDS: Mapping[type[Node], frozenset[str]] = {
    kind: frozenset(keys)
    for kind, keys in (
        (exp.Select, (*_QUERY, "expressions", "distinct", "from_", "joins", "where", "group", "having", "windows")),
        (exp.Union, (*_QUERY, "this", "expression", "distinct")),
        (exp.Except, (*_QUERY, "this", "expression", "distinct")),
        (exp.Intersect, (*_QUERY, "this", "expression", "distinct")),
        (exp.Subquery, ("this", "alias", "with_")),
        (exp.Values, ("expressions", "alias", "order", "limit", "offset")),
        (exp.With, ("expressions", "recursive")),
        (exp.CTE, ("this", "alias", "materialized")),
        (exp.From, ("this",)),
        (exp.Join, ("this", "on", "side", "kind", "using", "method")),
        (exp.Table, ("this", "alias", "db")),
        (exp.TableAlias, ("this", "columns")),
        (exp.Where, ("this",)),
        (exp.Group, ("expressions",)),
        (exp.Having, ("this",)),
        (exp.Order, ("this", "expressions")),
        (exp.Ordered, ("this", "desc", "nulls_first")),
        (exp.Limit, ("expression",)),
        (exp.Offset, ("expression",)),
        (exp.Distinct, ("expressions",)),
        (exp.Alias, ("this", "alias")),
        (exp.Star, ()),
        (exp.Column, ("this", "table", "db")),
        (exp.Identifier, ("this", "quoted")),
        (exp.Literal, ("this", "is_string")),
        (exp.Null, ()),
        (exp.Boolean, ("this",)),
        (exp.Placeholder, ("this",)),
        (exp.Paren, ("this",)),
        (exp.Tuple, ("expressions",)),
        (exp.Neg, ("this",)),
        (exp.Not, ("this",)),
        (exp.BitwiseNot, ("this",)),
        (exp.And, _BINARY),
        (exp.Or, _BINARY),
        (exp.Add, _BINARY),
        (exp.Sub, _BINARY),
        (exp.Mul, _BINARY),
        (exp.Div, (*_BINARY, "typed", "safe")),
        (exp.Mod, _BINARY),
        (exp.BitwiseAnd, _BINARY),
        (exp.BitwiseOr, _BINARY),
        (exp.BitwiseLeftShift, _BINARY),
        (exp.BitwiseRightShift, _BINARY),
        (exp.DPipe, (*_BINARY, "safe")),
        (exp.EQ, _BINARY),
        (exp.NEQ, _BINARY),
        (exp.GT, _BINARY),
        (exp.GTE, _BINARY),
        (exp.LT, _BINARY),
        (exp.LTE, _BINARY),
        (exp.NullSafeEQ, _BINARY),
        (exp.NullSafeNEQ, _BINARY),
        (exp.Is, (*_BINARY, "negate")),
        (exp.Like, (*_BINARY, "negate")),
        (exp.ILike, (*_BINARY, "negate")),
        (exp.Glob, _BINARY),
        (exp.Escape, _BINARY),
        (exp.Collate, _BINARY),
        (exp.Between, ("this", "low", "high")),
        (exp.In, ("this", "expressions", "query")),
        (exp.Exists, ("this",)),
        (exp.Case, ("this", "ifs", "default")),
        (exp.If, ("this", "true", "false")),
        (exp.Cast, ("this", "to", "safe")),
        (exp.DataType, ("this", "expressions")),
        (exp.DataTypeParam, ("this",)),
        (exp.Anonymous, ("this", "expressions")),
        (exp.Filter, ("this", "expression")),
        (exp.Window, ("this", "partition_by", "order", "spec", "alias", "over")),
        (exp.WindowSpec, ("kind", "start", "start_side", "end", "end_side", "exclude")),
        (exp.Var, ("this",)),
        (exp.Insert, ("with_", "this", "expression", "returning")),
        (exp.Schema, ("this", "expressions")),
        (exp.Update, ("with_", "this", "expressions", "where", "returning")),
        (exp.Delete, ("with_", "this", "where", "returning")),
        (exp.Returning, ("expressions",)),
    )
}
CONFLICTS: Mapping[type[Node], frozenset[str]] = {
    exp.OnConflict: frozenset({"expressions", "action", "conflict_keys", "where"}),
    exp.Insert: frozenset({"conflict"}),
    exp.Update: frozenset({"from_"}),
}
"""Of the engines that have them: ON CONFLICT, and further sources of a write."""
STATEMENTS = (exp.Select, exp.Values, exp.Union, exp.Except, exp.Intersect, exp.Insert, exp.Update, exp.Delete)
_OWN_TEXT = (exp.Placeholder, exp.Identifier, exp.Literal, exp.Anonymous, exp.Var, exp.DataType)
"""Nodes that hold text of the agent, which whoever walks them looks at."""
_IN_WORDS: Mapping[str, str] = {
    "Command": "this kind of statement",
    "Pragma": "PRAGMA",
    "Attach": "ATTACH",
    "Detach": "DETACH",
    "Returning": "RETURNING",
    "OnConflict": "this kind of ON CONFLICT",
    "TableSample": "TABLESAMPLE",
    "Parameter": "a parameter other than `?`",
}


def check(tree: Node, more: Mapping[type[Node], frozenset[str]], joins: frozenset[str]) -> None:
    """Deny a tree that holds anything that is not listed. Raises Refused."""
    upsert = _upsert_by_any_key(tree)
    if upsert:
        refuse(
            "syntax_not_supported",
            f"{upsert} is refused: it acts on a conflict of any key of the table, also with rows that are hidden",
            "INSERT … ON CONFLICT (columns of the key)" if exp.OnConflict in more else "INSERT, and UPDATE",
            "send an UPDATE, then an INSERT of what it did not reach",
        )
    if type(tree) not in STATEMENTS:
        refuse(
            "statement_not_allowed",
            f"{_named(tree)} is not allowed",
            "one SELECT, INSERT, UPDATE or DELETE",
        )
    for node in tree.walk():
        kind = type(node)
        allowed = HOLDS.get(kind, frozenset[str]()) | more.get(kind, frozenset())
        if isinstance(node, exp.Table | exp.Subquery) and _is_joined_in_a_write(node):
            allowed |= {"joins"}
        if kind not in HOLDS and kind not in more:
            refuse("syntax_not_supported", f"{_named(node)} is not supported here")
        if isinstance(node, exp.Join) and argument(node, "method") not in (None, "", *joins):
            refuse("syntax_not_supported", "this kind of join is not supported here", "JOIN … ON, JOIN … USING")
        for key, value in parts(node):
            if key not in allowed:
                what = _named(value) if isinstance(value, exp.Expr) else f"`{key.strip('_')}` of {_named(node)}"
                refuse("syntax_not_supported", f"{what} is not supported here")
            if isinstance(value, str) and not isinstance(node, _OWN_TEXT) and not _WORDS.fullmatch(value):
                refuse("syntax_not_supported", f"`{key}` of {_named(node)} is not supported here")


def _upsert_by_any_key(tree: Node) -> str:
    """Return the name of an upsert that does not say by which key; empty: it is none."""
    if isinstance(tree, exp.Command):
        return "REPLACE" if str(argument(tree, "this")).upper() == "REPLACE" else ""
    if not isinstance(tree, exp.Insert):
        return ""
    conflict, alternative = child(tree, "conflict"), argument(tree, "alternative")
    if conflict is not None and argument(conflict, "duplicate"):
        return "ON DUPLICATE KEY UPDATE"
    if alternative:
        return f"INSERT OR {str(alternative).upper()}"
    return "INSERT IGNORE" if argument(tree, "ignore") else ""


def _is_joined_in_a_write(node: Node) -> bool:
    """Whether a node is the first of the further sources of a write: joins then hang on it."""
    parent = node.parent
    if isinstance(parent, exp.From):
        return isinstance(parent.parent, exp.Update)
    return isinstance(parent, exp.Delete) and node.arg_key == "using"


def check_lacks(tree: Node, lacks: frozenset[str], *, recursive: bool) -> None:
    """Deny a tree that holds something that other engines have and this one has not. Raises Refused."""
    for node in tree.walk():
        if node is tree and {type(node).__name__, "Insert"} <= lacks:
            refuse("statement_not_allowed", f"{_named(node)} is not allowed: this engine is only read", "one SELECT")
        if type(node).__name__ in lacks:
            refuse("syntax_not_supported", f"{_named(node)} is not supported here")
        if not recursive and isinstance(node, exp.With) and argument(node, "recursive"):
            refuse("syntax_not_supported", "`RECURSIVE` is not supported here", "WITH")


def _named(node: Node) -> str:
    name = type(node).__name__
    return _IN_WORDS.get(name, f"`{name.upper()}`")
