"""The expressions by which a relation under aggregates only may be filtered and grouped.

Each is read into text of ours that means the same whatever the connection's settings are and that no row can make
fail: an error, or a border that moves, would tell of single rows. What is not on the lists here is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from postgast import pg_query_pb2 as pb
from postgast.pg_query_pb2 import Node

from bailiwick.sql.environment import Source, refuse
from bailiwick.sql.groupings import Field, Given, Text
from bailiwick.sql.quote import text as quoted
from bailiwick.sql.scoped import ScopedRelation

NUMBERS = frozenset({"smallint", "integer", "bigint", "numeric", "real", "double precision"})
TEXTS = frozenset({"text", "character varying", "character"})
_ZONED, _PLAIN, _DATE = "timestamp with time zone", "timestamp without time zone", "date"
_MOMENTS = frozenset({_ZONED, _PLAIN, _DATE})
_COMPARED = frozenset({"=", "<>", "<", "<=", ">", ">="})
_TURNED = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
_LIKE = frozenset({"~~", "!~~", "~~*", "!~~*"})
_UNITS = frozenset({"century", "decade", "year", "quarter", "month", "week", "day", "hour"})
_PARTS = _UNITS | {"dow", "isodow", "doy", "isoyear"}
_NUMBER = re.compile(r"[-+]?\d{1,30}(\.\d{0,30})?")
_PATTERN = re.compile(r'(YYYY|IYYY|MM|DDD|DD|IW|WW|Q|HH24|[-/:. ]|"[A-Za-z ]*")+')
_BY = (
    "fields, `date_trunc('month', field)`, `extract(year from field)`, `field::date`, `to_char(field, 'YYYY-MM')`,"
    " CASE over conditions"
)
_WHERE = "fields compared with constants: `=`, `<`, IN, BETWEEN, LIKE, IS NULL, with AND, OR and NOT"


@dataclass(frozen=True, slots=True)
class Value:
    """An admitted expression and its type; '' where nothing can be compared with it."""

    text: Text
    type: str
    enum: bool = False


class Dimensions:
    """Reads the expressions over one relation of a query."""

    def __init__(self, source: Source, relation: ScopedRelation) -> None:
        self._source = source
        self._relation = relation
        key = relation.relation.key
        self._key = key[0] if len(key) == 1 else None

    def names_field(self, node: Node) -> str | None:
        """Return the field of the relation that a column reference is, None for anything else."""
        parts = [part.string.sval for part in node.column_ref.fields]
        if not node.HasField("column_ref") or "" in parts or parts[-1] not in self._source.columns:
            return None
        return self._source.real(parts[-1]) if parts[:-1] in ([], [self._source.alias]) else None

    def key(self, node: Node) -> Value | None:
        """Return what rows may be grouped by; None when it is not on the list."""
        match node.WhichOneof("node"):
            case "column_ref":
                return self._field(node)
            case "func_call":
                return self._call(node)
            case "type_cast":
                return self._as_date(node)
            case "case_expr":
                return self._case(node)
            case "coalesce_expr":
                return self._coalesce(node)
            case "a_expr" | "bool_expr" | "null_test" | "boolean_test":
                found = self._condition(node)
                return None if found is None else Value(found, "boolean")
            case _:
                return None

    def condition(self, node: Node) -> Text:
        """Return a filter. Raises Refused for what is not on the list."""
        found = self._condition(node)
        if found is None:
            refuse(
                "statement_not_allowed",
                f"`{self._name}` may only be aggregated, and cannot be filtered in this way",
                _WHERE,
                "write the condition with constants, moments as `2026-01-31` or `2026-01-31 12:00`",
            )
        return found

    def refuse_key(self) -> None:
        """Refuse a grouping that is not on the list."""
        refuse("statement_not_allowed", f"`{self._name}` may only be aggregated, and not grouped by this", _BY)

    @property
    def _name(self) -> str:
        return self._relation.resource.name

    # --- fields and what is made of them ---

    def _field(self, node: Node) -> Value | None:
        name = self.names_field(node)
        if name is None:
            return None
        if name == self._key:
            refuse(
                "statement_not_allowed",
                f"`{name}` names single rows of `{self._name}`, which may only be aggregated",
                "other fields as filters and groups, `count(*)` for the number of rows",
            )
        shown = self._relation.columns[name]
        column = self._relation.relation.column(name)
        return Value((Field(name),), shown.type, column is not None and column.kind == "e")

    def _call(self, node: Node) -> Value | None:
        call = node.func_call
        name, args = _plain_call(node), list(call.args)
        if name not in ("date_trunc", "extract", "date_part", "to_char") or len(args) != 2:
            return None
        unit, of = (args[1], args[0]) if name == "to_char" else (args[0], args[1])
        field = self._field(of)
        word = _word(unit)
        if field is None or field.type not in _MOMENTS or word is None:
            return None
        if name == "to_char":
            made = _local(field) if _PATTERN.fullmatch(word) else None
            return None if made is None else Value(("pg_catalog.to_char(", *made, f", {quoted(word)})"), "text")
        unit_text = quoted(word.lower())
        if name == "date_trunc":
            return _truncated(field, unit_text) if word.lower() in _UNITS else None
        kind = "numeric" if name == "extract" else "double precision"
        parts = (f"pg_catalog.{name}({unit_text}, ", *_own(field), ")")
        return Value(parts, kind) if word.lower() in _PARTS else None

    def _as_date(self, node: Node) -> Value | None:
        if _type_of(node) != "date":
            return None
        field = self._field(node.type_cast.arg)
        if field is None or field.type not in _MOMENTS:
            return None
        return field if field.type == _DATE else Value(("(", *_own(field), ")::date"), _DATE)

    def _case(self, node: Node) -> Value | None:
        case = node.case_expr
        if case.arg.WhichOneof("node"):
            return None
        parts: list[str | Field | Given] = ["CASE"]
        kinds: set[str] = set()
        for branch in case.args:
            when = self._condition(branch.case_when.expr)
            then = _constant(branch.case_when.result)
            if when is None or then is None:
                return None
            parts += [" WHEN ", *when, f" THEN {then[0]}"]
            kinds.add(then[1])
        if case.defresult.WhichOneof("node"):
            otherwise = _constant(case.defresult)
            if otherwise is None:
                return None
            parts.append(f" ELSE {otherwise[0]}")
            kinds.add(otherwise[1])
        return Value((*parts, " END"), kinds.pop()) if len(kinds) == 1 else None

    def _coalesce(self, node: Node) -> Value | None:
        args = node.coalesce_expr.args
        field = self.key(args[0]) if len(args) == 2 else None
        other = None if field is None else _value(args[1], field)
        if field is None or other is None or any(isinstance(part, Given) for part in other):
            return None
        return Value(("COALESCE(", *field.text, ", ", *other, ")"), field.type, field.enum)

    # --- conditions ---

    def _condition(self, node: Node) -> Text | None:
        match node.WhichOneof("node"):
            case "bool_expr":
                return self._connected(node.bool_expr)
            case "null_test":
                word = " IS NULL)" if node.null_test.nulltesttype == pb.IS_NULL else " IS NOT NULL)"
                return self._tested(node.null_test.arg, word)
            case "boolean_test":
                return self._tested(node.boolean_test.arg, f" {_boolean_tests[node.boolean_test.booltesttype]})")
            case "a_expr":
                return self._compared(node)
            case "a_const" if node.a_const.HasField("boolval"):
                return ("TRUE" if node.a_const.boolval.boolval else "FALSE",)
            case "column_ref":
                found = self._field(node)
                return found.text if found is not None and found.type == "boolean" else None
            case _:
                return None

    def _connected(self, expr: pb.BoolExpr) -> Text | None:
        found = [self._condition(arg) for arg in expr.args]
        texts = [each for each in found if each is not None]
        if len(texts) < len(found):
            return None
        if expr.boolop == pb.NOT_EXPR:
            return ("(NOT ", *texts[0], ")")
        return ("(", *_joined(texts, " AND " if expr.boolop == pb.AND_EXPR else " OR "), ")")

    def _tested(self, arg: Node, ending: str) -> Text | None:
        found = self.key(arg)
        return None if found is None else ("(", *found.text, ending)

    def _compared(self, node: Node) -> Text | None:
        expr = node.a_expr
        operator = expr.name[-1].string.sval
        left, right = self.key(expr.lexpr), expr.rexpr
        if left is None and expr.kind == pb.AEXPR_OP:
            if _numbers(expr.lexpr, expr.rexpr) and operator in _COMPARED:  # `1 = 1` of query builders
                return (f"({_constants(expr.lexpr)} {operator} {_constants(expr.rexpr)})",)
            left, right, operator = self.key(expr.rexpr), expr.lexpr, _TURNED.get(operator, operator)
        if left is None:
            return None
        match expr.kind:
            case pb.AEXPR_OP if operator in _COMPARED:
                return _pair(left, operator, _value(right, left))
            case pb.AEXPR_DISTINCT | pb.AEXPR_NOT_DISTINCT:
                word = "IS DISTINCT FROM" if expr.kind == pb.AEXPR_DISTINCT else "IS NOT DISTINCT FROM"
                return _pair(left, word, _value(right, left))
            case pb.AEXPR_IN:
                word = "IN (" if operator == "=" else "NOT IN ("
                return _listed(left, word, right, ", ", "))")
            case pb.AEXPR_BETWEEN | pb.AEXPR_NOT_BETWEEN:
                word = "BETWEEN " if expr.kind == pb.AEXPR_BETWEEN else "NOT BETWEEN "
                return _listed(left, word, right, " AND ", ")")
            case pb.AEXPR_LIKE | pb.AEXPR_ILIKE if operator in _LIKE and left.type in TEXTS:
                word = _word(right)
                plain = word is not None and "\\" not in word
                return ("(", *left.text, f" {operator} {quoted(word or '')})") if plain else None
            case _:
                return None


_boolean_tests = {
    pb.IS_TRUE: "IS TRUE",
    pb.IS_NOT_TRUE: "IS NOT TRUE",
    pb.IS_FALSE: "IS FALSE",
    pb.IS_NOT_FALSE: "IS NOT FALSE",
    pb.IS_UNKNOWN: "IS UNKNOWN",
    pb.IS_NOT_UNKNOWN: "IS NOT UNKNOWN",
}


def literal(value: str, kind: str, enum: bool = False) -> str | None:
    """Return a value's text as a literal of a type; None when it could be read in more than one way, or not at all."""
    if "\x00" in value:
        return None
    if kind in NUMBERS:
        return value.strip() if _NUMBER.fullmatch(value.strip()) else None
    if kind in TEXTS:
        return quoted(value)
    if kind == "boolean":
        known = {"t": "TRUE", "true": "TRUE", "f": "FALSE", "false": "FALSE"}
        return known.get(value.strip().lower())
    if kind in _MOMENTS:
        return _moment(value.strip(), kind)
    return f"{quoted(value)}::{kind}" if kind == "uuid" or enum else None


