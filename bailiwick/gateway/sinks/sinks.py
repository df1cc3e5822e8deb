"""All sinks of a gateway: begun, ended, looked at, tried out."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from bailiwick.errors import ConfigError
from bailiwick.gateway.ledger.address import LedgerAddress
from bailiwick.gateway.moments import Clock
from bailiwick.gateway.recorder import Recorder
from bailiwick.gateway.sinks.delivery import Delivery, Standing
from bailiwick.gateway.sinks.item import test_item
from bailiwick.gateway.sinks.section import SECTION
from bailiwick.gateway.sinks.source import Source
from bailiwick.gateway.sinks.store import Cursors
from bailiwick.gateway.sinks.way import Came
from bailiwick.gateway.sinks.ways import Outlet
from bailiwick.gateway.state import State
from bailiwick.gateway.wire import Json
from bailiwick.ledger.encode import moment


class Sinks:
    """The sinks. `start` before, `stop` after."""

    def __init__(
        self, outlets: Sequence[Outlet], ledger: LedgerAddress, state: State, recorder: Recorder, clock: Clock
    ) -> None:
        cursors, self._clock = Cursors(state), clock
        self._deliveries: Mapping[str, Delivery] = {
            each.sink.name: Delivery(each, Source(ledger), cursors, recorder, clock) for each in outlets
        }
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to deliver, each sink by itself."""
        for each in self._deliveries.values():
            await each.open()
        self._tasks = [asyncio.create_task(each.run()) for each in self._deliveries.values()]

    async def stop(self) -> None:
        """Stop where each one is; what is on its way is delivered again after the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for each in self._deliveries.values():
            await each.way.close()

    async def standings(self) -> list[Standing]:
        """Return how each sink stands."""
        return [await each.standing() for each in self._deliveries.values()]

    async def told(self) -> list[Json]:
        """Return how each sink stands, as it is told."""
        return [{**asdict(each)} for each in await self.standings()]

    def undelivered(self) -> Mapping[str, int]:
        """Return the first record that each sink was not delivered: from there on nothing may be pruned.

        A sink of which that is not known yet needs them all.
        """
        return {name: each.held_from() or 0 for name, each in self._deliveries.items()}

    async def test(self, name: str = "") -> Mapping[str, Came]:
        """Send a test item to a sink, or all of them, now and once. Raises ConfigError for no such one."""
        if name and name not in self._deliveries:
            known = ", ".join(f"`{each}`" for each in self._deliveries) or "none"
            raise ConfigError(f"there is no sink `{name[:100]}`", remedy=f"those of `{SECTION}`: {known}")
        tried = [self._deliveries[name]] if name else list(self._deliveries.values())
        at = moment(self._clock())
        came = await asyncio.gather(*(each.send([test_item(each.sink.name, at, each.sink.format)]) for each in tried))
        return {each.sink.name: how for each, how in zip(tried, came, strict=True)}
