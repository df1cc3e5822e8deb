"""The mounts of kind `email` as a front: what they send, whatever front an agent asks through; and their port."""

from __future__ import annotations

from bailiwick.gateway.config import GatewayConfig
from bailiwick.gateway.enforce import Gateway
from bailiwick.gateway.keys import Keys
from bailiwick.gateway.ready import Ready
from bailiwick.mounts.email.sending import Mails


class EmailFront:
    """A `Front` of the gateway."""

    name = "email"

    def __init__(self, config: GatewayConfig) -> None:
        base = config.data_dir.parent
        self.mails = Mails(base, config.limits.statement_time.total_seconds())

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port that mail programs connect to; None when it does not listen."""
        return None

    async def start(self, gateway: Gateway, keys: Keys, ready: Ready) -> None:
        """Serve the policy that the gateway begins with. Raises ConfigError when it cannot."""
        del gateway, keys
        self.mails.install(ready)

    def check(self, ready: Ready) -> None:
        """Raise ConfigError for a policy that `install` could not take."""
        self.mails.check(ready)

    def install(self, ready: Ready) -> None:
        """Serve another policy from now on."""
        self.mails.install(ready)

    async def stop(self) -> None:
        """Send nothing more."""
        await self.mails.close()
