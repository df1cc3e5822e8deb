"""AWS Signature Version 4 of one request. Pure: the moment is an argument."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import quote, unquote


@dataclass(frozen=True, slots=True)
class AwsKey:
    """The account that signs, and for what."""

    access_key: str
    region: str
    service: str
    secret_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)


def signed(key: AwsKey, method: str, host: str, target: str, body: bytes, now: datetime) -> tuple[tuple[str, str], ...]:
    """Return the headers that sign a request; `now` is aware, in UTC."""
    digest = hashlib.sha256(body).hexdigest()
    named = {"host": host, "x-amz-content-sha256": digest, "x-amz-date": now.strftime("%Y%m%dT%H%M%SZ")}
    if key.session_token:
        named["x-amz-security-token"] = key.session_token
    told = authorization(key, method, target, named, digest)
    return (("Authorization", told), *((name, value) for name, value in named.items() if name != "host"))


def authorization(key: AwsKey, method: str, target: str, named: Mapping[str, str], digest: str) -> str:
    """Return the `Authorization` of a request with these headers (in lower case) and a body of this SHA-256."""
    moment = named["x-amz-date"]
    names = ";".join(sorted(named))
    path, _, query = target.partition("?")
    lines = [method, _path(key.service, path), _query(query)]
    lines += [*(f"{name}:{named[name]}" for name in sorted(named)), "", names, digest]
    day = moment[:8]
    scope = f"{day}/{key.region}/{key.service}/aws4_request"
    hashed = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", moment, scope, hashed])
    secret = _chained(f"AWS4{key.secret_key}".encode(), (day, key.region, key.service, "aws4_request"))
    signature = hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()
    return f"AWS4-HMAC-SHA256 Credential={key.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"


def _chained(secret: bytes, parts: Iterable[str]) -> bytes:
    for part in parts:
        secret = hmac.new(secret, part.encode(), hashlib.sha256).digest()
    return secret


def _path(service: str, path: str) -> str:
    """Return the canonical path: escaped once more, except for S3."""
    return path if service == "s3" else quote(path, safe="/-._~")


def _query(query: str) -> str:
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    plain = sorted((quote(unquote(name), safe="-._~"), quote(unquote(value), safe="-._~")) for name, _, value in pairs)
    return "&".join(f"{name}={value}" for name, value in plain)
