"""Signed tree heads in the C2SP formats signed-note, tlog-checkpoint and tlog-proof, with Ed25519 keys.

Reading never raises on bad data: it returns None, because the data may come from an attacker.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_ED25519 = b"\x01"
_SIGNATURE_LINE = "\u2014 "
_PROOF_HEAD = "c2sp.org/tlog-proof@v1"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log claims: at this size its root was this. `extensions` are further lines, opaque to us."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def text(self) -> str:
        """Return the signed text (the note's body)."""
        lines = (self.origin, str(self.size), _encode(self.root), *self.extensions)
        return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key with the name under which it signs."""

    name: str
    public: bytes
    """The 32 bytes of the Ed25519 public key."""

    def id(self) -> bytes:
        """Return the key id of the specification: four bytes that tell keys of one name apart."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.id().hex()}+{_encode(_ED25519 + self.public)}"


class Signer:
    """Signs notes. `name` is the log's origin; it must be free of spaces and plus signs."""

    __slots__ = ("_id", "_key", "_secret", "name", "verifier")

    def __init__(self, name: str, key: Ed25519PrivateKey) -> None:
        self.name = name
        self.verifier = VerifierKey(name, key.public_key().public_bytes_raw())
        """The public half."""
        self._key = key
        self._id = self.verifier.id()
        self._secret = hashlib.blake2b(key.private_bytes_raw(), key=b"bailiwick: vouching for a tail").digest()

    def sign(self, text: str) -> str:
        """Return the signed note over a text, which must end with a newline."""
        return sign_by(text, (self,))

    def line(self, text: str) -> str:
        """Return the signature line over a text."""
        return f"{_SIGNATURE_LINE}{self.name} {_encode(self._id + self._key.sign(text.encode()))}\n"

    def vouch(self, size: int, root: bytes) -> bytes:
        """Return a code (32 bytes) that only the holder of the key can make: the tree had this root at this size.

        A fiftieth of the work of a signature, for the moments between two of them.
        """
        told = Checkpoint(self.name, size, root).text().encode()
        return hashlib.blake2b(told, digest_size=32, key=self._secret).digest()

    def vouched(self, size: int, root: bytes, code: bytes) -> bool:
        """Tell whether `vouch` made the code for these."""
        return hmac.compare_digest(self.vouch(size, root), code)


def sign_by(text: str, signers: Sequence[Signer]) -> str:
    """Return the note over a text with the signature of each; whoever knows one of the keys can open it."""
    return f"{text}\n" + "".join(signer.line(text) for signer in signers)


def is_key_name(name: str) -> bool:
    """Tell whether a name may stand in a note's signature line."""
    return bool(name) and "+" not in name and name.isprintable() and not any(c.isspace() for c in name)


def parse_verifier_key(text: str) -> VerifierKey | None:
    """Read `name+hash+base64(type, key)`; None unless it is an Ed25519 key whose hash is right."""
    name, _, rest = text.strip().partition("+")
    digest, _, encoded = rest.partition("+")
    key = _decode(encoded)
    if not is_key_name(name) or key is None or len(key) != 33 or key[:1] != _ED25519:
        return None
    verifier = VerifierKey(name, key[1:])
    return verifier if verifier.id().hex() == digest else None


def parse_verifier_keys(text: str) -> tuple[VerifierKey, ...]:
    """Read verifier keys, one a line; empty unless every line is one and all have one name."""
    lines = [line for line in text.splitlines() if line.strip()]
    found = tuple(key for line in lines if (key := parse_verifier_key(line)) is not None)
    return found if len(found) == len(lines) and len({key.name for key in found}) == 1 else ()


def open_note(note: str, *keys: VerifierKey) -> str | None:
    """Return the text of a signed note if one of these keys signed it, and none of them falsely; else None.

    Signatures by other keys are ignored."""
    text, separator, signatures = note.rpartition("\n\n")
    if not separator or not signatures.endswith("\n") or _has_controls(note):
        return None
    text += "\n"
    signed = False
    for line in signatures[:-1].split("\n"):
        name, _, encoded = line.removeprefix(_SIGNATURE_LINE).partition(" ")
        blob = _decode(encoded)
        if not line.startswith(_SIGNATURE_LINE) or not is_key_name(name) or blob is None or len(blob) < 5:
            return None
        for key in keys:
            if name == key.name and blob[:4] == key.id():
                if not _verifies(key, blob[4:], text):
                    return None
                signed = True
    return text if signed else None


def parse_checkpoint(text: str) -> Checkpoint | None:
    """Read the text of a checkpoint; None unless it is in the one form that `Checkpoint.text` writes."""
    if not text.endswith("\n"):
        return None
    lines = text[:-1].split("\n")
    if len(lines) < 3 or not all(lines):
        return None
    origin, size, encoded = lines[:3]
    root = _decode(encoded)
    if root is None or len(root) != 32 or not (size.isascii() and size.isdigit()) or len(size) > 19:
        return None
    if size != str(int(size)):
        return None
    return Checkpoint(origin, int(size), root, tuple(lines[3:]))


def open_checkpoint(note: str, *keys: VerifierKey) -> Checkpoint | None:
    """Return the checkpoint of a signed note, if one of these keys signed it and it is about the log they name."""
    text = open_note(note, *keys)
    checkpoint = parse_checkpoint(text) if text is not None else None
    return checkpoint if checkpoint is not None and all(checkpoint.origin == key.name for key in keys) else None


def told_by(note: str) -> Checkpoint | None:
    """Return what a note says of a log, whoever signed it: to be compared, not to be believed."""
    return parse_checkpoint(note.rpartition("\n\n")[0] + "\n")


@dataclass(frozen=True, slots=True)
class Consistency:
    """That a log of `old` records is the beginning of the one that the checkpoint is for."""

    old: int
    path: tuple[bytes, ...]
    note: str

    def text(self) -> str:
        """Return it in the form in which C2SP tlog-witness submits a checkpoint to a witness."""
        return "".join(f"{line}\n" for line in (f"old {self.old}", *map(_encode, self.path))) + "\n" + self.note


def parse_consistency(text: str) -> Consistency | None:
    """Read what `Consistency.text` wrote; None for anything else."""
    head, separator, note = text.partition("\n\n")
    first, *lines = head.split("\n")
    old = first.removeprefix("old ")
    path = [_decode(line) for line in lines]
    nodes = tuple(node for node in path if node is not None and len(node) == 32)
    fine = separator and first.startswith("old ") and old.isascii() and old.isdigit() and len(old) < 20
    return Consistency(int(old), nodes, note) if fine and len(nodes) == len(path) < 64 else None


@dataclass(frozen=True, slots=True)
class Proof:
    """That an entry is in a log, checkable without the log: its index, the path, and a signed checkpoint."""

    index: int
    path: tuple[bytes, ...]
    note: str

    def text(self) -> str:
        """Return it as a C2SP tlog-proof."""
        lines: Sequence[str] = (_PROOF_HEAD, f"index {self.index}", *(_encode(node) for node in self.path))
        return "\n".join(lines) + "\n\n" + self.note


def parse_proof(text: str) -> Proof | None:
    """Read a C2SP tlog-proof; an `extra` line is dropped, for it is not authenticated."""
    head, separator, note = text.partition("\n\n")
    lines = head.split("\n")
    if not separator or lines.pop(0) != _PROOF_HEAD:
        return None
    if lines and lines[0].startswith("extra "):
        lines.pop(0)
    index = lines.pop(0).removeprefix("index ") if lines and lines[0].startswith("index ") else ""
    path = [_decode(line) for line in lines]
    if not (index.isascii() and index.isdigit() and len(index) < 20 and len(path) < 64):
        return None
    nodes = tuple(node for node in path if node is not None and len(node) == 32)
    return Proof(int(index), nodes, note) if len(nodes) == len(path) else None


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decode(text: str) -> bytes | None:
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if _encode(data) == text else None


def _has_controls(note: str) -> bool:
    return any(c < " " and c != "\n" for c in note)


def _verifies(key: VerifierKey, signature: bytes, text: str) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(signature, text.encode())
    except (InvalidSignature, ValueError):
        return False
    return True
