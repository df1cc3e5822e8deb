"""The mounts of kind `email` as a front: what they send, whatever front an agent asks through; and their own port."""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import TYPE_CHECKING

from bailiwick.errors import ConfigError
from bailiwick.gateway.config import GatewayConfig, WebListener
from bailiwick.gateway.enforce import Gateway
from bailiwick.gateway.keys import Keys
from bailiwick.gateway.policies.ready import Ready
from bailiwick.match.masks import keyed_digest
from bailiwick.mounts.email.attaching import Fetch
from bailiwick.mounts.email.sending import Mails
from bailiwick.mounts.listening import bound

if TYPE_CHECKING:
    from bailiwick.mounts.email.submission import Connection


class EmailFront:
    """A `Front` of the gateway. It listens where `smtp.port` is set, for a policy that has such mounts."""

    name = "smtp"

    def __init__(self, config: GatewayConfig, fetch: Fetch | None = None) -> None:
        """`fetch`: reads the files that go with messages, of the gateway's mounts of files."""
        self._config = config
        self._ready: Ready | None = None
        self._listening: asyncio.Server | None = None
        self._open: set[Connection] = set()
        self.mails = Mails(config.data_dir.parent, config.limits.statement_time.total_seconds(), fetch)

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port that mail programs connect to; None when it does not listen."""
        if self._listening is None or not self._listening.sockets or self._config.smtp is None:
            return None
        host = self._config.smtp.host
        reached = "127.0.0.1" if host in ("0.0.0.0", "::", "") else host  # noqa: S104  # compared, not bound
        return reached, int(self._listening.sockets[0].getsockname()[1])

    async def start(self, gateway: Gateway, keys: Keys, ready: Ready) -> None:
        """Serve the policy that the gateway begins with. Raises ConfigError when it cannot."""
        self._ready = ready
        self.mails.install(ready)
        listener = self._config.smtp
        if listener is None or not ready.force.policy.email:
            return
        from bailiwick.mounts.email.submission import Around, Connection  # most gateways have no such port

        for name in ("mail.log", "mail.debug"):  # what programs say, addresses among it, is nothing for our log
            logging.getLogger(name).disabled = True
        limits = self._config.limits
        around = Around(
            gateway,
            self.mails,
            keyed_digest(keys.mask),
            self._senders,
            limits.login_time.total_seconds(),
            limits.connections,
        )
        tls = _tls(listener)
        made = bound(listener, "smtp")
        loop = asyncio.get_running_loop()
        self._listening = await loop.create_server(lambda: Connection(around, tls, self._open), sock=made)

    def _senders(self) -> dict[str, str]:
        policy = None if self._ready is None else self._ready.force.policy
        return {} if policy is None else {name: mount.sender for name, mount in policy.email.items()}

    def check(self, ready: Ready) -> None:
        """Raise ConfigError for a policy that `install` could not take."""
        if ready.force.policy.email and self._config.smtp is not None and self._listening is None:
            message = (
                "the policy has its first mounts of kind `email`, and the gateway does not listen for mail programs"
            )
            raise ConfigError(message, remedy="start the gateway anew")
        self.mails.check(ready)

    def install(self, ready: Ready) -> None:
        """Serve another policy from now on."""
        self._ready = ready
        self.mails.install(ready)

    async def stop(self) -> None:
        """Take no more programs; send nothing more."""
        if self._listening is not None:
            self._listening.close()
        for each in tuple(self._open):
            each.cut()
        await self.mails.close()


def _tls(listener: WebListener) -> ssl.SSLContext | None:
    """Return the certificate that STARTTLS shows; None without one. Raises ConfigError."""
    if listener.tls_cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(listener.tls_cert, listener.tls_key)
    except (OSError, ssl.SSLError):
        raise ConfigError("the certificate or key of `smtp` cannot be read", remedy="check `smtp.tls_cert`") from None
    return context
