"""The state that a client brings back when it goes on waiting for people (2026-07-28: `requestState`), sealed.

It gives no power: what runs is what was approved, whoever brings what. It says which request is gone on with, so that a
retry is not taken for a new one; and it counts for one session and one request only.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import secrets
from dataclasses import dataclass, field
from typing import Final, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bailiwick.mounts.mcp.message import Json

PREFIX: Final = "held."
_LONGEST: Final = 400
_SIZE: Final = 32


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a state says: which approval is waited for, and how often it was asked for again."""

    approval: str
    rounds: int


@dataclass(frozen=True, slots=True)
class Seal:
    """Makes states and opens them. A key of its own, of which nothing that agents see is made."""

    key: bytes = field(default_factory=lambda: secrets.token_bytes(_SIZE), repr=False)

    def close(self, waiting: Waiting, session: str, digest: str) -> str:
        """Return the state of a session's request."""
        said = json.dumps([waiting.approval, waiting.rounds]).encode()
        return PREFIX + base64.urlsafe_b64encode(self._mac(said, session, digest) + said).decode()

    def open(self, state: str, session: str, digest: str) -> Waiting | None:
        """Return what a state says; None for one that was not made here, for this request of this session."""
        try:
            data = base64.b64decode(state.removeprefix(PREFIX), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        mac, said = data[:_SIZE], data[_SIZE:]
        if len(state) > _LONGEST or not hmac.compare_digest(mac, self._mac(said, session, digest)):
            return None
        approval, rounds = cast("tuple[str, int]", json.loads(said))
        return Waiting(approval, rounds)

    def _mac(self, said: bytes, session: str, digest: str) -> bytes:
        made = hmac.new(self.key, digestmod="sha256")
        for part in (said, session.encode(), digest.encode()):
            made.update(len(part).to_bytes(8, "big") + part)
        return made.digest()


def seal_of(signing: Ed25519PrivateKey) -> Seal:
    """Return the seal of a gateway: the same after a restart, and in all processes that share the key."""
    return Seal(hmac.digest(signing.private_bytes_raw(), b"bailiwick: requestState of what waits for people", "sha256"))


class HeldResult(dict[str, Json]):
    """A result that says that its call waits for people: a type of its own, so that no server can say so."""

    approval: str = ""
