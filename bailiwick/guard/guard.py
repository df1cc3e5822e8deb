"""`Guard`: puts the gateway's one path in front of an application's own functions."""

from __future__ import annotations

import atexit
import functools
import inspect
import os
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, ParamSpec, Protocol, TypeVar, cast, overload

from bailiwick.errors import ConfigError
from bailiwick.guard.calls import Call
from bailiwick.guard.client import Client, Person
from bailiwick.guard.denied import Denied, DeniedError
from bailiwick.guard.session import Opening, Session, close_quietly, current
from bailiwick.guard.transport import Transport, Where, open_transport

Given = ParamSpec("Given")
Result = TypeVar("Result")


class Returning(Protocol):
    """A decorator of functions that return a denial."""

    @overload
    def __call__(
        self, function: Callable[Given, Coroutine[Any, Any, Result]], /
    ) -> Callable[Given, Coroutine[Any, Any, Result | Denied]]: ...
    @overload
    def __call__(self, function: Callable[Given, Result], /) -> Callable[Given, Result | Denied]: ...


class Guard:
    """The guard of one policy's functions. Nothing is opened before it is needed; `close` it, or use `with`."""

    def __init__(
        self,
        policy: Path | str = "policy.yaml",
        *,
        gateway: Where = "any",
        config: Path | str | None = None,
        environ: Mapping[str, str] | None = None,
        patience: float = 0.0,
    ) -> None:
        """`gateway`: `beside` asks the one that runs (`bailiwick serve`); `here` runs one in this process, which must
        be the only one on its files; `any` asks the one that runs if one does, else runs one here. `patience`: for how
        many seconds a call that a gate holds waits for people, before it raises ApprovalPendingError."""
        self._policy = Path(policy).absolute()
        self._where: Where = gateway
        self._config = None if config is None else Path(config)
        self._environ = dict(os.environ if environ is None else environ)
        self._patience = patience
        self._transport: Transport | None = None
        self._opening = threading.Lock()
        self._process = os.getpid()
        self.client = Client(_Later(self._opened))
        """For sessions, and for questions."""

    @overload
    def function(self, function: Callable[Given, Result], /) -> Callable[Given, Result]: ...
    @overload
    def function(
        self, *, name: str | None = None, unguarded: Sequence[str] = (), denials: Literal["raise"] = "raise"
    ) -> Callable[[Callable[Given, Result]], Callable[Given, Result]]: ...
    @overload
    def function(
        self, *, name: str | None = None, unguarded: Sequence[str] = (), denials: Literal["return"]
    ) -> Returning: ...
    def function(
        self,
        function: Any = None,
        *,
        name: str | None = None,
        unguarded: Sequence[str] = (),
        denials: Literal["raise", "return"] = "raise",
    ) -> Any:
        """Guard a function, sync or async: `@guard.function`, or with options.

        `name`: how the policy knows it, by default its own. `unguarded`: parameters that are the application's (`self`,
        a connection): no agent gives them, nobody decides on them, and they are in no record. `denials`: whether a
        denial is raised as DeniedError, or returned. Raises ConfigError for what cannot be guarded: generators, and
        functions with `*args` or `**kwargs`."""

        def guarded(each: Callable[..., Any]) -> Callable[..., Any]:
            return self._guarded(each, name or _name_of(each), frozenset(unguarded), denials)

        return guarded if function is None else guarded(function)

    def call(
        self,
        name: str,
        arguments: Mapping[str, object],
        *,
        takes: Sequence[str] | None = None,
        session: Session | None = None,
        reason: str = "",
    ) -> Call:
        """Return one call to be done in a `with` or `async with` block; see `Call`.

        `takes`: the parameters that the block can execute, where it takes more than it is given. `session`: in whose
        name, by default the current one. `reason`: the agent's own, for those who review."""
        chosen = session or current()
        if chosen is not None and not chosen.belongs_to(self):
            chosen = None
        given = dict(arguments)
        return Call(self._opened, chosen, name, given, takes, reason, self._patience)

    def session(
        self,
        agent: str,
        *,
        task: str | None = None,
        user: Person | str | None = None,
        tenant: str | int | None = None,
        values: Mapping[str, str | int | float] | None = None,
        ttl: str | None = None,
    ) -> Opening:
        """Return a session to be opened and closed by `with` or `async with`, in which functions are called."""

        def opened() -> Session:
            found = self.client.open_session(agent, task=task, user=user, tenant=tenant, values=values, ttl=ttl)
            return Session(self, self.client, found.token, found)

        return Opening(opened, lambda session: close_quietly(self.client, session))

    def use(self, token: str) -> Session:
        """Return the session of a token that somebody else opened; `with` makes it the current one."""
        return Session(self, self.client, token)

    def close(self) -> None:
        """Stop the gateway if it runs here. Nothing can be called any more until it is used again."""
        with self._opening:
            transport, self._transport = self._transport, None
            if transport is not None and self._process == os.getpid():
                transport.close()
                atexit.unregister(self.close)

    def __enter__(self) -> Guard:
        """Open it now. Raises BailiwickError when there is no gateway to be had."""
        self._opened()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def _opened(self) -> Transport:
        if self._process != os.getpid():
            message = "this guard belongs to the process that this one was forked from"
            raise ConfigError(message, remedy="make the guard after forking")
        with self._opening:
            if self._transport is None:
                from bailiwick.gateway.config import load_config

                config = load_config(self._policy, self._environ, self._config)
                self._transport = open_transport(self._policy, config, self._environ, self._where)
                atexit.register(self.close)
            return self._transport

    def _guarded(
        self, function: Callable[..., Any], name: str, unguarded: frozenset[str], denials: Literal["raise", "return"]
    ) -> Callable[..., Any]:
        shape = _Shape(function, name, unguarded)

        def begun(given: inspect.BoundArguments) -> Call:
            return self.call(name, shape.decided(given), takes=shape.takes)

        @functools.wraps(function)
        def run(*args: object, **kwargs: object) -> object:
            given = shape.signature.bind_partial(*args, **kwargs)
            try:
                with begun(given) as call:
                    call.give(shape.execute(function, given, call.arguments))
            except DeniedError as error:
                if denials == "raise":
                    raise
                return error.denied
            return call.shown

        @functools.wraps(function)
        async def run_later(*args: object, **kwargs: object) -> object:
            given = shape.signature.bind_partial(*args, **kwargs)
            try:
                async with begun(given) as call:
                    running = cast("Coroutine[Any, Any, object]", shape.execute(function, given, call.arguments))
                    call.give(await call.within_time(running))
            except DeniedError as error:
                if denials == "raise":
                    raise
                return error.denied
            return call.shown

        return run_later if inspect.iscoroutinefunction(function) else run


