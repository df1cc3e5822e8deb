"""INSERT … ON CONFLICT: only where the conflict cannot tell of, or reach, a row outside of the scope (SQL-RULES 20)."""

from __future__ import annotations

from typing import NoReturn

from postgast import pg_query_pb2 as pb
from postgast.pg_query_pb2 import InferClause, InsertStmt

from bailiwick.sql.checks import agents_condition
from bailiwick.sql.environment import Fact, Level, Source, Walk, refuse
from bailiwick.sql.filling import assigned, named_source, set_columns
from bailiwick.sql.pins import hold, pins
from bailiwick.sql.predicates import RelationText
from bailiwick.sql.scoped import ScopedRelation
from bailiwick.sql.written import Write, act

_BY_COLUMNS = "ON CONFLICT (columns of the key)"


def on_conflict(stmt: InsertStmt, write: Write, level: Level, walk: Walk) -> None:
    """Walk the clause. Raises Refused unless every row that it can meet is visible."""
    clause, target = stmt.on_conflict_clause, write.target
    given = write.acts[0].fields
    key = _key(clause.infer) if clause.HasField("infer") else ()
    found = pins(target, key or given)
    if found is None or (target.table.hides_rows and not key):
        _tells(target, key)
    write.pins = found
    _refuse_unpinned(stmt, write)
    write.use.fields.update(key or given)
    if clause.action != pb.ONCONFLICT_UPDATE:
        return
    fields = set_columns(clause.target_list)
    write.acts.append(act(target, "update", fields))
    proposed = {name: column for name, column in target.columns.items() if name in given or column.clear}
    facts = {name: Fact(column.type) for name, column in proposed.items()}
    facts |= {name: Fact() for name in given if name not in facts}
    inside = Level(outer=level.outer, above=level, sources=[*level.sources])
    inside.sources.append(Source("excluded", facts, target=True, apart=True))
    for item in clause.target_list:
        assigned(item.res_target.val, inside, walk)
    write.leaky = agents_condition(clause.where_clause, inside, walk)


def _key(infer: InferClause) -> tuple[str, ...]:
    """Return the columns of the key by which rows conflict. Raises Refused for every other way to name it."""
    names: list[str] = []
    for item in infer.index_elems:
        element = item.index_elem
        if not element.name or element.collation or element.opclass:
            refuse("syntax_not_supported", "ON CONFLICT by an expression, collation or class is refused", _BY_COLUMNS)
        names.append(element.name)
    if infer.conname or infer.where_clause.WhichOneof("node"):
        refuse("syntax_not_supported", "ON CONFLICT by a constraint's name or a condition is refused", _BY_COLUMNS)
    return tuple(names)


def _tells(target: ScopedRelation, key: tuple[str, ...]) -> NoReturn:
    resource = target.resource.name
    tenant = target.resource.tenant
    remedy = "use INSERT and UPDATE, or ask the policy's owner for `read` of every column of the key"
    if not key:
        refuse(
            "statement_not_allowed",
            f"ON CONFLICT without a key could tell which rows of `{resource}` exist outside of the scope",
            _BY_COLUMNS,
            remedy,
        )
    refuse(
        "statement_not_allowed",
        f"ON CONFLICT ({', '.join(key)}) could tell which rows of `{resource}` exist outside of the scope",
        "a key of readable columns that holds every column by which the scope admits rows"
        + (f", with `{tenant}`" if tenant in target.columns else ""),
        remedy,
    )


def _refuse_unpinned(stmt: InsertStmt, write: Write) -> None:
    """Refuse a key that is left to its default, where the scope decides it."""
    given = write.acts[0].fields
    rows = stmt.select_stmt.select_stmt.values_lists
    places = {item.res_target.name: place for place, item in enumerate(stmt.cols)}
    for name, _ in write.pins:
        tenant = name == write.target.resource.tenant
        defaults = name in given and any(
            len(row.list.items) > places[name] and row.list.items[places[name]].HasField("set_to_default")
            for row in rows
        )
        if defaults or (name not in given and not tenant):
            refuse("statement_not_allowed", f"ON CONFLICT needs a value for `{name}`", f"`{name}` with a value")


def hold_to_scope(stmt: InsertStmt, write: Write, text: RelationText) -> None:
    """Hold the values of the key to the scope's, before the database looks for a conflict."""
    places = {item.res_target.name: place for place, item in enumerate(stmt.cols)}
    held = [(places[name], name, operand) for name, operand in write.pins if name in places]
    if not held:
        return
    select = stmt.select_stmt.select_stmt
    if not select.values_lists or select.HasField("with_clause"):
        named_source(stmt, write.target.relation)
        select = stmt.select_stmt.select_stmt
    rows = [row.list.items for row in select.values_lists] or [[item.res_target.val for item in select.target_list]]
    for row in rows:
        for place, name, operand in held:
            if place < len(row):
                hold(row[place], name, operand, text)
