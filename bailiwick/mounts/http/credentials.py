"""What the gateway adds to a request so that the API knows who it is. Agents never see it, nor what comes of it."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Protocol, cast
from urllib.parse import quote, urlencode

from bailiwick.errors import ConfigError
from bailiwick.gateway.policies.ready import ApiSecrets
from bailiwick.model.http import Credential
from bailiwick.mounts.http.aws import AwsKey, signed
from bailiwick.mounts.mcp.message import read_faithfully

Headers = tuple[tuple[str, str], ...]
_early = 30.0
"""Seconds before its end that a token is not used any more."""
_longest_token = 16 * 1024


class CredentialError(Exception):
    """The credential cannot be had. Never holds what was answered."""


class Injector(Protocol):
    """Adds a credential to requests."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not come back in any spelling."""
        ...

    async def inject(self, method: str, host: str, target: str, body: bytes) -> tuple[str, Headers]:
        """Return the target and the headers that a request is sent with. Raises CredentialError."""
        ...

    def refused(self) -> bool:
        """Note that the API refused the credential; return whether another try has a new one."""
        ...


class Fixed:
    """Headers or parameters that are always the same; none, where a mount has no credential."""

    def __init__(self, headers: Headers, query: str, secrets: tuple[str, ...]) -> None:
        self.secrets = secrets
        self._headers = headers
        self._query = query

    async def inject(self, method: str, host: str, target: str, body: bytes) -> tuple[str, Headers]:
        """See `Injector`."""
        del method, host, body
        if not self._query:
            return target, self._headers
        return f"{target}{'&' if '?' in target else '?'}{self._query}", self._headers

    def refused(self) -> bool:
        """It stays what it is."""
        return False


class Aws:
    """Signatures of version 4."""

    def __init__(self, key: AwsKey) -> None:
        self.secrets = tuple(each for each in (key.secret_key, key.session_token, key.access_key) if each)
        self._key = key

    async def inject(self, method: str, host: str, target: str, body: bytes) -> tuple[str, Headers]:
        """See `Injector`."""
        return target, signed(self._key, method, host, target, body, datetime.now(UTC))

    def refused(self) -> bool:
        """It stays what it is."""
        return False


Fetch = Callable[[str, Mapping[str, str], bytes], Awaitable[tuple[int, bytes]]]
"""(URL, headers, body) → status and body of the answer to a POST."""


class OAuth:
    """Access tokens by client credentials (RFC 6749, 4.4), fetched when needed and before they end."""

    def __init__(self, values: Mapping[str, str], fetch: Fetch) -> None:
        self._values = values
        self._fetch = fetch
        self._token = ""
        self._ends = 0.0
        self._fetching = asyncio.Lock()
        self._known: tuple[str, ...] = ()

    @property
    def secrets(self) -> tuple[str, ...]:
        """The client's secret, and the tokens that may still be in use."""
        return (self._values["client_secret"], *self._known)

    async def inject(self, method: str, host: str, target: str, body: bytes) -> tuple[str, Headers]:
        """See `Injector`."""
        del method, host, body
        if time.monotonic() >= self._ends:
            async with self._fetching:
                if time.monotonic() >= self._ends:
                    await self._renew()
        return target, (("Authorization", f"Bearer {self._token}"),)

    def refused(self) -> bool:
        """Have another token fetched."""
        was, self._ends = self._ends, 0.0
        return was > 0.0

    async def _renew(self) -> None:
        values = self._values
        form = {"grant_type": "client_credentials"} | {
            key: values[key] for key in ("scope", "audience") if values.get(key)
        }
        pair = f"{quote(values['client_id'], safe='')}:{quote(values['client_secret'], safe='')}"
        headers = {
            "Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}",
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
        }
        status, data = await self._fetch(values["token_url"], headers, urlencode(form).encode())
        try:
            found = read_faithfully(data)
        except ValueError:
            found = None
        answer = cast("dict[str, object]", found) if status == 200 and isinstance(found, dict) else {}
        token, kind, lasts = answer.get("access_token"), answer.get("token_type"), answer.get("expires_in", 300)
        good = isinstance(token, str) and token.isascii() and token.isprintable() and 0 < len(token) <= _longest_token
        if not good or not isinstance(token, str) or not isinstance(kind, str) or kind.lower() != "bearer":
            raise CredentialError("the token endpoint gives the gateway no token")
        seconds = float(lasts) if isinstance(lasts, int | float) and not isinstance(lasts, bool) else 300.0
        self._known = (token, *self._known)[:3]
        self._token, self._ends = token, time.monotonic() + max(seconds - _early, 1.0)


def injector_of(credential: Credential | None, given: ApiSecrets, fetch: Fetch) -> Injector:
    """Return what adds a mount's credential. Raises ConfigError for one that cannot be sent."""
    values = {name: value.reveal() for name, value in given.credential.items()}
    if any(not value.isprintable() for value in values.values()):
        raise ConfigError("a credential of a mount is not one line of text", remedy="check its variables and files")
    match None if credential is None else credential.kind:
        case None:
            return Fixed((), "", ())
        case "header":
            return Fixed(tuple(values.items()), "", tuple(values.values()))
        case "query":
            query = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in values.items())
            return Fixed((), query, tuple(values.values()))
        case "basic":
            pair = base64.b64encode(f"{values['user']}:{values['password']}".encode()).decode()
            return Fixed((("Authorization", f"Basic {pair}"),), "", (values["password"], pair))
        case "oauth":
            return OAuth(values, fetch)
        case "aws":
            token = values.get("session_token", "")
            key = AwsKey(values["access_key"], values["region"], values["service"], values["secret_key"], token)
            return Aws(key)
