"""Budgets counted in Redis or Valkey, for several gateways together: the twin of `limit_memory`.

Every change is one script, so what is reserved together is reserved together or not at all. What is kept for requests
in flight belongs to the gateway that they run in, and is nothing any more when that has not been heard of for a while.
Without an answer nothing is reserved; what could not be settled is settled before anything else is reserved.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from importlib.util import find_spec
from typing import Protocol, cast

from bailiwick.errors import ConfigError
from bailiwick.gateway.limits.memory import Reserved
from bailiwick.gateway.limits.script import SCRIPT
from bailiwick.gateway.ulid import Ulids
from bailiwick.model.budget import MILLION, Budget, Crossing, Full, Level, Used, Want, measures

_log = logging.getLogger("bailiwick.limits")
PREFIX = "bailiwick:{limits}:"
PATIENCE = 1.0
_BEAT = 10.0
_ALIVE = 30
"""Seconds after which a gateway that is not heard of has nothing in flight."""
_CONNECTIONS = 16
_KEPT = 90 * 86400
"""Seconds for which totals are kept that are not used."""
_most_backlog = 100_000
Answer = list[int]


class _Script(Protocol):
    """What runs the script."""

    async def __call__(self, keys: Sequence[str], args: Sequence[str | int]) -> Answer: ...


class RedisReserved(Reserved):
    """What a request has taken, under a token of its own."""

    __slots__ = ("token",)

    def __init__(self, wants: Sequence[Want], at: int, crossed: Sequence[Crossing], token: str) -> None:
        super().__init__(wants, at, crossed)
        self.token = token


class RedisStore:
    """`start` before, `stop` after. Methods are for the event loop's thread."""

    def __init__(
        self, url: str, clock: Callable[[], int] | None = None, prefix: str = PREFIX, patience: float = PATIENCE
    ) -> None:
        """`clock`: microseconds; None: the clock of Redis, which is one for all gateways. `patience`: seconds in which
        Redis has to answer. Raises ConfigError."""
        if find_spec("redis") is None:
            raise ConfigError("the package `redis` is not installed", remedy="pip install 'bailiwick[redis]'")
        from redis.asyncio import BlockingConnectionPool, Redis  # an extra, which most installations do without

        try:
            pool = BlockingConnectionPool.from_url(  # pyright: ignore[reportUnknownMemberType]  # its types are partial
                url,
                max_connections=_CONNECTIONS,
                timeout=patience,
                socket_timeout=patience,
                socket_connect_timeout=patience,
            )
        except ValueError:
            raise ConfigError("`limits.store` is no URL of Redis", remedy="write `redis://HOST:PORT/0`") from None
        self._redis = Redis(connection_pool=pool)
        self._script = cast("_Script", self._redis.register_script(SCRIPT))
        self._clock = clock
        self._prefix = prefix
        self._ulids = Ulids()
        self.instance = self._ulids.new()
        """Who it is among the gateways."""
        self._tasks: set[asyncio.Task[object]] = set()
        self._backlog: deque[tuple[list[str], list[str | int]]] = deque()
        """What has to be done before anything else: settlements and releases that were not answered."""
        self._beating: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to say that this gateway is alive."""
        self._beating = asyncio.create_task(self._beat())

    async def stop(self) -> None:
        """Finish what is under way, and let go."""
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.gather(self._beating, return_exceptions=True)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._caught_up()
        await self._redis.aclose()

    def reserve(self, wants: Sequence[Want], done: Callable[[Reserved | Full | None], None]) -> None:
        """Take all that is wanted, or nothing; see `LimitStore`."""
        self._run(self._reserve(wants, done))

    def settle(self, reserved: Reserved, used: Used, done: Callable[[Sequence[Crossing]], None]) -> None:
        """Charge what was really used; see `LimitStore`."""
        if reserved.open:
            reserved.open = False
            self._run(self._settle(reserved, used, done))

    def release(self, reserved: Reserved) -> None:
        """Give back all that was taken; see `LimitStore`."""
        if reserved.open:
            reserved.open = False
            takes = [want.take for want in reserved.wants]
            self._run(self._send([want.budget for want in reserved.wants], "release", reserved, takes))

    async def levels(self, budgets: Sequence[Budget]) -> Sequence[Level] | None:
        """Return how budgets stand; see `LimitStore`."""
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if not budgets:
            return []
        answer = await self._ask(*self._call(budgets, "levels", "", 0, [0] * len(budgets), [0] * len(budgets)))
        if answer is None:
            return None
        pairs = zip(budgets, answer[::2], answer[1::2], strict=True)
        return [Level(budget, used, None if frees < 0 else frees) for budget, used, frees in pairs]

    def forget(self, prefix: str) -> None:
        """Forget the budgets of an owner; see `LimitStore`."""
        self._run(self._forget(prefix))

    async def _reserve(self, wants: Sequence[Want], done: Callable[[Reserved | Full | None], None]) -> None:
        token = f"{self.instance}:{self._ulids.new()}"
        budgets = [want.budget for want in wants]
        takes, holds = [want.take for want in wants], [want.hold for want in wants]
        call = self._call(budgets, "reserve", token, 0, takes, holds)
        answer = await self._ask(*call) if await self._caught_up() else None
        if answer is None:
            self._later(self._call(budgets, "release", token, 0, [0] * len(wants), holds))  # it may have been taken
            done(None)
        elif answer[0] < 0:
            done(Full(budgets[-answer[0] - 1], None if answer[1] < 0 else answer[1]))
        else:
            done(RedisReserved(wants, answer[0], _crossings(budgets, answer[1:]), token))

    async def _settle(self, reserved: Reserved, used: Used, done: Callable[[Sequence[Crossing]], None]) -> None:
        budgets = [want.budget for want in reserved.wants]
        answer = await self._send(budgets, "settle", reserved, [used.of(each.measure) for each in budgets])
        if answer:
            done(_crossings(budgets, answer))

    async def _send(self, budgets: Sequence[Budget], what: str, reserved: Reserved, takes: list[int]) -> Answer | None:
        token = reserved.token if isinstance(reserved, RedisReserved) else ""
        call = self._call(budgets, what, token, reserved.at, takes, [want.hold for want in reserved.wants])
        answer = await self._ask(*call)
        if answer is None:
            self._later(call)
        return answer

    async def _forget(self, prefix: str) -> None:
        from redis.exceptions import RedisError

        keys = [f"{self._prefix}{prefix}{measure}:{part}" for measure in measures for part in "lthw"]
        try:
            await self._redis.delete(*keys)
        except (RedisError, OSError, TimeoutError) as error:
            _log.warning("budgets of an ended session are left to expire: %s", type(error).__name__)

    def _call(
        self, budgets: Sequence[Budget], what: str, token: str, at: int, takes: list[int], holds: list[int]
    ) -> tuple[list[str], list[str | int]]:
        now = "" if self._clock is None else self._clock()
        arguments: list[str | int] = [what, now, token, at, self._prefix, self.instance, _ALIVE]
        for budget, take, hold in zip(budgets, takes, holds, strict=True):
            window = budget.window or 0
            kept = (window // MILLION + 60) if window else _KEPT
            arguments += [window, budget.most, take, hold, kept, int(budget.measure != "concurrent")]
        return [self._prefix + budget.key for budget in budgets], arguments

    async def _ask(self, keys: list[str], arguments: list[str | int]) -> Answer | None:
        from redis.exceptions import RedisError

        try:
            return await self._script(keys, arguments)
        except (RedisError, OSError, TimeoutError) as error:
            _log.error("limits cannot be counted: Redis does not answer: %s", type(error).__name__)
            return None

    def _later(self, call: tuple[list[str], list[str | int]]) -> None:
        if len(self._backlog) < _most_backlog:
            self._backlog.append(call)

    async def _caught_up(self) -> bool:
        """Do what was not answered before; return whether nothing is left of it."""
        while self._backlog:
            call = self._backlog.popleft()
            if await self._ask(*call) is None:
                self._backlog.appendleft(call)
                return False
        return True

    async def _beat(self) -> None:
        from redis.exceptions import RedisError

        while True:
            try:
                await self._redis.set(f"{self._prefix}alive:{self.instance}", 1, ex=_ALIVE)
                await self._caught_up()
            except (RedisError, OSError, TimeoutError) as error:
                _log.error("limits cannot be counted: Redis does not answer: %s", type(error).__name__)
            await asyncio.sleep(_BEAT)

    def _run(self, work: Coroutine[object, object, object]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _crossings(budgets: Sequence[Budget], found: Sequence[int]) -> list[Crossing]:
    """Return what a script's answer says was crossed: a budget's number, and 80 or 100."""
    return [
        Crossing(budgets[number - 1], 100 if percent == 100 else 80)
        for number, percent in zip(found[::2], found[1::2], strict=True)
    ]