class _Later:
    """A transport that is opened when it is first used."""

    def __init__(self, opened: Callable[[], Transport]) -> None:
        self._opened = opened

    def ask(self, do: str, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask; see `Transport`."""
        return self._opened().ask(do, fields)

    async def ask_later(self, do: str, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask; see `Transport`."""
        return await self._opened().ask_later(do, fields)

    def close(self) -> None:
        """Nothing of its own is open."""


class _Shape:
    """How a function is called. Raises ConfigError for one that cannot be guarded."""

    def __init__(self, function: Callable[..., Any], name: str, unguarded: frozenset[str]) -> None:
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            message = f"`{name}` is a generator: what it does would be done after the call was recorded"
            raise ConfigError(message, remedy="guard a function that returns a list")
        self.signature = inspect.signature(function)
        parameters = self.signature.parameters
        for each in parameters.values():
            if each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD):
                message = f"`{name}` takes `*{each.name}`, so nobody can say which arguments it has"
                raise ConfigError(message, remedy="name its parameters")
        for each in sorted(unguarded - parameters.keys()):
            raise ConfigError(f"`{name}` has no parameter `{each}`", remedy="correct `unguarded`")
        self.takes = tuple(each for each in parameters if each not in unguarded)
        self._unguarded = unguarded

    def decided(self, given: inspect.BoundArguments) -> dict[str, object]:
        """Return what was given that is decided on."""
        return {key: value for key, value in given.arguments.items() if key not in self._unguarded}

    def execute(
        self, function: Callable[..., Any], given: inspect.BoundArguments, arguments: Mapping[str, object]
    ) -> object:
        """Execute with what was admitted, and with the application's own arguments."""
        own = {key: value for key, value in given.arguments.items() if key in self._unguarded}
        values = {**own, **arguments}
        ready = self.signature.bind_partial()
        for key in self.signature.parameters:
            if key in values:
                ready.arguments[key] = values[key]
        return function(*ready.args, **ready.kwargs)


def _name_of(function: Callable[..., Any]) -> str:
    found = getattr(function, "__name__", None)
    if not isinstance(found, str):
        raise ConfigError("what is guarded has no name of its own", remedy="give it one: `name=`")
    return found
