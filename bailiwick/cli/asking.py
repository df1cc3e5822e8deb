"""Which gateway a command asks: the one on this machine, or one elsewhere (`--gateway`, `BAILIWICK_GATEWAY`)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from bailiwick.cli.main import ELSEWHERE

if TYPE_CHECKING:
    from bailiwick.control.remote_client import RemoteClient
    from bailiwick.gateway.admin_client import AdminClient


def remote() -> RemoteClient | None:
    """Return the client of the gateway elsewhere that was named; None: the one here is asked."""
    url = os.environ.get(ELSEWHERE, "")
    if not url:
        return None
    from bailiwick.control.remote_client import RemoteClient

    return RemoteClient(url, os.environ)


def client_of(policy: Path, config: Path | None) -> AdminClient:
    """Return the client of the gateway that is asked. Raises ConfigError."""
    elsewhere = remote()
    if elsewhere is not None:
        return elsewhere
    from bailiwick.gateway.admin_client import AdminClient
    from bailiwick.gateway.config import load_config

    return AdminClient(load_config(policy, os.environ, config).admin_socket, f"bailiwick serve {policy}")
