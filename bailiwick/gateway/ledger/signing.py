"""The keys that sign the ledger's checkpoints: which sign now, which did, and how one takes over from another.

Until the first change it is the gateway's signing key. Later keys are in one owner-only file, replaced as a whole, so
that a crash leaves either the old keys or the new ones.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bailiwick.errors import ConfigError, LedgerError
from bailiwick.gateway.keys import read_owned, read_signing_key, write_public
from bailiwick.gateway.ledger.writer import LedgerWriter
from bailiwick.gateway.recorder import Fact, Recorder
from bailiwick.ledger.checkpoint import Signer, VerifierKey, parse_verifier_key

_FILE = "ledger.keys"
OVERLAP = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class LedgerKeys:
    """The keys of one ledger. Never printed."""

    current: Ed25519PrivateKey = field(repr=False)
    previous: Ed25519PrivateKey | None = field(default=None, repr=False)
    """Signs too, until the overlap ends; then it is destroyed."""
    until: datetime | None = None
    """When the overlap ends."""
    past: tuple[str, ...] = ()
    """Verifier keys that sign no more, the newest first."""

    @property
    def signing(self) -> tuple[Ed25519PrivateKey, ...]:
        """The keys that sign now, the newest first."""
        return (self.current,) if self.previous is None else (self.current, self.previous)

    def verifiers(self, origin: str) -> tuple[VerifierKey, ...]:
        """Return the public halves of all keys that signed the ledger of that name, the newest first."""
        past = [key for text in self.past if (key := parse_verifier_key(text)) is not None]
        return (*(Signer(origin, key).verifier for key in self.signing), *past)


def load_ledger_keys(data_dir: Path, signing: Ed25519PrivateKey) -> LedgerKeys:
    """Return the keys of the ledger in a data directory. Raises ConfigError."""
    content = read_owned(data_dir / _FILE)
    if content is None:
        return LedgerKeys(signing)
    found = _parse(content)
    if found is None:
        raise ConfigError(f"`{data_dir / _FILE}` holds no keys", remedy="restore it from a backup")
    return found


def read_ledger_keys(data_dir: Path) -> LedgerKeys | None:
    """Return the keys in a data directory; None when there are none that can be read."""
    try:
        found = _parse((data_dir / _FILE).read_bytes())
    except FileNotFoundError:
        signing = read_signing_key(data_dir)
        return None if signing is None else LedgerKeys(signing)
    except OSError:
        return None
    return found


def publish(data_dir: Path, keys: LedgerKeys, origin: str) -> None:
    """Write the public halves beside the ledger, one a line, the newest first."""
    write_public(data_dir / "ledger.vkey", "".join(f"{key}\n" for key in keys.verifiers(origin)))


def _parse(content: bytes) -> LedgerKeys | None:
    try:
        values = cast("Mapping[str, object]", json.loads(content))
        current, previous, until = values["current"], values["previous"], values["until"]
        past = cast("list[str]", values["past"])
        return LedgerKeys(
            Ed25519PrivateKey.from_private_bytes(bytes.fromhex(cast("str", current))),
            None if previous is None else Ed25519PrivateKey.from_private_bytes(bytes.fromhex(cast("str", previous))),
            None if until is None else datetime.fromisoformat(cast("str", until)),
            tuple(past),
        )
    except (ValueError, KeyError, TypeError):
        return None


def _save(data_dir: Path, keys: LedgerKeys) -> None:
    values = {
        "current": keys.current.private_bytes_raw().hex(),
        "previous": None if keys.previous is None else keys.previous.private_bytes_raw().hex(),
        "until": None if keys.until is None else keys.until.isoformat(),
        "past": [*keys.past],
    }
    draft = data_dir / f".{_FILE}.{secrets.token_hex(8)}"
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        json.dump(values, file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(data_dir / _FILE)


class Custody:
    """Holds the keys of the running gateway's ledger, and changes them."""

    def __init__(self, data_dir: Path, keys: LedgerKeys, ledger: LedgerWriter, origin: str) -> None:
        self._data_dir = data_dir
        self.ledger = ledger
        self.origin = origin
        self.keys = keys

    def verifiers(self) -> tuple[VerifierKey, ...]:
        """Return the public keys, the newest first."""
        return self.keys.verifiers(self.origin)

    async def rotate(self, recorder: Recorder, now: datetime, by: str, overlap: timedelta = OVERLAP) -> VerifierKey:
        """Let a new key sign, the old one beside it until the overlap ends; return the new one's public half.

        Raises ConfigError while an overlap lasts: whoever checks by the key before must have seen the one between.
        """
        if self.keys.previous is not None:
            raise ConfigError("the key was changed a while ago, and the old one still signs", remedy=self._when())
        new, old = Ed25519PrivateKey.generate(), self.keys.current
        verifier, before = Signer(self.origin, new).verifier, Signer(self.origin, old).verifier
        detail = {"new": str(verifier), "old": str(before), "until": (now + overlap).isoformat(), "by": by}
        await recorder.keep(recorder.make(Fact("ledger.key", detail=detail)))
        await self._take(LedgerKeys(new, old, now + overlap, self.keys.past))
        return verifier

    async def retire(self, recorder: Recorder, now: datetime) -> bool:
        """Destroy the old key if its overlap has ended; tell whether."""
        previous, until = self.keys.previous, self.keys.until
        if previous is None or until is None or now < until:
            return False
        old = str(Signer(self.origin, previous).verifier)
        await recorder.keep(recorder.make(Fact("ledger.key", detail={"retired": old})))
        await self._take(LedgerKeys(self.keys.current, past=(old, *self.keys.past)))
        return True

    async def _take(self, keys: LedgerKeys) -> None:
        """Sign with other keys, from a checkpoint on that covers the record of the change."""
        try:
            _save(self._data_dir, keys)
        except OSError as error:
            raise LedgerError(f"the new key cannot be stored: {error.strerror}", remedy="check the disk") from None
        self.keys = keys
        publish(self._data_dir, keys, self.origin)
        await self.ledger.run(lambda store: store.change_keys(keys.signing))

    def _when(self) -> str:
        until = self.keys.until
        return "try again then" if until is None else f"try again after {until.isoformat(timespec='seconds')}"
