"""The native depth in tests: apply a policy to a database, and connections that act as a scope inside it.

`Native(database, policy, login).apply()` makes everything. `native.connect(session)` gives a psycopg connection that
runs as the compiled role of the session's scope, its values bound, with the views in its search_path: the agent's own
statements run there as they are, without the gateway.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from copy import copy
from datetime import UTC, datetime, timedelta
from typing import LiteralString, cast

import psycopg

from bailiwick.decide.scope import effective_scope
from bailiwick.gateway.backends.introspect import read_extensions, read_tables
from bailiwick.gateway.backends.native import apply, compiled, drift, nothing, place_of
from bailiwick.model.lock import Lock
from bailiwick.model.policy import Policy
from bailiwick.model.session import Session, User
from bailiwick.model.value import Scalar
from bailiwick.policy.load import load
from bailiwick.sql.native.binding import backend_query, bound_text, session_key, session_values
from bailiwick.sql.native.compare import Change
from bailiwick.sql.native.names import SETTING, scope_names
from bailiwick.sql.quote import ident
from tests.support.postgres import PASSWORD, SUPERUSER, Database

MASK_KEY = bytes(range(32))


def loaded(text: str) -> Policy:
    """Return a policy's text as read; it must be right."""
    found = load({"policy.yaml": text})
    if found.policy is None:
        raise RuntimeError("; ".join(map(str, found.problems)))
    return found.policy


def session_of(
    agent: str,
    *,
    task: str | None = None,
    user: User | None = None,
    tenant: Scalar | None = None,
    values: Mapping[str, Scalar] | None = None,
) -> Session:
    """Return an open session with these values, as if they had been looked up."""
    now = datetime.now(UTC)
    ends = now + timedelta(minutes=30)
    return Session("ses_test", agent, user, task, dict(values or {}), tenant, now, ends, None)


class Native:
    """One mount of a policy, applied to a database."""

    def __init__(
        self,
        database: Database,
        policy: Policy,
        login: tuple[str, str] = (SUPERUSER, PASSWORD),
        mount: str | None = None,
    ) -> None:
        self.database = database
        self.policy = policy
        self.mount = mount or next(iter(policy.mounts))
        wanted = {(each.schema, each.table) for each in policy.mounts[self.mount].resources.values()}
        tables = asyncio.run(read_tables(database.url(), wanted))
        brought = asyncio.run(read_extensions(database.url(), policy.mounts[self.mount]))
        self.lock = Lock({self.mount: tables}, extensions={self.mount: brought})
        self.url = database.url(*login)
        self.place = place_of(self.mount, self.url)
        self.compiled = compiled(policy, self.lock, self.place, MASK_KEY)
        self.key = session_key(MASK_KEY, self.mount)

    def apply(self, url: str | None = None) -> tuple[Change, ...]:
        """Apply as superuser, or as who the url says; return what was changed."""
        changes = self.drift(url)
        if changes:
            asyncio.run(apply(url or self.database.url(), self.compiled, changes))
        return changes

    def drift(self, url: str | None = None) -> tuple[Change, ...]:
        """Return what stands between the database and the policy."""
        return asyncio.run(drift(url or self.url, self.compiled))

    def remove(self, url: str | None = None) -> tuple[Change, ...]:
        """Remove everything; return what was removed."""
        gone = nothing(self.place)
        changes = asyncio.run(drift(url or self.database.url(), gone))
        asyncio.run(apply(url or self.database.url(), gone, changes))
        return changes

    def on(self, url: str) -> Native:
        """Return the same on another server that has the same database: a standby."""
        found = copy(self)
        found.url = url
        return found

    def role(self, session: Session) -> str:
        """Return the role of a session's scope."""
        scope = effective_scope(self.policy, self.lock, session)
        return scope_names(self.place, scope, frozenset(self.policy.mounts[self.mount].resources)).role

    def schemas(self, session: Session) -> Mapping[str, str]:
        """Return schema of tables → schema of the views that the session has over them."""
        role = self.role(session)
        return next(each.schemas for each in self.compiled.scopes if each.names.role == role)

    def bind(self, connection: psycopg.Connection, session: Session) -> None:
        """Bind a session's values to a connection and take its role: from now on it acts natively."""
        role = self.role(session)
        found = connection.execute(cast(LiteralString, backend_query(self.compiled.home))).fetchone()
        backend = str(found[0]) if found else ""
        text = bound_text(self.key, role, session_values(session), session.expires_at, backend)
        connection.execute("SELECT set_config(%s, %s, false)", (SETTING, text))
        connection.execute(cast(LiteralString, f"SET ROLE {ident(role)}"))
        path = ", ".join(ident(schema) for schema in self.schemas(session).values()) or "pg_catalog"
        connection.execute(cast(LiteralString, f"SET search_path = {path}"))

    @contextmanager
    def connect(self, session: Session) -> Generator[psycopg.Connection]:
        """Yield a connection that acts natively for the session."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            self.bind(connection, session)
            yield connection
