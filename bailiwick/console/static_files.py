"""The few files that pages load: known by name when the gateway starts. No path of a request is ever opened."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files

from bailiwick.console.access import ROOT
from bailiwick.control.web import Asked, Handler, Reply, Routes

_kinds: Mapping[str, str] = {
    "console.css": "text/css; charset=utf-8",
    "console.js": "text/javascript; charset=utf-8",
    "htmx.min.js": "text/javascript; charset=utf-8",
    "hx-sse.min.js": "text/javascript; charset=utf-8",
    "mark.svg": "image/svg+xml",
}
_headers = (
    ("cache-control", "public, max-age=3600"),
    ("cross-origin-resource-policy", "same-origin"),
    ("content-security-policy", "default-src 'none'; sandbox"),
)


def routes() -> Routes:
    """Return who answers for each file."""
    folder = files("bailiwick.console") / "static"
    return {
        f"{ROOT}/static/{name}": {"GET": _file((folder / name).read_bytes(), kind)} for name, kind in _kinds.items()
    }


def _file(content: bytes, kind: str) -> Handler:
    async def answer(asked: Asked) -> Reply:
        del asked
        return Reply(200, headers=_headers, kind=kind, content=content)

    return answer
