"""The port to PostgreSQL's own grammar (libpg_query through postgast).

Hostile text never reaches the parser unbounded: a linear scan first, then a thread with a large stack for anything
that could nest deeply (SQL-RULES 2). What goes upstream is deparsed here and must parse back to the same tree.
"""

from __future__ import annotations

import ctypes
import re
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import TypeVar

import postgast
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError, Message
from postgast import pg_query_pb2 as pb
from postgast.errors import check_error
from postgast.native import PgQueryProtobuf, lib
from postgast.pg_query_pb2 import Node, ParseResult, RawStmt

from bailiwick.model.decision import Denial
from bailiwick.sql.trees import become, copied, has_pending, tag, within

T = TypeVar("T")

MAX_STATEMENT = 64 * 1024
"""Bytes of one statement text, unless configured otherwise."""
MAX_COMMENTS = 100
MAX_OPERATOR_RUN = 200
MAX_NESTING = 150
MAX_STATEMENTS = 100

_SMALL = 2048
"""Text up to this many characters cannot nest deeply enough to endanger an ordinary stack."""
_STACK = 256 * 1024 * 1024
_OPERATORS = re.compile(r"[-+*/<>=~!@#%^&|`?]{" + str(MAX_OPERATOR_RUN + 1) + ",}")
_BRACKETS = re.compile(r"[()\[\]]|\bcase\b|\bend\b", re.IGNORECASE)


def _allow_deep_messages() -> None:
    # The default depth limit of protobuf (100) refuses 20 nested sub-queries. Depth is bounded by MAX_NESTING, the
    # text's length and the stack above instead.
    from google._upb import _message  # pyright: ignore[reportMissingTypeStubs]  # C module without stubs

    _message.SetAllowOversizeProtos(True)  # pyright: ignore[reportUnknownMemberType]  # C module without stubs


_allow_deep_messages()


def too_long(sql: str, limit: int) -> Denial | None:
    """Return why the text may not even be looked at, or None."""
    size = len(sql) if sql.isascii() else len(sql.encode("utf-8", "surrogatepass"))
    if size <= limit:
        return None
    return Denial(
        "statement_too_large",
        f"the statement has {size} bytes",
        f"up to {limit} bytes in one statement",
        "send smaller statements, values as parameters",
    )


def scan(sql: str, limit: int = MAX_STATEMENT) -> Denial | None:
    """Return why the text may not be parsed at all, or None. Linear in the length of the text."""
    denial = too_long(sql, limit)
    if denial is not None:
        return denial
    if len(sql) < 64:
        return None
    if sql.count("/*") > MAX_COMMENTS:
        return Denial("statement_too_large", "the statement has too many comments", f"up to {MAX_COMMENTS} comments")
    if _OPERATORS.search(sql):
        return Denial("statement_too_large", "the statement has too long a run of operator characters")
    if sum(map(sql.count, "([")) + sql.lower().count("case") <= MAX_NESTING:
        return None
    depth = deepest = 0
    for match in _BRACKETS.finditer(sql):
        depth += 1 if match.group() in "([" or match.group() in ("case", "CASE", "Case") else -1
        deepest = max(deepest, depth)
        depth = max(depth, 0)
    if deepest > MAX_NESTING:
        return Denial("statement_too_large", "the statement nests too deeply", f"up to {MAX_NESTING} levels")
    return None


