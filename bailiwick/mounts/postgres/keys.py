"""Cancel keys: the gateway's own, each standing for one connection. The database's never reach a client."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from bailiwick.mounts.postgres.codec import VERSION_3_2, message, pack_int32


@dataclass(frozen=True, slots=True)
class CancelKey:
    process: int
    secret: bytes

    def backend_key_data(self) -> bytes:
        """Return the message that tells a client its key."""
        return message(b"K", pack_int32(self.process) + self.secret)


class CancelKeys:
    """Who is cancelled by which key."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[bytes, Callable[[], None]]] = {}

    def add(self, version: int, cancel: Callable[[], None]) -> CancelKey:
        """Make a key; since protocol 3.2 it is too long to be guessed."""
        process = 0
        while process == 0 or process in self._known:
            process = secrets.randbits(31)
        secret = secrets.token_bytes(32 if version >= VERSION_3_2 else 4)
        self._known[process] = (secret, cancel)
        return CancelKey(process, secret)

    def remove(self, key: CancelKey) -> None:
        """Forget a key."""
        self._known.pop(key.process, None)

    def cancel(self, process: int, secret: bytes) -> bool:
        """Cancel what the key stands for; return whether there is such a key. The caller tells nobody."""
        known = self._known.get(process)
        if known is None or not hmac.compare_digest(known[0], secret):
            return False
        known[1]()
        return True
