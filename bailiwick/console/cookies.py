"""The console's cookies: opaque, for scripts out of reach, and for this host alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

_longest = 8192


@dataclass(frozen=True, slots=True)
class Jar:
    """How cookies are named and set for the console at one URL."""

    url: str

    @property
    def secure(self) -> bool:
        """Whether people reach it by TLS."""
        return self.url.startswith("https://")

    @property
    def login(self) -> str:
        """The name of the cookie of a login."""
        return self._name("login")

    @property
    def begun(self) -> str:
        """The name of the cookie of a login that has begun at an issuer."""
        return self._name("begun")

    def set(self, name: str, value: str, seconds: int | None = None) -> str:
        """Return the header that sets a cookie; without `seconds` it goes with the browser's session."""
        age = "" if seconds is None else f"; Max-Age={seconds}"
        secure = "; Secure" if self.secure else ""
        return f"{name}={value}; Path=/{age}; HttpOnly; SameSite=Lax{secure}"

    def _name(self, what: str) -> str:
        """Browsers keep `__Host-` cookies to one host over TLS; by plain HTTP on this machine the port tells them
        apart, which browsers otherwise do not look at."""
        return f"__Host-bailiwick-{what}" if self.secure else f"bailiwick-{what}-{urlsplit(self.url).port or 80}"


def cookies(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Return the cookies of a request; none when they cannot be read, or one stands twice."""
    given = headers.get("cookie", "")
    pairs = [part.partition("=") for part in given.split(";") if part.strip()] if len(given) <= _longest else []
    found = {name.strip(): value.strip() for name, _, value in pairs}
    return found if len(found) == len(pairs) else {}
