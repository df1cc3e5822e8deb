"""What was used of lasting budgets, in the state store: a restart refills nothing.

Written behind, in groups, at most once in `EVERY` seconds: a gateway that is killed forgets at most what was used since
the last group. What was kept then for requests in flight counts as used after it.
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import cast

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from bailiwick.decide.windows import Meter
from bailiwick.errors import ConfigError
from bailiwick.gateway.limits.memory import MemoryStore
from bailiwick.gateway.state import State
from bailiwick.model.budget import Budget

_log = logging.getLogger("bailiwick.limits")
EVERY = 0.25
budgets = sa.Table(
    "budgets",
    sa.MetaData(),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("span", sa.BigInteger),
    sa.Column("until", sa.BigInteger),
    sa.Column("log", sa.Text, nullable=False),
)
_OF_SESSION = "session:"


class LimitFile:
    """Keeps lasting budgets. `load` first, `stop` at the end; `changed` and `gone` in between."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._changed: dict[str, Meter] = {}
        self._gone: set[str] = set()
        """Prefixes of keys that nothing counts any more."""
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None

    async def load(self, store: MemoryStore, now: int) -> None:
        """Have a store take up what still counts. Raises ConfigError."""
        async with self._state.writing() as connection:
            await connection.execute(sa.delete(budgets).where(budgets.c.until <= now))
            rows = (await connection.execute(sa.select(budgets))).mappings().all()
        for row in rows:
            log = [(at, amount) for at, amount in cast("list[list[int]]", json.loads(row["log"]))]
            store.load(row["key"], row["span"], log)

    def changed(self, budget: Budget, meter: Meter) -> None:
        """Have a budget written soon."""
        self._changed[budget.key] = meter
        self._soon()

    def gone(self, prefix: str) -> None:
        """Have the budgets of an owner removed soon."""
        self._changed = {key: meter for key, meter in self._changed.items() if not key.startswith(prefix)}
        self._gone.add(prefix)
        self._soon()

    async def stop(self) -> None:
        """Write all that has changed."""
        if self._timer is not None:
            self._timer.cancel()
        if self._writing is not None:
            await self._writing
        await self._write()

    def _soon(self) -> None:
        if self._timer is None and self._writing is None:
            self._timer = asyncio.get_running_loop().call_later(EVERY, self._start)

    def _start(self) -> None:
        self._timer = None
        self._writing = asyncio.get_running_loop().create_task(self._write())
        self._writing.add_done_callback(self._written)

    def _written(self, _: asyncio.Task[None]) -> None:
        self._writing = None
        if self._changed or self._gone:
            self._soon()

    async def _write(self) -> None:
        changed, self._changed = self._changed, {}
        gone, self._gone = self._gone, set()
        if not changed and not gone:
            return
        rows = [_row(key, meter) for key, meter in changed.items()]
        made = insert(budgets)
        change = made.on_conflict_do_update(
            index_elements=["key"], set_={"until": made.excluded.until, "log": made.excluded.log}
        )
        try:
            async with self._state.writing() as connection:
                for prefix in gone:
                    ended = budgets.c.key.startswith(prefix, autoescape=True)
                    await connection.execute(sa.delete(budgets).where(ended))
                if rows:
                    await connection.execute(change, rows)
        except ConfigError as error:
            self._changed, self._gone = {**changed, **self._changed}, gone | self._gone
            _log.error("what was used of budgets could not be stored: %s", error.message)


def _row(key: str, meter: Meter) -> dict[str, str | int | None]:
    log = [*meter.log]
    last = log[-1][0] if log else 0
    if meter.held:
        log.append((last, meter.held))
    until = None if meter.window is None else last + meter.window
    return {"key": key, "span": meter.window, "until": until, "log": json.dumps(log)}
