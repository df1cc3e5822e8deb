"""Where a running gateway counts its limits: in this process, kept in the state store; or in Redis."""

from __future__ import annotations

import time

from bailiwick.gateway.limits.file import LimitFile
from bailiwick.gateway.limits.limits import LimitStore
from bailiwick.gateway.limits.memory import MemoryStore
from bailiwick.gateway.limits.redis import RedisStore
from bailiwick.gateway.state import State


class Counting:
    """A store of limits with what keeps it. `start` before it is used, `stop` after."""

    def __init__(self, state: State, url: str) -> None:
        """`url`: of Redis; empty: in this process. Raises ConfigError."""
        self._file: LimitFile | None = None
        self._memory: MemoryStore | None = None
        self._redis: RedisStore | None = None
        if url:
            self._redis = RedisStore(url)
        else:
            self._file = file = LimitFile(state)
            self._memory = MemoryStore(microseconds, file.changed, file.gone)
        self.store: LimitStore = self._redis or self._memory or MemoryStore(microseconds)

    async def start(self) -> None:
        """Take up what was counted before. Raises ConfigError."""
        if self._redis is not None:
            await self._redis.start()
        if self._file is not None and self._memory is not None:
            await self._file.load(self._memory, microseconds())

    async def stop(self) -> None:
        """Keep what was counted."""
        if self._redis is not None:
            await self._redis.stop()
        if self._file is not None:
            await self._file.stop()


def microseconds() -> int:
    """Return the machine's now."""
    return time.time_ns() // 1000
