"""A mount's native depth as a script that people read, keep in git and run with psql; and its undoing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bailiwick.sql.native.pieces import Compiled, Piece, acting_as
from bailiwick.sql.quote import ident

_HEAD = """-- Bailiwick: the native depth of mount `{mount}` in database `{database}`.
-- Made from the policy. It can be run again at any time; `bailiwick postgres remove` undoes it.
-- Run it as a role that may create roles and schemas, owns the tables that agents write (or may grant on those that
-- they read), and may act as `{login}`. The keys are psql variables; `bailiwick postgres apply` has them by itself.
"""


def begin() -> tuple[str, ...]:
    """Return what stands in front: every name is written out."""
    return ("SET LOCAL search_path = pg_catalog, pg_temp",)


def act(roles: Iterable[str]) -> tuple[str, ...]:
    """Return what lets whoever runs this act as the roles, until `leave`."""
    return tuple(f"GRANT {ident(role)} TO CURRENT_USER" for role in roles)


def leave(roles: Iterable[str]) -> tuple[str, ...]:
    """Return what ends `act`."""
    return tuple(f"REVOKE {ident(role)} FROM CURRENT_USER" for role in roles)


def statements(compiled: Compiled, keys: Sequence[str]) -> tuple[str, ...]:
    """Return every statement of one transaction, in order; `keys` are `keys_statements`."""
    roles = [piece for piece in compiled.pieces if piece.kind == "role"]
    rest = [piece for piece in compiled.pieces if piece.kind != "role"]
    made = [statement for piece in roles for statement in piece.make]
    made += act(compiled.owners)
    made += [statement for piece in rest for statement in piece.make]
    made += acting_as(compiled.owner, *keys)
    return (*begin(), *made, *leave(compiled.owners))


def keys_statements(home: str, values: tuple[str, str, str, str]) -> tuple[str, ...]:
    """Return what replaces the keys, by the owner; `values` are SQL expressions: the pads of both keys."""
    found: list[str] = []
    for table, (inner, outer) in {"keys": values[:2], "masks": values[2:]}.items():
        name = f"{ident(home)}.{table}"
        found += [f"DELETE FROM {name}", f"INSERT INTO {name} VALUES ({inner}, {outer})"]  # noqa: S608  # quoted names
    return tuple(found)


def script(compiled: Compiled) -> str:
    """Return the whole as a psql script. The keys are its variables."""
    place = compiled.place
    lines = [_HEAD.format(mount=place.mount, database=place.database, login=place.login), "BEGIN;"]
    lines += [f"{each};" for each in begin()]
    ready = False
    for piece in compiled.pieces:
        if piece.kind != "role" and not ready:
            lines += [
                "",
                "-- so that what follows belongs to these roles",
                *(f"{each};" for each in act(compiled.owners)),
            ]
            ready = True
        lines += _told(piece)
    lines += ["", "-- the keys; see docs/native.md"]
    variables = (":'session_inner'", ":'session_outer'", ":'mask_inner'", ":'mask_outer'")
    lines += [f"SET LOCAL ROLE {ident(compiled.owner)};", *(f"{e};" for e in keys_statements(compiled.home, variables))]
    lines += ["RESET ROLE;", "", *(f"{each};" for each in leave(compiled.owners)), "COMMIT;"]
    return "\n".join(lines) + "\n"


def _told(piece: Piece) -> list[str]:
    return ["", _comment(f"{piece.kind} {piece.name}: {piece.why}"), *(f"{each};" for each in piece.make)]


def _comment(line: str) -> str:
    return "-- " + " ".join(line.splitlines())
