"""One guarded call: asks before, hands in afterwards, and shows only what the gateway shows."""

from __future__ import annotations

import asyncio
import inspect
import json
import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from types import CoroutineType, GeneratorType, TracebackType
from typing import Any, cast

from bailiwick.errors import BailiwickError
from bailiwick.gateway.wire import Json
from bailiwick.guard.data import NotDataError, frozen, plain
from bailiwick.guard.denied import Denied, DeniedError, FunctionError, denied_of, error_of
from bailiwick.guard.session import Session
from bailiwick.guard.transport import Transport
from bailiwick.model.decision import Denial

_NOT_BEGUN = Denial("ledger_unavailable", "the gateway does not answer, so nothing was done", remedy="try again")
_NOT_ENDED = Denial(
    "ledger_unavailable",
    "the gateway does not answer, so nothing of the result is shown; what was done stays done",
    remedy="look before trying again",
)
NO_SESSION = Denial(
    "session_unknown",
    "there is no session here",
    remedy="call it within `with guard.session(…)` or `with guard.use(…)`",
)
_nothing = object()
_longest_wait = 20.0
"""Seconds that one question waits: what asks has to hear of the answer."""


class Call:
    """One call of a function, as a context manager.

    Within it, execute with `arguments` and `give` the result; after it `shown` is what the agent may see. It raises
    DeniedError when the call is not admitted (on entering) or nothing of it is shown (on leaving).
    """

    def __init__(
        self,
        transport: Callable[[], Transport],
        session: Session | None,
        name: str,
        given: Mapping[str, object],
        takes: Collection[str] | None,
        reason: str,
        patience: float = 0.0,
    ) -> None:
        self.arguments: Mapping[str, object] = {}
        """What it is to be executed with: what was given, and what the gateway fills in."""
        self.seconds = 0.0
        """How long it may run; known once it is entered."""
        self.shown: object = None
        """What the agent may see of the result, once it has been left."""
        self._transport = transport
        self._session = session
        self._name = name
        self._given = given
        self._takes = takes
        self._reason = reason
        self._patience = patience
        self._kept: dict[str, object] = {}
        self._sent: Mapping[str, Json] = {}
        self._begun: Mapping[str, Json] = {}
        self._result: object = _nothing
        self._late = False

    def give(self, result: object) -> None:
        """Hand in the result."""
        self._result = result

    def __enter__(self) -> Call:
        """Ask; the intent is on record when this returns."""
        request, until = self._request(), time.monotonic() + self._patience
        while True:
            try:
                answer = self._transport().ask("function.begin", self._waiting(request, until))
            except BailiwickError:
                raise DeniedError(Denied(_NOT_BEGUN)) from None
            if not _waits(answer) or time.monotonic() >= until:
                self._begin(answer)
                return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hand in what came of it; what is shown is on record when this returns."""
        try:
            answer = self._transport().ask("function.end", self._came(error))
        except BailiwickError:
            self._failed(error, Denied(_NOT_ENDED))
        else:
            self._end(error, answer)

    async def __aenter__(self) -> Call:
        """As `__enter__`."""
        request, until = self._request(), time.monotonic() + self._patience
        while True:
            try:
                answer = await self._transport().ask_later("function.begin", self._waiting(request, until))
            except BailiwickError:
                raise DeniedError(Denied(_NOT_BEGUN)) from None
            if not _waits(answer) or time.monotonic() >= until:
                self._begin(answer)
                return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """As `__exit__`."""
        self._late = isinstance(error, _LateError)
        try:
            answer = await self._transport().ask_later("function.end", self._came(error))
        except BailiwickError:
            self._failed(error, Denied(_NOT_ENDED))
        else:
            self._end(error, answer)

    async def within_time(self, running: Awaitable[object]) -> object:
        """Return what an awaitable gives; it is cancelled when it takes longer than the call may."""
        task = asyncio.ensure_future(running)
        try:
            done, _ = await asyncio.wait({task}, timeout=self.seconds)
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait({task})
            raise
        if not done:
            task.cancel()
            await asyncio.wait({task})  # what is cancelled has its say; nothing of it is shown
            if not task.cancelled():
                task.exception()
            raise _LateError
        return task.result()

    def _request(self) -> dict[str, Json]:
        if self._session is None:
            raise DeniedError(Denied(NO_SESSION))
        try:
            self._kept, self._sent = frozen(self._given)
        except NotDataError as error:
            message = f"argument `{error}` of `{self._name}` is no data, so nobody can decide on it"
            denial = Denial("argument_not_granted", message, remedy="name it in `unguarded` if it is the application's")
            raise DeniedError(Denied(denial)) from None
        takes: list[Json] = [*(self._given if self._takes is None else self._takes)]
        return {
            "token": self._session.token,
            "name": self._name,
            "arguments": dict(self._sent),
            "takes": takes,
            "reason": self._reason or None,
        }

    def _waiting(self, request: dict[str, Json], until: float) -> dict[str, Json]:
        """Return the request with how long it may wait for people now."""
        left = min(until - time.monotonic(), _longest_wait)
        return {**request, "wait": left} if left > 0 else request

    def _begin(self, answer: Mapping[str, Json]) -> None:
        denied = denied_of(answer)
        if denied is not None:
            raise error_of(denied)
        admitted = cast("Mapping[str, Json]", answer["arguments"])
        # What was given is handed on as it was given, since JSON has fewer types; but not what people have changed.
        self.arguments = {name: self._as_given(name, value) for name, value in admitted.items()}
        self.seconds = float(cast("float", answer["seconds"]))
        self._begun = answer

    def _as_given(self, name: str, value: Json) -> object:
        """Return an argument as it was given, if it is that one. INVARIANT: no other value than the admitted one."""
        if name not in self._sent:
            return value
        same = json.dumps(self._sent[name], sort_keys=True) == json.dumps(value, sort_keys=True)
        return self._kept[name] if same else value

    def _came(self, error: BaseException | None) -> dict[str, Json]:
        session, call = self._session, self._begun["call"]
        found: dict[str, Json] = {"token": "" if session is None else session.token, "call": call}
        if error is not None:
            return {**found, "came": "late" if self._late else "raised"}
        result = None if self._result is _nothing else self._result
        if _is_lazy(result):
            return {**found, "came": "opaque"}
        if self._begun["looked"] is not True:
            return {**found, "came": "returned"}
        try:
            return {**found, "came": "returned", "result": plain(result)}
        except (NotDataError, RecursionError):
            return {**found, "came": "opaque"}

    def _end(self, error: BaseException | None, answer: Mapping[str, Json]) -> None:
        denied = denied_of(answer)
        if denied is not None:
            self._failed(error, denied)
        elif error is None:
            looked = self._begun["looked"] is True
            self.shown = answer["result"] if looked else None if self._result is _nothing else self._result
        elif self._begun["whole"] is not True and isinstance(error, Exception):
            raise FunctionError(self._name) from None

    def _failed(self, error: BaseException | None, denied: Denied) -> None:
        """Raise a denial in place of whatever came; but what stops the program or its task goes on."""
        if error is None or isinstance(error, Exception):
            raise DeniedError(denied) from None


def _waits(answer: Mapping[str, Json]) -> bool:
    """Return whether a call waits for people."""
    denied = denied_of(answer)
    return denied is not None and bool(denied.approval)


class _LateError(Exception):
    """The function took longer than it may."""


def _is_lazy(result: object) -> bool:
    """Return whether a result is yet to be executed, which would then be outside of the call. It is closed."""
    if isinstance(result, GeneratorType | CoroutineType):
        cast("CoroutineType[Any, Any, Any]", result).close()
        return True
    return inspect.isawaitable(result) or inspect.isasyncgen(result) or isinstance(result, Iterator)
