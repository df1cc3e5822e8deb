"""What the desk answers of the installation: what changed behind the mounts, what the doctor finds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import TypeVar, cast

from bailiwick.control.doctor import examine
from bailiwick.control.drift import Drift, drift_of
from bailiwick.errors import BackendError, ConfigError
from bailiwick.gateway.config import policy_folder
from bailiwick.gateway.desk import Answer
from bailiwick.gateway.run import Running
from bailiwick.gateway.wire import Fields, Json
from bailiwick.model.approval import Reviewer

_PATIENCE = 50.0
"""Seconds that one look may take: who asks waits no longer."""
Found = TypeVar("Found")
Ground = tuple[Running, Mapping[str, str]]
"""What runs, and its environment."""


class Looking:
    """Looks when asked, once at a time: each look connects to every backend."""

    def __init__(self, ground: Callable[[], Ground | None]) -> None:
        self._ground = ground
        self._busy = False

    def answers(self) -> Mapping[str, Answer]:
        """Return the requests."""
        return {"drift": self._drift, "doctor": self._doctor}

    async def _drift(self, fields: Fields, by: Reviewer) -> Mapping[str, Json]:
        del by
        fields.done()
        running, environ = self._here()
        force = running.sessions.force
        looked = drift_of(force.policy, force.lock, environ, policy_folder(running.path))
        return {"mounts": [drift_told(each) for each in await self._bounded(looked)]}

    async def _doctor(self, fields: Fields, by: Reviewer) -> Mapping[str, Json]:
        del by
        fields.done()
        running, environ = self._here()
        found = await self._bounded(examine(running.path, environ, running.config.file))
        return {"findings": [cast("Json", asdict(each)) for each in found]}

    def _here(self) -> Ground:
        ground = self._ground()
        if ground is None:
            raise ConfigError("the gateway is starting", remedy="try again")
        return ground

    async def _bounded(self, look: Awaitable[Found]) -> Found:
        if self._busy:
            if asyncio.iscoroutine(look):
                look.close()
            raise ConfigError("somebody else has it looked at", remedy="try again")
        self._busy = True
        try:
            return await asyncio.wait_for(look, _PATIENCE)
        except TimeoutError:
            raise BackendError("the backends did not answer in time", remedy="see `bailiwick doctor`") from None
        finally:
            self._busy = False


def drift_told(found: Drift) -> dict[str, Json]:
    """Return how a mount stands, as JSON."""
    return {**cast("dict[str, Json]", asdict(found)), "drifted": found.drifted}
