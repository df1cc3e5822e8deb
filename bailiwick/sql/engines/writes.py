"""INSERT, UPDATE, DELETE as the agent wrote them: names are resolved, and grants looked up that admit the write.

What becomes of them is in `composing`; ON CONFLICT is in `upserts`, RETURNING in `returning`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlglot import exp

from bailiwick.model.scope import WriteGrant
from bailiwick.model.value import Operand, Ref
from bailiwick.sql.engines.dialect import Parameters
from bailiwick.sql.engines.environment import Columns, Level, Source, Use, Walk
from bailiwick.sql.engines.expressions import expression, name_of
from bailiwick.sql.engines.queries import further_sources, named_queries, query
from bailiwick.sql.engines.refusal import refuse
from bailiwick.sql.engines.scoped import Scoped, folded
from bailiwick.sql.engines.tree import Node, argument, child, children

Verb = Literal["create", "update", "delete"]


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that a statement does to rows of its target."""

    verb: Verb
    fields: tuple[str, ...]
    grants: tuple[WriteGrant, ...]


@dataclass(eq=False, slots=True)
class Conflict:
    """What an insert does with a row whose key another one has."""

    key: tuple[str, ...]
    """Columns; empty: any key."""
    pins: tuple[tuple[str, Operand], ...]
    """What the scope wants of new rows' keys, so that every row of the same key is a visible one."""
    update: Act | None = None
    """None: the row is left out."""
    given: str = ""
    """The generated name of the rows that are given: `excluded`."""


@dataclass(eq=False, slots=True)
class Write:
    """A walked write, ready to be composed."""

    act: Act
    target: Scoped
    alias: str
    """What the agent calls the target."""
    use: Use | None = None
    """Of the scoped relation, for what is updated or deleted."""
    values: tuple[Node, ...] = ()
    """Of an update: what each field becomes."""
    where: Node | None = None
    others: tuple[Node, ...] = ()
    """Further sources, of an update or a delete."""
    rows: Node | None = None
    """Of an insert: the query of its rows."""
    ctes: tuple[Node, ...] = ()
    conflict: Conflict | None = None
    back: Use | None = None
    """Of the scoped relation, for RETURNING."""
    returns: tuple[Node, ...] = ()
    columns: Columns = ()
    """Of what it returns."""

    @property
    def verb(self) -> Verb:
        """What it does in the first place."""
        return self.act.verb

    @property
    def fields(self) -> tuple[str, ...]:
        """The columns that it writes so."""
        return self.act.fields

    @property
    def acts(self) -> tuple[Act, ...]:
        """All that it does."""
        updates = None if self.conflict is None else self.conflict.update
        return (self.act,) if updates is None else (self.act, updates)

    def tenant(self, parameters: Parameters) -> str:
        """Return the session's tenant as a value of the target's column."""
        column = self.target.relation.column(self.target.resource.tenant or "")
        value = None if column is None else self.target.dialect.value(Ref(("tenant",)), column, parameters)
        return value or "NULL"


def write(node: Node, walk: Walk) -> Write:
    """Walk a write. Raises Refused."""
    from bailiwick.sql.engines.returning import returning  # each of the two looks at what this is about
    from bailiwick.sql.engines.upserts import on_conflict

    level = Level()
    level.ctes = named_queries(node, level, walk)
    with_ = child(node, "with_")
    ctes = tuple(children(with_, "expressions")) if with_ is not None else ()
    if isinstance(node, exp.Insert):
        found = _insert(node, level, walk)
    elif isinstance(node, exp.Update):
        found = _update(node, level, walk)
    else:
        found = _delete(node, level, walk)
    if found.target.relation.kind != "r" or found.target.relation.derives:
        what = "has triggers" if found.target.relation.kind == "r" else "is a view"
        refuse(
            "statement_not_allowed",
            f"`{found.target.relation.name}` {what}: it cannot be written through this mount",
            action=f"{found.target.resource.name}:{found.verb}",
        )
    found.ctes = ctes
    conflict, returned = child(node, "conflict"), child(node, "returning")
    if conflict is not None:
        on_conflict(conflict, found, level, walk)
    if returned is not None:
        returning(returned, found, walk)
    return found


def _target(node: Node | None, verb: Verb, walk: Walk) -> tuple[Scoped, str]:
    """Return the relation that is written, and what the agent calls it."""
    if not isinstance(node, exp.Table):
        refuse("syntax_not_supported", "the target of a write is a table")
    name, alias = name_of(child(node, "this")), child(node, "alias")
    scoped = walk.relation(name_of(child(node, "db")), name, verb)
    return scoped, name if alias is None else name_of(child(alias, "this"))


