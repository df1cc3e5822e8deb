"""Row filters and masks as PostgreSQL expression text, over the columns of one relation under one alias.

Constants of the policy become typed literals; session values and `now` become parameters (`Parameters`).
An unknown comparison stays NULL: in an allow it is false, and `is_denied` treats it as true.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from functools import lru_cache

import postgast
from google.protobuf.message import Message
from postgast.pg_query_pb2 import RangeVar, SelectStmt

from bailiwick.errors import PolicyError
from bailiwick.model.mask import Mask
from bailiwick.model.matcher import Anything, Bound, Empty, Equal, Every, Glob, Matcher, Not, OneOf, Prefix, Within
from bailiwick.model.scope import DenyRows, RowFilter
from bailiwick.model.value import Operand, Ref
from bailiwick.sql.catalogue import Column, Relation
from bailiwick.sql.comparing import (
    MOMENTS,
    NUMBERS,
    UNKNOWN,
    base_type,
    below_nan,
    compare,
    empties,
    is_text,
    kind_of,
    known_number,
    one_of_list,
    operand_text,
    reference,
    shaped,
)
from bailiwick.sql.parameters import Parameters
from bailiwick.sql.quote import ident, literal, text

_INTEGER_RANGES = {"smallint": (-(2**15), 2**15 - 1), "integer": (-(2**31), 2**31 - 1), "bigint": (-(2**63), 2**63 - 1)}


def condition(matcher: Matcher, name: str, column: Column, parameters: Parameters, *, exact: bool = False) -> str:
    """Return the matcher over the column (`name` is its quoted, qualified reference) as a boolean expression.

    `exact` keeps unknown apart from false, as a deny or a `not` around needs it; without, an index may be used where
    that costs it.
    """
    if exact and column.kind == "d" and not column.base and isinstance(matcher, Equal | OneOf):
        return UNKNOWN  # what its values are equal by is not known: never less is denied than should be
    match matcher:
        case Anything():
            return "TRUE"
        case Equal(operand):
            found = compare(name, "=", operand, column, parameters)
            return known_number(name, column, found) if exact else found
        case OneOf(operands):
            some = _any([_one_of(name, operand, column, parameters) for operand in operands])
            some = known_number(name, column, some) if exact and operands else some
            return f"CASE WHEN {name} IS NOT NULL THEN {some} END" if exact else some
        case Bound(low, high, over, under):
            pairs = ((">=", low), ("<=", high), (">", over), ("<", under))
            parts = [compare(name, sign, value, column, parameters) for sign, value in pairs if value is not None]
            if not parts or kind_of(column) not in (*NUMBERS, *MOMENTS):
                return UNKNOWN
            return known_number(name, column, _all(parts)) if exact else _all([*parts, *below_nan(name, column)])
        case Within(span):
            return _within(name, int(span.total_seconds()), column, parameters)
        case Prefix(operand):
            value = parameters.use(operand, "text") if isinstance(operand, Ref) else text(str(operand)) + "::text"
            return shaped(name, "^@", value, column)
        case Glob(pattern):
            return shaped(name, "LIKE", text(_like(pattern)) + "::text", column)
        case Not(inner):
            return f"(NOT {condition(inner, name, column, parameters, exact=True)})"
        case Empty(expected):
            return _empty(name, column, expected)
        case Every(parts):
            found = [condition(part, name, column, parameters, exact=exact) for part in parts]
            return _all(found) if found else UNKNOWN


def _one_of(name: str, operand: Operand, column: Column, parameters: Parameters) -> str:
    # A claim of the person may be a list; a context value never is.
    if isinstance(operand, Ref) and operand.path[0] == "user":
        return one_of_list(name, operand, column, parameters)
    return compare(name, "=", operand, column, parameters)


def _within(name: str, seconds: int, column: Column, parameters: Parameters) -> str:
    kind = kind_of(column)
    if kind not in MOMENTS:
        return UNKNOWN
    value = reference(name, column)
    now = parameters.use("now", "timestamp with time zone")
    if kind == "timestamp with time zone":
        return f"({value} >= {now} - '{seconds} seconds'::interval AND {value} <= {now})"
    local = f"pg_catalog.timezone('UTC'::text, {now})"  # a date is its midnight in UTC
    return f"({value} >= {local} - '{seconds} seconds'::interval AND {value} <= {local})"


def _like(pattern: str) -> str:
    escaped = re.sub(r"([\\%_])", r"\\\1", pattern)
    return escaped.replace("*", "%").replace("?", "_")


def _empty(name: str, column: Column, expected: bool) -> str:
    found = f"({' OR '.join([f'{name} IS NULL', *empties(name, column)])})"
    return found if expected else f"(NOT COALESCE({found}, FALSE))"


def _all(parts: list[str]) -> str:
    return "(" + " AND ".join(parts) + ")" if parts else "TRUE"


def _any(parts: list[str]) -> str:
    return "(" + " OR ".join(parts) + ")" if parts else "FALSE"


def columns_of(filters: Iterable[RowFilter], relation: Relation) -> frozenset[str]:
    """Return the columns on which the filters may depend (all of them when a filter has an SQL predicate)."""
    names: set[str] = set()
    for rows in filters:
        if rows.sql is not None:
            return frozenset(column.name for column in relation.columns)
        names.update(name for name, _ in rows.conditions)
    return frozenset(names)


class RelationText:
    """Expression text over one relation under one alias.

    `direct` says that the alias is the only relation of the query around it, so that a policy's own SQL may name
    columns without qualification; otherwise that SQL is evaluated over a row of its own.
    """

    def __init__(self, relation: Relation, alias: str, parameters: Parameters, *, direct: bool) -> None:
        self.relation = relation
        self.parameters = parameters
        self._alias = alias
        self._direct = direct

    def column(self, name: str) -> str:
        """Return the qualified reference of a column."""
        return f"{ident(self._alias)}.{ident(name)}"

    def rows(self, filter_: RowFilter, *, exact: bool = False) -> str:
        """Return one filter as a boolean expression, `TRUE` when it admits every row. `exact` as for `condition`."""
        parts: list[str] = []
        for name, matcher in filter_.conditions:
            column = self.relation.column(name)
            reference = self.column(name)
            parts.append(
                condition(matcher, reference, column, self.parameters, exact=exact) if column is not None else UNKNOWN
            )
        if filter_.sql is not None:
            parts.append(f"({self._own(filter_.sql)})")
        parts = [part for part in parts if part != "TRUE"]
        return _all(parts) if parts else "TRUE"

    def some(self, filters: Iterable[RowFilter]) -> str:
        """Return the union of filters: `TRUE` as soon as one admits every row, `FALSE` when there is none."""
        parts = list(dict.fromkeys(self.rows(filter_) for filter_ in filters))
        return "TRUE" if "TRUE" in parts else _any(parts)

    def is_kept(self, denied: DenyRows) -> str:
        """Return the condition under which a `deny` is known not to touch the row."""
        return f"({self.rows(denied.filter, exact=True)}) IS FALSE"

    def tenant(self, name: str) -> str:
        """Return the tenant's condition; never true for a session without a tenant."""
        column = self.relation.column(name)
        return UNKNOWN if column is None else compare(self.column(name), "=", Ref(("tenant",)), column, self.parameters)

    def value(self, name: str, operand: Operand) -> str:
        """Return an operand as a value of the column; NULL when it can never be one."""
        column = self.relation.column(name)
        if column is None:
            return "NULL"
        found = operand_text(operand, column, self.parameters)
        return f"NULL::{column.type}" if found is None else found

    def shown(self, name: str, mask: Mask | None) -> tuple[str, str]:
        """Return how a field is shown and the type of that: in clear when `mask` is None."""
        column = self.relation.column(name)
        if column is None:
            return "NULL::text", "text"
        reference = self.column(name)
        if mask is None:
            return reference, column.type
        if mask.name == "sql":
            return f"({self._own(mask.arg or 'NULL')})", ""
        return self._masked(mask, reference, column)

    def _masked(self, mask: Mask, name: str, column: Column) -> tuple[str, str]:
        kind = base_type(column.type)
        as_text = name if is_text(column.type) else f"({name})::text"
        match mask.name:
            case "full":
                return ("'***'::text", "text") if is_text(column.type) else (f"NULL::{column.type}", column.type)
            case "partial":
                return _partial(as_text), "text"
            case "last4":
                return _last4(as_text), "text"
            case "hash":
                inner, outer = (self.parameters.use(pad, "bytea") for pad in ("mask.inner", "mask.outer"))
                digest = f"pg_catalog.sha256({inner} || pg_catalog.convert_to({as_text}, 'UTF8'))"
                return f"pg_catalog.encode(pg_catalog.sha256({outer} || {digest}), 'hex')", "text"
            case "year" if kind in ("date", "timestamp without time zone", "timestamp with time zone"):
                return f"pg_catalog.date_trunc('year', {name})::{column.type}", column.type
            case "round" if kind in NUMBERS:
                return _rounded(name, column, mask.arg or "1"), column.type
            case _:
                return f"NULL::{column.type}", column.type

    def _own(self, sql: str) -> str:
        """Return SQL of the policy's author, checked, over this relation's columns."""
        bare = own_sql(sql, self.parameters)
        if self._direct:
            return bare
        row = ", ".join(f"{self.column(column.name)} AS {ident(column.name)}" for column in self.relation.columns)
        return f"(SELECT {bare} FROM (SELECT {row}) AS bw_row)"  # noqa: S608  # checked text of the policy


