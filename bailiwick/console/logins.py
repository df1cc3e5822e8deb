"""Logins: made for a person who has proved who they are, found again by a cookie, and ended.

The cookie's value is opaque and is stored nowhere: what is kept is its hash. Every login makes a new one, so that a
value that somebody planted beforehand is worth nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from bailiwick.control.issuers import Person
from bailiwick.gateway.config import ConsoleSettings
from bailiwick.gateway.identity import clearance_of
from bailiwick.gateway.moments import Clock
from bailiwick.gateway.recorder import Fact, Recorder
from bailiwick.gateway.sessions.logins import Login, LoginStore
from bailiwick.gateway.ulid import Ulids
from bailiwick.model.approval import Means
from bailiwick.model.label import Level
from bailiwick.model.record import JsonValue, RecordKind

_save_every = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Entered:
    """A login, and the value of its cookie."""

    login: Login
    secret: str


class Logins:
    """The logins of this gateway's console."""

    def __init__(self, store: LoginStore, recorder: Recorder, clock: Clock, settings: ConsoleSettings) -> None:
        self._store = store
        self._recorder = recorder
        self._clock = clock
        self._settings = settings
        self._ulids = Ulids()
        self._seen: dict[str, datetime] = {}

    async def enter(self, person: Person, means: Means, peer: str, former: Login | None) -> Entered:
        """Log a person in, who is on record by then. `former`: what they were logged in as before, which ends."""
        now = self._clock()
        login = Login(
            id="lgn_" + self._ulids.new(),
            name=person.user.id,
            issuer=person.issuer,
            groups=person.user.groups,
            roles=person.roles,
            means=means,
            authenticated_at=person.authenticated_at or now,
            opened_at=now,
            seen_at=now,
            until=now + self._settings.login,
        )
        if former is not None:
            await self._store.remove(former.id)
        detail: dict[str, JsonValue] = {"roles": [*sorted(login.roles)], "issuer": login.issuer, "means": means}
        await self.tell("login", login, {**detail, "peer": peer})
        secret = secrets.token_urlsafe(32)
        await self._store.insert(login, _hash(secret))
        return Entered(login, secret)

    async def find(self, secret: str, *, used: bool = True) -> Login | None:
        """Return the login of a cookie's value, if it still counts; with `used` that counts as a use of it."""
        login = await self._store.find(_hash(secret)) if 20 < len(secret) < 100 else None
        if login is None:
            return None
        now, seen = self._clock(), max(login.seen_at, self._seen.get(login.id, login.seen_at))
        if now >= login.until or now - seen >= self._settings.idle:
            await self.leave(login, "ended by itself")
            return None
        if used:
            self._seen[login.id] = now
            if now - login.seen_at >= _save_every:
                await self._store.touch(login.id, now)
        return login

    async def leave(self, login: Login, reason: str) -> None:
        """End a login."""
        self._seen.pop(login.id, None)
        if await self._store.remove(login.id):
            await self.tell("logout", login, {"reason": reason})

    async def tell(
        self, kind: RecordKind, login: Login | None, detail: Mapping[str, JsonValue], code: str = "", message: str = ""
    ) -> None:
        """Put on record what somebody did at the console, or was refused. Raises LedgerError when it cannot be."""
        who: dict[str, JsonValue] = {} if login is None else {"login": login.id, "caller": login.caller}
        record = self._recorder.make(Fact(kind, code, message, detail={**who, **detail}))
        await self._recorder.keep(record._replace(user="" if login is None else login.name))

    def clearance(self, login: Login) -> Level:
        """Return the highest label whose values somebody sees."""
        return clearance_of(frozenset(login.roles), self._settings.clearance)


def token_of(secret: str) -> str:
    """Return what forms of a login carry: nobody has it who has not the cookie."""
    return hmac.new(secret.encode(), b"bailiwick console form", hashlib.sha256).hexdigest()


def same(given: str, expected: str) -> bool:
    """Compare two texts in a time that does not tell where they differ."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
