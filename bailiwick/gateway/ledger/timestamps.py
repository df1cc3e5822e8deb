"""Time-stamps of others (RFC 3161) over the ledger's checkpoints: that its records existed by then.

They stand in `timestamps.jsonl` beside the ledger: a line is a checkpoint and the authority's answer to its SHA-256.
"""

from __future__ import annotations

import base64
import http.client
import os
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import orjson

from bailiwick.errors import ConfigError, LedgerError
from bailiwick.ledger.checkpoint import told_by
from bailiwick.ledger.encode import read
from bailiwick.ledger.report import Finding

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from rfc3161_client import TimeStampResponse

NAME = "timestamps.jsonl"
_seconds = 30
_longest = 256 * 1024
_remedy = "install `bailiwick[timestamps]`"


@dataclass(frozen=True, slots=True)
class Stamp:
    """A checkpoint, and what an authority answered to it."""

    note: str
    answer: bytes


@dataclass(frozen=True, slots=True)
class Stamped:
    """What the stamps that count say."""

    notes: tuple[str, ...]
    """Their checkpoints."""
    newest: datetime | None
    """When the newest of them was stamped."""
    size: int
    """For how many records."""
    findings: tuple[Finding, ...]
    """Those that do not count."""


def stamp(note: str, url: str) -> tuple[Stamp, datetime]:
    """Have an authority stamp a checkpoint; return its answer, and the moment that it says. Raises LedgerError."""
    try:
        from rfc3161_client import HashAlgorithm, TimestampRequestBuilder
    except ImportError:
        raise ConfigError("time-stamps need a package", remedy=_remedy) from None
    asked = TimestampRequestBuilder().data(note.encode()).hash_algorithm(HashAlgorithm.SHA256).build()
    answer = _post(url, asked.as_bytes())
    found = _decoded(answer)
    if found is None or found.status != 0:
        raise LedgerError("the time-stamp authority did not stamp it", remedy="look at its own log")
    if found.tst_info.nonce != asked.nonce or found.tst_info.message_imprint.message != _imprint(note):
        raise LedgerError("the time-stamp authority stamped something else", remedy="name another authority")
    return Stamp(note, answer), found.tst_info.gen_time


def keep(place: Path, made: Stamp) -> None:
    """Add a stamp to those beside a ledger. Raises LedgerError."""
    line = orjson.dumps({"note": made.note, "answer": base64.b64encode(made.answer).decode()}) + b"\n"
    try:
        file = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.write(file, line)
            os.fsync(file)
        finally:
            os.close(file)
    except OSError as error:
        raise LedgerError(f"`{place}` cannot be written: {error.strerror}", remedy="check the disk") from None


def stamps_in(lines: Sequence[bytes]) -> list[Stamp]:
    """Return the stamps of a file's lines; what is none has no answer."""
    found: list[Stamp] = []
    for line in lines:
        values: Mapping[str, object] = read(line) or {}
        note, answer = values.get("note"), values.get("answer")
        try:
            data = base64.b64decode(answer, validate=True) if isinstance(answer, str) else b""
        except ValueError:
            data = b""
        found.append(Stamp(note if isinstance(note, str) else "", data))
    return found


def verified_stamps(stamps: Sequence[Stamp], roots: bytes) -> Stamped:
    """Check stamps against the certificates (PEM) of those who are trusted to know the time. Raises ConfigError."""
    try:
        from rfc3161_client import VerificationError, VerifierBuilder
    except ImportError:
        raise ConfigError("time-stamps need a package", remedy=_remedy) from None
    builder = VerifierBuilder()
    for each in _certificates(roots):
        builder = builder.add_root_certificate(each)
    verifier = builder.build()
    good: list[tuple[int, datetime, str]] = []
    findings: list[Finding] = []
    for number, each in enumerate(stamps, 1):
        answer, head = _decoded(each.answer), told_by(each.note)
        try:
            sound = answer is not None and head is not None and verifier.verify_message(answer, each.note.encode())
        except (VerificationError, ValueError):
            sound = False
        if sound and answer is not None and head is not None:
            good.append((head.size, answer.tst_info.gen_time, each.note))
        else:
            text = f"time-stamp {number} is not one of an authority that is trusted, over a checkpoint"
            findings.append(Finding("checkpoint", text))
    newest = max(good, default=None, key=lambda each: each[1])
    return Stamped(
        tuple(note for _, _, note in good),
        None if newest is None else newest[1],
        0 if newest is None else newest[0],
        tuple(findings),
    )


def _certificates(roots: bytes) -> list[Certificate]:
    from cryptography.x509 import load_pem_x509_certificates

    try:
        return load_pem_x509_certificates(roots)
    except ValueError:
        raise ConfigError("the time-stamp authority's certificates are not PEM", remedy="name a PEM file") from None


def _decoded(answer: bytes) -> TimeStampResponse | None:
    from rfc3161_client import decode_timestamp_response

    try:
        return decode_timestamp_response(answer)
    except ValueError:
        return None


def _imprint(note: str) -> bytes:
    import hashlib

    return hashlib.sha256(note.encode()).digest()


def _post(url: str, query: bytes) -> bytes:
    """Return the answer to a query; no redirect is followed."""
    place = urlsplit(url)
    if place.scheme not in ("http", "https") or not place.hostname or place.username is not None:
        raise ConfigError("the authority's URL is not one of http or https, or has a name and password in it")
    if place.scheme == "https":
        context = ssl.create_default_context()
        made = http.client.HTTPSConnection(place.hostname, place.port, timeout=_seconds, context=context)
    else:  # an answer is signed: nobody on the way can change it
        made = http.client.HTTPConnection(place.hostname, place.port, timeout=_seconds)
    target = (place.path or "/") + (f"?{place.query}" if place.query else "")
    try:
        made.request("POST", target, query, {"Content-Type": "application/timestamp-query", "User-Agent": "bailiwick"})
        answer = made.getresponse()
        content = answer.read(_longest + 1)
    except (OSError, http.client.HTTPException) as error:
        raise LedgerError(f"the time-stamp authority does not answer: {error}", remedy="try again later") from None
    finally:
        made.close()
    if answer.status != 200 or len(content) > _longest:
        raise LedgerError(f"the time-stamp authority answers {answer.status}", remedy="look at its own log")
    return content
