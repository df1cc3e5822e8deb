"""A policy that says what PostgreSQL's own privileges and row security allow a user, read from a live catalogue.

What cannot be said is left out of the policy, never widened, and why is returned beside it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import postgast
import psycopg
from google.protobuf.message import Message
from postgast.pg_query_pb2 import SVFOP_CURRENT_ROLE, SVFOP_CURRENT_USER, ColumnRef, Node, RangeVar, SelectStmt

from bailiwick.gateway.backends.introspect import read_tables
from bailiwick.model.lock import Lock
from bailiwick.sql.quote import ident
from tests.support.postgres import Database

SCHEMAS = ("public", "regress_rls_schema", "testns")
FUNCTIONS = ("f_leak", "leak", "priv_testfunc1", "priv_testfunc2", "priv_testfunc4", "priv_testagg1")
"""Functions of the files that somebody who writes a policy would add: they read nothing with their caller's rights."""
VERBS = {"read": "SELECT", "create": "INSERT", "update": "UPDATE", "delete": "DELETE"}
_COMMANDS = {"read": "r", "create": "a", "update": "w", "delete": "d"}

_RELATIONS = """
SELECT c.oid::int8, n.nspname, c.relname, c.relkind::text, pg_get_userbyid(c.relowner) AS owner,
  c.relrowsecurity AND NOT (SELECT rolbypassrls OR rolsuper FROM pg_roles WHERE rolname = %(user)s)
    AND (c.relforcerowsecurity OR NOT pg_has_role(%(user)s, c.relowner, 'USAGE')) AS secured,
  coalesce(c.reloptions, '{}') && '{security_invoker=true,security_invoker=on}' AS invoker,
  ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        ORDER BY a.attnum) AS columns,
  ARRAY(SELECT format_type(a.atttypid, a.atttypmod) || a.attnotnull FROM pg_attribute a WHERE a.attrelid = c.oid
        AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum) AS types,
  has_table_privilege(%(user)s, c.oid, 'DELETE') AND has_schema_privilege(%(user)s, n.oid, 'USAGE') AS may_delete
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY (%(schemas)s) AND c.relkind IN ('r', 'p', 'v', 'm') ORDER BY n.nspname, c.relname
"""
_COLUMNS = """
SELECT a.attrelid::int8, p.privilege, array_agg(a.attname::text ORDER BY a.attnum)
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace,
  (VALUES ('SELECT'), ('INSERT'), ('UPDATE')) AS p(privilege)
WHERE n.nspname = ANY (%(schemas)s) AND c.relkind IN ('r', 'p', 'v', 'm') AND a.attnum > 0 AND NOT a.attisdropped
  AND has_schema_privilege(%(user)s, n.oid, 'USAGE') AND has_column_privilege(%(user)s, c.oid, a.attnum, p.privilege)
GROUP BY 1, 2
"""
_POLICIES = """
SELECT p.polrelid::int8, p.polname, p.polcmd::text, p.polpermissive, pg_get_expr(p.polqual, p.polrelid),
  pg_get_expr(p.polwithcheck, p.polrelid)
FROM pg_policy p WHERE EXISTS (
  SELECT FROM unnest(p.polroles) AS r(oid) WHERE r.oid = 0 OR pg_has_role(%(user)s, r.oid, 'USAGE'))
ORDER BY p.polname
"""
_FUNCTIONS = """
SELECT DISTINCT n.nspname || '.' || p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = ANY (%(schemas)s) AND p.proname = ANY (%(functions)s)
  AND has_schema_privilege(%(user)s, n.oid, 'USAGE') AND has_function_privilege(%(user)s, p.oid, 'EXECUTE') ORDER BY 1
"""


@dataclass(frozen=True, slots=True)
class Table:
    """A relation as its user finds it."""

    oid: int
    schema: str
    name: str
    kind: str
    owner: str
    secured: bool
    """Whether row security limits this user."""
    invoker: bool
    columns: tuple[str, ...]
    types: tuple[str, ...]
    may_delete: bool
    fields: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """SQL's privilege → the columns for which the user has it."""


def _table(row: Sequence[Any]) -> Table:
    oid, schema, name, kind, owner, secured, invoker, columns, types, may_delete = row
    return Table(oid, schema, name, kind, owner, secured, invoker, tuple(columns), tuple(types), may_delete)


@dataclass(frozen=True, slots=True)
class Rule:
    """A policy of row security."""

    command: str
    permissive: bool
    using: str | None
    check: str | None

    def of(self, verb: str, *, check: bool) -> str | None:
        """Return what it says of rows that a verb reaches, or of those that it writes."""
        if self.command not in ("*", _COMMANDS[verb]):
            return None
        return self.using if not check or self.check is None else self.check