def _partial(name: str) -> str:
    mail = f"pg_catalog.left({name}, 1) || '***@' || pg_catalog.split_part({name}, '@', 2)"
    digits = f"pg_catalog.regexp_replace(pg_catalog.left({name}, -4), '[0-9]', '*', 'g') || pg_catalog.right({name}, 4)"
    return (
        f"CASE WHEN pg_catalog.strpos({name}, '@') > 1 THEN {mail}"
        f" WHEN {name} ~ '^[-0-9 +()./]{{7,}}$' THEN {digits}"
        f" ELSE pg_catalog.left({name}, 1) || '***' END"
    )


def _last4(name: str) -> str:
    stars = f"pg_catalog.repeat('*', pg_catalog.length({name}) - 4) || pg_catalog.right({name}, 4)"
    return f"CASE WHEN {name} IS NULL THEN NULL WHEN pg_catalog.length({name}) <= 4 THEN '****'::text ELSE {stars} END"


def _rounded(name: str, column: Column, step: str) -> str:
    size = literal(Decimal(step), "numeric")
    rounded = f"pg_catalog.round(({name})::numeric / {size}) * {size}"
    limits = _INTEGER_RANGES.get(base_type(column.type))
    if limits is not None:  # rounding up near the end of the type's range must not raise; both pass over a NULL
        bounded = f"LEAST(GREATEST({rounded}, {limits[0]}), {limits[1]})"
        rounded = f"CASE WHEN {name} IS NOT NULL THEN {bounded} END"
    return f"({rounded})::{column.type}"