class _BigStack:
    """One thread whose stack no bounded statement can overflow. Made when it is first needed."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()

    def run(self, work: Callable[[], T]) -> T:
        with self._lock:
            if self._pool is None:
                before = threading.stack_size(_STACK)
                self._pool = ThreadPoolExecutor(1, "bailiwick-sql")
                self._pool.submit(sys.getrecursionlimit).result()  # starts the thread while the size is set
                threading.stack_size(before)
        future: Future[T] = self._pool.submit(work)
        return future.result()


_big_stack = _BigStack()


def on_stack(sql: str, work: Callable[[], T]) -> T:
    """Run `work`, which parses, walks or deparses trees of `sql`, on a stack that is large enough for it."""
    return work() if len(sql) <= _SMALL else _big_stack.run(work)


def parse(sql: str) -> ParseResult | Denial:
    """Parse text that `scan` let pass. Call within `on_stack`."""
    if "\x00" in sql:
        return Denial("statement_unparsable", "the statement contains a NUL character")
    try:
        return postgast.parse(sql)
    except postgast.PgQueryError as error:
        return Denial("statement_unparsable", str(error.message).lower())
    except (DecodeError, UnicodeEncodeError):
        return Denial("statement_unparsable", "the statement cannot be represented")


_PLACES = (
    "location",
    "stmt_location",
    "stmt_len",
    "rexpr_list_start",
    "rexpr_list_end",
    "list_start",
    "list_end",
    "name_location",
)


class _Bare:
    """Trees without places: read by a second schema that does not know them. All of it runs in C.

    There a node's kinds are extensions: the runtime visits every field that a message could have, and a node could
    have 270. Enumerations are the numbers that they are sent as; a value that was not listed would be dropped.
    """

    def __init__(self) -> None:
        schema = descriptor_pb2.FileDescriptorProto.FromString(pb.DESCRIPTOR.serialized_pb)
        schema.syntax = "proto2"
        for message in schema.message_type:
            left_out = (*_PLACES, "version") if message.name == "ParseResult" else _PLACES
            kept = [_plain(each) for each in message.field if each.name not in left_out]
            del message.field[:]
            if message.name != "Node":
                message.field.extend(kept)
                continue
            del message.oneof_decl[:]
            message.extension_range.add(start=1, end=1 << 29)
            for each in kept:
                each.ClearField("oneof_index")
                each.extendee = ".pg_query.Node"
            schema.extension.extend(kept)
        pool = descriptor_pool.DescriptorPool()
        pool.Add(schema)  # pyright: ignore[reportUnknownMemberType]  # the stubs leave its type out
        self._type = message_factory.GetMessageClass(pool.FindMessageTypeByName("pg_query.ParseResult"))

    def read(self, serialized: bytes) -> bytes:
        """Return a serialized tree without its places; those deeper than 64 levels stay."""
        bare = self._type.FromString(serialized)
        bare.DiscardUnknownFields()
        return bare.SerializeToString()


def _plain(each: descriptor_pb2.FieldDescriptorProto) -> descriptor_pb2.FieldDescriptorProto:
    if each.type == each.TYPE_ENUM:
        each.type = each.TYPE_INT32
        each.ClearField("type_name")
    return each


@lru_cache(maxsize=1)
def _bare() -> _Bare:
    return _Bare()


def without_places(tree: ParseResult) -> bytes:
    """Return the serialized tree without the fields that only say where in the text something stood: the same for
    equal trees. Those deep within others are cleared one by one, which takes long."""
    copy = ParseResult()
    copy.CopyFrom(tree)
    copy.version = 0
    stack: list[Message] = [copy]
    while stack:
        message = stack.pop()
        for field, value in message.ListFields():
            if field.message_type is not None:
                stack.extend(value if field.is_repeated else [value])
            elif field.name in _PLACES:
                message.ClearField(field.name)
    return copy.SerializeToString()


_STATEMENTS, _STATEMENT = tag(ParseResult, "stmts"), tag(RawStmt, "stmt")


def deparse(statement: Node) -> str | Denial:
    """Return the text of one statement, which parses back to the same tree, or a denial."""
    serialized = statement.SerializeToString()
    if has_pending(serialized):
        return Denial("syntax_not_supported", "the statement uses a form that cannot be limited to the scope")
    tree = within(_STATEMENTS, within(_STATEMENT, serialized))
    bare = _bare().read(tree)  # some forms of types are deparsed by their places
    sql = _reproduced(bare, bare, tree) or _reproduced(_guarded(bare), bare, tree)
    return sql or Denial("syntax_not_supported", "the statement uses a form that cannot be reproduced exactly")


def same_tree(tree: ParseResult, sql: str) -> bool:
    """Whether a text of ours parses to that tree."""
    return _bare().read(tree.SerializeToString()) == _bare().read(_serialized(sql))


def _reproduced(tried: bytes, bare: bytes, wanted: bytes) -> str:
    """Return the text of a serialized tree if it parses back to what is wanted, else nothing. `bare` is `wanted` as
    `_Bare` reads it: equal with places in the depths is equal all the more."""
    try:
        sql = _deparsed(tried)
        again = _serialized(sql)
    except (postgast.PgQueryError, UnicodeDecodeError):
        return ""
    if _bare().read(again) == bare:
        return sql
    return (
        sql if without_places(ParseResult.FromString(again)) == without_places(ParseResult.FromString(wanted)) else ""
    )


def _serialized(sql: str) -> bytes:
    """Return the tree of a text as the parser gives it: `postgast.parse` without making objects of it."""
    result = lib.pg_query_parse_protobuf(sql.encode())
    try:
        check_error(result)
        return ctypes.string_at(result.parse_tree.data, result.parse_tree.len)
    finally:
        lib.pg_query_free_protobuf_parse_result(result)


def _deparsed(tree: bytes) -> str:
    """Return the text of a serialized tree: `postgast.deparse` without objects, and without copying."""
    start = ctypes.cast(ctypes.c_char_p(tree), ctypes.c_void_p)
    result = lib.pg_query_deparse_protobuf(PgQueryProtobuf(len=len(tree), data=start.value))
    try:
        check_error(result)
        query: bytes = result.query
        return query.decode()
    finally:
        lib.pg_query_free_deparse_result(result)


_WEAK = ("a_expr", "bool_expr", "null_test", "boolean_test", "sub_link", "collate_clause")
_CALLS = (
    "a_array_expr",
    "case_expr",
    "coalesce_expr",
    "json_array_constructor",
    "json_array_query_constructor",
    "json_func_expr",
    "json_object_constructor",
    "json_parse_expr",
    "json_scalar_expr",
    "json_serialize_expr",
    "min_max_expr",
    "sqlvalue_function",
    "xml_expr",
    "xml_serialize",
)
"""Which need them before `[…]`. Never a column reference: the deparser crashes over one that is guarded."""
_OPERANDS: Mapping[str, tuple[str, ...]] = {
    "a_expr": ("lexpr", "rexpr"),
    "sub_link": ("testexpr",),
    "null_test": ("arg",),
    "boolean_test": ("arg",),
    "collate_clause": ("arg",),
    "range_table_func": ("docexpr", "rowexpr"),
}
"""Where the deparser forgets parentheses around what binds more weakly."""


def _operands(node: Node) -> list[Node]:
    kind = node.WhichOneof("node") or ""
    found: list[Node] = [getattr(getattr(node, kind), name) for name in _OPERANDS.get(kind, ())]
    if kind == "a_indirection" and node.a_indirection.arg.WhichOneof("node") in _CALLS:
        return [node.a_indirection.arg]
    if kind == "a_expr" and "BETWEEN" in pb.A_Expr_Kind.Name(node.a_expr.kind):
        found += node.a_expr.rexpr.list.items
    return found


def _guarded(bare: bytes) -> bytes:
    """Return the statement with parentheses around such operands: an indirection of nothing is deparsed as them."""
    statement = ParseResult.FromString(bare)
    operands: list[Node] = []
    stack: list[Message] = [statement]
    while stack:
        message = stack.pop()
        if isinstance(message, Node):
            weak = (*_WEAK, *_CALLS, "type_cast") if message.HasField("range_table_func") else (*_WEAK, *_CALLS)
            operands += [each for each in _operands(message) if each.WhichOneof("node") in weak]
        for field, value in message.ListFields():
            if field.message_type is not None:
                stack.extend(value if field.is_repeated else [value])
    for operand in reversed(operands):  # the inner ones first: they are copied with what is around them
        guarded = Node()
        guarded.a_indirection.arg.a_indirection.arg.CopyFrom(operand)
        operand.CopyFrom(guarded)
    return statement.SerializeToString()


def normalized(sql: str) -> str:
    """Return the text with its literals replaced by `$n`; empty when it does not parse."""
    try:
        return postgast.normalize(sql)
    except postgast.PgQueryError:
        return ""


def expression(sql: str) -> Node:
    """Parse the text of one expression *of ours*. Raises ValueError when it is not exactly one."""
    return Node.FromString(_kept_expression(sql) if len(sql) <= _LONGEST_KEPT else _expression(sql))


def query_text(sql: str) -> Node:
    """Parse the text of one query *of ours*. Raises ValueError when it is not exactly one."""
    return Node.FromString(_kept_query(sql) if len(sql) <= _LONGEST_KEPT else _query(sql))


_LONGEST_KEPT = 2048
"""Characters of a text of ours whose tree is kept: it may hold names of the agent, and there are many of them."""


def _expression(sql: str) -> bytes:
    tree = postgast.parse("SELECT " + sql)
    if len(tree.stmts) != 1 or len(tree.stmts[0].stmt.select_stmt.target_list) != 1:
        raise ValueError(f"not one expression: {sql}")
    return tree.stmts[0].stmt.select_stmt.target_list[0].res_target.val.SerializeToString()


def _query(sql: str) -> bytes:
    tree = postgast.parse(sql)
    if len(tree.stmts) != 1:
        raise ValueError(f"not one query: {sql}")
    return tree.stmts[0].stmt.SerializeToString()


_kept_expression = lru_cache(maxsize=1024)(_expression)
_kept_query = lru_cache(maxsize=256)(_query)


def conjoin(node: Node, more: Iterable[Node]) -> None:
    """AND further conditions to `node`, in the shape in which the parser itself would have built it."""
    found = list(more)
    if node.WhichOneof("node") is None and len(found) == 1:
        become(node, found[0])
        return
    if not (node.HasField("bool_expr") and node.bool_expr.boolop == pb.AND_EXPR):
        first = copied(node)
        node.Clear()
        node.bool_expr.boolop = pb.AND_EXPR
        if first.WhichOneof("node") is not None:  # a condition of nothing crashes the deparser
            become(node.bool_expr.args.add(), first)
    for each in found:
        become(node.bool_expr.args.add(), each)