class UnsaidError(Exception):
    """A condition that a policy of ours cannot say, or that the user may not evaluate."""


@dataclass(frozen=True, slots=True)
class Derived:
    """A policy for one user."""

    user: str
    wanted: frozenset[str]
    text: str
    relations: tuple[tuple[str, str], ...]
    unsaid: tuple[str, ...]
    shape: str
    """Changes whenever what is accepted of the relations may have changed."""


class Catalogue:
    """What the live catalogue says of one user."""

    def __init__(self, connection: psycopg.Connection, user: str) -> None:
        self._connection = connection
        self.user = user
        given = {"user": user, "schemas": list(SCHEMAS), "functions": list(FUNCTIONS)}
        rows = connection.execute(_RELATIONS.encode(), given).fetchall()
        self.tables = {int(row[0]): _table(row) for row in rows}
        for oid, privilege, columns in connection.execute(_COLUMNS.encode(), given).fetchall():
            self.tables[int(oid)].fields[str(privilege)] = tuple(columns)
        self._rules: dict[int, list[Rule]] = {}
        for oid, _, command, permissive, using, check in connection.execute(_POLICIES.encode(), given).fetchall():
            self._rules.setdefault(int(oid), []).append(Rule(str(command), bool(permissive), using, check))
        self.functions = [str(name) for (name,) in connection.execute(_FUNCTIONS.encode(), given).fetchall()]

    def rows(self, table: Table, verb: str, within: tuple[int, ...] = ()) -> str | None:
        """Return which rows a verb reaches; None: every one. Raises UnsaidError."""
        if not table.secured:
            return None
        if table.oid in within:
            raise UnsaidError("it refers to itself")
        parts = [self._using(table, verb, (*within, table.oid), check=False)] if verb != "create" else []
        if verb in ("create", "update"):
            parts.append(self._using(table, verb, (*within, table.oid), check=True))
        return " AND ".join(f"({part})" for part in dict.fromkeys(parts))

    def _using(self, table: Table, verb: str, within: tuple[int, ...], *, check: bool) -> str:
        rules = [(rule.permissive, rule.of(verb, check=check)) for rule in self._rules.get(table.oid, ())]
        allowing = [self._said(table, text, within) for permissive, text in rules if permissive and text is not None]
        limiting = [
            self._said(table, text, within) for permissive, text in rules if not permissive and text is not None
        ]
        some = " OR ".join(f"({text})" for text in allowing) or "false"
        return " AND ".join(f"({text})" for text in (some, *limiting))

    def _said(self, table: Table, text: str, within: tuple[int, ...]) -> str:
        """Return a condition of row security as SQL of a policy: under another login, over a relation without name."""
        tree = postgast.parse(f"SELECT {text}")
        for node in list(_nodes(tree)):
            kind = node.WhichOneof("node")
            if kind == "sqlvalue_function" and node.sqlvalue_function.op in (SVFOP_CURRENT_USER, SVFOP_CURRENT_ROLE):
                node.CopyFrom(_expression(f"'{self.user}'::name"))
            elif kind == "column_ref":
                self._unnamed(node, table)
            elif kind == "range_var":
                node.CopyFrom(self._inner(node.range_var, within))
        return postgast.deparse(tree).removeprefix("SELECT ")

    def _unnamed(self, node: Node, table: Table) -> None:
        reference: ColumnRef = node.column_ref
        names = [part.string.sval for part in reference.fields if part.HasField("string")]
        if names[0] != table.name:
            return
        if len(names) == len(reference.fields):
            del reference.fields[0]
        else:
            node.CopyFrom(_expression(f"ROW({', '.join(map(ident, table.columns))})"))

    def _inner(self, relation: RangeVar, within: tuple[int, ...]) -> Node:
        """Return a relation of a sub-query as the user finds it."""
        place = (relation.schemaname, relation.relname)
        (table,) = [each for each in self.tables.values() if (each.schema, each.name) == place]
        if set(table.fields.get("SELECT", ())) != set(table.columns):
            raise UnsaidError(f"the user may not read {relation.relname}")
        where = self.rows(table, "read", within)
        alias = relation.alias.aliasname or relation.relname
        source = f"{ident(table.schema)}.{ident(table.name)}"
        limited = source if where is None else f"(SELECT * FROM {source} WHERE {where})"
        select: SelectStmt = postgast.parse(f"SELECT FROM {limited} AS {ident(alias)}").stmts[0].stmt.select_stmt
        return select.from_clause[0]


def _nodes(tree: Message) -> Iterator[Node]:
    """Yield every node of a tree."""
    if isinstance(tree, Node):
        yield tree
    for described, value in tree.ListFields():
        if described.message_type is not None:
            for each in value if described.is_repeated else [value]:
                yield from _nodes(each)


