"""How an application asks the gateway: one that runs in its own process, or one that runs beside it.

Both answer the same requests; what asks them does not know which it is.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Protocol

from bailiwick.errors import BailiwickError, ConfigError, LedgerError
from bailiwick.gateway.admin_client import AdminClient
from bailiwick.gateway.config import GatewayConfig
from bailiwick.gateway.wire import Fields, Json
from bailiwick.model.approval import Reviewer

Where = Literal["any", "here", "beside"]
"""Where the gateway runs: in this process, in another one, or in this one unless there is another."""
_log = logging.getLogger("bailiwick.guard")
_patience = 10.0
"""Seconds for which a gateway that has the files may take to answer."""


class Transport(Protocol):
    """A way to ask the gateway. From any thread."""

    def ask(self, do: str, fields: Mapping[str, Json]) -> Mapping[str, Json]:
        """Return the answer. Raises BailiwickError with what the gateway says, or that there is none."""
        ...

    async def ask_later(self, do: str, fields: Mapping[str, Json]) -> Mapping[str, Json]:
        """As `ask`, without holding the event loop up."""
        ...

    def close(self) -> None:
        """Ask nothing more."""
        ...


class Beside:
    """A gateway that runs in another process of the same user, asked over its admin socket."""

    def __init__(self, client: AdminClient) -> None:
        self._client = client

    def ask(self, do: str, fields: Mapping[str, Json]) -> Mapping[str, Json]:
        """Ask; see `Transport`."""
        return self._client.ask(do, fields)

    async def ask_later(self, do: str, fields: Mapping[str, Json]) -> Mapping[str, Json]:
        """Ask; see `Transport`."""
        return await asyncio.to_thread(self._client.ask, do, fields)

    def close(self) -> None:
        """Nothing is kept open."""


class Here:
    """A gateway in this process, on a thread and an event loop of its own. It listens only for its command line."""

    def __init__(self, policy: Path, config: GatewayConfig, environ: Mapping[str, str]) -> None:
        """Start it. Raises what `running` raises, LedgerError when another gateway has the files."""
        from bailiwick.gateway.run import running  # SQLAlchemy and all that: not for those who ask beside
        from bailiwick.mounts.python.front import PythonFront

        self._loop = asyncio.new_event_loop()
        self._stack = contextlib.AsyncExitStack()
        self._thread = threading.Thread(target=self._loop.run_forever, name="bailiwick", daemon=True)
        self._thread.start()
        started = False
        try:
            front = PythonFront(config)
            entering = self._stack.enter_async_context(running(policy, config, environ, [front]))
            gateway = asyncio.run_coroutine_threadsafe(entering, self._loop).result()
            if gateway.desk is None:
                raise ConfigError("the gateway did not start")
            self._answer = gateway.desk.answer
            started = True
        finally:
            if not started:
                self._end()

    def ask(self, do: str, fields: Mapping[str, Json]) -> Mapping[str, Json]:
        """Ask; see `Transport`."""
        asked = asyncio.run_coroutine_threadsafe(self._asked(do, fields), self._loop)
        try:
            concurrent.futures.wait([asked])
        finally:
            asked.cancel()  # whoever waited has been interrupted; else it has no effect
        return _told(asked)

    async def ask_later(self, do: str, fields: Mapping[str, Json]) -> Mapping[str, Json]:
        """Ask; see `Transport`."""
        asked = asyncio.run_coroutine_threadsafe(self._asked(do, fields), self._loop)
        answered = asyncio.wrap_future(asked)
        try:
            await asyncio.wait([answered])
        finally:
            asked.cancel()
        if not answered.cancelled():
            answered.exception()  # looked at: it is raised below
        return _told(asked)

    def close(self) -> None:
        """Stop the gateway so that nothing is lost."""
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._stack.aclose(), self._loop).result()
            self._end()

    async def _asked(self, do: str, fields: Mapping[str, Json]) -> Mapping[str, Json]:
        return await self._answer(do, Fields(fields), Reviewer("this process", means="client", clearance="restricted"))

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def open_transport(policy: Path, config: GatewayConfig, environ: Mapping[str, str], where: Where) -> Transport:
    """Return a way to ask the gateway of a policy's files, of which there is only ever one. Raises BailiwickError."""
    client = AdminClient(config.admin_socket, f"bailiwick serve {policy}")
    if where == "here":
        return Here(policy, config, environ)
    until = time.monotonic() + _patience
    while True:
        try:
            client.ask("status", {})
            return Beside(client)
        except ConfigError:
            if where == "beside":
                raise
        try:
            return Here(policy, config, environ)
        except LedgerError:  # a gateway has the files that does not answer yet, or does not any more
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


def _told(asked: concurrent.futures.Future[Mapping[str, Json]]) -> Mapping[str, Json]:
    """Return an answer. What the gateway failed at is told in the log, without values, and denied."""
    if asked.cancelled():
        raise ConfigError("the gateway has stopped", remedy="open the guard again")
    error = asked.exception()
    if error is None:
        return asked.result()
    if isinstance(error, BailiwickError):
        raise error
    _log.error("a request failed inside the gateway: %s", type(error).__name__)
    raise ConfigError("the gateway failed on this request", remedy="its log and ledger say why")
