"""One API behind a mount: its address, its connections, its credential, and what must not come back from it."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping, Sequence
from urllib.parse import quote, urlsplit

from bailiwick.errors import ConfigError
from bailiwick.gateway.http_client import Answer, HttpClient, HttpError, address_of
from bailiwick.gateway.policies.ready import ApiSecrets
from bailiwick.model.http import HttpMount
from bailiwick.mounts.http.addresses import AddressError, Finder
from bailiwick.mounts.http.arguments import Outgoing
from bailiwick.mounts.http.credentials import CredentialError, Injector, injector_of

_longest_answer_of_token = 64 * 1024
_least_secret = 8
"""Shorter ones would be met by accident; those that a policy refers to are longer."""


class ApiError(Exception):
    """The API cannot be reached, broke off, or said what is not passed on. Never holds anything that it said."""


class TooLongError(ApiError):
    """The answer is longer than it may be."""


class Api:
    """The API of one mount, for all sessions."""

    def __init__(self, mount: HttpMount, given: ApiSecrets) -> None:
        """Raises ConfigError for a URL or a credential that cannot be used."""
        try:
            address = address_of(given.url.reveal())
        except ValueError:
            message = f"`url` of mount `{mount.name}` is not one of http or https"
            raise ConfigError(message, remedy="set it as in `https://api.example/v2`") from None
        if "?" in address.target or address.authorization:
            message = f"`url` of mount `{mount.name}` has a query, a name or a password in it"
            raise ConfigError(message, remedy="give them in `credential`")
        self.origin = address.origin
        self.base = address.target.rstrip("/")
        self._networks = mount.networks
        self._authority = given.authority
        trust = _trust(mount, given.authority)
        self._client = HttpClient(address.origin, trust, find=Finder(mount.networks, address.origin.host))
        self._injector: Injector = injector_of(mount.credential, given, self._fetch)
        self._known: tuple[str, ...] = ()
        self._marks: tuple[bytes, ...] = ()

    def holds_secret(self, data: bytes) -> bool:
        """Return whether something holds a credential of the gateway."""
        return any(mark in data for mark in self.marks)

    @property
    def marks(self) -> tuple[bytes, ...]:
        """Return the spellings of the credential that are looked for."""
        secrets = self._injector.secrets
        if secrets != self._known:
            spelled = (mark for text in secrets if len(text) >= _least_secret for mark in _spellings(text))
            self._known, self._marks = secrets, tuple(dict.fromkeys(spelled))
        return self._marks

    async def send(self, method: str, asked: Outgoing, accept: str) -> Answer:
        """Send a request, with the credential; return the head of its answer. Raises ApiError."""
        target = self.base + asked.target + (f"?{asked.query}" if asked.query else "")
        headers = [*asked.headers, ("Accept", accept), *_common]
        if asked.content:
            headers.append(("Content-Type", asked.content))
        answer = await self._sent(method, target, headers, asked.body)
        if answer.status == 401 and self._injector.refused():  # nothing was done: once more, with another token
            answer.leave()
            answer = await self._sent(method, target, headers, asked.body)
        return answer

    async def _sent(self, method: str, target: str, headers: Sequence[tuple[str, str]], body: bytes) -> Answer:
        try:
            target, added = await self._injector.inject(method, self.origin.authority, target, body)
            every = (*headers, *added)
            try:
                return await self._client.send(method, target, every, body)
            except HttpError as error:
                if not error.unsent and method not in ("GET", "HEAD"):
                    raise
                return await self._client.send(method, target, every, body)  # a kept connection may have ended
        except HttpError as error:
            raise ApiError(str(error)) from None
        except (AddressError, CredentialError) as error:
            raise ApiError(str(error)) from None
        except ValueError:
            raise ApiError("the request holds what cannot stand in a head") from None

    async def _fetch(self, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        """Ask a token endpoint. Raises CredentialError."""
        try:
            address = address_of(url)
        except ValueError:
            raise CredentialError("`token_url` is not a URL") from None
        trust = ssl.create_default_context() if self._authority else None
        if trust is not None:  # it may be a public one
            trust.load_verify_locations(cadata=self._authority)
        client = HttpClient(address.origin, trust, find=Finder(self._networks, address.origin.host))
        try:
            answer = await client.send("POST", address.target, (*headers.items(), *_common), body)
            return answer.status, await whole(answer, _longest_answer_of_token)
        except (HttpError, ApiError, AddressError):
            raise CredentialError("the token endpoint does not answer") from None
        finally:
            await client.close()

    def below(self, location: str) -> str | None:
        """Return the path, from the mount on, that a redirect leads to; None when it leads elsewhere."""
        if not location.isascii() or not location.isprintable() or "\\" in location or location.startswith("//"):
            return None
        parts = urlsplit(location)
        if parts.scheme or parts.netloc:
            try:
                target = address_of(location).origin
            except ValueError:
                return None
            if target != self.origin or parts.username is not None:
                return None
        path = parts.path
        if not path.startswith(f"{self.base}/") or any(each in (".", "..") for each in path.split("/")):
            return None
        return path[len(self.base) :] + (f"?{parts.query}" if parts.query else "")

    async def close(self) -> None:
        """End its connections."""
        await self._client.close()


def _trust(mount: HttpMount, authority: str) -> ssl.SSLContext | None:
    """Return how the API's certificate is verified; None: as the system does. Raises ConfigError."""
    try:
        return ssl.create_default_context(cadata=authority) if authority else None
    except ssl.SSLError:
        message = f"mount `{mount.name}`: `{mount.authority}` has no certificates"
        raise ConfigError(message, remedy="give `authority` a file of certificates in PEM") from None


_common = (("User-Agent", "bailiwick"), ("Accept-Encoding", "identity"))


async def whole(answer: Answer, most: int) -> bytes:
    """Return the whole body of an answer. Raises ApiError."""
    parts: list[bytes] = []
    size = 0
    try:
        while part := await answer.part():
            size += len(part)
            if size > most:
                answer.close()
                raise TooLongError("the answer is too long")
            parts.append(part)
    except HttpError as error:
        raise ApiError(str(error)) from None
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def beginning(answer: Answer, most: int) -> tuple[bytes, bool]:
    """Return what an answer begins with, a little more than `most` bytes of it, and whether that is all."""
    found = b""
    try:
        while len(found) <= most:
            part = await answer.part()
            if not part:
                return found, True
            found += part
    except HttpError as error:
        raise ApiError(str(error)) from None
    return found, False


def _spellings(secret: str) -> tuple[bytes, ...]:
    """Return how a secret may stand in an answer."""
    bare = secret.partition(" ")[2] if secret.lower().startswith(("bearer ", "basic ", "token ")) else secret
    texts = {secret, bare} if len(bare) >= _least_secret else {secret}
    found = {spelled for text in texts for spelled in (text, json.dumps(text)[1:-1], quote(text, safe=""))}
    return tuple(sorted(each.encode() for each in found))
