"""INSERT, UPDATE, DELETE: what the agent wrote is evaluated over the scoped relation, and only its result is written.

The values of an update and the rows of a delete come from a query over what the session sees; the real table is met
by conditions of ours alone. Each row that is written answers whether it lies in the scope.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlglot import exp

from bailiwick.model.scope import WriteGrant
from bailiwick.model.value import Ref
from bailiwick.sql.engines.dialect import Parameters
from bailiwick.sql.engines.environment import Level, Source, Use, Walk
from bailiwick.sql.engines.expressions import expression, name_of
from bailiwick.sql.engines.plan import Target
from bailiwick.sql.engines.predicates import FALSE, RelationText, every, some
from bailiwick.sql.engines.queries import named_queries, query
from bailiwick.sql.engines.refusal import refuse
from bailiwick.sql.engines.scoped import INNER, Scoped, folded
from bailiwick.sql.engines.tree import Node, argument, child, children, piece_of

Verb = Literal["create", "update", "delete"]


@dataclass(eq=False, slots=True)
class Write:
    """A walked write, ready to be composed."""

    verb: Verb
    target: Scoped
    fields: tuple[str, ...]
    grants: tuple[WriteGrant, ...]
    use: Use | None = None
    """Of the scoped relation, for an update and a delete."""
    alias: str = ""
    """What the agent calls the target."""
    values: tuple[Node, ...] = ()
    """Of an update: what each field becomes."""
    where: Node | None = None
    rows: Node | None = None
    """Of an insert: the query of its rows."""
    ctes: tuple[Node, ...] = ()

    def tenant(self, parameters: Parameters) -> str:
        """Return the session's tenant as a value of the target's column."""
        column = self.target.relation.column(self.target.resource.tenant or "")
        value = None if column is None else self.target.dialect.value(Ref(("tenant",)), column, parameters)
        return value or "NULL"


def write(node: Node, walk: Walk) -> Write:
    """Walk a write. Raises Refused."""
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
    return found


def _target(node: Node | None, verb: Verb, walk: Walk) -> tuple[Scoped, str]:
    """Return the relation that is written, and what the agent calls it."""
    if not isinstance(node, exp.Table):
        refuse("syntax_not_supported", "the target of a write is a table")
    name, alias = name_of(child(node, "this")), child(node, "alias")
    scoped = walk.relation(name_of(child(node, "db")), name, verb)
    return scoped, name if alias is None else name_of(child(alias, "this"))


def _opened(scoped: Scoped, alias: str, level: Level, walk: Walk) -> Use:
    """Make the target visible to the expressions of the write, as the scope shows it."""
    use = walk.use(scoped)
    columns = tuple((each.name, each.type) for each in scoped.columns.values())
    level.sources.append(Source(alias, columns, use, scoped.relation.schema))
    return use


def _insert(node: Node, level: Level, walk: Walk) -> Write:
    schema = child(node, "this")
    if not isinstance(schema, exp.Schema):
        refuse("syntax_not_supported", "an INSERT has to name its columns", "INSERT INTO table (columns) …")
    scoped, _ = _target(child(schema, "this"), "create", walk)
    fields = _fields(scoped, [name_of(each) for each in children(schema, "expressions")])
    rows = child(node, "expression")
    if rows is None:
        refuse("syntax_not_supported", "an INSERT needs VALUES or a SELECT here")
    columns = query(rows, Level(None, level.ctes), walk)
    if len(columns) != len(fields):
        refuse("statement_unparsable", f"{len(fields)} columns are named, {len(columns)} values are given")
    return Write("create", scoped, fields, _grants(scoped, "create", fields), rows=rows)


def _update(node: Node, level: Level, walk: Walk) -> Write:
    scoped, alias = _target(child(node, "this"), "update", walk)
    use = _opened(scoped, alias, level, walk)
    names: list[str] = []
    values: list[Node] = []
    for each in children(node, "expressions"):
        column, value = child(each, "this"), child(each, "expression")
        plain = isinstance(column, exp.Column) and not argument(column, "table")
        if not isinstance(each, exp.EQ) or column is None or value is None or not plain:
            refuse("syntax_not_supported", "this kind of SET is not supported here", "SET column = value, …")
        names.append(name_of(child(column, "this")))
        expression(value, level, walk)
        values.append(value)
    fields = _fields(scoped, names)
    where = child(node, "where")
    if where is not None:
        expression(where, level, walk)
    grants = _grants(scoped, "update", fields)
    return Write("update", scoped, fields, grants, use, alias, tuple(values), where)


def _delete(node: Node, level: Level, walk: Walk) -> Write:
    scoped, alias = _target(child(node, "this"), "delete", walk)
    use = _opened(scoped, alias, level, walk)
    where = child(node, "where")
    if where is not None:
        expression(where, level, walk)
    return Write("delete", scoped, (), _grants(scoped, "delete", ()), use, alias, where=where)


def _fields(scoped: Scoped, names: Sequence[str]) -> tuple[str, ...]:
    """Return the real columns that are written."""
    real = {folded(column.name): column.name for column in scoped.relation.columns}
    found = tuple(real.get(folded(name), name) for name in names)
    if len(set(found)) < len(found) or not found:
        refuse("statement_unparsable", "a column is written twice, or none is")
    return found


def _grants(scoped: Scoped, verb: Verb, fields: Sequence[str]) -> tuple[WriteGrant, ...]:
    """Return the grants that admit writing all of `fields` together. Raises Refused."""
    resource = scoped.resource.name
    action = f"{resource}:{verb}"
    if verb in scoped.scope.held:
        refuse("needs_approval", f"`{action}` needs an approval", remedy="ask a person to approve it", action=action)
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
    return found


def composed(found: Write, walk: Walk, parameters: Parameters) -> tuple[str, str, Target, str]:
    """Return the text of a write, the form of the target's use in it, what it changes, and its query of rows."""
    before = found.target.text(parameters)
    after = found.target.text(parameters, alias="")
    check = f"CASE WHEN {walk.dialect.returned(admissible(found, after))} THEN 1 ELSE 0 END"
    row, new = f"{walk.prefix}row", f"{walk.prefix}value"
    ident, grammar = walk.dialect.ident, walk.dialect.grammar
    form = ""
    if found.use is not None:
        form = found.target.form(parameters, found.target.in_order(found.use.fields), fenced=walk.loud, row=row)
    source = f"{found.target.source()} AS {ident(INNER)}"
    real = f"{ident(INNER)}.{found.target.row}"
    where = f" {piece_of(found.where, grammar)}" if found.where is not None else ""
    inside = "" if found.verb == "create" else reachable(found, before)
    if found.verb == "create":
        rows = "" if found.rows is None else piece_of(found.rows, grammar)
        sql = _inserted(found, walk, parameters, check, rows)
    elif found.verb == "delete":
        name = "" if found.use is None else found.use.name
        rows = f"SELECT {ident(row)} FROM {ident(name)} AS {ident(found.alias)}{where}"  # noqa: S608  # walked
        sql = f"DELETE FROM {source} WHERE {real} IN ({rows}) AND {inside} RETURNING 1"  # noqa: S608  # walked
    else:
        name = "" if found.use is None else found.use.name
        titled = [f"{piece_of(value, grammar)} AS {ident(f'{new}{place}')}" for place, value in enumerate(found.values)]
        rows = f"SELECT {ident(row)}, {', '.join(titled)} FROM {ident(name)} AS {ident(found.alias)}{where}"  # noqa: S608  # walked
        made = ident(f"{walk.prefix}new")
        settings = ", ".join(
            f"{ident(field)} = {made}.{ident(f'{new}{place}')}" for place, field in enumerate(found.fields)
        )
        sql = (
            f"UPDATE {source} SET {settings} FROM ({rows}) AS {made}"  # noqa: S608  # walked
            f" WHERE {real} = {made}.{ident(row)} AND {inside} RETURNING {check}"
        )
    relation = found.target.relation
    written = {*found.fields, *tenant_of(found)}
    target = Target(relation.schema, relation.name, found.verb, frozenset(written), frozenset(before.used | after.used))
    return sql, form, target, rows


