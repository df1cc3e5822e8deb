"""Reads what a database has of a mount's native depth, in the words of its pieces (`bailiwick.sql.native.pieces`)."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Protocol

from bailiwick.gateway.backends import native_queries as queries
from bailiwick.sql.native.compare import Found, Key, Live, revoke
from bailiwick.sql.native.names import mark
from bailiwick.sql.native.pieces import Acl, Compiled, acting_as
from bailiwick.sql.quote import ident

_SEAL = re.compile(r"\[([0-9a-f]{16})\.([0-9a-f]{16})\]")
_KEYS = re.compile(r"\[([0-9a-f]{16})\]")
Row = Mapping[str, str]


class Fetches(Protocol):
    """What is used of a connection."""

    async def fetch(self, query: str, *args: object) -> Sequence[Row]: ...


class _Reader:
    """One reading: what the database has, gathered piece by piece."""

    def __init__(self, connection: Fetches, compiled: Compiled) -> None:
        self._connection = connection
        self._compiled = compiled
        self.found: dict[Key, Found] = {}
        self.roles: list[str] = []
        self._schemas: list[str] = []
        self._owners: dict[str, str] = {}

    async def read(self) -> Live:
        """Read everything."""
        rows = await self._connection.fetch(queries.ROLES, list(self._compiled.roles), mark(self._compiled.place))
        self.roles = sorted(row["role"] for row in rows)
        await self._read_schemas()
        await self._read_roles(rows)
        await self._read_relations()
        await self._read_functions()
        await self._read_guards()
        await self._read_sequences()
        return Live(self.found, tuple(self.roles))

    async def _read_roles(self, rows: Sequence[Row]) -> None:
        version = int((await self._connection.fetch("SHOW server_version_num"))[0]["server_version_num"])
        effective = queries.EFFECTIVE_FROM_16 if version >= 160000 else "TRUE"
        members, of = defaultdict[str, set[str]](set), defaultdict[str, set[str]](set)
        for row in await self._connection.fetch(queries.MEMBERS.format(effective=effective), self.roles):
            members[row["role"]].add(row["member"])
            of[row["member"]].add(row["role"])
        strays, reach = await self._strays(), defaultdict[str, list[str]](list)
        acting = [scope.names.role for scope in self._compiled.scopes if scope.names.role in self.roles]
        for row in await self._connection.fetch(queries.REACH, acting, self._schemas):
            reach[row["role"]].append(row["what"])
        for row in rows:
            name = row["role"]
            facts = {
                "attributes": row["attributes"],
                "members": ", ".join(sorted(members[name])),
                "member of": ", ".join(sorted(of[name])),
                "settings": row["settings"],
                "mark": mark(self._compiled.place) if row["marked"] else "",
                "strays": ", ".join(strays[name]),
                "reach": ", ".join(reach[name]),
            }
            self.found["role", name] = Found(facts, unmake=(f"DROP ROLE {ident(name)}",))

    async def _strays(self) -> Mapping[str, list[str]]:
        found = defaultdict[str, list[str]](list)
        for row in await self._connection.fetch(queries.STRAYS, self.roles, self._schemas):
            word = {"o": "owns", "a": "has a grant on", "r": "has a policy on"}.get(row["how"], "is named by")
            found[row["role"]].append(f"{word} {row['what']}")
        return found

    async def _read_schemas(self) -> None:
        wanted = [piece.name for piece in self._compiled.pieces if piece.kind == "schema"]
        rows = await self._connection.fetch(queries.SCHEMAS, wanted, self.roles)
        self._schemas = [row["name"] for row in rows]
        acl, outside = defaultdict[str, set[tuple[str, str]]](set), defaultdict[tuple[str, str], set[str]](set)
        for row in await self._connection.fetch(queries.SCHEMA_ACL, self._schemas, self.roles):
            if row["name"] in self._schemas:
                acl[row["name"]].add((row["grantee"], row["privilege"]))
            else:
                outside[row["name"], row["grantee"]].add(row["privilege"])
        for row in rows:
            self._owners[row["name"]] = row["owner"]
            unmake = acting_as(row["owner"], f"DROP {row['object']}")
            name, owner = row["name"], row["owner"]
            self.found["schema", name] = Found({"owner": owner}, frozenset(acl[name]), row["object"], owner, unmake)
        for (schema, grantee), privileges in outside.items():
            self._rights(f"{grantee} on schema {schema}", f"SCHEMA {ident(schema)}", grantee, privileges)

    def _rights(self, name: str, spelled: str, grantee: str, privileges: set[str]) -> None:
        acl: Acl = frozenset((grantee, privilege) for privilege in privileges)
        unmake = tuple(revoke(spelled, grantee, privilege) for privilege in sorted(privileges))
        self.found["rights", name] = Found({}, acl, spelled, "", unmake)

    async def _read_relations(self) -> None:
        acl, outside = defaultdict[str, set[tuple[str, str]]](set), defaultdict[tuple[str, str], set[str]](set)
        spelled: dict[str, str] = {}
        for row in await self._connection.fetch(queries.RELATION_ACL, self._schemas, self.roles):
            name = f"{row['schema']}.{row['relation']}"
            if row["schema"] in self._schemas:
                acl[name].add((row["grantee"], row["privilege"]))
            elif row["kind"] != "S":
                outside[name, row["grantee"]].add(row["privilege"])
                spelled[name] = f"TABLE {row['quoted']}"
            else:
                self._sequence_right(row)
        for row in await self._connection.fetch(queries.RELATIONS, self._schemas):
            self._relation(row, frozenset(acl[row["name"]]))
        for (name, grantee), privileges in outside.items():
            self._rights(f"{grantee} on {name}", spelled[name], grantee, privileges)

    def _sequence_right(self, row: Row) -> None:
        """A right to a sequence goes with the role that has it."""
        name, object_ = f"{row['grantee']} on sequence {row['quoted']}", f"SEQUENCE {row['quoted']}"
        if row["grantee"] not in self._compiled.roles:
            self.found["sequences", name] = Found({}, unmake=(revoke(object_, row["grantee"], row["privilege"]),))

    def _relation(self, row: Row, acl: Acl) -> None:
        schema = row["name"].partition(".")[0]
        owner, quoted = row["owner"], row["quoted"]
        facts = {"owner": owner, "options": row["options"], "also": row["also"]}
        by = self._owners.get(schema, owner)
        if row["kind"] == "v":
            seal = _SEAL.search(row["comment"])
            intact = seal is not None and seal[2] == row["digest"]
            facts["made from"] = seal[1] if seal is not None and intact else "changed by hand"
            unmake = acting_as(by, f"DROP VIEW {quoted}")
            self.found["view", row["name"]] = Found(facts, acl, f"TABLE {quoted}", owner, unmake)
        elif row["kind"] == "r":
            unmake = acting_as(by, f"DROP TABLE {quoted}")
            self.found["table", row["name"]] = Found(facts, acl, f"TABLE {quoted}", owner, unmake)
            if row["name"] == f"{self._compiled.home}.keys":
                seal = _KEYS.search(row["comment"])
                self.found["keys", row["name"]] = Found({"fingerprint": seal[1] if seal else ""})

    async def _read_functions(self) -> None:
        acl = defaultdict[str, set[tuple[str, str]]](set)
        for row in await self._connection.fetch(queries.FUNCTION_ACL, self._schemas):
            acl[row["name"]].add((row["grantee"], row["privilege"]))
        for row in await self._connection.fetch(queries.FUNCTIONS, self._schemas):
            name, owner = row["name"], row["owner"]
            facts = {"owner": owner, "body": row["body"], "options": row["options"]}
            unmake = acting_as(self._owners.get(name.partition(".")[0], owner), f"DROP {row['object']}")
            self.found["function", name] = Found(facts, frozenset(acl[name]), row["object"], owner, unmake)

    async def _read_guards(self) -> None:
        wanted = [piece.name.partition(" on ")[0] for piece in self._compiled.pieces if piece.kind == "guard"]
        for row in await self._connection.fetch(queries.GUARDS, self._schemas, wanted):
            facts = {"runs": row["runs"], "when": row["condition"], "enabled": row["enabled"], "on": row["on"]}
            unmake = (f"DROP TRIGGER {ident(row['trigger'])} ON {row['quoted']}",)
            name = f"{row['trigger']} on {row['schema']}.{row['relation']}"
            self.found["guard", name] = Found(facts, unmake=unmake)

    async def _read_sequences(self) -> None:
        pieces = [piece.name for piece in self._compiled.pieces if piece.kind == "sequences"]
        wanted = [(role, relation) for role, _, relation in (name.partition(" on ") for name in pieces)]
        known = [(role, relation) for role, relation in wanted if role in self.roles]
        missing = defaultdict[str, list[str]](list)
        pair = [role for role, _ in known], [relation for _, relation in known]
        for row in await self._connection.fetch(queries.SEQUENCES, *pair):
            if not row["usable"]:
                missing[f"{row['role']} on {row['relation']}"].append(row["sequence"])
        for role, relation in known:
            name = f"{role} on {relation}"
            self.found["sequences", name] = Found({"missing": ", ".join(missing[name])})


async def read_live(connection: Fetches, compiled: Compiled) -> Live:
    """Return what the database has. The connection's search_path must be `pg_catalog, pg_temp`, and it must see one
    snapshot throughout."""
    return await _Reader(connection, compiled).read()
