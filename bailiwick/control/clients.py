"""Clients prove who they are: by a secret, or by a signed assertion (RFC 7523) that counts once."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import unquote_plus

from bailiwick.control.jose import (
    Key,
    audiences,
    header_of,
    keys_of,
    named,
    skew,
    times_problem,
    unverified_issuer,
    verified,
)
from bailiwick.control.web import Asked
from bailiwick.errors import ConfigError
from bailiwick.gateway.identity import Client, asymmetric
from bailiwick.gateway.moments import Clock
from bailiwick.gateway.secrets import resolve
from bailiwick.gateway.sessions.tokens import Rejected
from bailiwick.gateway.state import State

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
methods = ("client_secret_basic", "client_secret_post", "private_key_jwt")
_longest_life = 600
"""Seconds that an assertion may be valid for: as long its id is kept."""
_shortest_secret = 24
_longest_id = 256


@dataclass(frozen=True, slots=True)
class _Known:
    client: Client
    secret: bytes
    """The SHA-256 of the secret, or nothing."""
    keys: tuple[Key, ...]


class Clients:
    """The clients of this gateway."""

    def __init__(
        self, clients: Mapping[str, Client], environ: Mapping[str, str], base: Path, state: State, clock: Clock
    ) -> None:
        """Raises ConfigError for secrets and keys that cannot be used."""
        self._known = {name: _known(each, environ, base) for name, each in clients.items()}
        self._state = state
        self._clock = clock

    def find(self, name: str) -> Client | None:
        """Return a client by its id."""
        found = self._known.get(name)
        return None if found is None else found.client

    async def authenticate(
        self, asked: Asked, form: Mapping[str, Sequence[str]], places: Sequence[str]
    ) -> Client | Rejected:
        """Return who asks. `places` are what an assertion may be meant for: this server, by its names."""
        ways = [self._by_basic(asked, form), self._by_post(form)]
        found = [each for each in ways if each is not None]
        if "client_assertion" in form or "client_assertion_type" in form:
            if found:
                return Rejected("two ways to authenticate at once")
            return await self._by_assertion(form, places)
        if len(found) != 1:
            return Rejected("two ways to authenticate at once" if found else "no way to authenticate")
        return found[0]

    def _by_basic(self, asked: Asked, form: Mapping[str, Sequence[str]]) -> Client | Rejected | None:
        kind, _, text = asked.headers.get("authorization", "").partition(" ")
        if kind.lower() != "basic":
            return None
        try:
            name, colon, secret = base64.b64decode(text.strip(), validate=True).decode().partition(":")
        except (ValueError, binascii.Error):
            return Rejected("the credentials are not understood")
        name = unquote_plus(name)
        if not colon or form.get("client_id", [name]) != [name]:
            return Rejected("the credentials are not understood")
        # RFC 6749 has both encoded, and many clients send the secret as it is.
        found = [self._with_secret(name, each) for each in (unquote_plus(secret), secret)]
        return next((each for each in found if isinstance(each, Client)), found[0])

    def _by_post(self, form: Mapping[str, Sequence[str]]) -> Client | Rejected | None:
        if "client_secret" not in form:
            return None
        names, secrets = form.get("client_id", []), form["client_secret"]
        if len(names) != 1 or len(secrets) != 1:
            return Rejected("the credentials are not understood")
        return self._with_secret(names[0], secrets[0])

    def _with_secret(self, name: str, secret: str) -> Client | Rejected:
        known = self._known.get(name)
        given = hashlib.sha256(secret.encode()).digest()
        # Compared in the same time whether there is such a client or not.
        right = hmac.compare_digest(given, known.secret if known is not None and known.secret else bytes(32))
        return known.client if right and known is not None and known.secret else Rejected("the client or its secret")

    async def _by_assertion(self, form: Mapping[str, Sequence[str]], places: Sequence[str]) -> Client | Rejected:
        kinds, assertions = form.get("client_assertion_type", []), form.get("client_assertion", [])
        if list(kinds) != [ASSERTION] or len(assertions) != 1:
            return Rejected("the assertion is not understood")
        header = header_of(assertions[0])
        known = self._known.get(unverified_issuer(assertions[0]))
        if header is None or known is None or form.get("client_id", [known.client.id]) != [known.client.id]:
            return Rejected("the client or its assertion")
        keys = named(known.keys, header, asymmetric)
        claims = keys if isinstance(keys, Rejected) else verified(assertions[0], keys, asymmetric)
        if isinstance(claims, Rejected):
            return claims
        now = self._clock()
        problem = _assertion_problem(claims, known.client.id, places, now)
        if problem:
            return Rejected(problem)
        ends = datetime.fromtimestamp(float(str(claims["exp"])), now.tzinfo) + timedelta(seconds=skew + 1)
        digest = hashlib.sha256(f"{known.client.id}\0{claims['jti']}".encode()).hexdigest()
        if not await self._state.spend(f"assertion:{digest}", ends, now):
            return Rejected("the assertion was used before")
        return known.client


def _assertion_problem(claims: Mapping[str, object], client: str, places: Sequence[str], now: datetime) -> str:
    identity, expires = claims.get("jti"), claims.get("exp")
    if claims.get("iss") != client or claims.get("sub") != client:
        return "the assertion is another client's"
    if len(audiences(claims)) != 1 or audiences(claims)[0] not in places:
        return "the assertion is for somebody else"
    if not isinstance(identity, str) or not 0 < len(identity) <= _longest_id:
        return "the assertion has no usable `jti`"
    problem = times_problem(claims, now.timestamp())
    if not problem and isinstance(expires, int | float) and expires > now.timestamp() + _longest_life + skew:
        return f"the assertion is valid for longer than {_longest_life} seconds"
    return problem and f"the assertion: {problem}"


def _known(client: Client, environ: Mapping[str, str], base: Path) -> _Known:
    if client.secret is not None:
        secret = resolve(client.secret, environ, base).reveal()
        if len(secret) < _shortest_secret:
            message = f"the secret of client `{client.id}` is shorter than {_shortest_secret} characters"
            raise ConfigError(message, remedy="make a random one: `openssl rand -base64 32`")
        return _Known(client, hashlib.sha256(secret.encode()).digest(), ())
    if client.keys is None:
        raise ConfigError(f"client `{client.id}` has neither secret nor keys")
    try:
        return _Known(client, b"", keys_of(resolve(client.keys, environ, base).reveal()))
    except ValueError:
        message = f"`keys` of client `{client.id}` hold no public key"
        raise ConfigError(
            message, remedy="give a JWK set or a PEM of public keys: RSA of 2048 bits, EC, Ed25519"
        ) from None
