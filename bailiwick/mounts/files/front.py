"""The mounts of kind `files` of a gateway, which are reached by MCP and HTTP, and by people through the desk."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from bailiwick.gateway.config import GatewayConfig
from bailiwick.gateway.desk import Answer
from bailiwick.gateway.enforce import Gateway
from bailiwick.gateway.keys import Keys
from bailiwick.gateway.policies.ready import Ready
from bailiwick.gateway.sessions.live import Live
from bailiwick.match.masks import keyed_digest
from bailiwick.model.decision import Denial
from bailiwick.mounts.files.admission import Admission, Asked, NotDone, Terms
from bailiwick.mounts.files.desk import FileDesk
from bailiwick.mounts.files.folders import Folders
from bailiwick.mounts.files.offered import FileTools
from bailiwick.mounts.files.reading import Fetched, fetch


class FilesFront:
    """A `Front` without an address."""

    name = "files"
    address = None

    def __init__(self, config: GatewayConfig) -> None:
        self.folders = Folders(config.data_dir)
        self.tools = FileTools(self.admission)
        self._desk = FileDesk(self.folders)
        self._limits = config.limits
        self._gateway: Gateway | None = None
        self._terms: Terms | None = None

    @property
    def answers(self) -> Mapping[str, Answer]:
        """What can be asked of it."""
        return self._desk.answers

    def admission(self, live: Live) -> Admission | None:
        """Return what a session may ask of its files; None before the gateway has started."""
        if self._gateway is None or self._terms is None:
            return None
        return Admission(self._gateway, live, self.folders, self._terms)

    async def fetch(self, live: Live, asked: Asked, most: int) -> Fetched | NotDone:
        """Return a whole file for what goes on within the gateway (attachments): decided and recorded as a read.

        Of a session that has no such mount it is the denial of any path."""
        admission = self.admission(live)
        if admission is None:
            return NotDone(Denial("backend_unavailable", "the gateway has not started", remedy="try again"))
        return await fetch(admission, asked, most)

    async def start(self, gateway: Gateway, keys: Keys, ready: Ready) -> None:
        """Take up the policy's mounts. Raises ConfigError."""
        self._terms = Terms(self._limits.statement_time.total_seconds(), self._limits.result, keyed_digest(keys.mask))
        self._gateway = self._desk.gateway = gateway
        self.folders.secret = hashlib.blake2b(b"versions of files", key=keys.mask).digest()[:32]
        self.folders.install(ready)

    def check(self, ready: Ready) -> None:
        """Raise ConfigError for a policy that `install` could not take."""
        self.folders.check(ready)

    def install(self, ready: Ready) -> None:
        """Serve another policy from now on."""
        self.folders.install(ready)

    async def stop(self) -> None:
        """Nothing is held open."""
