"""What a statement of another engine uses: written as PostgreSQL would have it, and looked at there.

It describes and decides nothing. What PostgreSQL's grammar has no words for is not told. Only for trees that
`grammar.check` let pass.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from sqlglot import exp
from sqlglot.dialects.postgres import Postgres
from sqlglot.errors import ErrorLevel, SqlglotError

from bailiwick.model.observation import Link
from bailiwick.sql.engines.scoped import Scoped, folded
from bailiwick.sql.engines.tree import Node, child, identifier
from bailiwick.sql.usage import Known, Statement, UsedTable
from bailiwick.sql.usage_walk import used_in

_SCHEMA = "bw"
_ISSUES = (SqlglotError, RecursionError, ValueError, TypeError, KeyError, AttributeError, IndexError)


class Usage:
    """Finds what statements use of the relations of one scope."""

    def __init__(self, relations: Collection[Scoped]) -> None:
        self._tables: dict[tuple[str, str], Known] = {}
        self._places: dict[tuple[str, str], tuple[str, str]] = {}
        self._spelled: dict[str, Mapping[str, str]] = {}
        """Resource → folded name of a column → how it is spelled."""
        twice = set[tuple[str, str]]()
        for each in relations:
            place = (_SCHEMA, folded(each.relation.name))
            twice |= {place} & self._tables.keys()
            found = dict.fromkeys((each.resource.key, each.relation.key, *(each.relation.uniques or ())))
            keys = tuple(tuple(map(folded, key)) for key in found if key)
            types = {folded(column.name): column.type for column in each.relation.columns}
            self._tables[place] = Known(each.resource.name, tuple(map(folded, each.columns)), keys, types)
            self._places[place] = (each.relation.schema, each.relation.name)
            self._spelled[each.resource.name] = {folded(name): name for name in each.columns}
        for place in twice:  # of two schemas: which one is meant is not looked into
            del self._tables[place]

    def of(self, tree: Node, parameters: str) -> Statement | None:
        """Return what a statement uses; None where it cannot be told. Its parameters are called `parameters` and a
        number; the tree is left as it is."""
        try:
            text = self._as_postgres(tree.copy(), parameters)
            found = used_in(text, self._tables, (_SCHEMA,))
        except _ISSUES:
            return None
        if found is None or len(found) != 1:
            return None
        tables = found[0].tables
        shown = (
            None if each is None else replace(each, field=self._named(tables[each.use].resource, each.field))
            for each in found[0].shown
        )
        return Statement(tuple(map(self._as_spelled, tables)), tuple(shown))

    def _named(self, resource: str, column: str) -> str:
        return self._spelled.get(resource, {}).get(column, column)

    def _as_spelled(self, use: UsedTable) -> UsedTable:
        """Return a use with its names as the engine has them."""

        def every(columns: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(sorted(self._named(use.resource, each) for each in columns))

        return replace(
            use,
            place=self._places.get(use.place, use.place),
            read=every(use.read),
            filtered=every(use.filtered),
            joined=every(use.joined),
            counted=every(use.counted),
            compared=every(use.compared),
            written=every(use.written),
            conditions=tuple(replace(each, field=self._named(use.resource, each.field)) for each in use.conditions),
            links=tuple(
                Link(self._named(use.resource, each.field), each.resource, self._named(each.resource, each.other))
                for each in use.links
            ),
            sets=tuple(replace(each, field=self._named(use.resource, each.field)) for each in use.sets),
            types=tuple((self._named(use.resource, name), kind) for name, kind in use.types),
        )

    def _as_postgres(self, tree: Node, parameters: str) -> str:
        for node in [*tree.walk()]:
            if isinstance(node, exp.Table) and child(node, "db") is not None:
                node.set("db", identifier(_SCHEMA))
                node.set("catalog", None)
            elif isinstance(node, exp.Column):
                node.set("db", None)  # of `schema.table.column` the table says enough
            elif isinstance(node, exp.Identifier):
                node.set("this", folded(node.name))
            elif isinstance(node, exp.Placeholder | exp.Parameter) and node.name.startswith(parameters):
                number = exp.Literal.number(int(node.name.removeprefix(parameters)))
                node.replace(exp.Parameter(this=number))
        return Postgres().generate(tree, identify=True, comments=False, unsupported_level=ErrorLevel.IGNORE)
