"""What names mean at one place of a statement, and what was learnt about it while walking.

We resolve every name ourselves against the scope (SQL-RULES 7, 10 to 13); PostgreSQL then resolves it the same way,
since each relation was replaced by a sub-query with exactly these columns.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NoReturn

from postgast.pg_query_pb2 import Alias, CommonTableExpr, Node, RangeTableSample, SelectStmt

from bailiwick.model.decision import Denial, DenialCode
from bailiwick.sql.catalogue import Catalogue, Visible
from bailiwick.sql.groupings import Text
from bailiwick.sql.scoped import ScopedRelation
from bailiwick.sql.system import SystemView

MAX_DEPTH = 200
"""Levels of expressions and queries within each other."""

UNREPLACED = "bw:unreplaced"
"""Name of a database that no text has which goes upstream: relations of the agent carry it until they are replaced."""


class Refused(Exception):  # noqa: N818  # not an error: it carries a denial out of the recursion, and no further
    """Ends the walk over a statement. Only `rewrite` catches it, and returns the denial as the value that it is."""

    def __init__(self, denial: Denial) -> None:
        super().__init__(denial.message)
        self.denial = denial


def refuse(code: DenialCode, message: str, allowed: str = "", remedy: str = "", action: str = "") -> NoReturn:
    """Deny the statement that is being walked."""
    raise Refused(Denial(code, message, allowed, remedy, action))


@dataclass(eq=False, slots=True)
class Use:
    """One use of a relation in a statement. It is replaced by its scoped form after the walk."""

    node: Node
    alias: str
    relation: ScopedRelation | SystemView
    only: bool = False
    fenced: bool = False
    fields: set[str] = field(default_factory=set[str])
    whole: bool = False
    """Its columns are named by their order: none may be left out."""
    sample: RangeTableSample | None = None
    """TABLESAMPLE: it stays with the real relation, inside the scoped form."""
    also: list[Node] = field(default_factory=list[Node])
    """Copies of `node`: what it stands in was copied, see `templates`."""
    copies: list[Node] = field(default_factory=list[Node])
    """Conjuncts of the agent that are leakproof over this relation alone: copied inside a fence."""


@dataclass(frozen=True, slots=True)
class Fact:
    """What is known of an expression: its type ('' unknown, `unknown` for an untyped literal), the relations whose
    values reach it, and whether evaluating it could tell something about these values (SQL-RULES 14)."""

    type: str = ""
    uses: frozenset[Use] = frozenset()
    leaky: bool = False
    row: tuple[tuple[str, Fact], ...] = ()
    """A row whose fields are known: these."""
    place: int = 0
    """Of a parameter whose type the server infers: which of `Walk.places` it is, counted from 1."""
    named: str = ""
    """Of a column that a system relation has as a `reg…` type, shown as text: that type."""


NOTHING = Fact()
UNTYPED = Fact("unknown")
Columns = tuple[tuple[str, Fact], ...]


def joined(facts: Iterable[Fact], type_name: str = "", *, leaky: bool = False) -> Fact:
    """Return the fact of an expression made of others. `leaky`: the combination itself is not leakproof."""
    uses: frozenset[Use] = frozenset()
    inner = False
    for fact in facts:
        if fact.uses:
            uses = uses | fact.uses if uses else fact.uses
        inner = inner or fact.leaky
    return Fact(type_name, uses, inner or (leaky and bool(uses)))


@dataclass(eq=False, slots=True)
class Source:
    """One item of a FROM clause (or the target of a write): an alias and its columns."""

    alias: str
    columns: dict[str, Fact]
    use: Use | None = None
    schema: str = ""
    """Schema of a relation that was named without an alias; `schema.relation.column` may refer to it."""
    target: bool = False
    """The target of an UPDATE or DELETE: the real relation, so references to it are rewritten one by one."""
    pairs: Columns = ()
    """The columns in order, where a name may stand twice; empty: as in `columns`."""
    origins: dict[str, tuple[tuple[Use, str], ...]] = field(default_factory=dict[str, "tuple[tuple[Use, str], ...]"])
    """Column → the columns of relations that it is, where it may have another name than there."""
    late: list[tuple[Node | None, str]] | None = None
    """References made after grouping (None: by a `*`), while they are collected; see `grouping`."""
    scalar: bool = False
    """A function that returns one value: its whole row is that value."""
    apart: bool = False
    """Only its alias leads to it: neither an unqualified name nor `*` (`excluded`, `old` and `new` of a write)."""

    @property
    def shown(self) -> Columns:
        """What `*` stands for."""
        return self.pairs or tuple(self.columns.items())

    def read(self, names: Iterable[str], node: Node | None = None) -> None:
        """Remember that the columns are read, by `node` or by a `*`."""
        for name in names:
            if self.late is not None:
                self.late.append((node, name))
            if self.use is not None and not self.origins:
                self.use.fields.add(name)
            for use, real in self.origins.get(name, ()):
                use.fields.add(real)

    def real(self, name: str) -> str:
        """Return the name of the relation's own column."""
        found = self.origins.get(name, ())
        return found[0][1] if len(found) == 1 else name