def _expression(text: str) -> Node:
    return postgast.parse(f"SELECT {text}").stmts[0].stmt.select_stmt.target_list[0].res_target.val


class Deriver:
    """Derives policies over one connection. What the database does not understand of a condition is not said."""

    def __init__(self, database: Database) -> None:
        self._url = database.url() + "?sslmode=disable"
        self._connection = psycopg.connect(database.url(), autocommit=True, options="-c search_path=pg_catalog")

    def derive(self, user: str, agents: Sequence[str], anchor: str, wanted: frozenset[str]) -> Derived:
        """Return the policy of a user on the relations of these names.

        The other agents may read the anchor, as this one may, and nothing else.
        """
        catalogue = Catalogue(self._connection, user)
        unsaid: list[str] = []
        schema, _, name = anchor.partition(".")
        resources = {name: {"table": anchor}}
        grants: list[dict[str, object]] = [{"allow": f"{name}:read", "reason": "everybody"}]
        places: list[tuple[str, str]] = [(schema, name)]
        for table in catalogue.tables.values():
            given = list(self._grants(catalogue, table, unsaid)) if table.name in wanted and table.columns else []
            if given:
                resources[_resource(table)] = {"table": f"{table.schema}.{table.name}"}
                places.append((table.schema, table.name))
                grants += given
        deletes = [str(each["allow"]) for each in grants if str(each["allow"]).endswith(":delete")]
        document = {
            "bailiwick": 1,
            "mounts": {
                "regression": {
                    "kind": "postgres",
                    "url": "${REGRESSION_URL}",
                    "sql": True,
                    "functions": catalogue.functions,
                    "resources": resources,
                }
            },
            "roles": {"anybody": {"grants": grants[:1]}, "user": {"grants": grants}},
            "agents": {
                each: {"owner": "tests", "purpose": "regression", "roles": ["user" if each == user else "anybody"]}
                for each in agents
            },
            "gates": {"delete": {"loosen": deletes, "reason": "as PostgreSQL has it"}} if deletes else {},
        }
        text = json.dumps(document, indent=1)  # JSON is YAML
        named = [each for each in catalogue.tables.values() if each.name in wanted]
        shape = repr([(each.oid, each.schema, each.name, each.columns, each.types) for each in named])
        return Derived(user, wanted, text, tuple(places), tuple(dict.fromkeys(unsaid)), shape)

    def _grants(self, catalogue: Catalogue, table: Table, unsaid: list[str]) -> Iterator[dict[str, object]]:
        for verb, privilege in VERBS.items():
            fields = table.fields.get(privilege, ())
            if not (fields or (verb == "delete" and table.may_delete)):
                continue
            action = f"{_resource(table)}:{verb}"
            try:
                if table.invoker:
                    raise UnsaidError("a view with security_invoker")
                rows = catalogue.rows(table, verb)
                self._understood(table, rows)
            except UnsaidError as error:
                unsaid.append(f"{action}: {error}")
                continue
            grant: dict[str, object] = {"allow": action, "reason": "a privilege"}
            yield grant | ({} if rows is None else {"sql": rows}) | ({} if verb == "delete" else {"fields": [*fields]})

    def _understood(self, table: Table, rows: str | None) -> None:
        if rows is not None:
            sql = f"EXPLAIN SELECT FROM {ident(table.schema)}.{ident(table.name)} AS bw WHERE {rows}"
            try:
                self._connection.execute(sql.encode())
            except psycopg.Error as error:
                raise UnsaidError(str(error).splitlines()[0]) from None

    def lock(self, relations: Sequence[tuple[str, str]]) -> Lock:
        """Accept relations as they are."""
        return Lock({"regression": asyncio.run(read_tables(self._url, set(relations)))})

    def visible(self, user: str) -> set[str]:
        """Return every value, as text, that the user can select from any relation."""
        catalogue = Catalogue(self._connection, user)
        found: set[str] = set()
        for table in catalogue.tables.values():
            columns = ", ".join(f"{ident(name)}::text" for name in table.fields.get("SELECT", ()))
            if columns and table.kind in "rp":
                found.update(self._cells(user, f"SELECT {columns} FROM {ident(table.schema)}.{ident(table.name)}"))
        return found

    def _cells(self, user: str, sql: str) -> Iterable[str]:
        try:
            with self._connection.transaction():
                self._connection.execute(f"SET LOCAL ROLE {ident(user)}".encode())
                rows = self._connection.execute(sql.encode()).fetchall()
        except psycopg.Error:
            return ()
        return [str(cell) for row in rows for cell in row]

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


def _resource(table: Table) -> str:
    return table.name if table.schema in SCHEMAS[:2] else f"{table.schema}_{table.name}"