def reachable(found: Write, text: RelationText) -> str:
    """Return the condition under which a row may be reached: by the grant, and as one that is read."""
    reach = found.target.limited(text, [grant.filter for grant in found.grants])
    return every((reach, found.target.admits(text)))


def tenant_of(found: Write) -> tuple[str, ...]:
    """Return the tenant's column where an insert left it out."""
    tenant = found.target.resource.tenant
    return (tenant,) if found.verb == "create" and tenant is not None and tenant not in found.fields else ()


def _inserted(found: Write, walk: Walk, parameters: Parameters, check: str, rows: str) -> str:
    ident = walk.dialect.ident
    made = ident(f"{walk.prefix}new")
    titles, values = list(found.fields), [f"{made}.*"]
    for name in tenant_of(found):
        titles.append(name)
        values.append(found.tenant(parameters))
    columns = ", ".join(ident(title) for title in titles)
    # `WHERE TRUE` keeps SQLite from reading what follows as a join of the select
    return (
        f"INSERT INTO {found.target.source()} ({columns}) SELECT {', '.join(values)} FROM ({rows}) AS {made}"  # noqa: S608  # walked
        f" WHERE 1 = 1 RETURNING {check}"
    )


def admissible(found: Write, text: RelationText) -> str:
    """Return the condition that a row must meet once it was written: some grant admits it, and what was set in it."""
    options: list[str] = []
    for grant in found.grants:
        own = [found.target.limited(text, [grant.filter])]
        for name in found.fields:
            column = found.target.relation.column(name)
            if name in grant.set:
                own.append(FALSE if column is None else text.condition(grant.set[name], column))
        options.append(every(own))
    either = some(options)
    # An insert tells nothing of its row: it need not be one that may be read, as in PostgreSQL without RETURNING.
    return either if found.verb == "create" else every((found.target.admits(text), either))
