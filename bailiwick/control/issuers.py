"""Trusted issuers: who a person is, by a token of theirs. Keys are found by discovery, kept, and looked for
again when a token names another one.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import cast
from urllib.parse import urlencode

from bailiwick.control.jose import (
    Key,
    audiences,
    header_of,
    keys_of,
    named,
    times_problem,
    unverified_issuer,
    verified,
)
from bailiwick.gateway.http_client import HttpClient, HttpError, address_of
from bailiwick.gateway.identity import Issuer, Role, is_safe
from bailiwick.gateway.moments import Clock
from bailiwick.gateway.sessions.tokens import Rejected
from bailiwick.model.session import Claim, User
from bailiwick.model.value import Scalar

_fresh = timedelta(hours=1)
_usable = timedelta(hours=24)
"""How long keys count that cannot be fetched anew."""
_pause = timedelta(seconds=10)
_patience = 30.0
_most = 512 * 1024
_longest_text = 512
_most_groups = 500
Fetch = Callable[[str], Awaitable[bytes]]


class FetchError(Exception):
    """What an issuer publishes could not be had. The message names no more than what failed."""


@dataclass(frozen=True, slots=True)
class Person:
    """Who a verified token says that somebody is."""

    user: User
    tenant: str | None
    roles: frozenset[Role]
    issuer: str
    authenticated_at: datetime | None = None
    """When they logged in, as the issuer says (`auth_time`)."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where people log in at an issuer."""

    authorization: str
    token: str
    says_issuer: bool
    """Whether its answers name it (RFC 9207)."""


async def fetch(url: str) -> bytes:
    """Return what is published at a URL. Raises FetchError."""
    return await _called(url, "GET", (("Accept", "application/json"),), b"")


async def post_form(url: str, form: Mapping[str, str], authorization: str) -> bytes:
    """Return what answers a form, sent with the `Authorization` if one is given. Raises FetchError."""
    headers = [("Accept", "application/json"), ("Content-Type", "application/x-www-form-urlencoded")]
    if authorization:
        headers.append(("Authorization", authorization))
    return await _called(url, "POST", headers, urlencode(form).encode())


async def _called(url: str, method: str, headers: Sequence[tuple[str, str]], body: bytes) -> bytes:
    try:
        address = address_of(url)
        client = HttpClient(address.origin)
        try:
            async with asyncio.timeout(_patience):
                answer = await client.send(method, address.target, headers, body)
                if answer.status != 200:
                    raise FetchError(f"it answers {answer.status}")
                parts, size = list[bytes](), 0
                while part := await answer.part():
                    size += len(part)
                    if size > _most:
                        raise FetchError("it is too long")
                    parts.append(part)
                return b"".join(parts)
        finally:
            await client.close()
    except (HttpError, ValueError, TimeoutError, OSError):
        raise FetchError("it cannot be reached") from None


class Issuers:
    """The issuers of this gateway."""

    def __init__(self, issuers: Mapping[str, Issuer], clock: Clock, fetching: Fetch = fetch) -> None:
        self._by_url = {each.issuer: _Published(each, clock, fetching) for each in issuers.values()}
        self._clock = clock

    @property
    def for_login(self) -> Sequence[Issuer]:
        """The issuers at which people log in to the console."""
        return [each.issuer for each in self._by_url.values() if each.issuer.client_id is not None]

    async def endpoints(self, issuer: Issuer) -> Endpoints | Rejected:
        """Return where people log in at one of these issuers."""
        return await self._by_url[issuer.issuer].endpoints()

    async def verify(self, token: str) -> Person | Rejected:
        """Return whom a token names, if it is one of a trusted issuer, for this gateway, whole, and of this moment."""
        published = self._by_url.get(unverified_issuer(token))
        if published is None:
            return Rejected("it is no signed token" if header_of(token) is None else "its issuer is not trusted")
        claims = await self._verified(token, published, published.issuer)
        return claims if isinstance(claims, Rejected) else person_of(claims, published.issuer)

    async def identified(self, issuer: Issuer, token: str, nonce: str) -> Person | Rejected:
        """Return who has logged in at an issuer, by the ID token that answers the login with that nonce."""
        published, client = self._by_url[issuer.issuer], issuer.client_id
        if client is None:
            return Rejected("nobody logs in there")
        claims = await self._verified(token, published, replace(issuer, audiences=(client,)))
        if isinstance(claims, Rejected):
            return claims
        given = claims.get("nonce")
        if not isinstance(given, str) or not hmac.compare_digest(given.encode(), nonce.encode()):
            return Rejected("it answers another login")
        if claims.get("azp", client) != client:
            return Rejected("it is for somebody else")
        return person_of(claims, issuer)

    async def _verified(self, token: str, published: _Published, issuer: Issuer) -> Mapping[str, object] | Rejected:
        header = header_of(token)
        if header is None:
            return Rejected("it is no signed token")
        keys = await published.keys_for(header)
        if isinstance(keys, Rejected):
            return keys
        claims = verified(token, keys, issuer.algorithms)
        if isinstance(claims, Rejected):
            return claims
        problem = _problem(claims, issuer, self._clock().timestamp())
        return Rejected(problem) if problem else claims


