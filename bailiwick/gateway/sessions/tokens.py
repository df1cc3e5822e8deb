"""Tokens: Ed25519 JWTs, all that an agent ever holds. They name a session and carry no grants and no values.

A token proves only that this gateway issued it. Whether its session may still act is the session row's word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from bailiwick.model.session import Session

_algorithm = "Ed25519"
_longest = 4096
"""Characters of a token; ours are far shorter, and nothing longer is looked at."""
_expired = "expired"
_skew = 5
"""Seconds by which clocks may differ."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified token says."""

    session: str
    jti: str
    user: str | None
    chain: tuple[str, ...]
    """The acting agents, outermost first; the last is the agent that holds the token."""

    @property
    def agent(self) -> str:
        """The agent that holds the token."""
        return self.chain[-1]


@dataclass(frozen=True, slots=True)
class Rejected:
    """Why a token does not count. For the ledger; the client learns less."""

    reason: str

    @property
    def expired(self) -> bool:
        """Whether it was good and only its time is over."""
        return self.reason == _expired


@dataclass(frozen=True, slots=True)
class ApiClaims:
    """What a verified token for the API says."""

    client: str
    jti: str
    expires: int


API = "bailiwick:api"
"""The audience of tokens for the API."""


def audience(mount: str) -> str:
    """Return the URI by which tokens name a mount."""
    return f"bailiwick:mount:{mount}"


class Tokens:
    """Issues and verifies the tokens of one gateway."""

    def __init__(self, signing: Ed25519PrivateKey, issuer: str) -> None:
        pem = signing.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self._key = OKPKey.import_key(pem)
        self._issuer = issuer
        self._header = {"alg": _algorithm, "typ": "JWT", "kid": self._key.thumbprint()}
        self._api_header = {**self._header, "typ": "at+jwt"}
        """INVARIANT: never that of a session's token, so that neither is ever taken for the other."""

    @property
    def issuer(self) -> str:
        """`iss` of the tokens."""
        return self._issuer

    def public(self) -> Mapping[str, str | list[str]]:
        """Return the key that verifies the tokens, as a JWK."""
        found = self._key.as_dict(private=False)
        return {**found, "kid": self._key.thumbprint(), "alg": _algorithm, "use": "sig"}

    def issue(self, session: Session, jti: str, mounts: Sequence[str]) -> str:
        """Return the token of a session, for these mounts."""
        claims: dict[str, object] = {
            "iss": self._issuer,
            "aud": [audience(mount) for mount in mounts],
            "act": _actors((*session.chain, session.agent)),
            "sid": session.id,
            "jti": jti,
            "iat": int(session.opened_at.timestamp()),
            "exp": int(session.expires_at.timestamp()),
        }
        if session.user is not None:
            claims["sub"] = session.user.id
        return jwt.encode(self._header, claims, self._key, algorithms=[_algorithm])

    def issue_api(self, client: str, jti: str, now: datetime, life: timedelta) -> str:
        """Return a token of a client for the API. What it may do there is the configuration's word."""
        issued = int(now.timestamp())
        claims: dict[str, object] = {
            "iss": self._issuer,
            "aud": [API],
            "sub": client,
            "client_id": client,
            "jti": jti,
            "iat": issued,
            "exp": issued + int(life.total_seconds()),
        }
        return jwt.encode(self._api_header, claims, self._key, algorithms=[_algorithm])

    def verify_api(self, token: str, now: datetime) -> ApiClaims | Rejected:
        """Return what a token for the API says if it is ours, whole, and of this moment."""
        claims = self._claims(token, self._api_header)
        if isinstance(claims, Rejected):
            return claims
        problem = self._problem(claims, None, now.timestamp())
        client, jti, expires = claims.get("client_id"), claims.get("jti"), claims.get("exp")
        if problem or claims.get("aud") != [API]:
            return Rejected(problem or "not for the API")
        if not isinstance(client, str) or not isinstance(jti, str) or not isinstance(expires, int):
            return Rejected("a required claim is missing")
        return ApiClaims(client, jti, expires)

    def _claims(self, token: str, header: Mapping[str, str]) -> Mapping[str, object] | Rejected:
        if len(token) > _longest:
            return Rejected("too long")
        try:
            decoded = jwt.decode(token, self._key, algorithms=[_algorithm])
        except (JoseError, ValueError):
            return Rejected("not a token of this gateway")
        if decoded.header != header:
            return Rejected("unexpected header")
        return cast("Mapping[str, object]", decoded.claims)

    def verify(self, token: str, mount: str | None, now: datetime) -> Claims | Rejected:
        """Return what the token says if it is ours, whole, of this moment, and for this mount (None: for any)."""
        claims = self._claims(token, self._header)
        if isinstance(claims, Rejected):
            return claims
        problem = self._problem(claims, mount, now.timestamp())
        if problem:
            return Rejected(problem)
        chain = _chain(claims.get("act"))
        session, jti, user = claims.get("sid"), claims.get("jti"), claims.get("sub")
        if not chain or not isinstance(session, str) or not isinstance(jti, str):
            return Rejected("a required claim is missing")
        if user is not None and not isinstance(user, str):
            return Rejected("`sub` is not a text")
        return Claims(session, jti, user, chain)

    def _problem(self, claims: Mapping[str, object], mount: str | None, now: float) -> str:
        """Return what is wrong with issuer, audience or times; empty when nothing is."""
        aud, issued, expires = claims.get("aud"), claims.get("iat"), claims.get("exp")
        if claims.get("iss") != self._issuer:
            return "another issuer"
        if not isinstance(aud, list) or not aud or (mount is not None and audience(mount) not in aud):
            return "not for this mount"
        if type(issued) is not int or type(expires) is not int:
            return "a required claim is missing"
        if issued > now + _skew:
            return "issued in the future"
        return _expired if now >= expires + _skew else ""


def _actors(chain: Sequence[str]) -> Mapping[str, object]:
    """Return RFC 8693's nested `act`: the current actor outside, those who delegated to it within."""
    actor: Mapping[str, object] = {"sub": chain[0]}
    for agent in chain[1:]:
        actor = {"sub": agent, "act": actor}
    return actor


def _chain(act: object) -> tuple[str, ...]:
    """Return the agents of a nested `act`, outermost delegation first; empty when it is malformed."""
    agents: list[str] = []
    while isinstance(act, dict):
        actor = cast("Mapping[str, object]", act)
        agent = actor.get("sub")
        if not isinstance(agent, str) or not agent:
            return ()
        agents.append(agent)
        act = actor.get("act")
    return tuple(reversed(agents)) if act is None else ()
