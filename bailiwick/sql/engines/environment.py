"""What a walk over one statement knows: the names of each query, and the relations that it uses so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bailiwick.sql.engines.dialect import Dialect
from bailiwick.sql.engines.refusal import refuse
from bailiwick.sql.engines.scoped import Scoped, folded

Columns = tuple[tuple[str, str], ...]
"""Names and types of the columns of a query; type '' where only the values tell."""
MAX_USES = 64
"""Relations, and named queries, of one statement."""


@dataclass(eq=False, slots=True)
class Use:
    """One use of a relation. Its place in the tree got the generated `name`."""

    name: str
    scoped: Scoped
    fields: set[str] = field(default_factory=set[str])


@dataclass(eq=False, slots=True)
class Source:
    """One item of a FROM clause."""

    alias: str
    columns: Columns
    use: Use | None = None
    schema: str = ""
    """Of a relation that was named without an alias: `schema.relation.column` may refer to it."""
    apart: bool = False
    """Its columns can only be named with its alias."""

    def find(self, name: str) -> tuple[str, str] | None:
        """Return the column that a name means here."""
        for column in self.columns:
            if folded(column[0]) == folded(name):
                return column
        return None

    def read(self, name: str) -> None:
        """Remember that a column is read."""
        if self.use is not None:
            self.use.fields.add(name)


@dataclass(eq=False, slots=True)
class Cte:
    """A named query: the tree has `name` for it wherever it is used."""

    name: str
    columns: Columns


@dataclass(eq=False, slots=True)
class Level:
    """The names of one query."""

    outer: Level | None = None
    ctes: Mapping[str, Cte] = field(default_factory=dict[str, Cte])
    """Folded name → named query, those of the queries around among them."""
    sources: list[Source] = field(default_factory=list[Source])
    outputs: dict[str, str] = field(default_factory=dict[str, str])
    """Folded alias of an output column → its type: ORDER BY and GROUP BY may name it."""
    windows: set[str] = field(default_factory=set[str])

    def beside(self) -> Level:
        """Return the level of a query in this one's FROM clause: it does not see its neighbours."""
        return Level(self.outer, self.ctes)

    def within(self) -> Level:
        """Return the level of a query in an expression of this one."""
        return Level(self, self.ctes)


@dataclass(eq=False, slots=True)
class Walk:
    """The state of one walk."""

    dialect: Dialect
    relations: Mapping[tuple[str, str], Scoped]
    prefix: str
    """Stands before every generated name, and nowhere in the agent's text."""
    uses: list[Use] = field(default_factory=list[Use])
    functions: set[str] = field(default_factory=set[str])
    loud: bool = False
    """Whether something in the statement can fail, or be felt, because of a value: it must not meet hidden rows."""
    named: list[str] = field(default_factory=list[str])
    """Generated names of the agent's WITH queries."""
    names: int = 0
    parameters: int = 0
    """How many `?` the agent's text holds."""

    def new_name(self) -> str:
        """Return a generated name."""
        self.names += 1
        if self.names > MAX_USES:
            refuse("statement_too_large", "the statement names too many relations", f"up to {MAX_USES}")
        return f"{self.prefix}{self.names}"

    def relation(self, schema: str, name: str, action: str = "read") -> Scoped:
        """Return what a name means. Raises Refused: what is not in the scope does not exist."""
        found = [
            scoped
            for (its_schema, its_name), scoped in self.relations.items()
            if folded(its_name) == folded(name) and self._is_of(its_schema, schema)
        ]
        if len(found) != 1:
            known = ", ".join(sorted(scoped.relation.name for scoped in self.relations.values() if scoped.columns))
            refuse(
                "resource_unknown",
                f"relation `{name}` is not in the scope of this session",
                known,
                action=f"{name}:{action}",
            )
        return found[0]

    def _is_of(self, schema: str, named: str) -> bool:
        """Whether a schema is the one that is named, if one is; its catalog may be left out."""
        catalog, _, rest = schema.partition(".")
        known = (schema, rest) if self.dialect.catalogs and catalog else (schema,)
        return not named or folded(named) in map(folded, known)

    def use(self, scoped: Scoped) -> Use:
        """Return a new use of a relation."""
        use = Use(self.new_name(), scoped)
        self.uses.append(use)
        return use