_TOKENS = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|\$([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)")


def own_sql(sql: str, parameters: Parameters) -> str:
    """Return a predicate or mask of the policy's author as checked text; `$name` becomes a (text) parameter.

    Raises PolicyError unless it is one expression without comments or `$1`, whose relations are schema-qualified.
    """
    if "--" in sql or "/*" in sql or "$$" in sql or ";" in sql:
        raise PolicyError(f"`{sql}` holds a comment, a semicolon or a dollar quote")
    bare = _TOKENS.sub(
        lambda m: parameters.use(Ref(tuple(m.group(1).split("."))), "text") if m.group(1) else m.group(), sql
    )
    _check_own(bare)
    return bare


@lru_cache(maxsize=1024)
def _check_own(sql: str) -> None:
    try:
        tree = postgast.parse(f"SELECT {sql}")  # without brackets: `a) OR (b` is not an expression
    except postgast.PgQueryError as error:
        raise PolicyError(f"`{sql}` is not an expression: {error.message}") from None
    alone = postgast.parse("SELECT NULL").stmts[0].stmt.select_stmt
    select = tree.stmts[0].stmt.select_stmt if len(tree.stmts) == 1 else alone
    if len(select.target_list) != 1 or select.target_list[0].res_target.name or _around(select) != _around(alone):
        raise PolicyError(f"`{sql}` is not one expression")
    for relation in relations_in(tree):
        if not relation.schemaname:
            raise PolicyError(
                f"`{relation.relname}` in `{sql}` is not qualified by its schema", remedy="write `schema.table`"
            )


def _around(select: SelectStmt) -> SelectStmt:
    """Return a query without its select list."""
    rest = SelectStmt()
    rest.CopyFrom(select)
    del rest.target_list[:]
    return rest


def relations_in(tree: Message) -> Iterable[RangeVar]:
    """Yield every relation that a tree names."""
    stack: list[Message] = [tree]
    while stack:
        message = stack.pop()
        if isinstance(message, RangeVar):
            yield message
        for field, value in message.ListFields():
            if field.message_type is not None:
                stack.extend(value if field.is_repeated else [value])
