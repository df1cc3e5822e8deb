"""The listeners: their certificates and keys, and who can reach those that have none."""

from __future__ import annotations

import ipaddress
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from bailiwick.gateway.config import GatewayConfig
from bailiwick.gateway.doctor.finding import Finding, ok, problem, warning

_soon = timedelta(days=14)
_everywhere = ("0.0.0.0", "::", "")  # noqa: S104  # compared, not bound


@dataclass(frozen=True, slots=True)
class Listener:
    """A listener of any kind."""

    name: str
    host: str
    names: tuple[str, ...]
    """By which clients call it, as far as they are known."""
    cert: Path | None
    key: Path | None


def listeners(config: GatewayConfig) -> tuple[Listener, ...]:
    """Return every listener that the settings describe, used by the policy or not."""
    first = config.postgres
    web = {"mcp": config.mcp, "api": config.api, "http": config.http, "smtp": config.smtp}
    rest = [Listener(n, w.host, w.hosts, w.tls_cert, w.tls_key) for n, w in web.items() if w is not None]
    return (Listener("postgres", first.host, (), first.tls_cert, first.tls_key), *rest)


def listener_findings(listener: Listener, now: datetime, *, plaintext: bool = False) -> Iterator[Finding]:
    """Yield what is to be said of one. `plaintext`: its clients may come from beyond loopback without TLS."""
    if listener.cert is None or listener.key is None:
        yield _open(listener, plaintext=plaintext)
        return
    try:
        chain = x509.load_pem_x509_certificates(listener.cert.read_bytes())
    except (OSError, ValueError):
        what = f"`{listener.name}.tls_cert`: `{listener.cert}` is no readable PEM certificate"
        yield problem("tls", what, "name the file of the certificate and its chain")
        return
    yield _time(listener, chain[0], now)
    yield from _names(listener, chain[0])
    yield from _key(listener, listener.key, chain[0])


def _open(listener: Listener, *, plaintext: bool) -> Finding:
    if is_loopback(listener.host):
        return ok("tls", f"`{listener.name}` listens on loopback only")
    remedy = f"set `{listener.name}.tls_cert` and `{listener.name}.tls_key`, or listen on 127.0.0.1"
    where = f"`{listener.name}` listens on `{listener.host}` without TLS"
    if plaintext:
        return warning(
            "tls", f"{where}, and a mount says `plaintext: true`: tokens and rows can be read on the way", remedy
        )
    return warning("tls", f"{where}: clients from beyond loopback are turned away", remedy)


def is_loopback(host: str) -> bool:
    """Return whether a listener's host is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _time(listener: Listener, certificate: x509.Certificate, now: datetime) -> Finding:
    name, ends = f"the certificate of `{listener.name}`", certificate.not_valid_after_utc
    renew = "renew it, and start the gateway again"
    if ends < now:
        return problem("tls", f"{name} expired on {ends:%Y-%m-%d}", renew)
    if certificate.not_valid_before_utc > now:
        what = f"{name} is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
        return problem("tls", what, "check the clock of this machine, and the certificate")
    if ends < now + _soon:
        return warning("tls", f"{name} expires on {ends:%Y-%m-%d}", renew)
    return ok("tls", f"{name} is valid until {ends:%Y-%m-%d}")


def _names(listener: Listener, certificate: x509.Certificate) -> Iterator[Finding]:
    covered = _covered(certificate)
    own = () if listener.host in _everywhere or is_loopback(listener.host) else (listener.host.strip("[]").lower(),)
    hosts = dict.fromkeys((*(_bare(name) for name in listener.names), *own))
    missing = [name for name in hosts if not any(_covers(each, name) for each in covered)]
    if not covered:
        what = f"the certificate of `{listener.name}` has no names (subjectAltName): clients that verify refuse it"
        yield problem("tls", what, "get one with the names that clients use")
    elif missing:
        shown = ", ".join(f"`{name}`" for name in missing)
        what = f"the certificate of `{listener.name}` is not for {shown}"
        yield warning("tls", what, f"clients that use a name must find it among its names: {', '.join(covered)}")
    else:
        yield ok("tls", f"the certificate of `{listener.name}` is for {', '.join(covered)}")


def _bare(name: str) -> str:
    """Return a name of `hosts` without the port."""
    if name.startswith("["):
        return name[1:].split("]", 1)[0]
    return name.rsplit(":", 1)[0] if name.count(":") == 1 else name


def _covered(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    found = (*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress)))
    return tuple(name.lower() for name in found)


def _covers(pattern: str, name: str) -> bool:
    """Return whether a certificate's name is this one; a wildcard stands for one label (RFC 9525)."""
    if pattern.startswith("*."):
        return name.partition(".")[2] == pattern[2:] and not name.startswith(".")
    return pattern == name


def _key(listener: Listener, path: Path, certificate: x509.Certificate) -> Iterator[Finding]:
    setting = f"`{listener.name}.tls_key`"
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm):
        yield problem("tls", f"{setting}: `{path}` is no readable PEM key", "name its file; without a passphrase")
        return
    spki = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    if key.public_key().public_bytes(*spki) != certificate.public_key().public_bytes(*spki):
        what = f"{setting}: `{path}` is not the key of the certificate"
        yield problem("tls", what, "the first certificate in the file must be the server's own")
    if mode & 0o007:
        yield problem("tls", f"{setting}: everybody can use `{path}` (mode {mode:04o})", f"run `chmod 600 {path}`")
    elif mode & 0o070:
        yield warning("tls", f"{setting}: a group can use `{path}` (mode {mode:04o})", f"run `chmod 600 {path}`")
    else:
        yield ok("tls", f"{setting}: `{path}` is its owner's alone")
