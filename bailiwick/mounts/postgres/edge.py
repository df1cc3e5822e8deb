"""The sockets, as the state machine between client and server (`frontend.py`) commands them."""

from __future__ import annotations

from typing import Protocol

from bailiwick.mounts.postgres.batch import Held
from bailiwick.mounts.postgres.translate import Unplanned


class Edge(Protocol):
    """What `connection.py` does for its `Frontend`. What it is asked to call back, it calls in a later turn."""

    def send_client(self, data: bytes) -> None: ...
    def send_server(self, data: bytes) -> None: ...
    def read_client(self, on: bool) -> None:
        """Go on or stop to read from the client."""
        ...

    def read_server(self, on: bool) -> None:
        """Go on or stop to read from the server."""
        ...

    def cancel_server(self) -> None:
        """Cancel what the server is running, and call `cancelled` once nothing can be hit by that any more."""
        ...

    def plan(self, unplanned: Unplanned, number: int) -> None:
        """Have a text planned for the session's scope of now, and call `planned`, in a later turn."""
        ...

    def hold(self, held: Held, patience: float | None) -> None:
        """Keep a statement for people, wait so many seconds for them, and call `held` with what comes of it."""
        ...

    def alarm(self, seconds: float | None) -> None:
        """Call `alarmed` after so long, instead of what was asked for before; None: not at all."""
        ...

    def close(self, cancel: bool) -> None:
        """Close both sides once what was sent has left; `cancel` what the server is running first."""
        ...
