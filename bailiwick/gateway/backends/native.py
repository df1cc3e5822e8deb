"""The native depth of a mount at the edge: compiled for a place, compared with a database, applied, removed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Protocol, cast
from urllib.parse import unquote, urlsplit

import asyncpg

from bailiwick.decide.shapes import shapes
from bailiwick.errors import BackendError, PolicyError
from bailiwick.gateway.backends.introspect import CONNECT_SECONDS, failure
from bailiwick.gateway.backends.native_state import Fetches, read_live
from bailiwick.model.lock import Lock
from bailiwick.model.policy import Policy
from bailiwick.sql.native import binding
from bailiwick.sql.native.compare import Change, Live, plan
from bailiwick.sql.native.compile import compile_mount
from bailiwick.sql.native.names import Place, home_of, owner_of
from bailiwick.sql.native.pieces import Compiled, Piece, acting_as
from bailiwick.sql.native.script import act, begin, keys_statements, leave
from bailiwick.sql.quote import ident, text
from bailiwick.sql.snapshot import brought_by, snapshot

_LOCK = "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('bailiwick native'))"
_PATIENCE = "SET LOCAL lock_timeout = '10s'"
"""How long a change waits for a table that others use; then nothing of the plan happens."""


def place_of(mount: str, url: str, login: str | None = None, database: str | None = None) -> Place:
    """Return where a mount is compiled for: database and login as in its url, unless they are given."""
    parts = urlsplit(url)
    user = login or unquote(parts.username or "")
    name = database or unquote(parts.path.lstrip("/")) or user
    if not user or not name:
        raise PolicyError(
            f"the url of mount `{mount}` names no user or no database",
            remedy="write `postgresql://user@host/database`, or say --login and --database",
        )
    return Place(mount, name, user)


def compiled(policy: Policy, lock: Lock, place: Place, mask_key: bytes | None = None) -> Compiled:
    """Return the native depth of a mount; with the gateway's mask key, its keys are a piece of it.

    Raises PolicyError for what cannot be compiled.
    """
    mount = policy.mounts[place.mount]
    relations, schemas = snapshot(mount, lock).relations, brought_by(mount, lock).schemas
    made = compile_mount(place, mount, shapes(policy, lock, place.mount), relations, schemas)
    return made if mask_key is None else replace(made, pieces=_with_keys(made, mask_key))


def _with_keys(made: Compiled, mask_key: bytes) -> tuple[Piece, ...]:
    session = binding.session_key(mask_key, made.place.mount)
    fingerprint = binding.keys_digest(session, mask_key)
    pads = (*binding.pads(session), *binding.pads(mask_key))
    inner, outer, mask_inner, mask_outer = (f"'\\x{pad.hex()}'::bytea" for pad in pads)
    comment = f"COMMENT ON TABLE {ident(made.home)}.keys IS {text(f'Bailiwick: keys of the gateway. [{fingerprint}]')}"
    statements = (*keys_statements(made.home, (inner, outer, mask_inner, mask_outer)), comment)
    make = acting_as(made.owner, *statements)
    keys = Piece("keys", f"{made.home}.keys", "the keys of this gateway", make, {"fingerprint": fingerprint})
    last = max(place for place, piece in enumerate(made.pieces) if piece.kind == "table")
    return (*made.pieces[: last + 1], keys, *made.pieces[last + 1 :])


def nothing(place: Place) -> Compiled:
    """Return what a mount is compiled to when nothing is left of it."""
    return Compiled(place, owner_of(place), home_of(place.mount), ())


@dataclass(frozen=True, slots=True)
class Native:
    """A native depth that was seen in force, and the fingerprint of the keys that the database has."""

    made: Compiled
    fingerprint: str

    def holds_keys_of(self, mask_key: bytes) -> bool:
        """Return whether the database has the keys of the gateway with this mask key."""
        session = binding.session_key(mask_key, self.made.place.mount)
        return self.fingerprint == binding.keys_digest(session, mask_key)


class _Connection(Fetches, Protocol):
    async def execute(self, query: str) -> str: ...
    def terminate(self) -> None: ...


_connect = cast("Callable[..., Awaitable[_Connection]]", asyncpg.connect)  # pyright: ignore[reportUnknownMemberType] - asyncpg has no types


async def drift(url: str, made: Compiled) -> tuple[Change, ...]:
    """Return what stands between the database and the policy. Reads only; any role may. Raises BackendError."""
    return (await _looked(url, made))[0]


async def in_force(url: str, made: Compiled) -> Native:
    """Return the native depth that a gateway may rest on. Raises BackendError when the database differs from it."""
    changes, live = await _looked(url, made)
    if changes:
        first = changes[0]
        told = "; ".join(first.differences) or {"create": "it is missing"}.get(first.action, first.why)
        more = f", and {len(changes) - 1} more" if len(changes) > 1 else ""
        raise BackendError(
            f"the database of mount `{made.place.mount}` does not enforce this policy:"
            f" {first.kind} `{first.name}`: {told}{more}",
            remedy="see `bailiwick postgres drift`, and run `bailiwick postgres apply`",
        )
    keys = live.found.get(("keys", f"{made.home}.keys"))
    return Native(made, "" if keys is None else keys.facts.get("fingerprint", ""))


async def _looked(url: str, made: Compiled) -> tuple[tuple[Change, ...], Live]:
    async with _connection(url, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY") as connection:
        live = await read_live(connection, made)
        return plan(made, live), live


async def apply(url: str, made: Compiled, agreed: Sequence[Change]) -> None:
    """Carry out a plan in one transaction: all of it, or nothing when the database is not as it was when planned.

    Raises BackendError when a statement is refused, or when something differs even then.
    """
    async with _connection(url, "BEGIN") as connection:
        for statement in (*begin(), _PATIENCE, _LOCK):
            await connection.execute(statement)
        live = await read_live(connection, made)
        changes = plan(made, live)
        if changes != tuple(agreed):
            raise BackendError("the database has changed since this was planned", remedy="run it again")
        for statement in _ordered(made, live, changes):
            await _run(connection, statement)
        await _check(connection, made)
        await connection.execute("COMMIT")


def _ordered(made: Compiled, live: Live, changes: Sequence[Change]) -> list[str]:
    """Return the statements: new roles first, then everything as its owner, then what goes."""
    going = {change.name for change in changes if change.kind == "role" and change.action == "drop"}
    roles = [each for change in changes if change.kind == "role" and not _is_drop(change) for each in change.statements]
    others = [
        each for change in changes if change.kind != "role" and not _is_drop(change) for each in change.statements
    ]
    drops = [each for change in changes if change.kind != "role" and _is_drop(change) for each in change.statements]
    last = [each for change in changes if change.kind == "role" and _is_drop(change) for each in change.statements]
    if not (others or drops or last):
        return roles
    owners = dict.fromkeys((*made.owners, *(role for role in live.roles if role not in made.roles)))
    staying = [role for role in owners if role not in going]
    return [*roles, *act(owners), *others, *drops, *leave(staying), *last]


def _is_drop(change: Change) -> bool:
    return change.action == "drop"


async def _run(connection: _Connection, statement: str) -> None:
    try:
        await connection.execute(statement)
    except asyncpg.PostgresError as error:
        first = statement.split("\n", 1)[0]
        shown = first if len(first) <= 120 else first[:120] + " …"
        raise BackendError(
            f"the database refuses `{shown}`: {str(error).splitlines()[0]}",
            remedy="nothing was changed; docs/native.md says which privileges this needs",
        ) from None


async def _check(connection: _Connection, made: Compiled) -> None:
    left = [change for change in plan(made, await read_live(connection, made)) if change.action != "refuse"]
    if left:
        first = left[0]
        told = "; ".join(first.differences) or first.why
        raise BackendError(
            f"`{first.kind} {first.name}` is not as it should be even when applied: {told}",
            remedy="nothing was changed; look for what else acts on it, such as default privileges",
        )


@asynccontextmanager
async def _connection(url: str, begin_with: str) -> AsyncGenerator[_Connection]:
    """A connection with a pinned search_path, in a transaction that is rolled back unless it was committed."""
    settings = {"search_path": "pg_catalog, pg_temp", "application_name": "bailiwick"}
    try:
        connection = await _connect(url, timeout=CONNECT_SECONDS, server_settings=settings)
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise failure("cannot connect to", url, error) from None
    try:
        await connection.execute(begin_with)
        yield connection
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise failure("cannot read the native depth of", url, error) from None
    finally:
        connection.terminate()
