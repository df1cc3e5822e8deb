"""What a mount is compiled to: pieces, each with the statements that make it and the facts that a database then shows.

A piece's statements may be run again at any time and give the same result. `Facts` are what `drift` compares: how the
database describes the piece, in words that it shares with `bailiwick.gateway.backends.native_state`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from bailiwick.model.scope import Scope
from bailiwick.sql.native.names import Place, ScopeNames, powerless_of, scope_names
from bailiwick.sql.quote import ident

Kind = Literal["role", "schema", "table", "function", "keys", "rights", "guard", "sequences", "view"]
Facts = Mapping[str, str]
Acl = frozenset[tuple[str, str]]
"""(grantee, privilege) without those of the owner. A privilege on a column reads `SELECT(name)`."""


@dataclass(frozen=True, slots=True)
class Piece:
    kind: Kind
    name: str
    """By which the database's facts are found: as `bailiwick.gateway.backends.native_state` names it."""
    why: str
    """For people."""
    make: tuple[str, ...]
    facts: Facts
    acl: Acl = frozenset()
    object: str = ""
    """As GRANT and REVOKE spell what `acl` is about."""
    owner: str = ""
    """The role that owns it; empty: whoever applies."""


@dataclass(frozen=True, slots=True)
class CompiledScope:
    """One scope, and where it is in the database."""

    names: ScopeNames
    agent: str
    task: str | None
    passed: tuple[str, ...]
    schemas: Mapping[str, str]
    """Schema of the tables → schema of the views over them."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """A mount's native depth. `pieces` stand in the order in which they can be made."""

    place: Place
    owner: str
    home: str
    pieces: tuple[Piece, ...]
    scopes: tuple[CompiledScope, ...] = field(default=())
    resources: frozenset[str] = frozenset()
    """The mount's resources."""

    @property
    def roles(self) -> tuple[str, ...]:
        """Every role that is made, the owner first."""
        return tuple(piece.name for piece in self.pieces if piece.kind == "role")

    def role_of(self, scope: Scope) -> str:
        """Return the role of a session's scope: one that can do nothing when it has nothing here."""
        found = self._of(scope)
        return powerless_of(self.place) if found is None else found.names.role

    def schemas_of(self, scope: Scope) -> Mapping[str, str]:
        """Return schema of tables → schema of the views that a session's scope has over them."""
        found = self._of(scope)
        return {} if found is None else found.schemas

    def _of(self, scope: Scope) -> CompiledScope | None:
        role = scope_names(self.place, scope, self.resources).role
        return next((each for each in self.scopes if each.names.role == role), None)

    @property
    def owners(self) -> tuple[str, ...]:
        """The roles that own something here: who applies acts as them."""
        return (self.owner, *(scope.names.definer for scope in self.scopes))


def acting_as(role: str, *statements: str) -> tuple[str, ...]:
    """Return the statements as run by a role: what they make is its own."""
    return (f"SET LOCAL ROLE {ident(role)}", *statements, "RESET ROLE")


def dollar(body: str) -> str:
    """Return a text in dollar quotes that do not occur in it."""
    tag = next(tag for tag in (f"$bw{number or ''}$" for number in range(len(body) + 2)) if tag not in body)
    return f"{tag}{body}{tag}"


def short_digest(text: str) -> str:
    """Return a fingerprint of a text, as it stands in comments."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def granted(grantees: Iterable[str], *privileges: str) -> Acl:
    """Return that each grantee has each of the privileges."""
    return frozenset((grantee, privilege) for grantee in grantees for privilege in privileges)


def spelt(privileges: Iterable[str]) -> list[str]:
    """Return `SELECT(a)`, `SELECT(b)`, `DELETE` as GRANT spells them: `SELECT ("a", "b")`, `DELETE`."""
    columns: dict[str, list[str]] = {}
    found: list[str] = []
    for each in dict.fromkeys(privileges):
        verb, bracket, name = each.partition("(")
        if bracket:
            columns.setdefault(verb, []).append(ident(name.removesuffix(")")))
        else:
            found.append(verb)
    return [f"{verb} ({', '.join(names)})" for verb, names in columns.items()] + found