def _moment(value: str, kind: str) -> str | None:
    """Return a date or moment as a literal that no setting of the connection changes."""
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", value):
            found = datetime.combine(date.fromisoformat(value), datetime.min.time())
        elif re.match(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d", value):
            found = datetime.fromisoformat(value)
        else:
            return None
    except ValueError:
        return None
    if kind == _DATE:
        whole = (found.hour, found.minute, found.second, found.microsecond) == (0, 0, 0, 0) and found.tzinfo is None
        return f"'{found.date().isoformat()}'::date" if whole else None
    if kind == _ZONED:
        return f"'{found.replace(tzinfo=found.tzinfo or UTC).isoformat()}'::timestamptz"
    return None if found.tzinfo is not None else f"'{found.isoformat()}'::timestamp"


def _value(node: Node, left: Value) -> Text | None:
    """Return a constant or parameter to be compared with `left`."""
    inner = node.type_cast.arg if node.HasField("type_cast") else node
    if inner.HasField("param_ref"):
        known = left.type in NUMBERS | TEXTS | _MOMENTS | {"boolean", "uuid"} or left.enum
        return (Given(inner.param_ref.number, left.type),) if known else None
    text = _constant_text(inner)
    if text is None or (node.HasField("type_cast") and not _casts_well(_type_of(node), left.type)):
        return None
    found = literal(text, left.type, left.enum)
    return None if found is None else (found,)


def _values(nodes: Iterable[Node], left: Value) -> list[Text] | None:
    found = [_value(node, left) for node in nodes]
    values = [each for each in found if each is not None]
    return values if values and len(values) == len(found) else None


def _listed(left: Value, word: str, right: Node, sign: str, ending: str) -> Text | None:
    values = _values(right.list.items, left)
    return None if values is None else ("(", *left.text, f" {word}", *_joined(values, sign), ending)


def _casts_well(kind: str, wanted: str) -> bool:
    """Whether a constant of one type is compared with a column of another as if it were of the column's."""
    if wanted in _MOMENTS:
        return kind in (wanted, _DATE) or {kind, wanted} == {_PLAIN, _ZONED}
    return kind == wanted or any({kind, wanted} <= group for group in (NUMBERS, TEXTS))


def _pair(left: Value, operator: str, right: Text | None) -> Text | None:
    return None if right is None else ("(", *left.text, f" {operator} ", *right, ")")


def _joined(texts: Sequence[Text], sign: str) -> Text:
    parts: list[str | Field | Given] = [*texts[0]]
    for each in texts[1:]:
        parts += [sign, *each]
    return tuple(parts)


def _local(field: Value) -> Text:
    """Return a moment or date as a timestamp of UTC."""
    if field.type == _ZONED:
        return ("pg_catalog.timezone('UTC', ", *field.text, ")")
    return (*field.text, "::timestamp") if field.type == _DATE else field.text


def _own(field: Value) -> Text:
    """Return a moment as a timestamp of UTC, a date as it is."""
    return field.text if field.type == _DATE else _local(field)


def _truncated(field: Value, unit: str) -> Value:
    """Return `date_trunc` of the type that PostgreSQL gives it, cut in UTC."""
    made: Text = (f"pg_catalog.date_trunc({unit}, ", *_local(field), ")")
    if field.type == _PLAIN:
        return Value(made, _PLAIN)
    return Value(("pg_catalog.timezone('UTC', ", *made, ")"), _ZONED)


def _plain_call(node: Node) -> str | None:
    """Return the name of a built-in function that is called without any extras."""
    call = node.func_call
    names = [part.string.sval for part in call.funcname]
    extras = call.agg_order or call.agg_star or call.agg_distinct or call.agg_within_group or call.func_variadic
    if extras or call.HasField("over") or call.agg_filter.WhichOneof("node") or names[:-1] not in ([], ["pg_catalog"]):
        return None
    return names[-1]


def _type_of(node: Node) -> str:
    """Return the type of a cast as columns' types are printed; empty for one with modifiers or of an array."""
    name = node.type_cast.type_name
    if name.array_bounds or name.typmods or not name.names:
        return ""
    bare = name.names[-1].string.sval
    return _SPELLED.get(bare, bare)


_SPELLED = {
    "int2": "smallint",
    "int4": "integer",
    "int8": "bigint",
    "float4": "real",
    "float8": "double precision",
    "bool": "boolean",
    "varchar": "character varying",
    "bpchar": "character",
    "timestamptz": _ZONED,
    "timestamp": _PLAIN,
}


def _constant_text(node: Node) -> str | None:
    const = node.a_const
    if not node.HasField("a_const") or const.isnull:
        return None
    match const.WhichOneof("val"):
        case "ival":
            return str(const.ival.ival)
        case "fval":
            return const.fval.fval
        case "boolval":
            return "true" if const.boolval.boolval else "false"
        case "sval":
            return const.sval.sval
        case _:
            return None


def _constant(node: Node) -> tuple[str, str] | None:
    """Return a constant result of CASE, and its type."""
    text = _constant_text(node)
    if text is None:
        return None
    match node.a_const.WhichOneof("val"):
        case "sval":
            return f"{quoted(text)}::text", "text"
        case "boolval":
            return text.upper(), "boolean"
        case _:
            found = literal(text, "numeric")
            return None if found is None else (found, "numeric")


def _word(node: Node) -> str | None:
    inner = node.type_cast.arg if node.HasField("type_cast") else node
    return inner.a_const.sval.sval if inner.a_const.HasField("sval") else None


def _numbers(*nodes: Node) -> bool:
    return all(node.a_const.HasField("ival") for node in nodes)


def _constants(node: Node) -> str:
    return str(node.a_const.ival.ival)
