"""Sessions as an application uses them: the one in whose name guarded functions are called."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from types import TracebackType
from typing import TYPE_CHECKING

from bailiwick.errors import BailiwickError
from bailiwick.guard.client import Allowed, Client, FunctionInfo, OpenedSession
from bailiwick.guard.denied import Denied, DeniedError

if TYPE_CHECKING:
    from bailiwick.gateway.wire import Json

_current: ContextVar[Session | None] = ContextVar("bailiwick_session", default=None)


class Session:
    """A session, by its token. As a context manager it is the current one; tasks and copied contexts inherit it."""

    def __init__(self, owner: object, client: Client, token: str, opened: OpenedSession | None = None) -> None:
        self.token = token
        self.opened = opened
        """What the gateway said when it was opened here; None: its token came from elsewhere."""
        self._owner = owner
        self._client = client
        self._before: list[Token[Session | None]] = []

    def __repr__(self) -> str:
        return f"<session {'by its token' if self.opened is None else self.opened.info.id}>"

    def belongs_to(self, owner: object) -> bool:
        """Return whether it is one of that guard."""
        return self._owner is owner

    def decide(self, name: str, arguments: Mapping[str, object]) -> Allowed | Denied:
        """Return what would be decided about a call; see `Client.decide`."""
        return self._client.decide(self.token, name, arguments)

    def functions(self, schemas: Mapping[str, Mapping[str, Json]] | None = None) -> tuple[FunctionInfo, ...]:
        """Return the functions that it may call; see `Client.functions`. Raises DeniedError when it has ended."""
        found = self._client.functions(self.token, schemas)
        if isinstance(found, Denied):
            raise DeniedError(found)
        return found

    def __enter__(self) -> Session:
        """Be the current session."""
        self._before.append(_current.set(self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Be it no more."""
        _current.reset(self._before.pop())


class Opening:
    """A session that is opened, made the current one, and closed: `with` or `async with`."""

    def __init__(self, make: Callable[[], Session], close: Callable[[Session], None]) -> None:
        self._make = make
        self._close = close
        self._session: Session | None = None

    def __enter__(self) -> Session:
        """Open it. Raises BailiwickError when it is refused."""
        self._session = self._make()
        return self._session.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it, unless it has ended already."""
        session = self._session
        if session is not None:
            session.__exit__(kind, error, trace)
            self._close(session)

    async def __aenter__(self) -> Session:
        """Open it. Raises BailiwickError when it is refused."""
        self._session = await asyncio.to_thread(self._make)
        return self._session.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it, unless it has ended already."""
        session = self._session
        if session is not None:
            session.__exit__(kind, error, trace)
            await asyncio.to_thread(self._close, session)


def close_quietly(client: Client, session: Session) -> None:
    """Close a session that was opened here; one that has ended by itself is as good."""
    if session.opened is not None:
        try:
            client.close(session.opened.info.id)
        except BailiwickError:
            return


def current() -> Session | None:
    """Return the session in whose name functions are called here."""
    return _current.get()
