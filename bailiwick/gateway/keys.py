"""Keys of this gateway: the signing key of tokens and checkpoints, and the key of hash masks.

Created on first use, owner-only from their first byte on; a key that others can read is refused, not repaired:
whoever could read it may have copied it.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from bailiwick.errors import ConfigError

_block = 64
"""Block length of SHA-256, to which HMAC pads its key."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys. Never printed."""

    signing: Ed25519PrivateKey = field(repr=False)
    mask: bytes = field(repr=False)
    """32 bytes; stable as long as its file is, so that `hash` masks stay joinable."""

    def mask_pads(self) -> tuple[bytes, bytes]:
        """Return the inner and outer pad of HMAC-SHA-256 under the mask key (`mask.inner`, `mask.outer`)."""
        padded = self.mask.ljust(_block, b"\0")
        return bytes(byte ^ 0x36 for byte in padded), bytes(byte ^ 0x5C for byte in padded)


def make_data_dir(path: Path) -> None:
    """Create the data directory for its owner alone. Raises ConfigError when others can enter the existing one."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        raise ConfigError(
            f"the data directory `{path}` cannot be made: {error.strerror}", remedy="set `data_dir` in gateway.yaml"
        ) from None
    if mode & 0o077:
        raise ConfigError(f"the data directory `{path}` is open to others", remedy=f"run `chmod 700 {path}`")


def load_keys(data_dir: Path) -> Keys:
    """Return the keys in the data directory, creating those that are missing. Raises ConfigError."""
    pem = _load(data_dir / "signing.key", _new_signing_key)
    mask = _load(data_dir / "mask.key", lambda: secrets.token_bytes(32))
    try:
        signing = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        signing = None
    if not isinstance(signing, Ed25519PrivateKey):
        raise ConfigError(
            f"`{data_dir / 'signing.key'}` is not an Ed25519 private key",
            remedy="restore it from a backup; a new key ends every session and breaks the ledger's signatures",
        )
    if len(mask) != 32:
        raise ConfigError(f"`{data_dir / 'mask.key'}` is not a key of 32 bytes", remedy="restore it from a backup")
    return Keys(signing, mask)


def read_signing_key(data_dir: Path) -> Ed25519PrivateKey | None:
    """Return the signing key in a data directory, None when there is none that can be read."""
    try:
        found = load_pem_private_key((data_dir / "signing.key").read_bytes(), password=None)
    except (OSError, ValueError, TypeError):
        return None
    return found if isinstance(found, Ed25519PrivateKey) else None


def write_public(path: Path, text: str) -> None:
    """Write what others may know, e.g. the ledger's verifier key; complete, or not at all."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    draft.write_text(text, encoding="ascii")
    draft.replace(path)


def _new_signing_key() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _load(path: Path, new: Callable[[], bytes]) -> bytes:
    """Return the content of an owner-only file; made with `new` when it does not exist."""
    found = read_owned(path)
    return _create(path, new()) if found is None else found


def read_owned(path: Path) -> bytes | None:
    """Return the content of an owner-only file, None when it does not exist. Raises ConfigError."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"the key `{path}` cannot be read: {error.strerror}", remedy="check its owner") from None
    with os.fdopen(handle, "rb") as file:
        facts = os.fstat(file.fileno())
        if stat.S_IMODE(facts.st_mode) & 0o077:
            raise ConfigError(
                f"the key `{path}` can be read by others",
                remedy=f"if nobody has copied it run `chmod 600 {path}`, else delete it and open sessions anew",
            )
        if facts.st_uid != os.geteuid():
            raise ConfigError(f"the key `{path}` belongs to another user", remedy="run the gateway as its owner")
        return file.read(_block * 1024)


def _create(path: Path, content: bytes) -> bytes:
    """Write a new owner-only file, complete on disk before it has its name."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
    return content
