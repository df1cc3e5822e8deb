"""The mounts of kind `python` of a gateway: what applications that guard functions ask of it.

It does not listen. Applications ask through the desk: over the admin socket, or in the gateway's own process.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections.abc import Callable, Mapping
from typing import cast

from bailiwick.decide.calls import Admitted
from bailiwick.errors import ConfigError, ProtocolError
from bailiwick.gateway.config import GatewayConfig
from bailiwick.gateway.desk import Answer
from bailiwick.gateway.enforce import Gateway
from bailiwick.gateway.keys import Keys
from bailiwick.gateway.policies.ready import Ready
from bailiwick.gateway.wire import Fields, Json
from bailiwick.match.masks import keyed_digest
from bailiwick.model.approval import Reviewer
from bailiwick.model.decision import Denial
from bailiwick.mounts.python.calls import OVER, Asked, Begun, Denied, Functions, Terms, kept_seconds
from bailiwick.mounts.python.looking import came, is_looked_at

_longest_purpose = 500
_longest_wait = 20.0


class PythonFront:
    """A `Front` of the gateway that is asked through its desk."""

    name = "python"
    address = None

    def __init__(self, config: GatewayConfig) -> None:
        self._seconds = config.limits.statement_time.total_seconds()
        self._gateway: Gateway | None = None
        self._terms = Terms(self._seconds, _no_digest)
        self._known: dict[bytes, Functions] = {}
        self._over: dict[bytes, Functions] = {}
        """Those whose session has just ended."""
        self._numbers = itertools.count(1)
        self._leave: dict[bytes, Callable[[str], None]] = {}
        self._admitting = asyncio.Lock()

    @property
    def answers(self) -> Mapping[str, Answer]:
        """What can be asked of it."""
        return {
            "function.begin": self._begin,
            "function.end": self._end,
            "function.decide": self._decide,
            "function.list": self._list,
        }

    async def start(self, gateway: Gateway, keys: Keys, ready: Ready) -> None:
        """Be ready to be asked."""
        del ready
        self._terms = Terms(self._seconds, keyed_digest(keys.mask))
        self._gateway = gateway

    def check(self, ready: Ready) -> None:
        """Take any policy."""

    def install(self, ready: Ready) -> None:
        """Serve another policy from now on: each session's scope is another one by itself."""

    async def stop(self) -> None:
        """Begin nothing more; what is under way is recorded, and nothing of it shown."""
        self._gateway = None
        for key, functions in tuple(self._known.items()):
            functions.cut(Denial("session_closed", "the gateway was stopped", remedy="start it again"))
            await functions.close()
            self._leave[key]("the gateway stopped")

    async def _begin(self, fields: Fields, by: Reviewer) -> Mapping[str, Json]:
        token = fields.text("token")
        asked = Asked(
            fields.text("name"),
            fields.mapping("arguments"),
            frozenset(fields.texts("takes")),
            (fields.maybe_text("reason") or "")[:_longest_purpose],
            _patience(fields.value("wait")),
        )
        fields.done()
        functions = await self._admitted(token, by.name)
        begun = functions if isinstance(functions, Denial) else await functions.begin(asked)
        match begun:
            case Begun():
                return {
                    "call": begun.call,
                    "arguments": dict(begun.arguments),
                    "whole": begun.whole,
                    "looked": begun.looked,
                    "seconds": begun.seconds,
                }
            case Denied():
                return _denied(begun.denial, begun.record, begun.approval)
            case Denial():
                return _denied(begun, "")

    async def _end(self, fields: Fields, by: Reviewer) -> Mapping[str, Json]:
        del by
        token, number, how, result = (
            fields.text("token"),
            fields.text("call"),
            fields.text("came"),
            fields.value("result"),
        )
        fields.done()
        if how not in came:
            raise ProtocolError(f"`{how[:20]}` is not what can come of a call", remedy="use the same version of both")
        key = _key(token)
        for known in (self._known.get(key), self._over.get(key)):
            if known is not None and known.has(number):
                done = await known.end(number, how, result)
                return {"result": done.shown} if done.denial is None else _denied(done.denial, done.record)
        return _denied(OVER, "")

    async def _decide(self, fields: Fields, by: Reviewer) -> Mapping[str, Json]:
        token, name, arguments = fields.text("token"), fields.text("name"), fields.mapping("arguments")
        fields.done()
        functions = await self._admitted(token, by.name)
        decided = functions if isinstance(functions, Denial) else functions.decide(name, arguments)
        if isinstance(decided, Admitted):
            given = cast("Mapping[str, Json]", decided.arguments)
            return {"arguments": dict(given), "whole": decided.view.whole, "looked": is_looked_at(decided)}
        return _denied(decided, "")

    async def _list(self, fields: Fields, by: Reviewer) -> Mapping[str, Json]:
        token, schemas = fields.text("token"), fields.mapping("schemas")
        fields.done()
        functions = await self._admitted(token, by.name)
        if isinstance(functions, Denial):
            return _denied(functions, "")
        return {"functions": [*functions.listed(schemas)]}

    async def _admitted(self, token: str, peer: str) -> Functions | Denial:
        """Return the functions of a token's session, admitted at its first use; or why it may do nothing."""
        key = _key(token)
        known = self._known.get(key)
        if known is None:
            async with self._admitting:
                known = self._known.get(key) or await self._enter(key, token, peer)
        return known

    async def _enter(self, key: bytes, token: str, peer: str) -> Functions | Denial:
        gateway = self._gateway
        if gateway is None:
            raise ConfigError("the gateway is stopping", remedy="start it again")
        made: list[Functions] = []
        early: list[Denial] = []

        def cut(denial: Denial) -> None:
            early.append(denial)
            for functions in made:
                functions.cut(denial)
                self._known.pop(key, None)
                self._over[key] = functions  # what was under way is still asked for
                asyncio.get_running_loop().call_later(kept_seconds, self._over.pop, key, None)
                self._leave.pop(key, _nothing)("the session ended")

        live = await gateway.enter("python", token, peer, cut)
        if isinstance(live, Denial):
            return live
        functions = Functions(gateway, live, self._terms, self._numbers)
        made.append(functions)
        if early:
            return early[0]
        self._known[key] = functions
        self._leave[key] = lambda why: gateway.disconnect(live, cut, why)
        return functions


def _key(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _patience(found: Json) -> float:
    """Return for how many seconds a call waits for people, at most so long that whoever asks stays to hear it."""
    if found is None:
        return 0.0
    if isinstance(found, bool) or not isinstance(found, int | float) or found < 0:
        raise ProtocolError("`wait` is not a number of seconds")
    return min(float(found), _longest_wait)


def _denied(denial: Denial, record: str, approval: str = "") -> dict[str, Json]:
    """Return a denial as an answer; `approval`: what it waits for."""
    said: dict[str, Json] = {
        "code": denial.code,
        "message": denial.message,
        "allowed": denial.allowed,
        "remedy": denial.remedy,
        "action": denial.action,
        "decision": record,
    }
    if denial.retry_after is not None:
        said["retry_after"] = denial.retry_after
    return {"denied": {**said, "approval": approval} if approval else said}


def _no_digest(_: str) -> str:
    raise ConfigError("the gateway was not started")


def _nothing(_: str) -> None:
    """Nobody was told of it."""
