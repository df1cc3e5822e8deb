"""The other end of the API, for the command line: asks a gateway elsewhere what `AdminClient` asks the one here."""

from __future__ import annotations

import json
import ssl
from base64 import b64encode
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import cast
from urllib.parse import quote, urlencode, urlsplit

from bailiwick.control.operations import ROOT, Operation, operations
from bailiwick.errors import ConfigError
from bailiwick.gateway.admin_client import AdminClient, AnswerError
from bailiwick.gateway.wire import Json

_OK = 200
_seconds = 60
_longest = 64 * 1024 * 1024
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_PREFIX = "BAILIWICK_GATEWAY_"


class RemoteClient(AdminClient):
    """Asks one gateway by its API. Its answers and errors are those of the admin socket."""

    def __init__(self, url: str, environ: Mapping[str, str]) -> None:
        """Raises ConfigError for a URL that would carry the token in the open."""
        super().__init__(Path())
        parts = urlsplit(url)
        host = parts.hostname or ""
        if parts.scheme not in ("https", "http") or not host or parts.query or parts.fragment or "@" in parts.netloc:
            raise ConfigError(
                f"`{url[:200]}` is not the URL of a gateway", remedy="write it as in `https://gw.example`"
            )
        if parts.scheme == "http" and host not in _LOOPBACK:
            raise ConfigError("without TLS a gateway is only asked on this machine", remedy="use its `https` URL")
        self._url = url.rstrip("/")
        self._environ = environ
        self._token = ""
        self._place = (host, parts.port, parts.path.rstrip("/"))
        self._tls = None
        if parts.scheme == "https":
            try:
                self._tls = ssl.create_default_context(cafile=environ.get(f"{_PREFIX}CA") or None)
            except OSError:
                raise ConfigError(f"`{_PREFIX}CA` names no certificates", remedy="name a PEM file") from None

    def ask(self, do: str, fields: Mapping[str, Json]) -> Mapping[str, Json]:
        """Return the result of a request. Raises AnswerError, or ConfigError when no gateway answers."""
        found = next((each for each in operations if each.do == do), None)
        if found is None:
            remedy = "run it on the gateway's own machine, without `--gateway`"
            raise ConfigError(f"`{do}` cannot be asked of a gateway elsewhere", remedy=remedy)
        return self.ask_at(found, fields)

    def ask_path(self, path: str, fields: Mapping[str, Json]) -> Mapping[str, Json]:
        """As `ask`, of what is answered at a path of the API by POST."""
        return self.ask_at(next(each for each in operations if (each.method, each.path) == ("POST", path)), fields)

    def ask_at(self, operation: Operation, fields: Mapping[str, Json]) -> Mapping[str, Json]:
        """As `ask`, of one operation of the API."""
        return self._sent(operation.method, *self._request(operation, fields))

    def lines_at(self, operation: Operation, fields: Mapping[str, Json]) -> Iterator[bytes]:
        """Yield the lines of a streamed answer; one that breaks off is an error. Raises AnswerError, ConfigError."""
        with self._answer(operation.method, *self._request(operation, fields)) as answer:
            if answer.status != _OK:
                raise _refused(answer.status, _read(answer.read(_longest)))
            while line := answer.readline(_longest):
                yield line

    def _request(self, operation: Operation, fields: Mapping[str, Json]) -> tuple[str, bytes | None, Mapping[str, str]]:
        """Return where an operation is asked, its body and its headers."""
        given = {name: value for name, value in fields.items() if value not in (None, [], {}, "")}
        path = operation.path
        if operation.of:
            path = path.replace("*", quote(str(given.pop(operation.of, "")), safe=""))
        target, body = f"{ROOT}{path}", None
        if operation.method == "GET":
            query = {name: _plain(value) for name, value in given.items() if value is not False}
            target += f"?{urlencode(query)}" if query else ""
        elif given:
            body = json.dumps(given).encode()
        headers = {"Authorization": f"Bearer {self._token_()}"}
        return target, body, {**headers, "Content-Type": "application/json"}

    def _token_(self) -> str:
        """Return the token: given, read from a file, or fetched with a client's secret. Raises ConfigError."""
        if not self._token:
            token, client = self._secret("TOKEN"), self._environ.get(f"{_PREFIX}CLIENT", "")
            self._token = token or (self._fetched(client) if client else "")
        if not self._token:
            remedy = f"set {_PREFIX}TOKEN or {_PREFIX}TOKEN_FILE; or {_PREFIX}CLIENT with {_PREFIX}SECRET or its file"
            raise ConfigError(f"there is no token for the gateway at `{self._url}`", remedy=remedy)
        return self._token

    def _secret(self, name: str) -> str:
        given, file = self._environ.get(f"{_PREFIX}{name}", ""), self._environ.get(f"{_PREFIX}{name}_FILE", "")
        if given or not file:
            return given
        try:
            return Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            raise ConfigError(f"`{file}` cannot be read", remedy=f"see {_PREFIX}{name}_FILE") from None

    def _fetched(self, client: str) -> str:
        """Return a token for the API, for a client by its secret."""
        pair = f"{quote(client, safe='')}:{quote(self._secret('SECRET'), safe='')}".encode()
        headers = {"Authorization": f"Basic {b64encode(pair).decode()}"}
        form = urlencode({"grant_type": "client_credentials", "resource": "bailiwick:api"}).encode()
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return str(self._sent("POST", "/oauth/token", form, {**headers, **kind}).get("access_token", ""))

    def _sent(self, method: str, target: str, body: bytes | None, headers: Mapping[str, str]) -> Mapping[str, Json]:
        with self._answer(method, target, body, headers) as answer:
            status, found = answer.status, _read(answer.read(_longest))
        if status != _OK:
            raise _refused(status, found)
        return found

    @contextmanager
    def _answer(
        self, method: str, target: str, body: bytes | None, headers: Mapping[str, str]
    ) -> Generator[HTTPResponse]:
        """Ask, and give the answer. Redirects are not followed: the token is for the one who was asked."""
        host, port, base = self._place
        connection = (
            HTTPConnection(host, port, timeout=_seconds)
            if self._tls is None
            else HTTPSConnection(host, port, timeout=_seconds, context=self._tls)
        )
        try:
            connection.request(method, base + target, body, dict(headers))
            yield connection.getresponse()
        except (OSError, HTTPException, ValueError) as error:
            why = getattr(error, "strerror", None) or type(error).__name__
            message = f"no gateway answers at `{self._url}`: {why}"
            raise ConfigError(message, remedy="check `--gateway`") from None
        finally:
            connection.close()


def _refused(status: int, found: Mapping[str, Json]) -> AnswerError:
    """Return the error that an answer other than the result is."""
    code = found.get("code") or found.get("error") or "api"
    words = found.get("title") or found.get("error_description") or f"the gateway answers {status}"
    return AnswerError(str(code), str(words), str(found.get("remedy") or ""))


def _plain(value: Json) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _read(data: bytes) -> dict[str, Json]:
    found = cast("object", json.loads(data or b"{}"))
    if not isinstance(found, dict):
        raise ValueError("an answer that is none")
    return cast("dict[str, Json]", found)
