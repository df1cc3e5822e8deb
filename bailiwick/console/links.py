"""One-time links: a first look at the console for who runs the gateway, before any issuer is configured.

A link is good for a while and for one login, by an administrator on the gateway's own machine. It is known to this
process alone; what is kept of it is its hash.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta

from bailiwick.control.issuers import Person
from bailiwick.control.web import Asked
from bailiwick.gateway.moments import Clock
from bailiwick.gateway.sessions.tokens import Rejected
from bailiwick.model.session import User
from bailiwick.mounts.web import bare, is_loopback

life = timedelta(minutes=10)
_most = 20
_here = frozenset({"localhost", "127.0.0.1", "[::1]"})
_forwarded = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")


class Links:
    """The links that are good at the moment."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._good: dict[str, tuple[datetime, str]] = {}

    def make(self, name: str) -> str:
        """Return the secret of a new link for somebody. Of too many the oldest is not good any more."""
        secret = secrets.token_urlsafe(32)
        now = self._clock()
        kept = {key: value for key, value in self._good.items() if value[0] > now}
        while len(kept) >= _most:
            del kept[next(iter(kept))]
        self._good = {**kept, _hash(secret): (now + life, name)}
        return secret

    def use(self, secret: str) -> Person | Rejected:
        """Return who logs in by a link, which is used up by that."""
        until, name = self._good.pop(_hash(secret), (None, ""))
        now = self._clock()
        if until is None or until <= now:
            return Rejected("the link is used up, too old, or none of this gateway since it was started")
        return Person(User(name), None, frozenset({"administrator"}), "", now)


def is_here(asked: Asked) -> bool:
    """Return whether a request comes from the gateway's own machine, and from nobody that somebody speaks for."""
    host = asked.peer.rpartition(":")[0]
    direct = not any(name in asked.headers for name in _forwarded)
    return direct and is_loopback(host) and bare(asked.headers.get("host", "")) in _here


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
