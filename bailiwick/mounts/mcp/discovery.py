"""How MCP clients find out where tokens are to be had: RFC 9728, and the challenge that leads there."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

_host = re.compile(r"(\[[0-9a-fA-F:.]{2,45}\]|[A-Za-z0-9.-]{1,253})(:[0-9]{1,5})?")
PREFIX = "/.well-known/oauth-protected-resource"


@dataclass(frozen=True, slots=True)
class Discovery:
    """What is said of the endpoint to those who have no token yet."""

    authority: Callable[[], str]
    """Where tokens are to be had, empty when nowhere."""
    url: str
    """The endpoint's URL, if the configuration names it."""
    secure: bool
    root: str = ""
    """What its paths begin with for clients, if the configuration says so, where there is no one `url`."""

    def resource(self, host: str, path: str) -> str:
        """Return the endpoint's URL for a client that called it by a host name that is served here."""
        if not _host.fullmatch(host):
            host = "localhost"  # what a client puts there is not repeated to it
        if self.url or self.root:
            return self.url or self.root + path
        return f"{'https' if self.secure else 'http'}://{host}{path}"

    def metadata(self, host: str, asked: str, path: str) -> Mapping[str, object] | None:
        """Return the metadata that stands at a path that was asked for; None when there is none."""
        if asked not in (PREFIX, PREFIX + path) or not self.authority():
            return None
        return {
            "resource": self.resource(host, path),
            "authorization_servers": [self.authority()],
            "bearer_methods_supported": ["header"],
            "resource_name": "bailiwick",
        }

    def challenge(self, host: str, path: str) -> bytes:
        """Return what `WWW-Authenticate` says."""
        if not self.authority():
            return b'Bearer realm="bailiwick"'
        root = self.resource(host, path).removesuffix(path)
        return f'Bearer realm="bailiwick", resource_metadata="{root}{PREFIX}{path}"'.encode("latin-1", "replace")
