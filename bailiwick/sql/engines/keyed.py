"""Writes of engines that do not return what they change: the rows are found by key and locked, written, looked at."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from bailiwick.sql.engines.composing import admissible, identity, reachable
from bailiwick.sql.engines.dialect import Parameters
from bailiwick.sql.engines.environment import Walk
from bailiwick.sql.engines.foresight import foreseen
from bailiwick.sql.engines.plan import Keyed, Target
from bailiwick.sql.engines.predicates import FALSE, every
from bailiwick.sql.engines.refusal import refuse
from bailiwick.sql.engines.scoped import INNER
from bailiwick.sql.engines.tree import Node, children, piece_of
from bailiwick.sql.engines.writes import Write, tenant_of


class KeyedWrite:
    """Composes one walked write. First the forms of its relations are asked for, then the texts around them."""

    def __init__(self, found: Write, walk: Walk, parameters: Parameters) -> None:
        self.found = found
        self.walk = walk
        self.parameters = parameters
        ident = walk.dialect.ident
        self._key = () if found.verb == "create" else self._columns_of_key()
        self._titles = {f"{walk.prefix}key{place}": name for place, name in enumerate(self._key)}
        self._new = ident(f"{walk.prefix}new")
        self._real = f"{found.target.source()} AS {ident(INNER)}"

    def _columns_of_key(self) -> tuple[str, ...]:
        relation, found = self.found.target.relation, self.found
        kinds = {column.name: column.type for column in relation.columns}
        writing = self.walk.dialect.writing
        known = frozenset[str]() if writing is None else writing.keys
        if not relation.key or any(kinds.get(name) not in known for name in relation.key):
            refuse("statement_not_allowed", f"rows of `{relation.name}` cannot be told apart")
        if set(found.fields) & set(relation.key):
            refuse(
                "statement_not_allowed",
                f"the key of `{relation.name}` cannot be changed through this mount",
                action=f"{found.target.resource.name}:{found.verb}",
            )
        return relation.key

    def form(self) -> str:
        """Return the form of the target's own use; the rows of an update or a delete come from it."""
        found = self.found
        if found.use is None:
            return ""
        names = found.target.in_order(found.use.fields)
        return found.target.form(self.parameters, names, fenced=True, key=self._titles)

    def composed(self, named: Sequence[str]) -> tuple[str, Keyed | None, Target]:
        """Return the text that writes, what is done around it, and what it changes. `named` are the WITH queries."""
        found = self.found
        before = found.target.text(self.parameters)
        relation = found.target.relation
        fields = frozenset({*found.fields, *tenant_of(found)})
        keyed: Keyed | None = None
        if found.verb == "create":
            after = found.target.text(self.parameters, alias="")
            sql = self._inserted(named, admissible(found, found.act, after))
        else:
            after = before
            sql, keyed = self._changed(named, reachable(found, found.act, before), admissible(found, found.act, after))
        target = Target(relation.schema, relation.name, found.verb, fields, frozenset(before.used | after.used))
        return sql, keyed, target

    def _changed(self, named: Sequence[str], reach: str, check: str) -> tuple[str, Keyed]:
        ident, grammar = self.walk.dialect.ident, self.walk.dialect.grammar
        found, new = self.found, self._new
        columns = [ident(title) for title in self._titles]
        values = [ident(f"{self.walk.prefix}value{place}") for place in range(len(found.values))]
        texts = [f"{piece_of(each, grammar)} AS {name}" for each, name in zip(found.values, values, strict=True)]
        where = "" if found.where is None else f" {piece_of(found.where, grammar)}"
        source = f"{ident('' if found.use is None else found.use.name)} AS {ident(found.alias)}"
        rows = f"{_with(named)}SELECT {', '.join(columns + texts)} FROM {source}{where}"  # noqa: S608  # walked
        same = every(
            f"{ident(INNER)}.{ident(name)} = {new}.{title}" for name, title in zip(self._key, columns, strict=True)
        )
        joined = f"{self._real} JOIN ({rows}) AS {new} ON {same}"
        keys = tuple(f"{ident(INNER)}.{ident(name)}" for name in self._key)
        find = f"SELECT {', '.join(keys)} FROM {joined} WHERE {reach} FOR UPDATE"  # noqa: S608  # walked
        verify = f"SELECT count(*) FROM {self._real} WHERE {check}"  # noqa: S608  # our own
        if found.verb == "delete":
            sql = f"DELETE {ident(INNER)} FROM {joined} WHERE {reach}"  # walked
            return sql, Keyed(find, "", keys)
        settings = [
            f"{ident(INNER)}.{ident(field)} = {new}.{value}" for field, value in zip(found.fields, values, strict=True)
        ]
        sql = f"UPDATE {joined} SET {', '.join(settings)} WHERE {reach}"  # noqa: S608  # walked
        return sql, Keyed(find, verify, keys)

    def foresee(self, named: Sequence[str]) -> str:
        """Return the query that counts the rows to come that are known to be outside. `named`: the WITH queries."""
        ident, found = self.walk.dialect.ident, self.found
        titles, given, inner = self._given(named)
        columns = ", ".join(f"{value} AS {ident(title)}" for title, value in zip(titles, given, strict=True))
        inside = foreseen(found, found.target.text(self.parameters))
        rows = f"SELECT {columns} FROM ({inner}) AS {self._new}"  # noqa: S608  # walked
        return f"SELECT count(*) FROM ({rows}) AS {ident(INNER)} WHERE NOT COALESCE({inside}, {FALSE})"  # noqa: S608

    def _inserted(self, named: Sequence[str], check: str) -> str:
        ident, found = self.walk.dialect.ident, self.found
        titles, given, inner = self._given(named)
        return (
            f"INSERT INTO {found.target.source()} ({', '.join(map(ident, titles))})"  # noqa: S608  # walked
            f" SELECT {', '.join(given)} FROM ({inner}) AS {self._new} WHERE 1 = 1"
            f" RETURNING {', '.join((f'CASE WHEN {check} THEN 1 ELSE 0 END', *identity(found, self.walk)))}"
        )

    def _given(self, named: Sequence[str]) -> tuple[list[str], list[str], str]:
        """Return the columns of an insert, what each is given, and the query that this comes from."""
        ident, dialect, found = self.walk.dialect.ident, self.walk.dialect, self.found
        rows = "" if found.rows is None else _rows(found.rows, dialect.grammar)
        made = ident(f"{self.walk.prefix}rows")
        values = [ident(f"{self.walk.prefix}value{place}") for place in range(len(found.fields))]
        titles, given = list(found.fields), [f"{self._new}.{value}" for value in values]
        for name in tenant_of(found):
            titles.append(name)
            given.append(found.tenant(self.parameters))
        listed = ", ".join(values)
        inner = f"{_with([*named, f'{made} ({listed}) AS ({rows})'])}SELECT {listed} FROM {made}"  # noqa: S608  # walked
        return titles, given, inner


def _rows(node: Node, grammar: str) -> str:
    """Return the query of an insert's rows. MariaDB cuts what is a parameter in VALUES to the length of the first."""
    if not isinstance(node, exp.Values):
        return piece_of(node, grammar)
    rows = [
        children(row, "expressions") if isinstance(row, exp.Tuple) else [row] for row in children(node, "expressions")
    ]
    return " UNION ALL ".join(f"SELECT {', '.join(piece_of(each, grammar) for each in row)}" for row in rows)


def _with(named: Sequence[str]) -> str:
    return f"WITH RECURSIVE {', '.join(named)} " if named else ""
