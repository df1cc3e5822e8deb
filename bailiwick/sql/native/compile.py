"""From the scopes of a policy to the pieces of a mount's native depth."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bailiwick.model.policy import Mount
from bailiwick.model.scope import Scope
from bailiwick.sql.catalogue import Relation
from bailiwick.sql.native.guard import guard_body
from bailiwick.sql.native.home import home_pieces, role_piece
from bailiwick.sql.native.names import Place, ScopeNames, home_of, owner_of, powerless_of, scope_names
from bailiwick.sql.native.pieces import Compiled, CompiledScope, Piece, acting_as, dollar, granted, short_digest, spelt
from bailiwick.sql.native.shown import Shown
from bailiwick.sql.quote import ident, text
from bailiwick.sql.scoped import ScopedRelation

_GUARDED = ("r", "p", "f")
"""Kinds of relations that a trigger can guard; others are read only."""


@dataclass(frozen=True, slots=True)
class _Part:
    """One scope on its way into the database."""

    scope: Scope
    names: ScopeNames
    shown: tuple[Shown, ...]

    @property
    def schemas(self) -> dict[str, str]:
        """Schema of tables → schema of their views."""
        return {each.relation.schema: self.names.schema(each.relation.schema) for each in self.shown}


def compile_mount(
    place: Place,
    mount: Mount,
    scopes: Sequence[Scope],
    relations: Mapping[tuple[str, str], Relation],
    extensions: Iterable[str] = (),
) -> Compiled:
    """Return the native depth of a mount.

    `relations`: what was accepted of its tables; `extensions`: the schemas of what its extensions bring."""
    home = home_of(place.mount)
    parts = [_part(place, mount, scope, relations, home) for scope in scopes]
    distinct = {part.names.role: part for part in parts}
    parts = list(distinct.values())
    pieces = [role_piece(place, owner_of(place), "owns the keys and functions that bind session values.")]
    pieces.append(role_piece(place, powerless_of(place), "runs what has nothing here.", [place.login]))
    for part in parts:
        told = f"`{part.scope.agent}`" + (f" in `{part.scope.task}`" if part.scope.task else " without a task")
        pieces.append(role_piece(place, part.names.definer, f"owns the views of {told}."))
        pieces.append(role_piece(place, part.names.role, f"runs the statements of {told}.", [place.login]))
    hashing = [part.names.definer for part in parts if any(shown.masks_by_hash() for shown in part.shown)]
    definers, roles = [part.names.definer for part in parts], [part.names.role for part in parts]
    pieces += home_pieces(place, definers, roles, hashing)
    for part in parts:
        pieces += _scope_pieces(part)
        pieces += (_extension(part.names.role, schema) for schema in sorted(extensions))
    compiled = [
        CompiledScope(part.names, part.scope.agent, part.scope.task, part.scope.passed, part.schemas) for part in parts
    ]
    return Compiled(place, owner_of(place), home, tuple(pieces), tuple(compiled), frozenset(mount.resources))


def _part(place: Place, mount: Mount, scope: Scope, relations: Mapping[tuple[str, str], Relation], home: str) -> _Part:
    names = scope_names(place, scope, frozenset(mount.resources))
    shown: list[Shown] = []
    for each in scope.resources.values():
        relation = relations.get((each.resource.schema, each.resource.table))
        if each.resource.mount == mount.name and relation is not None:
            found = Shown(ScopedRelation(each, relation), home)
            if found.columns:
                shown.append(found)
    return _Part(scope, names, tuple(shown))


def _scope_pieces(part: _Part) -> Iterable[Piece]:
    names = part.names
    definer, role = ident(names.definer), ident(names.role)
    for source, schema in sorted(part.schemas.items()):
        made = (
            f"CREATE SCHEMA IF NOT EXISTS {ident(schema)} AUTHORIZATION {definer}",
            f"ALTER SCHEMA {ident(schema)} OWNER TO {definer}",
            *acting_as(
                names.definer,
                f"REVOKE ALL ON SCHEMA {ident(schema)} FROM PUBLIC",
                f"GRANT USAGE ON SCHEMA {ident(schema)} TO {role}",
            ),
        )
        why, acl = f"the views over tables of `{source}`", granted([names.role], "USAGE")
        yield Piece(
            "schema", schema, why, made, {"owner": names.definer}, acl, f"SCHEMA {ident(schema)}", names.definer
        )
    yield from _rights(part)
    for shown in part.shown:
        if shown.writes and shown.relation.kind in _GUARDED:
            yield from _guard(part, shown)
    for shown in part.shown:
        yield from _view(part, shown)


def _extension(role: str, schema: str) -> Piece:
    """Functions, operators and types of extensions are the agent's to name, and what everybody may use."""
    spelled, acl = f"SCHEMA {ident(schema)}", granted([role], "USAGE")
    make = (f"GRANT USAGE ON {spelled} TO {ident(role)}",)
    return Piece("rights", f"{role} on schema {schema}", "functions and types of extensions", make, {}, acl, spelled)


