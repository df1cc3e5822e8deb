"""Login at an issuer: the authorization code flow of OpenID Connect with PKCE (RFC 7636), state and nonce.

What is remembered between its two halves stands in a cookie of the browser that began it, under a code of ours: who
completes a login is who began it, and nobody can make the gateway remember anything.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast
from urllib.parse import quote, urlencode

from bailiwick.console.logins import same
from bailiwick.control.issuers import FetchError, Issuers, Person, post_form
from bailiwick.gateway.identity import Issuer
from bailiwick.gateway.moments import Clock
from bailiwick.gateway.secrets import resolve
from bailiwick.gateway.sessions.tokens import Rejected

patience = timedelta(minutes=10)
"""How long somebody may take to log in."""
_clocks = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Begun:
    """A login that has begun: where the browser goes, and the value of the cookie that remembers it."""

    url: str
    cookie: str


@dataclass(frozen=True, slots=True)
class _Kept:
    """What the cookie remembers."""

    issuer: str
    state: str
    nonce: str
    verifier: str
    to: str
    until: float
    again_since: float
    """0, or the moment after which the person must have proved who they are."""


class Oidc:
    """Logins at the issuers of one gateway."""

    def __init__(self, issuers: Issuers, environ: Mapping[str, str], base: Path, clock: Clock) -> None:
        self._issuers = issuers
        self._environ = environ
        self._base = base
        self._clock = clock
        self._key = secrets.token_bytes(32)

    def issuer(self, name: str) -> Issuer | None:
        """Return the issuer of that name, if people log in there."""
        return next((each for each in self._issuers.for_login if each.name == name), None)

    def named(self, url: str) -> str | None:
        """Return the name of the issuer with that `iss`, if people log in there."""
        return next((each.name for each in self._issuers.for_login if each.issuer == url), None)

    @property
    def names(self) -> list[str]:
        """The names of the issuers at which people log in."""
        return [each.name for each in self._issuers.for_login]

    async def begin(self, issuer: Issuer, redirect: str, to: str, *, again: bool) -> Begun | Rejected:
        """Begin a login that leads to a page. `again`: the person has to prove anew who they are."""
        endpoints = await self._issuers.endpoints(issuer)
        if isinstance(endpoints, Rejected):
            return endpoints
        now = self._clock()
        kept = _Kept(
            issuer.name,
            secrets.token_urlsafe(24),
            secrets.token_urlsafe(24),
            secrets.token_urlsafe(48),
            to,
            (now + patience).timestamp(),
            now.timestamp() if again else 0,
        )
        challenge = base64.urlsafe_b64encode(hashlib.sha256(kept.verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {
            "response_type": "code",
            "client_id": issuer.client_id or "",
            "redirect_uri": redirect,
            "scope": " ".join(issuer.scopes),
            "state": kept.state,
            "nonce": kept.nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            **({"prompt": "login", "max_age": "0"} if again else {}),
        }
        joint = "&" if "?" in endpoints.authorization else "?"
        return Begun(endpoints.authorization + joint + urlencode(asked), self._sealed(kept))

    async def finish(
        self, issuer: Issuer, redirect: str, answer: Mapping[str, str], cookie: str
    ) -> tuple[Person, str] | Rejected:
        """Return who has logged in, and the page that they wanted to see."""
        kept = self._opened(cookie)
        if kept is None or kept.issuer != issuer.name or kept.until < self._clock().timestamp():
            return Rejected("this login was not begun in this browser, or took too long")
        if not same(answer.get("state", ""), kept.state):
            return Rejected("the answer belongs to another login")
        endpoints = await self._issuers.endpoints(issuer)
        if isinstance(endpoints, Rejected):
            return endpoints
        named = answer.get("iss")
        if (named is None and endpoints.says_issuer) or named not in (None, issuer.issuer):
            return Rejected("the answer is another issuer's")
        if "error" in answer or not answer.get("code"):
            return Rejected("the issuer did not log anybody in")
        token = await self._token(issuer, endpoints.token, redirect, answer["code"], kept.verifier)
        found = token if isinstance(token, Rejected) else await self._issuers.identified(issuer, token, kept.nonce)
        if isinstance(found, Rejected):
            return found
        if kept.again_since and not _proved(found.authenticated_at, kept.again_since):
            return Rejected("the issuer does not say that the person has just proved who they are")
        return found, kept.to

    async def _token(self, issuer: Issuer, place: str, redirect: str, code: str, verifier: str) -> str | Rejected:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect,
            "code_verifier": verifier,
            "client_id": issuer.client_id or "",
        }
        authorization = ""
        if issuer.secret is not None:
            secret = resolve(issuer.secret, self._environ, self._base).reveal()
            pair = f"{quote(form['client_id'], safe='')}:{quote(secret, safe='')}"
            authorization = f"Basic {base64.b64encode(pair.encode()).decode()}"
        try:
            told = cast("object", json.loads(await post_form(place, form, authorization)))
        except (FetchError, ValueError, RecursionError):
            return Rejected("the issuer does not exchange the code for a token")
        token = cast("Mapping[str, object]", told).get("id_token") if isinstance(told, dict) else None
        return token if isinstance(token, str) else Rejected("the issuer gives no ID token")

    def _sealed(self, kept: _Kept) -> str:
        values = [kept.issuer, kept.state, kept.nonce, kept.verifier, kept.to, kept.until, kept.again_since]
        text = base64.urlsafe_b64encode(json.dumps(values).encode()).rstrip(b"=").decode()
        return f"{text}.{self._code(text)}"

    def _opened(self, cookie: str) -> _Kept | None:
        text, _, code = cookie.partition(".")
        if not same(code, self._code(text)):
            return None
        return _Kept(*json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))))

    def _code(self, text: str) -> str:
        return hmac.new(self._key, text.encode("utf-8", "replace"), hashlib.sha256).hexdigest()


def _proved(at: datetime | None, since: float) -> bool:
    return at is not None and at.timestamp() >= since - _clocks.total_seconds()