class _Published:
    """What an issuer publishes."""

    def __init__(self, issuer: Issuer, clock: Clock, fetching: Fetch) -> None:
        self.issuer = issuer
        self._clock = clock
        self._fetch = fetching
        self._keys: tuple[Key, ...] = ()
        self._since: datetime | None = None
        self._tried: datetime | None = None
        self._one = asyncio.Lock()
        self._endpoints: Endpoints | None = None

    async def endpoints(self) -> Endpoints | Rejected:
        """Return where people log in."""
        now = self._clock()
        if self._endpoints is None or self._since is None or now - self._since > _fresh:
            await self._renew(now)
        return self._endpoints or Rejected("it says not where people log in, or cannot be reached")

    async def keys_for(self, header: Mapping[str, object]) -> tuple[Key, ...] | Rejected:
        """Return the keys that may have signed a token."""
        now = self._clock()
        if self._since is None or now - self._since > _fresh:
            await self._renew(now)
        found = self._named(header)
        if isinstance(found, tuple) and not found:
            await self._renew(now)
            found = self._named(header)
        return found or Rejected("no key of its issuer has signed it")

    def _named(self, header: Mapping[str, object]) -> tuple[Key, ...] | Rejected:
        if self._since is None or self._clock() - self._since > _usable:
            return Rejected("the keys of its issuer cannot be had")
        found = named(self._keys, header, self.issuer.algorithms)
        return found if isinstance(found, Rejected) else tuple(found)

    async def _renew(self, now: datetime) -> None:
        """Fetch the keys, not more often than now and then: tokens that name unknown keys cost the issuer little."""
        async with self._one:
            if self._tried is not None and now - self._tried < _pause:
                return
            self._tried = now
            try:
                self._keys, self._since = await self._fetched(), now
            except (FetchError, ValueError, RecursionError):
                return

    async def _fetched(self) -> tuple[Key, ...]:
        place = self.issuer.issuer.rstrip("/") + "/.well-known/openid-configuration"
        read = cast("object", json.loads(await self._fetch(place)))
        if not isinstance(read, dict):
            raise FetchError("its metadata is no object")
        metadata = cast("Mapping[str, object]", read)
        keys = metadata.get("jwks_uri")
        if metadata.get("issuer") != self.issuer.issuer or not isinstance(keys, str) or not is_safe(keys):
            raise FetchError("its metadata is another issuer's")
        self._endpoints = _endpoints(metadata)
        return keys_of((await self._fetch(keys)).decode())


def _endpoints(metadata: Mapping[str, object]) -> Endpoints | None:
    login, token = metadata.get("authorization_endpoint"), metadata.get("token_endpoint")
    if not isinstance(login, str) or not isinstance(token, str) or not is_safe(login) or not is_safe(token):
        return None
    return Endpoints(login, token, metadata.get("authorization_response_iss_parameter_supported") is True)


def _problem(claims: Mapping[str, object], issuer: Issuer, now: float) -> str:
    """Return why verified claims do not count; empty when they do."""
    if claims.get("iss") != issuer.issuer:
        return "its issuer is not trusted"
    found = audiences(claims)
    if not set(found) & set(issuer.audiences):
        return "it is for somebody else"
    party = claims.get("azp")
    if len(found) > 1 and party is not None and party not in issuer.audiences:
        return "it is for somebody else"
    if "events" in claims or "cnf" in claims:
        return "it is of another type"  # a logout, or one that only its holder's key makes count
    client, subject = claims.get("client_id", party), claims.get("sub")
    if client is not None and client == subject:
        return "it names a program, not a person"
    return times_problem(claims, now)


def person_of(claims: Mapping[str, object], issuer: Issuer) -> Person | Rejected:
    """Return the person of verified claims. What is not of the expected form is left out, but for the id."""
    identity = claims.get(issuer.user)
    if not isinstance(identity, str) or not _is_text(identity):
        return Rejected(f"it has no `{issuer.user}`")
    groups = claims.get(issuer.groups)
    listed = cast("list[object]", groups)[:_most_groups] if isinstance(groups, list) else []
    known = frozenset(issuer.prefix + each for each in listed if isinstance(each, str) and _is_text(each))
    taken = {name: found for name in issuer.claims if (found := _claim(claims.get(name))) is not None}
    tenant = None if issuer.tenant is None else _claim(claims.get(issuer.tenant))
    roles: frozenset[Role] = frozenset(role for role, having in issuer.roles.items() if having & known)
    named_tenant = str(tenant) if isinstance(tenant, str | int) and not isinstance(tenant, bool) else None
    user = User(issuer.prefix + identity, known, taken)
    return Person(user, named_tenant, roles, issuer.issuer, _moment(claims.get("auth_time")))


def _moment(found: object) -> datetime | None:
    """Return a moment of a token; None for what is none."""
    try:
        whole = int(found) if isinstance(found, int | Decimal) and not isinstance(found, bool) else None
        return None if whole is None else datetime.fromtimestamp(whole, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _claim(found: object) -> Claim | None:
    if isinstance(found, list):
        listed = [_scalar(each) for each in cast("list[object]", found)[:_most_groups]]
        return tuple(each for each in listed if each is not None)
    return _scalar(found)


def _scalar(found: object) -> Scalar | None:
    if isinstance(found, str):
        return found if _is_text(found) else None
    if isinstance(found, bool):
        return found
    if isinstance(found, int):
        return found if -(2**63) <= found < 2**63 else None
    return Decimal(str(found)) if isinstance(found, float) and abs(found) < 1e15 else None


def _is_text(found: str) -> bool:
    return 0 < len(found) <= _longest_text and found.isprintable()
