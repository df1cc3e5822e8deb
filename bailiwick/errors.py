"""The one tree of errors. Each names the party at fault and carries a stable code.

A denial is *not* here: it is a value (`bailiwick.model.decision.Denial`).
Messages are lowercase, one line, in the user's words, with input in backticks.
"""

from __future__ import annotations


class BailiwickError(Exception):
    """Base of everything that Bailiwick raises on purpose."""

    code: str = "error"

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        """The next step for the person who reads this, or empty."""


class PolicyError(BailiwickError):
    """The policy (or gateway.yaml, or the lock) is at fault."""

    code = "policy"


class SessionError(BailiwickError):
    """A session cannot be opened or used as asked. The opener is at fault."""

    code = "session"


class BackendError(BailiwickError):
    """A backend behind a mount cannot be reached or refuses the gateway. Never carries a credential."""

    code = "backend"


class LedgerError(BailiwickError):
    """The ledger cannot be written, read or verified."""

    code = "ledger"


class ObservationError(BailiwickError):
    """An observation, or the log that it is taken from, is at fault."""

    code = "observation"


class ProtocolError(BailiwickError):
    """The peer of a wire protocol broke it."""

    code = "protocol"


class ConfigError(BailiwickError):
    """The installation is at fault: keys, files, permissions, ports."""

    code = "config"
