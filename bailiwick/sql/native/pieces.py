"""What a mount is compiled to: pieces, each with the statements that make it and the facts that a database then shows.

A piece's statements may be run again at any time and give the same result. `Facts` are what `drift` compares: how the
database describes the piece, in words that it shares with `bailiwick.gateway.native_state`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from bailiwick.sql.native.names import Place, ScopeNames
from bailiwick.sql.quote import ident

Kind = Literal["role", "schema", "table", "function", "rights", "view", "guard", "policy", "sequences"]
Facts = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Piece:
    kind: Kind
    name: str
    """By which the database's facts are found: as `bailiwick.gateway.native_state` names it."""
    why: str
    """For people."""
    make: tuple[str, ...]
    facts: Facts
    unmake: tuple[str, ...] = ()
    """For what is not owned by one of our roles, and so does not go with it."""


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

    @property
    def roles(self) -> tuple[str, ...]:
        """Every role that is made, the owner first."""
        pairs = [name for scope in self.scopes for name in (scope.names.definer, scope.names.role)]
        return (self.owner, *pairs)

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


def entries(*granted: tuple[str, str]) -> str:
    """Return (grantee, privilege) pairs as one fact. A column's reads `SELECT(name)`; the owner's are not told."""
    return ", ".join(sorted({f"{grantee}={privilege}" for grantee, privilege in granted}))
