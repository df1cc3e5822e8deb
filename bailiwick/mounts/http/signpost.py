"""Where those are sent who come to an API without a session: to its metadata (RFC 9728), which leads to tokens.

Metadata stands at every name that a mount could have: who has no session does not learn which mounts there are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import cast

from bailiwick.mounts.http.answers import Shown
from bailiwick.mounts.mcp.discovery import PREFIX, Discovery
from bailiwick.mounts.mcp.message import Json, write
from bailiwick.mounts.web import Scope

_place = re.compile(r"(/[A-Za-z_][A-Za-z0-9_-]{0,62})(/.*)?", re.DOTALL)


class Signpost:
    """What is said to those who have no session, or none any more."""

    def __init__(self, discovery: Discovery) -> None:
        self._discovery = discovery

    def metadata(self, scope: Scope) -> Shown | None:
        """Return the metadata that a request asks for; None when it asks for something else."""
        asked = str(scope["path"])
        place = _place.fullmatch(asked.removeprefix(PREFIX))
        if scope["method"] != "GET" or not asked.startswith(PREFIX) or place is None or place[2] is not None:
            return None
        found = self._discovery.metadata(_host(scope), asked, place[1])
        if found is None:
            return None
        body = write(cast("Json", found))
        length = (b"content-length", b"%d" % len(body))
        return Shown(200, [(b"content-type", b"application/json"), length, (b"cache-control", b"no-store")], body)

    def lead(self, scope: Scope, shown: Shown) -> Shown:
        """Return an answer whose challenge, if it has one, leads to the metadata of the mount that was asked."""
        place = _place.fullmatch(str(scope["path"]))
        if shown.status != 401 or place is None:
            return shown
        told = self._discovery.challenge(_host(scope), place[1])
        headers = [(name, told if name == b"www-authenticate" else value) for name, value in shown.headers]
        return replace(shown, headers=headers)


def _host(scope: Scope) -> str:
    given = cast("Iterable[tuple[bytes, bytes]]", scope["headers"])
    return next((value.decode("latin-1").strip(" \t") for name, value in given if name.lower() == b"host"), "")
