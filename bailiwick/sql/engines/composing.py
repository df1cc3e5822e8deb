"""The text of a write: what the agent wrote is evaluated over the scoped relation, and only its result is written.

The values of an update and the rows of a delete come from a query over what the session sees; the real table is met
by conditions of ours alone. Each row that is written answers whether it lies in the scope.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bailiwick.sql.engines.dialect import Parameters
from bailiwick.sql.engines.environment import Walk
from bailiwick.sql.engines.plan import Target
from bailiwick.sql.engines.predicates import FALSE, RelationText, every, some
from bailiwick.sql.engines.scoped import INNER
from bailiwick.sql.engines.tree import piece_of
from bailiwick.sql.engines.writes import Act, Write, tenant_of


@dataclass(frozen=True, slots=True)
class Composed:
    """The text of one write."""

    sql: str
    target: Target
    rows: str
    """Of `sql`: the query of its rows, which is all that the agent wrote of it."""
    reach: str = ""
    """Of an update or a delete: the condition under which a row may be reached, over the real relation."""


def composed(found: Write, walk: Walk, parameters: Parameters) -> Composed:
    """Return the text of a write that is no ON CONFLICT."""
    if found.verb == "create":
        return inserted(found, found.act, walk, parameters, _given(found, walk, parameters))
    rows = rows_of(found, walk)
    if found.verb == "delete":
        return _deleted(found, walk, parameters, rows)
    return updated(found, found.act, walk, parameters, once(found, rows, walk) if found.others else rows)


def form_of(found: Write, walk: Walk, parameters: Parameters) -> str:
    """Return the form of the target's use from which the rows of an update or a delete come."""
    if found.use is None:
        return ""
    names = found.target.in_order(found.use.fields)
    return found.target.form(parameters, names, fenced=walk.loud, row=f"{walk.prefix}row")


def rows_of(found: Write, walk: Walk, more: Sequence[str] = (), where: str = "") -> str:
    """Return the query of the rows that are met, and of what their fields become. `more` are FROM items of ours."""
    ident, grammar = walk.dialect.ident, walk.dialect.grammar
    name = "" if found.use is None else found.use.name
    titled = [ident(f"{walk.prefix}row")]
    titled += [
        f"{piece_of(value, grammar)} AS {ident(f'{walk.prefix}value{place}')}"
        for place, value in enumerate(found.values)
    ]
    sources = [f"{ident(name)} AS {ident(found.alias)}", *more, *(piece_of(each, grammar) for each in found.others)]
    if not where and found.where is not None:
        where = f" {piece_of(found.where, grammar)}"
    return f"SELECT {', '.join(titled)} FROM {', '.join(sources)}{where}"  # noqa: S608  # walked


def once(found: Write, rows: str, walk: Walk) -> str:
    """Return the query with each row of the target once: of several, the one of the least values."""
    ident = walk.dialect.ident
    walk.functions.add("row_number")
    row, place, of = ident(f"{walk.prefix}row"), ident(f"{walk.prefix}place"), ident(f"{walk.prefix}met")
    values = ", ".join(ident(f"{walk.prefix}value{number}") for number in range(len(found.values)))
    numbered = f"row_number() OVER (PARTITION BY {row} ORDER BY {values}) AS {place}"
    inner = f"SELECT {row}, {values}, {numbered} FROM ({rows}) AS {of}"  # noqa: S608  # walked
    return f"SELECT {row}, {values} FROM ({inner}) AS {of} WHERE {place} = 1"  # noqa: S608  # walked


def _check(found: Write, done: Act, text: RelationText, walk: Walk) -> str:
    """Return what the rows that are written answer: whether they may be there, and their identity."""
    condition = walk.dialect.returned(admissible(found, done, text))
    return ", ".join((f"CASE WHEN {condition} THEN 1 ELSE 0 END", *identity(found, walk)))


def identity(found: Write, walk: Walk, alias: str = "") -> tuple[str, ...]:
    """Return the identity of a real row; empty where none is asked for."""
    if found.back is None or walk.dialect.writing is None:
        return ()
    before = f"{walk.dialect.ident(alias)}." if alias else ""
    if walk.dialect.writing.by_row:
        return (before + found.target.row,)
    return tuple(walk.dialect.writing.told(before + walk.dialect.ident(name)) for name in found.target.key)


