"""`enforce: both`: the gateway's own connection takes the compiled role of its session and is bound to its values."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from bailiwick.errors import BackendError
from bailiwick.gateway.enforcer import LiveSession
from bailiwick.mounts.postgres import codec
from bailiwick.mounts.postgres.codec import Framer, error_fields
from bailiwick.mounts.postgres.upstream import Upstream
from bailiwick.sql.native.binding import backend_query, bound_text, session_values
from bailiwick.sql.native.names import SETTING
from bailiwick.sql.native.pieces import Compiled
from bailiwick.sql.quote import ident, text

_LONGEST = 1 << 20
_REMEDY = "see `bailiwick postgres drift`"


@dataclass(frozen=True, slots=True)
class Depth:
    """The native depth of one mount, and the key that binds session values there."""

    made: Compiled
    key: bytes = field(repr=False)

    def role(self, live: LiveSession) -> str:
        """Return the role that a session's connections run as."""
        return self.made.role_of(live.scope)

    async def take(self, server: Upstream, live: LiveSession) -> str:
        """Bind the session's values to the connection and make it run as the session's role; return that.

        INVARIANT: nothing of the client is sent before. Raises BackendError; the connection is then of no use.
        """
        role = self.role(live)
        answer = _Answer(server)
        backend = await answer.to(backend_query(self.made.home))
        session = live.session
        values = bound_text(self.key, role, session_values(session), session.expires_at, backend)
        setting = f"SELECT pg_catalog.set_config({text(SETTING)}, {text(values)}, false)"
        await answer.to(f"{setting}; SET SESSION ROLE {ident(role)}")
        if await answer.to("SELECT CURRENT_USER") != role:
            raise BackendError("the connection did not take the session's role", remedy=_REMEDY)
        return role


class _Answer:
    """Runs statements of ours on a connection that no client uses yet."""

    def __init__(self, server: Upstream) -> None:
        self._framer = Framer(_LONGEST)
        self._server = server
        self._value = ""
        self._failed = ""
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        server.receiver = self._received
        server.lost = self._lost

    async def to(self, sql: str) -> str:
        """Return the last value of the first column that the statements answer."""
        self._value = self._failed = ""
        self._done = asyncio.get_running_loop().create_future()
        self._server.send(codec.message(b"Q", sql.encode() + b"\0"))
        await self._done
        if self._failed:
            raise BackendError(f"the database refuses the session's role ({self._failed})", remedy=_REMEDY)
        return self._value

    def _lost(self) -> None:
        if not self._done.done():
            self._done.set_exception(BackendError("the database closed the connection", remedy=_REMEDY))

    def _received(self, data: bytes) -> None:
        self._framer.feed(data)
        while (taken := self._framer.message()) is not None:
            kind, body = taken
            if kind == b"D":
                self._value = _first(body)
            elif kind == b"E":
                self._failed = error_fields(b"E\0\0\0\0" + body).get("C", "an error")
            elif kind == b"Z" and not self._done.done():
                self._done.set_result(None)


def _first(row: bytes) -> str:
    """Return the first value of a data row; empty for NULL."""
    size: int = codec.int32_at(row, 2)[0]
    return row[6 : 6 + size].decode() if size >= 0 else ""
