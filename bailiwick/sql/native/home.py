"""The schema that binds session values: its owner, its keys, its functions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bailiwick.sql.native import binding
from bailiwick.sql.native.names import Place, home_of, mark, owner_of
from bailiwick.sql.native.pieces import Facts, Piece, acting_as, dollar, granted
from bailiwick.sql.quote import ident, text

_RETURNS = {"session()": "jsonb", "value(name text)": "text", "list(name text)": "text[]", "bound()": "boolean"}
_KEYS = {
    "keys": "the key that binds session values; only the owner reads it",
    "masks": "the key of `hash` masks; only the owner and those views' owners read it",
}


def role_piece(place: Place, name: str, why: str, members: Sequence[str] = ()) -> Piece:
    """Return a role that nobody logs in as and that has no attribute of power."""
    quoted = ident(name)
    make = (
        f"DO $bw$ BEGIN IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {text(name)}) THEN"
        f" CREATE ROLE {quoted} NOLOGIN NOINHERIT; END IF; END $bw$",
        f"ALTER ROLE {quoted} NOLOGIN NOINHERIT",
        f"COMMENT ON ROLE {quoted} IS {text(f'Bailiwick: {why} {mark(place)}')}",
        *(f"GRANT {quoted} TO {ident(member)}" for member in members),
    )
    facts = {"attributes": "", "members": ", ".join(sorted(members)), "member of": "", "settings": ""}
    return Piece("role", name, why, make, {**facts, "mark": mark(place), "strays": "", "reach": ""})


def home_pieces(place: Place, definers: Iterable[str], roles: Iterable[str], hashing: Iterable[str]) -> list[Piece]:
    """Return the schema, its tables and its functions. `hashing`: the definers whose views hash."""
    definers, roles, hashing = sorted(definers), sorted(roles), sorted(hashing)
    owner, home = owner_of(place), home_of(place.mount)
    schema, login = ident(home), ident(place.login)
    users = [place.login, *definers]
    opened = acting_as(
        owner,
        f"REVOKE ALL ON SCHEMA {schema} FROM PUBLIC",
        f"GRANT USAGE ON SCHEMA {schema} TO {_list(users)}",
    )
    made = (f"CREATE SCHEMA IF NOT EXISTS {schema} AUTHORIZATION {ident(owner)}",)
    made += (f"ALTER SCHEMA {schema} OWNER TO {ident(owner)}",)
    why, acl = "binds session values to connections", granted(users, "USAGE")
    pieces = [Piece("schema", home, why, made + opened, {"owner": owner}, acl, f"SCHEMA {schema}", owner)]
    pieces += [_table(owner, home, name, hashing if name == "masks" else []) for name in _KEYS]
    pieces.append(_started(place, owner, home, login))
    for signature, body in binding.function_bodies(home).items():
        may = [] if signature == "session()" else [place.login, *definers, *roles]
        pieces.append(_function(owner, home, signature, body, may))
    return pieces


def _list(names: Iterable[str]) -> str:
    return ", ".join(ident(name) for name in names)


def _table(owner: str, home: str, name: str, readers: Sequence[str]) -> Piece:
    table = f"{ident(home)}.{name}"
    statements = [
        f'CREATE TABLE IF NOT EXISTS {table} ("inner" bytea NOT NULL, "outer" bytea NOT NULL)',
        f"REVOKE ALL ON {table} FROM PUBLIC",
    ]
    if readers:
        statements.append(f"GRANT SELECT ON {table} TO {_list(readers)}")
    make, acl = acting_as(owner, *statements), granted(readers, "SELECT")
    return Piece("table", f"{home}.{name}", _KEYS[name], make, {"owner": owner}, acl, f"TABLE {table}", owner)


def _started(place: Place, owner: str, home: str, login: str) -> Piece:
    """The gateway's login owns this one: only the login (and not the role that it takes) sees its own start."""
    function = f"{ident(home)}.started()"
    make = (
        *acting_as(owner, f"GRANT CREATE ON SCHEMA {ident(home)} TO {login}"),
        *acting_as(
            place.login,
            f"CREATE OR REPLACE FUNCTION {function} RETURNS timestamp with time zone LANGUAGE sql STABLE"
            f" PARALLEL RESTRICTED SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS {dollar(binding.STARTED)}",
            f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC",
            f"GRANT EXECUTE ON FUNCTION {function} TO {ident(owner)}",
        ),
        *acting_as(owner, f"REVOKE CREATE ON SCHEMA {ident(home)} FROM {login}"),
    )
    facts = _function_facts(place.login, binding.STARTED)
    acl = granted([owner], "EXECUTE")
    why, spelled = "when this connection started", f"FUNCTION {function}"
    return Piece("function", f"{home}.started()", why, make, facts, acl, spelled, place.login)


def _function(owner: str, home: str, signature: str, body: str, may: Sequence[str]) -> Piece:
    name = signature.partition("(")[0]
    function = f"{ident(home)}.{signature}"
    statements = [
        f"CREATE OR REPLACE FUNCTION {function} RETURNS {_RETURNS[signature]} LANGUAGE plpgsql STABLE"
        f" PARALLEL RESTRICTED SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS {dollar(body)}",
        f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC",
    ]
    if may:
        statements.append(f"GRANT EXECUTE ON FUNCTION {function} TO {_list(may)}")
    kinds = signature.partition("(")[2].rstrip(")").replace("name ", "")
    why = "the session values, if they are bound to this connection and role" if name == "session" else "of the session"
    spelled = f"FUNCTION {ident(home)}.{name}({kinds})"
    make, acl = acting_as(owner, *statements), granted(may, "EXECUTE")
    return Piece("function", f"{home}.{name}({kinds})", why, make, _function_facts(owner, body), acl, spelled, owner)


def _function_facts(owner: str, body: str) -> Facts:
    return {"owner": owner, "body": body, "options": "definer, stable, search_path=pg_catalog, pg_temp"}