def opened(scoped: Scoped, alias: str, level: Level, walk: Walk) -> Use:
    """Make the target visible to the expressions of the write, as the scope shows it."""
    use = walk.use(scoped)
    columns = tuple((each.name, each.type) for each in scoped.columns.values())
    level.sources.append(Source(alias, columns, use, scoped.relation.schema))
    return use


def _insert(node: Node, level: Level, walk: Walk) -> Write:
    schema = child(node, "this")
    if not isinstance(schema, exp.Schema):
        refuse("syntax_not_supported", "an INSERT has to name its columns", "INSERT INTO table (columns) …")
    scoped, alias = _target(child(schema, "this"), "create", walk)
    names = fields_of(scoped, [name_of(each) for each in children(schema, "expressions")])
    rows = child(node, "expression")
    if rows is None:
        refuse("syntax_not_supported", "an INSERT needs VALUES or a SELECT here")
    columns = query(rows, Level(None, level.ctes), walk)
    if len(columns) != len(names):
        refuse("statement_unparsable", f"{len(names)} columns are named, {len(columns)} values are given")
    return Write(act(scoped, "create", names), scoped, alias, rows=rows)


def settings(items: Sequence[Node], level: Level, walk: Walk) -> tuple[list[str], tuple[Node, ...]]:
    """Walk the items of a SET. Returns the columns, as they are written, and their values."""
    names: list[str] = []
    values: list[Node] = []
    for each in items:
        column, value = child(each, "this"), child(each, "expression")
        plain = isinstance(column, exp.Column) and not argument(column, "table")
        if not isinstance(each, exp.EQ) or column is None or value is None or not plain:
            refuse("syntax_not_supported", "this kind of SET is not supported here", "SET column = value, …")
        names.append(name_of(child(column, "this")))
        expression(value, level, walk)
        values.append(child(each, "expression") or value)  # the walk may have put a call in its place
    return names, tuple(values)


def _beside(nodes: Sequence[Node], level: Level, walk: Walk) -> tuple[Node, ...]:
    """Walk further sources, which do not see the target."""
    others = level.beside()
    for each in nodes:
        further_sources(each, others, walk)
    level.sources += others.sources
    return tuple(nodes)


def _update(node: Node, level: Level, walk: Walk) -> Write:
    scoped, alias = _target(child(node, "this"), "update", walk)
    use = opened(scoped, alias, level, walk)
    from_ = child(node, "from_")
    first = None if from_ is None else child(from_, "this")
    others = _beside([] if first is None else [first], level, walk)
    names, values = settings(children(node, "expressions"), level, walk)
    done = act(scoped, "update", fields_of(scoped, names))
    where = child(node, "where")
    if where is not None:
        expression(where, level, walk)
    return Write(done, scoped, alias, use, values, where, others)


def _delete(node: Node, level: Level, walk: Walk) -> Write:
    scoped, alias = _target(child(node, "this"), "delete", walk)
    use = opened(scoped, alias, level, walk)
    others = _beside(children(node, "using"), level, walk)
    where = child(node, "where")
    if where is not None:
        expression(where, level, walk)
    return Write(act(scoped, "delete", ()), scoped, alias, use, where=where, others=others)


def fields_of(scoped: Scoped, names: Sequence[str]) -> tuple[str, ...]:
    """Return the real columns that are written."""
    real = {folded(column.name): column.name for column in scoped.relation.columns}
    found = tuple(real.get(folded(name), name) for name in names)
    if len(set(found)) < len(found) or not found:
        refuse("statement_unparsable", "a column is written twice, or none is")
    return found


def act(scoped: Scoped, verb: Verb, fields: tuple[str, ...]) -> Act:
    """Return what is done, with the grants that admit writing all of `fields` together. Raises Refused."""
    resource = scoped.resource.name
    action = f"{resource}:{verb}"
    every_grant = scoped.grants(verb)
    if not every_grant:
        refuse("action_not_granted", f"`{action}` is not granted", action=action)
    found = tuple(grant for grant in every_grant if verb == "delete" or set(fields) <= grant.fields)
    if not found:
        allowed = sorted({name for grant in every_grant for name in grant.fields})
        refused = sorted(set(fields) - set(allowed)) or sorted(fields)
        refuse(
            "field_not_granted",
            f"`{action}` of {', '.join(f'`{name}`' for name in refused)} is not granted",
            f"`{action}` of {', '.join(allowed)}",
            action=f"{action}:{refused[0]}",
        )
    return Act(verb, fields, found)


def tenant_of(found: Write) -> tuple[str, ...]:
    """Return the tenant's column where an insert left it out."""
    tenant = found.target.resource.tenant
    return (tenant,) if found.verb == "create" and tenant is not None and tenant not in found.fields else ()
