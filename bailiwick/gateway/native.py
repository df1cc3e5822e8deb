"""The native depth of a mount from its policy: its scopes, where they go, and the keys."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from bailiwick.decide.shapes import shapes
from bailiwick.errors import PolicyError
from bailiwick.model.lock import Lock
from bailiwick.model.policy import Policy
from bailiwick.sql.native.compile import compile_mount
from bailiwick.sql.native.names import Place
from bailiwick.sql.native.pieces import Compiled
from bailiwick.sql.snapshot import snapshot


def place_of(mount: str, url: str, login: str | None = None, database: str | None = None) -> Place:
    """Return where a mount is compiled for: database and login as in its url, unless they are given."""
    parts = urlsplit(url)
    user = login or unquote(parts.username or "")
    name = database or unquote(parts.path.lstrip("/")) or user
    if not user or not name:
        raise PolicyError(
            f"the url of mount `{mount}` names no user or no database",
            remedy="write `postgresql://user@host/database`",
        )
    return Place(mount, name, user)


def compiled(policy: Policy, lock: Lock, place: Place) -> Compiled:
    """Return the native depth of a mount. Raises PolicyError for what cannot be compiled."""
    mount = policy.mounts[place.mount]
    return compile_mount(place, mount, shapes(policy, lock, place.mount), snapshot(mount, lock).relations)


def keys_values(session: tuple[bytes, bytes], mask: tuple[bytes, bytes]) -> tuple[str, str, str, str]:
    """Return the pads of both keys as SQL literals."""
    inner, outer, mask_inner, mask_outer = (f"'\\x{pad.hex()}'::bytea" for pad in (*session, *mask))
    return inner, outer, mask_inner, mask_outer
