"""Row filters and masks of a scope as expressions over one relation, in an engine's words.

An unknown comparison stays unknown: in an allow it is false, and `is_kept` treats it as true.
"""

from __future__ import annotations

from collections.abc import Iterable

from bailiwick.model.mask import Mask
from bailiwick.model.matcher import Anything, Bound, Empty, Equal, Every, Glob, Matcher, Not, OneOf, Prefix, Within
from bailiwick.model.scope import DenyRows, RowFilter
from bailiwick.model.value import Operand, Ref
from bailiwick.sql.catalogue import Column, Relation
from bailiwick.sql.engines.dialect import Dialect, Parameters

TRUE, FALSE, UNKNOWN = "(1 = 1)", "(1 = 0)", "(NULL = 1)"


def every(parts: Iterable[str]) -> str:
    """Return the conjunction."""
    kept = list(dict.fromkeys(part for part in parts if part != TRUE))
    return kept[0] if len(kept) == 1 else "(" + " AND ".join(kept) + ")" if kept else TRUE


def some(parts: Iterable[str]) -> str:
    """Return the disjunction."""
    kept = list(dict.fromkeys(part for part in parts if part != FALSE))
    if TRUE in kept:
        return TRUE
    return kept[0] if len(kept) == 1 else "(" + " OR ".join(kept) + ")" if kept else FALSE


class RelationText:
    """Expressions over one relation; `alias` empty: its columns stand unqualified."""

    def __init__(self, dialect: Dialect, relation: Relation, alias: str, parameters: Parameters) -> None:
        self.dialect = dialect
        self.relation = relation
        self.parameters = parameters
        self._prefix = f"{dialect.ident(alias)}." if alias else ""
        self.used: set[str] = set()
        """Columns that were referred to so far."""

    def column(self, name: str) -> str:
        """Return the reference of a column."""
        self.used.add(name)
        return self._prefix + self.dialect.ident(name)

    def condition(self, matcher: Matcher, column: Column, *, exact: bool = False) -> str:
        """Return the matcher over the column as a boolean expression."""
        name = self.column(column.name)
        match matcher:
            case Anything():
                return TRUE
            case Equal(operand):
                return self._compare("=", operand, column, exact=exact)
            case OneOf(operands):
                return self._one_of(operands, column, exact=exact)
            case Bound(low, high, over, under):
                pairs = ((">=", low), ("<=", high), (">", over), ("<", under))
                parts = [self._compare(sign, one, column, exact=exact) for sign, one in pairs if one is not None]
                return every(parts) if parts else UNKNOWN
            case Within(span):
                return self.dialect.within(name, span, column, self.parameters)
            case Prefix(operand):
                return self.dialect.prefix(name, operand, column, self.parameters)
            case Glob(pattern):
                return self.dialect.glob(name, pattern, column)
            case Not(inner):
                return f"(NOT {self.condition(inner, column, exact=True)})"
            case Empty(expected):
                return self._empty(name, column, expected)
            case Every(parts):
                found = [self.condition(part, column, exact=exact) for part in parts]
                return every(found) if found else UNKNOWN

    def _compare(self, sign: str, operand: Operand, column: Column, *, exact: bool) -> str:
        return self.dialect.compare(self.column(column.name), sign, operand, column, self.parameters, exact=exact)

    def _one_of(self, operands: Iterable[Operand], column: Column, *, exact: bool) -> str:
        name = self.column(column.name)
        parts = [
            self.dialect.one_of_list(name, operand, column, self.parameters)
            if isinstance(operand, Ref) and operand.path[0] == "user"  # a claim may be a list, a context value never
            else self._compare("=", operand, column, exact=exact)
            for operand in operands
        ]
        found = some(parts)
        return f"CASE WHEN {name} IS NOT NULL THEN {found} END" if exact else found

    def _empty(self, name: str, column: Column, expected: bool) -> str:
        empty = f"({name} IS NULL)"
        if column.type == "text":
            empty = f"({name} IS NULL OR {self._compare('=', '', column, exact=False)})"
        return empty if expected else f"(NOT COALESCE({empty}, {FALSE}))"

    def rows(self, filter_: RowFilter, *, exact: bool = False) -> str:
        """Return one filter. SQL of the policy's own cannot be switched on here: it admits nothing."""
        parts: list[str] = []
        for name, matcher in filter_.conditions:
            column = self.relation.column(name)
            parts.append(UNKNOWN if column is None else self.condition(matcher, column, exact=exact))
        if filter_.sql is not None:
            parts.append(UNKNOWN)
        return every(parts)

    def some(self, filters: Iterable[RowFilter]) -> str:
        """Return the union of filters."""
        return some(self.rows(filter_) for filter_ in filters)

    def is_kept(self, denied: DenyRows) -> str:
        """Return the condition under which a `deny` is known not to touch the row."""
        return f"COALESCE(NOT {self.rows(denied.filter, exact=True)}, {FALSE})"

    def tenant(self, name: str) -> str:
        """Return the tenant's condition; never true for a session without a tenant."""
        column = self.relation.column(name)
        return UNKNOWN if column is None else self._compare("=", Ref(("tenant",)), column, exact=False)

    def shown(self, name: str, mask: Mask | None) -> tuple[str, str]:
        """Return how a field is shown and the type of that: in clear when `mask` is None."""
        column = self.relation.column(name)
        if column is None:
            return "NULL", "text"
        if mask is None:
            return self.column(name), column.type
        return self.dialect.masked(mask, self.column(name), column, self.parameters)
