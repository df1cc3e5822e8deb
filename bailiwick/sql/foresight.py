"""What a statement is about to write, looked at before it is written.

A row outside of the scope is found in RETURNING anyway (`checks`). But by then the database has looked for its key, and
the error that it raises for a key that a hidden row has tells that there is one. So a row that is known to be outside
fails while its values are computed. Only what the statement itself says can be known: a column that is left to its
default, or whose value could be another when it is computed once more, counts as unknown, and what depends on it
passes. Where such a column belongs to a key, `blind` says that a conflict of keys may tell of hidden rows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from google.protobuf.message import Message
from postgast.pg_query_pb2 import InsertStmt, Node

from bailiwick.model.scope import RowFilter
from bailiwick.sql.checks import FAILS, both
from bailiwick.sql.filling import cast_to, named_source
from bailiwick.sql.parser import expression as parsed
from bailiwick.sql.predicates import RelationText, columns_of, condition
from bailiwick.sql.trees import become, copied
from bailiwick.sql.written import Act, Write

ROW = "bw_next"
"""Alias of the row to come while conditions over it are composed; it stands in no text that is executed."""
_LARGEST = 2000
"""Bytes of an expression that is repeated in a condition."""
_PLAIN = frozenset(
    {
        "a_const",
        "param_ref",
        "column_ref",
        "type_cast",
        "type_name",
        "a_expr",
        "bool_expr",
        "null_test",
        "boolean_test",
        "case_expr",
        "case_when",
        "coalesce_expr",
        "min_max_expr",
        "a_array_expr",
        "collate_clause",
        "sqlvalue_function",
        "string",
        "integer",
        "list",
        "func_call",
    }
)
_FUNCTIONS = """
abs btrim concat date_trunc left length lower make_date md5 now replace right round statement_timestamp substring
transaction_timestamp upper
"""
_STEADY = frozenset(_FUNCTIONS.split())
"""Functions with the same result throughout a statement."""


def foresee_insert(write: Write, text: RelationText) -> None:
    """Let an INSERT fail over rows that are known to be outside of the scope."""
    act = write.acts[0]
    limiting = _limiting(write, act, reads=write.returns)
    if not limiting or not write.target.relation.uniques:
        return
    stmt = write.node.insert_stmt
    if stmt.HasField("on_conflict_clause"):
        return  # its key is held to the scope, and a row that is not inserted need not be in it
    given = [name for name in act.fields if name in limiting and cast_to(write.target.relation, name)]
    if not stmt.select_stmt.select_stmt.values_lists and given:
        named_source(stmt, write.target.relation)
    places = {item.res_target.name: place for place, item in enumerate(stmt.cols)}
    conditions: dict[frozenset[str], Node | None] = {}
    known = frozenset(given)
    for row in _rows(stmt):
        values = {name: row[places[name]] for name in given if places[name] < len(row) and _steady(row[places[name]])}
        names = frozenset(values)
        known &= names
        if names not in conditions:
            conditions[names] = _condition(write, act, names, text, reads=write.returns)
        _put(conditions[names], values, write)
    filled = {write.target.table.resource.tenant} - set(act.fields)
    write.blind = _is_in_key(write, limiting - known - filled)


def foresee_update(targets: Sequence[Node], write: Write, act: Act, text: RelationText) -> None:
    """Let an assignment fail by which a row would leave the scope. `targets`: the items of SET."""
    limiting = _limiting(write, act, reads=True)
    if not act.checked or not limiting or not _is_in_key(write, act.fields):
        return
    found = {item.res_target.name: item.res_target.val for item in targets}
    values = {name: value for name, value in found.items() if cast_to(write.target.relation, name) and _steady(value)}
    relation = write.target.relation
    unchanged = set[str]() if relation.derives else {each.name for each in relation.columns} - set(found)
    _put(_condition(write, act, unchanged | set(values), text, reads=True), values, write)
    write.blind = write.blind or _is_in_key(write, limiting & (set(found) - set(values)))


def _limiting(write: Write, act: Act, *, reads: bool) -> frozenset[str]:
    """Return the columns that decide whether a row to come is in the scope; none where no row is hidden."""
    table = write.target.table
    if not table.hides_rows:
        return frozenset()
    filters = [grant.filter for grant in act.grants]
    filters += [grant.filter for grant in table.scope.reads] if reads else []
    filters += [denied.filter for denied in table.scope.denied_rows if denied.fields is None]
    names = columns_of(filters, table.relation) | {name for grant in act.grants for name in grant.set}
    tenant = table.resource.tenant
    return names if tenant is None else names | {tenant}


def _is_in_key(write: Write, names: Collection[str]) -> bool:
    """Whether some of the columns belong to a key that rows must not share. Without a database there is none."""
    keys = write.target.relation.uniques or ()
    return bool(names) and any(not key or not set(key).isdisjoint(names) for key in keys)


def _condition(write: Write, act: Act, known: Collection[str], text: RelationText, *, reads: bool) -> Node | None:
    """Return what must hold of the known columns of a row to come; None when that is nothing."""
    target = write.target
    row = RelationText(target.relation, ROW, text.parameters, direct=False)
    every = len(known) == len(target.relation.columns)

    def of(rows: RowFilter) -> RowFilter:
        conditions = tuple((name, matcher) for name, matcher in rows.conditions if name in known)
        return RowFilter(conditions, rows.sql if every else None)

    parts = [_either(_granted(act, of, known, row))]
    if reads:
        parts.append(row.some(of(grant.filter) for grant in target.scope.reads))
    if target.resource.tenant in known:
        parts.append(row.tenant(target.resource.tenant or ""))
    parts += [
        row.is_kept(denied)
        for denied in target.scope.denied_rows
        if denied.fields is None and columns_of([denied.filter], target.relation) <= set(known)
    ]
    whole = both(*parts)
    if whole == "TRUE":
        return None
    # What a trigger may still fill in is not known to be outside.
    return parsed(f"({whole}) IS NOT FALSE" if target.relation.derives else f"COALESCE({whole}, FALSE)")


def _granted(
    act: Act, of: Callable[[RowFilter], RowFilter], known: Collection[str], row: RelationText
) -> Iterator[str]:
    for grant in act.grants:
        own = [row.rows(of(grant.filter))]
        for name in act.fields:
            column = row.relation.column(name)
            if name in grant.set and name in known and column is not None:
                own.append(condition(grant.set[name], row.column(name), column, row.parameters))
        yield both(*own)


def _either(options: Iterable[str]) -> str:
    found = list(options)
    return "TRUE" if "TRUE" in found else " OR ".join(f"({option})" for option in found)


def _put(needed: Node | None, values: Mapping[str, Node], write: Write) -> None:
    """Let one of the values fail unless the condition holds over all of them."""
    if needed is None or not values:
        return
    typed = {name: _typed(value, cast_to(write.target.relation, name)) for name, value in values.items()}
    own = copied(needed)
    for node in list(_references(own)):
        name = node.column_ref.fields[1].string.sval
        if name in typed:
            become(node, typed[name])
        else:
            node.column_ref.fields[0].string.sval = write.alias
    name, value = next(iter(values.items()))
    made = parsed(f"CASE WHEN TRUE THEN NULL WHEN {FAILS} THEN NULL::{cast_to(write.target.relation, name)} END")
    first = made.case_expr.args[0].case_when
    first.expr.CopyFrom(own)
    first.result.CopyFrom(typed[name])
    become(value, made)


def _typed(value: Node, type_name: str) -> Node:
    made = parsed(f"NULL::{type_name}")
    made.type_cast.arg.CopyFrom(value)
    return made


def _rows(stmt: InsertStmt) -> list[Sequence[Node]]:
    select = stmt.select_stmt.select_stmt
    if select.values_lists:
        return [row.list.items for row in select.values_lists]
    return [[item.res_target.val for item in select.target_list]] if stmt.select_stmt.HasField("select_stmt") else []


def _steady(value: Node) -> bool:
    """Whether the expression can be repeated: it is small, and gives the same wherever the statement computes it."""
    if value.ByteSize() > _LARGEST or not value.WhichOneof("node"):
        return False
    return all(_is_steady(node) for node in _nodes(value))


def _is_steady(node: Node) -> bool:
    kind = node.WhichOneof("node")
    if kind == "func_call":
        names = [part.string.sval for part in node.func_call.funcname]
        return len(names) == 2 and names[0] == "pg_catalog" and names[1] in _STEADY
    return kind in _PLAIN


def _references(tree: Node) -> Iterator[Node]:
    for node in _nodes(tree):
        if node.HasField("column_ref") and node.column_ref.fields[0].string.sval == ROW:
            yield node


def _nodes(tree: Message) -> Iterator[Node]:
    stack: list[Message] = [tree]
    while stack:
        message = stack.pop()
        if isinstance(message, Node):
            yield message
        for field, value in message.ListFields():
            if field.message_type is not None:
                stack.extend(value if field.is_repeated else [value])