def renamed(columns: Columns, alias: Alias) -> Columns:
    """Apply `AS alias(a, b, …)`, keeping duplicates. Raises Refused for more names than columns."""
    names = [part.string.sval for part in alias.colnames]
    if len(names) > len(columns):
        refuse("syntax_not_supported", f"`{alias.aliasname}` has {len(columns)} columns, {len(names)} are named")
    return tuple((names[i] if i < len(names) else name, fact) for i, (name, fact) in enumerate(columns))


def source_of_columns(alias: str, pairs: Columns, use: Use | None = None, schema: str = "") -> Source:
    """Return a FROM item of these columns. A name that stands twice is ambiguous: the server refuses it."""
    columns = dict(pairs)
    return Source(alias, columns, use, schema, pairs=pairs if len(columns) < len(pairs) else ())


@contextmanager
def not_late(level: Level) -> Generator[None]:
    """Walk what is evaluated before grouping: keys, and arguments of aggregates of this level."""
    before = [(source, source.late) for source in level.sources if source.late is not None]
    for source, _ in before:
        source.late = None
    yield
    for source, late in before:
        source.late = late


@dataclass(eq=False, slots=True)
class Cte:
    """A WITH query of a level."""

    columns: Columns | None = None
    """None: named, but not usable (it is being walked, or it is a write that returns nothing)."""
    marks: Columns = ()
    """What SEARCH and CYCLE add to it, within its own recursion: to be named there, and no part of `*`."""
    pending: Callable[[Cte], None] | None = None
    """Walks it: a WITH RECURSIVE may refer to a query that stands behind."""

    def known(self) -> Columns | None:
        """Return its columns, walking it now if nobody did."""
        pending, self.pending = self.pending, None
        if pending is not None:
            pending(self)
        return self.columns


@dataclass(eq=False, slots=True)
class Level:
    """The names of one query. Column names are looked up here, then in `outer`; CTEs here, then in `above`."""

    outer: Level | None = None
    above: Level | None = None
    sources: list[Source] = field(default_factory=list[Source])
    starred: list[tuple[str, Fact]] = field(default_factory=list[tuple[str, Fact]])
    """What `*` stands for: shared columns of a join first, and once."""
    ctes: dict[str, Cte] = field(default_factory=dict[str, Cte])
    top: bool = False
    """The statement itself: only there a WITH query may write."""
    locking: SelectStmt | None = None
    """The query, where it locks the rows of the one relation that it may read; see `locks`."""

    def inner(self) -> Level:
        """A query within this one that sees its columns (a sub-query of an expression, LATERAL)."""
        return Level(outer=self, above=self)

    def beside(self) -> Level:
        """A query in this one's FROM clause without LATERAL: it sees our CTEs and what we see outside, not our FROM."""
        return Level(outer=self.outer, above=self)

    def cte(self, name: str) -> Cte | None:
        """Return what `name` is here, if it is a CTE."""
        level: Level | None = self
        while level is not None:
            if name in level.ctes:
                return level.ctes[name]
            level = level.above
        return None

    def find(self, alias: str) -> Source | None:
        """Return the nearest FROM item of that alias."""
        level: Level | None = self
        while level is not None:
            for source in level.sources:
                if source.alias == alias:
                    return source
            level = level.outer
        return None

    def having(self, column: str) -> list[Source]:
        """Return the FROM items of the nearest level that has the column."""
        level: Level | None = self
        while level is not None:
            found = [source for source in level.sources if column in source.columns and not source.apart]
            if found:
                return found
            level = level.outer
        return []


@dataclass(eq=False, slots=True)
class Replacement:
    """A place in the tree where a column of a write's target stood: it gets the column as it is shown."""

    node: Node
    source: Source
    column: str


