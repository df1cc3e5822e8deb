"""The head of an agent's request, read once: what two parsers could read differently is refused. No I/O."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import cast

from bailiwick.match.routes import path_fault
from bailiwick.mounts.http.multipart import boundary_of
from bailiwick.mounts.web import Checks, Scope, bare, is_loopback

largest_body = 1024 * 1024
largest_upload = 8 * 1024 * 1024
"""Bytes of a body of several parts."""
longest_query = 16 * 1024
_longest_purpose = 500
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
_MAY_REPEAT = frozenset(
    {"accept", "accept-encoding", "accept-language", "cache-control", "forwarded", "pragma", "priority", "via"}
    | {"x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"}
)
_REFUSED: Mapping[str, str] = {
    "upgrade": "other protocols are not spoken here",
    "trailer": "trailers are not taken",
    "proxy-authorization": "this is no proxy of that kind",
    **dict.fromkeys(
        ("x-http-method-override", "x-http-method", "x-method-override"), "the method stands in the request line"
    ),
    **dict.fromkeys(
        ("x-original-url", "x-rewrite-url", "x-original-uri", "x-forwarded-prefix", "x-forwarded-uri"),
        "the path stands in the request line",
    ),
}
_ACCEPT = re.compile(r"[A-Za-z0-9/*+.,;=_ -]{1,300}")
_CONTENT = {"application/json": "json", "application/x-www-form-urlencoded": "form"}


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a request is not looked at any further."""

    status: int
    message: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Head:
    """What a request's head says."""

    method: str
    mount: str
    path: str
    """Below the mount, with its first slash."""
    query: str
    token: str
    headers: Mapping[str, str]
    """By names in small letters."""
    content: str
    """`json`, `form`, `multipart`, `raw`, or empty: it has no body."""
    boundary: str = ""
    """Of a body of several parts."""

    @property
    def accept(self) -> str:
        """Return what the client takes, as far as it is told to the API."""
        found = self.headers.get("accept", "*/*")
        return found if _ACCEPT.fullmatch(found) else "*/*"

    @property
    def purpose(self) -> str:
        """Return the agent's own claim of its reason."""
        return self.headers.get("bailiwick-reason", "")[:_longest_purpose]


def read_head(scope: Scope, checks: Checks, uploads: Callable[[str], bool] = lambda _: False) -> Head | Fault:
    """Return the head of a request, or what is wrong with it. `uploads`: mounts to which anything is sent as it is."""
    headers = _headers(cast("Iterable[tuple[bytes, bytes]]", scope["headers"]))
    if isinstance(headers, Fault):
        return headers
    fault = _not_for_us(scope, headers, checks)
    if fault is not None:
        return fault
    kind, _, token = headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer" or not token.strip():
        return Fault(401, "a session token is needed", "send `Authorization: Bearer …` with the session's token")
    try:
        path = cast("bytes", scope["raw_path"]).decode("ascii")
        query = cast("bytes", scope["query_string"]).decode("ascii")
    except UnicodeDecodeError:
        return Fault(400, "the path or query has bytes that stand escaped there")
    wrong = path_fault(path)
    if wrong:
        return Fault(400, f"this path is not taken: {wrong}", "write each segment in its plain spelling")
    if len(query) > longest_query:
        return Fault(414, f"the query is longer than {longest_query} bytes")
    method = cast("str", scope["method"])
    if method not in _METHODS:
        return Fault(405, "this method is not served here", f"use one of {', '.join(sorted(_METHODS))}")
    mount, slash, below = path[1:].partition("/")
    content = _content(headers, raw=method == "PUT" and uploads(mount))
    if isinstance(content, Fault):
        return content
    kind, boundary = content
    return Head(method, mount, slash + below or "/", query, token.strip(), headers, kind, boundary)


def _headers(given: Iterable[tuple[bytes, bytes]]) -> dict[str, str] | Fault:
    """Return the headers by their names in small letters."""
    found: dict[str, str] = {}
    for raw, value in given:
        name, text = raw.decode("latin-1").lower(), value.decode("latin-1").strip(" \t")
        if name in found and name not in _MAY_REPEAT:
            return Fault(400, "a header stands twice", "send each header once")
        if name in _REFUSED:
            return Fault(400, f"header `{name}` is not taken: {_REFUSED[name]}", "leave it out")
        if "_" in name or not (text.isascii() and text.isprintable()):
            return Fault(400, "a header has a name with `_`, or a value that is not printable ASCII")
        found[name] = f"{found[name]}, {text}" if name in found else text
    return found


def _not_for_us(scope: Scope, headers: Mapping[str, str], checks: Checks) -> Fault | None:
    peer = cast("tuple[str, int] | None", scope.get("client"))
    if checks.only_loopback and not is_loopback(None if peer is None else peer[0]):
        return Fault(403, "without TLS only this machine is served")
    if bare(headers.get("host", "")) not in checks.hosts:
        return Fault(403, "this host name is not served here", "add it to `http.hosts` in gateway.yaml")
    origin = headers.get("origin")
    if origin is not None and origin.lower() not in checks.origins:
        return Fault(403, "pages of this origin are not served", "add it to `http.origins` in gateway.yaml")
    connection = {part.strip().lower() for part in headers.get("connection", "").split(",")}
    if not connection <= {"", "keep-alive", "close", "te"}:
        return Fault(400, "`Connection` names other headers", "send `keep-alive` or `close`, or leave it out")
    return None


def _content(headers: Mapping[str, str], *, raw: bool) -> tuple[str, str] | Fault:
    """Return what kind of body there is, and of several parts their boundary. `raw`: it is taken as it comes."""
    coding, length = headers.get("transfer-encoding"), headers.get("content-length")
    if coding is not None and (length is not None or coding.lower() != "chunked"):
        return Fault(400, "the length of the body is not clear", "send `Content-Length`, or chunks, not both")
    if length is not None and not (length.isdigit() and len(length) < 19):
        return Fault(400, "`Content-Length` is not a number")
    if headers.get("content-encoding", "identity") != "identity":
        return Fault(415, "the body is to be sent as it is, not compressed")
    if coding is None and length in (None, "0"):
        return "", ""
    if raw:
        return "raw", ""
    found = _kind(headers.get("content-type", ""))
    most = largest_upload if isinstance(found, tuple) and found[1] else largest_body
    if length is not None and int(length) > most:
        return Fault(413, f"the body is longer than {most} bytes")
    return found


def _kind(given: str) -> tuple[str, str] | Fault:
    kind, _, parameters = given.partition(";")
    if kind.strip().lower() == "multipart/form-data":
        boundary = boundary_of(parameters)
        return (
            Fault(415, "a body of several parts names its boundary alone")
            if boundary is None
            else ("multipart", boundary)
        )
    found = _CONTENT.get(kind.strip().lower())
    if found is None or parameters.strip().lower().replace('"', "") not in ("", "charset=utf-8"):
        hint = "send `application/json`, or a form as `application/x-www-form-urlencoded`"
        return Fault(415, "a body of this type is not taken", hint)
    return found, ""
