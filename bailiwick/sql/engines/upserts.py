"""INSERT … ON CONFLICT: only where a conflict cannot tell of, or reach, a row outside of the scope (SQL-RULES 20).

A new row that meets an existing one of the same key shows that this one exists. That is harmless where every row of
that key is visible: where no row is hidden, or where the columns by which the scope admits rows belong to the key, and
the new row has there what the scope wants. So the rows that the agent gives are kept in a table of our own, looked at,
and only then met with the real ones: an update by a join with the visible rows, and an insert of what is left.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import NoReturn

from sqlglot import exp

from bailiwick.model.value import Ref
from bailiwick.sql.engines.composing import Composed, inserted, once, rows_of, updated
from bailiwick.sql.engines.dialect import Parameters
from bailiwick.sql.engines.environment import Level, Source, Walk
from bailiwick.sql.engines.expressions import expression, name_of
from bailiwick.sql.engines.foresight import foreseen
from bailiwick.sql.engines.plan import Reached, Target
from bailiwick.sql.engines.predicates import every
from bailiwick.sql.engines.refusal import refuse
from bailiwick.sql.engines.scoped import INNER, Scoped
from bailiwick.sql.engines.tree import Node, argument, child, children, piece_of
from bailiwick.sql.engines.writes import Conflict, Write, act, fields_of, opened, settings, tenant_of
from bailiwick.sql.pinned import Pins, pins_of

_BY_COLUMNS = "ON CONFLICT (columns of the key) DO NOTHING, or DO UPDATE"


def on_conflict(clause: Node, found: Write, level: Level, walk: Walk) -> None:
    """Walk the clause. Raises Refused unless every row that it can meet is visible."""
    target = found.target
    key = _key(clause, target)
    given = {*found.fields, *tenant_of(found)}
    pins = _pins(target, key or found.fields, walk)
    if pins is None or (target.hides_rows and not key):
        _refuse_telling(target, key)
    missing = [name for name in key if name not in given]
    if missing:
        refuse("statement_not_allowed", f"ON CONFLICT needs a value for `{missing[0]}`", f"`{missing[0]}` with a value")
    conflict = found.conflict = Conflict(key, pins, given=walk.new_name())
    found.use = opened(target, found.alias, inside := Level(None, level.ctes), walk)
    found.use.fields.update(key or found.fields)
    action = str(argument(child(clause, "action") or clause, "this")).upper()
    if action == "DO NOTHING":
        return
    if action != "DO UPDATE" or not key:
        refuse("syntax_not_supported", "ON CONFLICT needs a key here", _BY_COLUMNS)
    columns = tuple((each.name, each.type) for each in target.relation.columns if each.name in found.fields)
    inside.sources.append(Source("excluded", columns, apart=True))
    names, found.values = settings(children(clause, "expressions"), inside, walk)
    fields = fields_of(target, names)
    if {*fields} & {*key}:
        refuse("syntax_not_supported", "DO UPDATE cannot change the key of the conflict here", "the other columns")
    conflict.update = act(target, "update", fields)
    where = child(clause, "where")
    if where is not None:
        expression(where, inside, walk)
        found.where = where


def _key(clause: Node, target: Scoped) -> tuple[str, ...]:
    """Return the columns by which rows conflict. Raises Refused for every other way to say it."""
    names: list[str] = []
    for each in children(clause, "conflict_keys"):
        column = child(each, "this") if isinstance(each, exp.Ordered) else each
        if not isinstance(column, exp.Column) or argument(column, "table"):
            refuse("syntax_not_supported", "ON CONFLICT by an expression or collation is refused", _BY_COLUMNS)
        names.append(name_of(child(column, "this")))
    return fields_of(target, names) if names else ()


def _pins(target: Scoped, key: Collection[str], walk: Walk) -> Pins | None:
    """Return what a new row's key must hold so that every row of the same key is visible; None when nothing does that.

    Every column of the key has to be shown in clear: else a conflict would tell what may not be read."""
    if not all(name in target.columns and target.columns[name].clear for name in key):
        return None
    if not target.hides_rows:
        return ()
    if any(denied.fields is None for denied in target.scope.denied_rows):
        return None
    tenant = target.resource.tenant
    of_tenant: Pins = () if tenant is None else ((tenant, Ref(("tenant",))),)
    for grant in target.scope.reads:
        found = pins_of(grant.filter)
        if found is not None and all(_pinnable(target, name, key, walk) for name, _ in (*of_tenant, *found)):
            return (*of_tenant, *found)
    return None


def _pinnable(target: Scoped, name: str, key: Collection[str], walk: Walk) -> bool:
    column, writing = target.relation.column(name), walk.dialect.writing
    return name in key and column is not None and writing is not None and column.type.partition("(")[0] in writing.exact


def _refuse_telling(target: Scoped, key: tuple[str, ...]) -> NoReturn:
    tenant = target.resource.tenant
    how = f"ON CONFLICT ({', '.join(key)})" if key else "ON CONFLICT without a key"
    refuse(
        "statement_not_allowed",
        f"{how} could tell which rows of `{target.resource.name}` exist outside of the scope",
        "a key of readable columns that holds every column by which the scope admits rows"
        + (f", with `{tenant}`" if tenant in target.columns else ""),
        "use INSERT and UPDATE, or ask the policy's owner for `read` of every column of the key",
    )


@dataclass(frozen=True, slots=True)
class ComposedUpsert:
    """Its texts, in the order in which they run; see `plan.Upsert`."""

    make: str
    fill: Composed
    held: str
    fresh: str
    meant: str
    change: Composed | None
    add: Composed
    given: str
    """The form of the rows that are given."""


class Upserting:
    """Composes one walked INSERT whose rows are kept in a table of ours first: with ON CONFLICT, or to be looked at."""

    def __init__(self, found: Write, walk: Walk, parameters: Parameters) -> None:
        self.found, self.walk, self.parameters = found, walk, parameters
        self.conflict = found.conflict or Conflict((), (), given=walk.new_name())
        self._ident = walk.dialect.ident
        self._columns = (*found.fields, *tenant_of(found))
        writing = walk.dialect.writing
        self._schema = "" if writing is None else writing.temporary
        self._name = f"{walk.prefix}rows"
        self._place = walk.dialect.place(self._schema, self._name)

    def reached(self) -> Reached:
        """Return what the form of the given rows reads."""
        return Reached(self._schema, self._name, frozenset(self._columns))

    def composed(self) -> ComposedUpsert:
        """Return the texts."""
        found, conflict, ident = self.found, self.conflict, self._ident
        listed = ", ".join(ident(name) for name in self._columns)
        make = f"CREATE TEMP TABLE {ident(self._name)} AS SELECT {listed} FROM {found.target.source()} WHERE 1 = 0"  # noqa: S608  # our own names
        inner = ", ".join(f"{ident(INNER)}.{ident(name)} AS {ident(name)}" for name in self._columns)
        given = f"SELECT {inner} FROM {self._place} AS {ident(INNER)}"  # noqa: S608  # our own names
        new = ident(f"{self.walk.prefix}new")
        fresh = ""
        left = "1 = 1"
        change = None
        meant = ""
        if conflict.update is not None:
            left = self._unmet(new)
            fresh = f"SELECT count(*) FROM {self._place} AS {new} WHERE {left}"  # noqa: S608  # our own
            rows = self._met()
            row = ident(f"{self.walk.prefix}row")
            of = ident(f"{self.walk.prefix}met")
            meant = f"SELECT count(*), count(DISTINCT {row}) FROM ({rows}) AS {of}"  # noqa: S608  # walked
            self.walk.functions.add("count")
            change = updated(found, conflict.update, self.walk, self.parameters, once(found, rows, self.walk))
        values = ", ".join(f"{new}.{ident(name)}" for name in self._columns)
        own = (values, f"SELECT {listed} FROM {ident(conflict.given)}")  # noqa: S608  # our own names
        add = inserted(found, found.act, self.walk, self.parameters, own, left, self._nothing())
        return ComposedUpsert(make, self._fill(listed), self._held(), fresh, meant, change, add, given)

    def _fill(self, listed: str) -> Composed:
        found = self.found
        new = self._ident(f"{self.walk.prefix}new")
        rows = "" if found.rows is None else piece_of(found.rows, self.walk.dialect.grammar)
        values = ", ".join([f"{new}.*", *(found.tenant(self.parameters) for _ in tenant_of(found))])
        sql = f"INSERT INTO {self._place} ({listed}) SELECT {values} FROM ({rows}) AS {new} WHERE 1 = 1"  # noqa: S608  # walked
        return Composed(sql, Target(self._schema, self._name, "create", frozenset(), frozenset()), rows)

    def _nothing(self) -> str:
        """Return what keeps a row that conflicts from failing, if that is asked for."""
        if self.found.conflict is None:
            return ""
        key = ", ".join(self._ident(name) for name in self.conflict.key)
        return f" ON CONFLICT{f' ({key})' if key else ''} DO NOTHING"

    def _held(self) -> str:
        """Return the query that counts the rows that are known to be outside; with ON CONFLICT, by their key."""
        if self.found.conflict is None:
            inside = foreseen(self.found, self.found.target.text(self.parameters))
            return self._count_without(inside)
        if not self.conflict.pins:
            return ""
        text = self.found.target.text(self.parameters)
        parts: list[str] = []
        for name, operand in self.conflict.pins:
            column = self.found.target.relation.column(name)
            if column is not None:
                reference = text.column(name)
                parts.append(self.walk.dialect.compare(reference, "=", operand, column, self.parameters, exact=False))
        return self._count_without(every(parts))

    def _count_without(self, condition: str) -> str:
        inner = f"SELECT count(*) FROM {self._place} AS {self._ident(INNER)}"  # noqa: S608  # our own
        return f"{inner} WHERE NOT COALESCE({condition}, (1 = 0))"

    def _same(self, first: str, second: str) -> str:
        writing, relation = self.walk.dialect.writing, self.found.target.relation
        parts: list[str] = []
        for name in self.conflict.key:
            column = relation.column(name)
            if writing is not None and column is not None:
                title = self._ident(name)
                parts.append(writing.same(f"{first}.{title}", f"{second}.{title}", column))
        return every(parts)

    def _unmet(self, new: str) -> str:
        """Return the condition under which no real row has the key of a given one."""
        real = self._ident(INNER)
        source = f"{self.found.target.source()} AS {real}"
        return f"NOT EXISTS (SELECT 1 FROM {source} WHERE {self._same(real, new)})"  # noqa: S608  # our own

    def _met(self) -> str:
        """Return the query of the visible rows that given ones meet, and what becomes of them."""
        found, ident = self.found, self._ident
        excluded = ident("excluded")
        same = self._same(ident(found.alias), excluded)
        where = child(found.where, "this") if found.where is not None else None
        own = f" AND ({piece_of(where, self.walk.dialect.grammar)})" if where is not None else ""
        source = f"{ident(self.conflict.given)} AS {excluded}"
        return rows_of(found, self.walk, [source], f" WHERE {same}{own}")