def _rights(part: _Part) -> Iterable[Piece]:
    """What the views' owner may do with the tables: no column and no verb more than the scope needs."""
    definer = part.names.definer
    needed: dict[tuple[str, str], list[str]] = {}
    for shown in part.shown:
        own = needed.setdefault((shown.relation.schema, shown.relation.name), [])
        own += [f"SELECT({name})" for name in shown.read_columns()]
        if shown.relation.kind in _GUARDED:
            own += [f"UPDATE({name})" for name in shown.writable("update")]
            own += [f"INSERT({name})" for name in shown.writable("create")]
            own += ["DELETE"] if shown.deletes else []
        for place in shown.own_relations():
            needed.setdefault(place, []).append("SELECT")
    for schema in sorted({schema for schema, _ in needed} | {each for one in part.shown for each in one.operators()}):
        spelled = f"SCHEMA {ident(schema)}"
        make = (f"GRANT USAGE ON {spelled} TO {ident(definer)}",)
        why, acl = "the views' owner finds the tables", granted([definer], "USAGE")
        yield Piece("rights", f"{definer} on schema {schema}", why, make, {}, acl, spelled)
    for (schema, table), privileges in sorted(needed.items()):
        spelled = f"TABLE {ident(schema)}.{ident(table)}"
        make = tuple(f"GRANT {what} ON {spelled} TO {ident(definer)}" for what in spelt(privileges))
        why, acl = "what the scope needs of the table", granted([definer], *privileges)
        yield Piece("rights", f"{definer} on {schema}.{table}", why, make, {}, acl, spelled)


def _view(part: _Part, shown: Shown) -> Iterable[Piece]:
    names = part.names
    relation = shown.relation
    schema = names.schema(relation.schema)
    view = f"{ident(schema)}.{ident(relation.name)}"
    query = shown.query()
    guarded = relation.kind in _GUARDED and shown.writes
    privileges = ["SELECT"]
    if guarded:
        privileges += [f"UPDATE({name})" for name in shown.writable("update")]
        privileges += [f"INSERT({name})" for name in shown.writable("create")]
        privileges += ["DELETE"] if shown.deletes else []
    check = "\nWITH LOCAL CHECK OPTION" if guarded else ""
    statement = f"CREATE VIEW {view} WITH (security_barrier = true) AS\n{query}{check}"
    make = acting_as(
        names.definer,
        f"DROP VIEW IF EXISTS {view}",
        statement,
        *(f"GRANT {what} ON {view} TO {ident(names.role)}" for what in spelt(privileges)),
        sealed(schema, relation.name, statement),
    )
    facts = {
        "owner": names.definer,
        "options": "security_barrier=true" + (", check_option=local" if guarded else ""),
        "made from": short_digest(statement),
        "also": "",
    }
    why, acl = f"`{shown.scope.resource.name}` as the scope shows it", granted([names.role], *privileges)
    yield Piece("view", f"{schema}.{relation.name}", why, make, facts, acl, f"TABLE {view}", names.definer)
    if guarded and shown.writable("create"):
        name = f"{names.role} on {relation.schema}.{relation.name}"
        yield Piece("sequences", name, "numbers of new rows", (_sequences(relation, names.role),), {"missing": ""})


def sealed(schema: str, view: str, statement: str) -> str:
    """Return the statement that writes into a view's comment what it was made from, and how the server tells it."""
    told = "Bailiwick: made from the policy, do not change it by hand."
    name = f"{ident(schema)}.{ident(view)}"
    body = (
        f" BEGIN EXECUTE pg_catalog.format('COMMENT ON VIEW %s IS %L', {text(name)},"
        f" {text(f'{told} [{short_digest(statement)}.')} || pg_catalog.left(pg_catalog.encode(pg_catalog.sha256("
        f"pg_catalog.convert_to(pg_catalog.pg_get_viewdef({text(name)}::pg_catalog.regclass), 'UTF8')), 'hex'), 16)"
        f" || ']'); END "
    )
    return f"DO {dollar(body)}"


def _sequences(relation: Relation, role: str) -> str:
    """Return the statement that lets the role draw the numbers that columns of the table default to."""
    table = text(f"{ident(relation.schema)}.{ident(relation.name)}")
    body = f""" DECLARE s regclass; BEGIN
  FOR s IN SELECT DISTINCT d.refobjid::regclass FROM pg_catalog.pg_attrdef AS a
    JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_catalog.pg_attrdef'::regclass AND d.objid = a.oid
    JOIN pg_catalog.pg_class AS c ON c.oid = d.refobjid AND c.relkind = 'S'
    WHERE a.adrelid = {table}::regclass AND d.refclassid = 'pg_catalog.pg_class'::regclass
  LOOP EXECUTE pg_catalog.format('GRANT USAGE ON SEQUENCE %s TO {ident(role)}', s); END LOOP;
END """  # noqa: S608  # quoted names
    return f"DO {dollar(body)}"


def _guard(part: _Part, shown: Shown) -> Iterable[Piece]:
    names = part.names
    relation = shown.relation
    schema = names.schema(relation.schema)
    name = f"guard_{relation.name}"[:63]
    function = f"{ident(schema)}.{ident(name)}()"
    body = guard_body(shown)
    make = acting_as(
        names.definer,
        f"CREATE OR REPLACE FUNCTION {function} RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER"
        f" SET search_path = pg_catalog, pg_temp AS {dollar(body)}",
        f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC",
    )
    facts = {"owner": names.definer, "body": body, "options": "definer, search_path=pg_catalog, pg_temp"}
    why, acl = f"checks writes to `{shown.scope.resource.name}`", frozenset[tuple[str, str]]()
    yield Piece("function", f"{schema}.{name}()", why, make, facts, acl, f"FUNCTION {function}", names.definer)
    table = f"{ident(relation.schema)}.{ident(relation.name)}"
    trigger = ident(names.guard)
    statement = (
        f"CREATE TRIGGER {trigger} BEFORE INSERT OR UPDATE OR DELETE ON {table} FOR EACH ROW"
        f" WHEN (CURRENT_USER = {text(names.role)}) EXECUTE FUNCTION {function}"
    )
    yield Piece(
        "guard",
        f"{names.guard} on {relation.schema}.{relation.name}",
        "runs for this scope's role only",
        (f"DROP TRIGGER IF EXISTS {trigger} ON {table}", statement),
        {"runs": f"{schema}.{name}()", "when": names.role, "enabled": "O", "on": "INSERT, UPDATE, DELETE"},
    )
