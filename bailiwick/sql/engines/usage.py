"""What a statement of another engine uses: written as PostgreSQL would have it, and looked at there.

It describes and decides nothing. What PostgreSQL's grammar has no words for is not told.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlglot import exp
from sqlglot.errors import SqlglotError

from bailiwick.sql.engines.grammars import GRAMMARS
from bailiwick.sql.engines.scoped import Scoped, folded
from bailiwick.sql.engines.tree import Node
from bailiwick.sql.usage import Known, Statement
from bailiwick.sql.usage_walk import used_in

_SCHEMA = "bw"
_ISSUES = (SqlglotError, RecursionError, ValueError, TypeError, KeyError, AttributeError, IndexError)


class Usage:
    """Finds what statements use of the relations of one scope."""

    def __init__(self, relations: Iterable[Scoped]) -> None:
        self._names: dict[str, tuple[str, str]] = {}
        """Folded name → relation. Where two schemas have one of that name, neither is known."""
        self._tables: dict[tuple[str, str], Known] = {}
        self._places: dict[str, tuple[str, str]] = {}
        twice = set[str]()
        for each in relations:
            name = folded(each.relation.name)
            twice |= {name} & self._places.keys()
            self._places[name] = (each.relation.schema, each.relation.name)
            keys = (each.resource.key, each.relation.key, *(each.relation.uniques or ()))
            known = tuple(dict.fromkeys(tuple(map(folded, key)) for key in keys if key))
            types = {folded(column.name): column.type for column in each.relation.columns}
            self._tables[_SCHEMA, name] = Known(each.resource.name, tuple(map(folded, each.columns)), known, types)
        for name in twice:
            del self._tables[_SCHEMA, name]
        self._columns = {
            each.resource.name: {folded(name): name for name in each.columns} for each in relations
        }