@dataclass(frozen=True, slots=True)
class Locked:
    """A relation whose rows a query locks: it stays the real one, and `select` is limited after the walk."""

    use: Use
    select: SelectStmt


@dataclass(eq=False, slots=True)
class Block:
    """A query that groups a relation under aggregates only; see `aggregates`."""

    use: Use
    relation: ScopedRelation
    filter: Text
    keys: tuple[Text, ...]
    measures: tuple[str, ...]
    source: str = ""
    """The relation's scoped form."""


@dataclass(eq=False, slots=True)
class Walk:
    """The state of one walk over one statement."""

    relations: dict[tuple[str, str], ScopedRelation]
    catalogue: Catalogue
    visible: Visible
    system: dict[tuple[str, str], SystemView | None]
    """Scoped forms of the system relations that were asked for so far under this scope."""
    functions: frozenset[str]
    query: Callable[[SelectStmt, Level, Walk], Columns]
    value: Callable[[Node, Level, Walk], Fact]
    write: Callable[[CommonTableExpr, Level, Walk], Columns]
    """`query`, `value` and `write` walk a sub-query, an expression and a WITH query that writes; given here because the
    parts of the walk recurse into each other across modules."""
    aggregates: Mapping[tuple[str, str], ScopedRelation] = field(default_factory=dict[tuple[str, str], ScopedRelation])
    """Relations that may only be aggregated."""
    blocks: list[Block] = field(default_factory=list[Block])
    uses: list[Use] = field(default_factory=list[Use])
    replacements: list[Replacement] = field(default_factory=list[Replacement])
    locked: list[Locked] = field(default_factory=list[Locked])
    leaks: frozenset[Use] = frozenset()
    """Relations whose values reached a leaky expression so far, at whatever place; see `correlated`."""
    by_value: bool = False
    """Whether the value of a literal was looked at (not only its class): see `literals`."""
    locks: bool = False
    """Whether a query locks rows."""
    beside: dict[str, int] = field(default_factory=dict[str, int])
    """Functions that are answered in reflection only → the least number of relations that such a statement reads."""
    parameters: int = 0
    """Highest `$n` of the agent."""
    declared: tuple[str, ...] = ()
    """Types of the first of them, where PREPARE or the client declares them; '' not known, `unknown` not declared."""
    places: list[int] = field(default_factory=list[int])
    """The number of the parameter at each place where its type is inferred."""
    inferred: dict[int, set[str]] = field(default_factory=dict[int, set[str]])
    """Place → the types that the server could infer there, as far as they are known."""
    trusted: set[int] = field(default_factory=set[int])
    """Numbers of parameters that an operator was held to be leakproof for, with what is inferred at that place."""
    depth: int = 0

    @property
    def read(self) -> list[Use]:
        """The relations that are read, those whose rows are locked among them."""
        return [*self.uses, *(locked.use for locked in self.locked)]

    def infer(self, place: int, type_name: str) -> None:
        """Remember what type a parameter would have by this place alone."""
        if place:
            self.inferred.setdefault(place, set()).add(type_name)

    def torn(self) -> frozenset[int]:
        """Return the trusted parameters whose places do not agree: the server takes the type of one of them for all."""
        types: dict[int, set[str]] = {}
        for place, number in enumerate(self.places, 1):
            types.setdefault(number, set()).update(self.inferred.get(place, {""}))
        several = {number for number in self.trusted if self.places.count(number) > 1}
        return frozenset(number for number in several if len(types[number]) > 1 or "" in types[number])

    def values(self, nodes: Iterable[Node], level: Level) -> list[Fact]:
        """Walk several expressions; an absent one passes."""
        return [self.value(node, level, self) for node in nodes if node.WhichOneof("node")]

    def correlated(self, walked: Callable[[], Columns]) -> tuple[Columns, frozenset[Use]]:
        """Walk a query within an expression or LATERAL. Returns its columns, and the relations *around* it whose values
        reach a leaky expression anywhere in it: where the query is evaluated, these values are."""
        before, known = self.leaks, len(self.uses)
        self.leaks = frozenset()
        columns = walked()
        around = self.leaks - frozenset(self.uses[known:])
        self.leaks = before | around
        return columns, around

    def deeper(self) -> None:
        """Count one level down; the caller counts it up again by `self.depth -= 1`."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            refuse("statement_too_large", "the statement nests too deeply", f"up to {MAX_DEPTH} levels")
