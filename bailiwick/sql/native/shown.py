"""What one scope shows of one table, as a view's query; and what the view's owner needs of the table for it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from google.protobuf.message import Message
from postgast.pg_query_pb2 import ColumnRef, Node

from bailiwick.model.scope import ResourceScope, RowFilter
from bailiwick.model.value import Ref
from bailiwick.sql.catalogue import Relation
from bailiwick.sql.comparing import is_citext, schema_of
from bailiwick.sql.parameters import Inline, Parameters
from bailiwick.sql.parser import expression
from bailiwick.sql.plan import Bound
from bailiwick.sql.predicates import RelationText, columns_of, own_sql, relations_in
from bailiwick.sql.quote import ident, text
from bailiwick.sql.scoped import INNER, ScopedRelation

NOW = "pg_catalog.statement_timestamp()"
"""The native depth's clock is the server's: an agent cannot set it, and holding a transaction open does not stop it."""


def bound_expressions(home: str) -> Inline:
    """Return what stands in the database for a value that the rewriter would bind. Each is computed once a query."""
    schema = ident(home)

    def expression(bound: Bound, _number: int) -> str:
        source = bound.source
        if isinstance(source, Ref):
            name = text(str(source)[1:])
            if bound.type.endswith("[]"):
                # the outer cast makes it a value: `= ANY ((SELECT …))` alone would compare with the query's rows
                return f"(SELECT {schema}.list({name})::{bound.type})::{bound.type}"
            if bound.type == "timestamp with time zone":
                return f"(SELECT {_moment(f'{schema}.value({name})')})"
            cast = "" if bound.type == "text" else f"::{bound.type}"
            return f"(SELECT {schema}.value({name}){cast})"
        if source == "now":
            return NOW
        column = "inner" if source == "mask.inner" else "outer"
        return f'(SELECT k."{column}" FROM {schema}.masks AS k)'  # noqa: S608  # quoted names

    return expression


def _moment(value: str) -> str:
    """Return a session value as a moment, a date as its midnight in UTC; nothing that a time zone would decide."""
    date, moment = text("^[0-9]{4}-[0-9]{2}-[0-9]{2}$"), text("[0-9]([+]00:00|Z)$")
    return (
        f"CASE WHEN {value} ~ {date} THEN pg_catalog.timezone('UTC'::text, {value}::timestamp without time zone)"
        f" WHEN {value} ~ {moment} THEN {value}::timestamp with time zone END"
    )


@dataclass(frozen=True, slots=True)
class Shown:
    """One table as one scope shows it."""

    scoped: ScopedRelation
    home: str

    @property
    def scope(self) -> ResourceScope:
        """The scope's share of this resource."""
        return self.scoped.scope

    @property
    def relation(self) -> Relation:
        """The table itself."""
        return self.scoped.relation

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the view, in the table's order."""
        return tuple(self.scoped.columns)

    def text(self, alias: str, *, direct: bool) -> RelationText:
        """Return expressions over the table under an alias, with session values as the database has them."""
        return RelationText(self.relation, alias, Parameters(1, bound_expressions(self.home)), direct=direct)

    def query(self) -> str:
        """Return the view's query. Without a valid binding it has no rows, whatever the filters say."""
        text = self.text(INNER, direct=True)
        columns = ",\n       ".join(f"{self.scoped.field(text, name)} AS {ident(name)}" for name in self.columns)
        where = self.scoped.admits(text)
        limits = f"(SELECT {ident(self.home)}.bound())" + (f"\n  AND {where}" if where != "TRUE" else "")
        return f"SELECT {columns}\nFROM {self.scoped.source()} AS {INNER}\nWHERE {limits}"  # quoted names of the policy

    def clear(self) -> frozenset[str]:
        """Return the columns that the view shows as they are in every row: these can be written through it."""
        return frozenset(column.name for column in self.scoped.columns.values() if column.clear)

    def writable(self, verb: str) -> tuple[str, ...]:
        """Return the columns that the scope may write through the view, in the table's order."""
        grants = self.scope.updates if verb == "update" else self.scope.creates
        fields = frozenset[str]().union(*(grant.fields for grant in grants)) & self.clear()
        return tuple(column.name for column in self.relation.columns if column.name in fields)

    @property
    def deletes(self) -> bool:
        """Whether the scope may delete rows."""
        return bool(self.scope.deletes) and bool(self.columns)

    @property
    def writes(self) -> bool:
        """Whether the scope may write anything."""
        return self.deletes or bool(self.writable("update")) or bool(self.writable("create"))

    def read_columns(self) -> tuple[str, ...]:
        """Return the table's columns that the view's query names."""
        relation = self.relation
        plain = (RowFilter(rows.conditions) for rows in _filters(self.scope))
        named = set(self.columns) | columns_of(plain, relation) | {self.scope.resource.tenant}
        for own in self._own_sql():
            named |= _named_in(own, relation)
        return tuple(column.name for column in relation.columns if column.name in named)

    def operators(self) -> frozenset[str]:
        """Return the schemas of the operators that the view's conditions name: those of citext."""
        named = (self.relation.column(name) for name in self.read_columns())
        return frozenset(schema_of(each.type) for each in named if each is not None and is_citext(each.type))

    def own_relations(self) -> frozenset[tuple[str, str]]:
        """Return the relations that the policy's own SQL reads."""
        return frozenset((named.schemaname, named.relname) for own in self._own_sql() for named in relations_in(own))

    def _own_sql(self) -> Iterable[Node]:
        """Yield the policy's own SQL in this scope: predicates and masks."""
        for rows in _filters(self.scope):
            if rows.sql is not None:
                yield expression(own_sql(rows.sql, Parameters(1)))
        for mask in (mask for grant in self.scope.reads for mask in grant.fields.values()):
            if mask is not None and mask.name == "sql" and mask.arg is not None:
                yield expression(own_sql(mask.arg, Parameters(1)))

    def masks_by_hash(self) -> bool:
        """Whether the view needs the mask key."""
        return any(
            mask is not None and mask.name == "hash" for grant in self.scope.reads for mask in grant.fields.values()
        )


def _named_in(own: Node, relation: Relation) -> frozenset[str]:
    """Return the columns of the table that an expression may name; all where it names the row itself."""
    columns = frozenset(column.name for column in relation.columns)
    found: set[str] = set()
    stack: list[Message] = [own]
    while stack:
        message = stack.pop()
        if isinstance(message, ColumnRef):
            words = [part.string.sval for part in message.fields]
            if words[0] in ("", relation.name, INNER) and (len(words) == 1 or "" in words):  # `*`, or the row itself
                return columns
            found.update(words)
        for kind, value in message.ListFields():
            if kind.message_type is not None:
                stack.extend(value if kind.is_repeated else [value])
    return columns & found


def _filters(scope: ResourceScope) -> Iterable[RowFilter]:
    """Yield every filter of a scope."""
    for grant in (*scope.reads, *scope.updates, *scope.creates, *scope.deletes, *scope.denied_rows):
        yield grant.filter
