"""The databases behind mounts: reached with the gateway's credential, and what that credential could do beyond need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from bailiwick.errors import BailiwickError
from bailiwick.gateway.backends.backends import read_tables
from bailiwick.gateway.backends.introspect import ask
from bailiwick.gateway.doctor.finding import Finding, ok, problem, warning
from bailiwick.gateway.moments import utc_now
from bailiwick.model.policy import Mount
from bailiwick.sql.native.names import home_of

_shown = 5
_noticeable, _too_much = timedelta(seconds=2), timedelta(seconds=30)

_ROLE = """
SELECT r.rolname::text AS name, r.rolsuper::text AS superuser, r.rolcreaterole::text AS createrole,
       r.rolbypassrls::text AS bypassrls, r.rolreplication::text AS replication, ARRAY(
    SELECT o.rolname::text FROM pg_catalog.pg_roles AS o
    WHERE NOT r.rolsuper AND o.oid <> r.oid AND pg_catalog.pg_has_role(r.oid, o.oid, 'MEMBER') AND (
        o.rolsuper OR o.rolcreaterole OR o.rolbypassrls OR o.rolreplication OR o.rolname IN (
            'pg_read_all_data', 'pg_write_all_data', 'pg_read_server_files', 'pg_write_server_files',
            'pg_execute_server_program', 'pg_maintain', 'pg_signal_backend'))
    ORDER BY o.rolname
) AS powers
FROM pg_catalog.pg_roles AS r WHERE r.rolname = session_user
"""
_TIME = "SELECT (extract(epoch FROM pg_catalog.clock_timestamp()) * 1000000)::int8::text AS micros"
_RIGHTS = """
SELECT n.nspname::text AS schema, c.relname::text AS name,
       pg_catalog.pg_has_role(session_user, c.relowner, 'MEMBER') AS owned,
       pg_catalog.has_any_column_privilege(session_user, c.oid, 'SELECT') AS reads,
       pg_catalog.has_any_column_privilege(session_user, c.oid, 'INSERT, UPDATE')
           OR pg_catalog.has_table_privilege(session_user, c.oid, 'DELETE, TRUNCATE') AS writes
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_'
  AND pg_catalog.has_schema_privilege(session_user, n.oid, 'USAGE')
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
      WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY n.nspname, c.relname
"""
_attributes = {
    "superuser": "is a superuser: no right of the database holds it back",
    "createrole": "may create roles (CREATEROLE)",
    "bypassrls": "passes by row security (BYPASSRLS)",
    "replication": "may replicate, and so read everything (REPLICATION)",
}


async def database_findings(mount: Mount, place: str) -> Sequence[Finding]:
    """Return what is to be said of a mount's database. `place` is a secret: it is used, never shown."""
    wanted = [(each.schema, each.table) for each in mount.resources.values()]
    try:
        found = await read_tables(mount, place, wanted)
        more = await _postgres(mount, place) if mount.kind == "postgres" else ()
    except BailiwickError as error:
        return [problem("backends", f"mount `{mount.name}`: {error.message}", error.remedy)]
    return [*_tables(mount, found), *more]


def _tables(mount: Mount, found: Mapping[tuple[str, str], object]) -> Iterator[Finding]:
    missing = [each.name for each in mount.resources.values() if (each.schema, each.table) not in found]
    if missing:
        what = f"mount `{mount.name}`: there is no table for {_some(missing)}"
        yield problem("backends", what, "correct `table` in the policy, or the address of the mount")
    else:
        yield ok("backends", f"mount `{mount.name}` is reached with the gateway's credential")


async def _postgres(mount: Mount, url: str) -> Sequence[Finding]:
    before = utc_now()
    micros = int((await ask(url, _TIME))[0]["micros"])
    after = utc_now()
    theirs = datetime.fromtimestamp(0, before.tzinfo) + timedelta(microseconds=micros)
    role = (await ask(url, _ROLE))[0]
    rights: Sequence[Mapping[str, str]] = () if role["superuser"] == "true" else await ask(url, _RIGHTS)
    return [clock_finding(f"mount `{mount.name}`", before, theirs, after), *_role(mount, role), *_rights(mount, rights)]


def clock_finding(who: str, before: datetime, theirs: datetime, after: datetime) -> Finding:
    """Return how far a backend's time is from ours, which was `before` it was asked and `after` it had answered."""
    off = max(before - theirs, theirs - after, timedelta(0))
    if off <= _noticeable:
        return ok("clock", f"this machine and {who} have the same time")
    what = f"the clocks of this machine and of {who} differ by {off.total_seconds():.0f} seconds"
    remedy = "synchronise both (NTP): sessions end, and `now` in the policy is meant, by this machine's clock"
    return problem("clock", what, remedy) if off > _too_much else warning("clock", what, remedy)


def _role(mount: Mount, role: Mapping[str, str]) -> Iterator[Finding]:
    who = f"mount `{mount.name}`: the gateway's role `{role['name']}`"
    remedy = "give the gateway a role of its own with no more than it needs (docs/operations.md)"
    wide = [words for name, words in _attributes.items() if role[name] == "true"]
    yield from (warning("roles", f"{who} {words}", remedy) for words in wide)
    powers = list(role["powers"])
    if powers:
        yield warning("roles", f"{who} can act as {_some(powers)}", remedy)
    elif not wide:
        yield ok("roles", f"{who} has no rights over the server")


def _rights(mount: Mount, rights: Sequence[Mapping[str, object]]) -> Iterator[Finding]:
    """Yield what the role can do with tables; nothing for a superuser, of whom that was said."""
    who = f"mount `{mount.name}`: the gateway's role"
    mapped = {(each.schema, each.table) for each in mount.resources.values()}
    other = [
        row for row in rights if (row["schema"], row["name"]) not in mapped and row["schema"] != home_of(mount.name)
    ]
    owned = [_name(row) for row in rights if row["owned"]]
    if owned:
        remedy = "let another role own them: an owner can grant, alter and drop"
        yield warning("roles", f"{who} owns {_some(owned)}", remedy)
    reads = [_name(row) for row in other if row["reads"] and not row["owned"]]
    writes = [_name(row) for row in other if row["writes"] and not row["owned"]]
    for names, what in ((reads, "read"), (writes, "write")):
        if names:
            remedy = "revoke it, also from PUBLIC and from roles that it belongs to"
            yield warning("roles", f"{who} can {what} what is no resource: {_some(names)}", remedy)
    if rights and not (owned or reads or writes):
        yield ok("roles", f"{who} reaches no table but the resources")


def _name(row: Mapping[str, object]) -> str:
    return f"{row['schema']}.{row['name']}"


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:_shown])
    return shown + (f" and {len(names) - _shown} more" if len(names) > _shown else "")
