"""The reviews as a part of the gateway that runs: they stand before any front that agents connect to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bailiwick.errors import ConfigError
from bailiwick.gateway.config import GatewayConfig
from bailiwick.gateway.desk import Answer
from bailiwick.gateway.enforce import Gateway
from bailiwick.gateway.keys import Keys
from bailiwick.gateway.policies.ready import Ready
from bailiwick.review.desk import ReviewDesk
from bailiwick.review.reviews import Ground, Reviews


class ReviewFront:
    """Opens, decides and closes reviews; turns off what nobody has reviewed in time."""

    name = "review"
    address: tuple[str, int] | None = None

    def __init__(self, policy: Path, config: GatewayConfig) -> None:
        self._policy = policy
        self._config = config
        self._reviews: Reviews | None = None

    @property
    def answers(self) -> Mapping[str, Answer]:
        """What can be asked of it."""
        return ReviewDesk(self._running).answers()

    async def start(self, gateway: Gateway, keys: Keys, ready: Ready) -> None:
        """Turn off what has lapsed, before anybody connects."""
        del keys, ready
        ground = Ground(
            gateway.sessions,
            gateway.approvals,
            gateway.elevations,
            lambda notice: gateway.tell(notice),
            self._policy,
            self._config.ledger,
        )
        self._reviews = Reviews(ground)
        await self._reviews.start()

    def check(self, ready: Ready) -> None:
        """Take any policy."""

    def install(self, ready: Ready) -> None:
        """Another policy is in force: what is new in it is known from now."""
        del ready
        if self._reviews is not None:
            self._reviews.stir()

    async def stop(self) -> None:
        """Do nothing more."""
        if self._reviews is not None:
            await self._reviews.stop()

    def _running(self) -> Reviews:
        if self._reviews is None:
            raise ConfigError("the gateway is starting", remedy="try again")
        return self._reviews