def updated(found: Write, done: Act, walk: Walk, parameters: Parameters, rows: str) -> Composed:
    """Return the text of an update by a query of rows, each of which is met once."""
    ident = walk.dialect.ident
    before, after = found.target.text(parameters), found.target.text(parameters, alias="")
    made, real = ident(f"{walk.prefix}new"), f"{ident(INNER)}.{found.target.row}"
    values = ", ".join(
        f"{ident(field)} = {made}.{ident(f'{walk.prefix}value{place}')}" for place, field in enumerate(done.fields)
    )
    inside = reachable(found, done, before)
    sql = (
        f"UPDATE {found.target.source()} AS {ident(INNER)} SET {values} FROM ({rows}) AS {made}"  # noqa: S608  # walked
        f" WHERE {real} = {made}.{ident(f'{walk.prefix}row')} AND {inside} RETURNING {_check(found, done, after, walk)}"
    )
    return Composed(sql, _changes(found, done, before, after), rows, inside)


def _deleted(found: Write, walk: Walk, parameters: Parameters, rows: str) -> Composed:
    ident = walk.dialect.ident
    before = found.target.text(parameters)
    inside = reachable(found, found.act, before)
    real = f"{ident(INNER)}.{found.target.row}"
    source = f"{found.target.source()} AS {ident(INNER)}"
    sql = f"DELETE FROM {source} WHERE {real} IN ({rows}) AND {inside} RETURNING 1"  # noqa: S608  # walked
    return Composed(sql, _changes(found, found.act, before, before), rows, inside)


def _given(found: Write, walk: Walk, parameters: Parameters) -> tuple[str, str]:
    """Return the values of an insert, in order, and the query of the agent's that they come from."""
    rows = "" if found.rows is None else piece_of(found.rows, walk.dialect.grammar)
    tenant = [found.tenant(parameters) for _ in tenant_of(found)]
    return ", ".join([f"{walk.dialect.ident(f'{walk.prefix}new')}.*", *tenant]), rows


def inserted(
    found: Write,
    done: Act,
    walk: Walk,
    parameters: Parameters,
    given: tuple[str, str],
    left: str = "1 = 1",
    conflict: str = "",
) -> Composed:
    """Return the text of an insert of `given` values of a query, of those rows that are `left`."""
    ident = walk.dialect.ident
    after = found.target.text(parameters, alias="")
    values, rows = given
    columns = ", ".join(ident(title) for title in (*found.fields, *tenant_of(found)))
    made = ident(f"{walk.prefix}new")
    # some WHERE keeps SQLite from reading what follows as a join of the select
    sql = (
        f"INSERT INTO {found.target.source()} ({columns}) SELECT {values} FROM ({rows}) AS {made}"  # noqa: S608  # walked
        f" WHERE {left}{conflict} RETURNING {_check(found, done, after, walk)}"
    )
    return Composed(sql, _changes(found, done, after, after), rows)


def _changes(found: Write, done: Act, before: RelationText, after: RelationText) -> Target:
    relation = found.target.relation
    written = {*done.fields, *(tenant_of(found) if done.verb == "create" else ())}
    key = () if found.conflict is None else found.conflict.key
    looked_at = frozenset({*before.used, *after.used, *key, *(found.target.key if found.back is not None else ())})
    return Target(relation.schema, relation.name, done.verb, frozenset(written), looked_at)


def reachable(found: Write, done: Act, text: RelationText) -> str:
    """Return the condition under which a row may be reached: by the grant, and as one that is read."""
    reach = found.target.limited(text, [grant.filter for grant in done.grants])
    return every((reach, found.target.admits(text)))


def admissible(found: Write, done: Act, text: RelationText) -> str:
    """Return the condition that a row must meet once it was written: some grant admits it, and what was set in it."""
    options: list[str] = []
    for grant in done.grants:
        own = [found.target.limited(text, [grant.filter])]
        for name in done.fields:
            column = found.target.relation.column(name)
            if name in grant.set:
                own.append(FALSE if column is None else text.condition(grant.set[name], column))
        options.append(every(own))
    either = some(options)
    # An insert that returns nothing tells nothing of its row: it need not be one that may be read, as in PostgreSQL.
    tells = done.verb != "create" or found.back is not None
    return every((found.target.admits(text), either)) if tells else either
