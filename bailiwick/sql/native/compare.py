"""What stands between a database and a policy: the plan of `apply`, and what `drift` names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from bailiwick.sql.native.pieces import Acl, Compiled, Facts, Kind, Piece, acting_as
from bailiwick.sql.quote import ident

Key = tuple[Kind, str]


@dataclass(frozen=True, slots=True)
class Found:
    """One piece as a database has it."""

    facts: Facts
    acl: Acl = frozenset()
    object: str = ""
    """As GRANT and REVOKE spell it."""
    owner: str = ""
    unmake: tuple[str, ...] = ()
    """What removes it, when it is not of the policy any more."""


@dataclass(frozen=True, slots=True)
class Live:
    """Everything in a database that belongs to a mount's native depth, or stands where it should."""

    found: Mapping[Key, Found]
    roles: tuple[str, ...] = ()
    """The roles that there are of it: who applies may have to act as them."""


@dataclass(frozen=True, slots=True)
class Change:
    """One step of a plan. `refuse`: what only a person can set right."""

    action: Literal["create", "change", "drop", "refuse"]
    kind: Kind
    name: str
    why: str
    statements: tuple[str, ...] = ()
    differences: tuple[str, ...] = field(default=())

    @property
    def sign(self) -> str:
        """How plans are read everywhere."""
        return {"create": "+", "change": "~", "drop": "-", "refuse": "!"}[self.action]


_POWERS = {
    "login": "NOLOGIN",
    "inherit": "NOINHERIT",
    "superuser": "NOSUPERUSER",
    "createrole": "NOCREATEROLE",
    "createdb": "NOCREATEDB",
    "replication": "NOREPLICATION",
    "bypassrls": "NOBYPASSRLS",
}
_DROPS: tuple[Kind, ...] = ("guard", "sequences", "view", "function", "keys", "table", "rights", "schema", "role")
"""The order in which things can go."""
_BY_HAND = {"strays": "it has what Bailiwick did not give it", "reach": "as everybody it reaches"}


def plan(compiled: Compiled, live: Live) -> tuple[Change, ...]:
    """Return what makes the database what the policy says, in an order that works; empty: nothing is left to do."""
    changes: list[Change] = []
    for piece in compiled.pieces:
        found = live.found.get((piece.kind, piece.name))
        if found is None:
            changes.append(Change("create", piece.kind, piece.name, piece.why, piece.make))
            continue
        changes += _changes(piece, found)
    wanted = {(piece.kind, piece.name) for piece in compiled.pieces}
    gone = [key for key in live.found if key not in wanted]
    for kind, name in sorted(gone, key=lambda key: (_DROPS.index(key[0]), key[1])):
        unmake = live.found[kind, name].unmake
        if unmake:
            changes.append(Change("drop", kind, name, "not of the policy", unmake))
    return tuple(changes)


def _changes(piece: Piece, found: Found) -> Iterable[Change]:
    by_hand = [
        f"{_BY_HAND[name]}: {value}"
        for name, value in found.facts.items()
        if name in _BY_HAND and value != piece.facts.get(name, "")
    ]
    if by_hand:
        yield Change("refuse", piece.kind, piece.name, "set it right by hand", (), tuple(by_hand))
    differences = list(_differences(piece.facts, found.facts))
    too_much, missing = found.acl - piece.acl, piece.acl - found.acl
    differences += [f"{grantee} may {what}" for grantee, what in sorted(too_much)]
    differences += [f"{grantee} may not {what}" for grantee, what in sorted(missing)]
    if differences:
        first = (*_revokes(piece, too_much), *_corrections(piece, found))
        yield Change("change", piece.kind, piece.name, piece.why, (*first, *piece.make), tuple(differences))


def _differences(wanted: Facts, found: Facts) -> Iterable[str]:
    for name, value in wanted.items():
        is_ = found.get(name, "")
        if name in _BY_HAND or is_ == value:
            continue
        if name == "body":
            yield "its body is another"
        elif name == "made from":
            yield "its text is another" if is_ != "changed by hand" else "it was changed by hand"
        else:
            yield f"{name}: {_shown(is_)} in place of {_shown(value)}"


def _shown(value: str) -> str:
    return f"`{value}`" if value else "none"


def _revokes(piece: Piece, entries: Acl) -> Sequence[str]:
    """Return what takes privileges back, by who gave them: the owner. A view is made anew, so it needs none."""
    if piece.kind == "view" or not entries:
        return ()
    statements = [revoke(piece.object, grantee, what) for grantee, what in sorted(entries)]
    return acting_as(piece.owner, *statements) if piece.owner else statements


def revoke(spelled: str, grantee: str, privilege: str) -> str:
    """Return what takes one privilege back."""
    verb, bracket, column = privilege.partition("(")
    what = f"{verb} ({ident(column.removesuffix(')'))})" if bracket else verb
    return f"REVOKE {what} ON {spelled} FROM {'PUBLIC' if grantee == 'PUBLIC' else ident(grantee)}"


def _corrections(piece: Piece, found: Found) -> Iterable[str]:
    """Return what `make` does not set right."""
    if piece.kind == "role":
        role = ident(piece.name)
        for power in _listed(found.facts.get("attributes", "")):
            yield f"ALTER ROLE {role} {_POWERS[power]}"
        if found.facts.get("settings"):
            yield f"ALTER ROLE {role} RESET ALL"
        wanted = _listed(piece.facts.get("members", ""))
        for member in _listed(found.facts.get("members", "")):
            if member not in wanted:
                yield f"REVOKE {role} FROM {ident(member)}"
        for other in _listed(found.facts.get("member of", "")):
            yield f"REVOKE {ident(other)} FROM {role}"
    elif piece.kind == "function" and found.owner != piece.owner:
        yield f"ALTER {piece.object} OWNER TO {ident(piece.owner)}"


def _listed(value: str) -> list[str]:
    return [each for each in value.split(", ") if each]
