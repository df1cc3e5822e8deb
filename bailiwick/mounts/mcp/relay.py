"""What a server says and asks while it works on a request, as far as the policy lets it pass to the agent's client.

Numbers of progress pass. Words of a server pass only where its results do unfiltered; its log, and what it asks of the
client (a model's answer, a person's answer, its folders), only where the mount's `relay` names them with a reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, cast

from bailiwick.model.tool import Relayed
from bailiwick.mounts.mcp.message import INTERNAL_ERROR, METHOD_NOT_FOUND, Json

LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")
_ASKED: Mapping[str, Relayed] = {
    "sampling/createMessage": "sampling",
    "elicitation/create": "elicitation",
    "roots/list": "roots",
}
_PROGRESS = ("progress", "total")
_MESSAGE = ("level", "logger", "data")
_most_notices = 10_000
_most_questions = 50
Answered = tuple[Mapping[str, Json] | None, Mapping[str, Json] | None]
"""A result, or an error as JSON-RPC has it."""


def refusal(code: int, message: str) -> Answered:
    """Return an error as an answer."""
    return None, {"code": code, "message": message}


class Audience(Protocol):
    """The agent's client, during one request of its."""

    capabilities: Mapping[str, Json]
    """What it declared that it can do."""
    level: str | None
    """The least severe log messages that it wants; None: none at all."""
    token: str | int | None
    """Its token of progress; None: it wants none."""

    def tell(self, method: str, params: Mapping[str, Json]) -> None:
        """Send it a notification."""
        ...

    async def ask(self, method: str, params: Mapping[str, Json]) -> Answered:
        """Ask it, and wait for its answer."""
        ...


class Hears(Protocol):
    """Who hears what a server says and asks during one request to it."""

    @property
    def progress(self) -> bool:
        """Whether the server is to tell of progress."""
        ...

    @property
    def whole(self) -> bool:
        """Whether the server's words may pass at all."""
        ...

    def told(self, method: str, params: Mapping[str, Json]) -> None:
        """Take a notification."""
        ...

    async def asked(self, method: str, params: Mapping[str, Json]) -> Answered:
        """Answer a request of the server's."""
        ...


class Relay:
    """What passes during one errand; `Hears` for the connection to the server."""

    def __init__(self, audience: Audience, relayed: frozenset[Relayed], *, whole: bool) -> None:
        self.whole = whole
        self.counts: dict[str, int] = {}
        """How often what passed."""
        self._audience = audience
        self._relayed = relayed

    @property
    def progress(self) -> bool:
        """Whether the client wants to know."""
        return self._audience.token is not None

    @property
    def level(self) -> str | None:
        """Return the least severe log messages that pass."""
        return self._audience.level if self.whole and "logging" in self._relayed else None

    @property
    def capabilities(self) -> dict[str, Json]:
        """Return what the server may be told that it can ask."""
        return passed_on(self._audience.capabilities, self._relayed) if self.whole else {}

    def told(self, method: str, params: Mapping[str, Json]) -> None:
        """Take a notification."""
        if method == "notifications/progress" and self.progress:
            found = {key: params[key] for key in _PROGRESS if isinstance(params.get(key), int | float)}
            words = params.get("message")
            if self.whole and isinstance(words, str):
                found["message"] = words
            if "progress" in found and self._counted("progress", _most_notices):
                self._audience.tell(method, {"progressToken": self._audience.token, **found})
        wanted = method == "notifications/message" and _is_severe(params.get("level"), self.level)
        if wanted and self._counted("logging", _most_notices):
            self._audience.tell(method, {key: params[key] for key in _MESSAGE if key in params})

    async def asked(self, method: str, params: Mapping[str, Json]) -> Answered:
        """Answer a request of the server's."""
        kind = _ASKED.get(method)
        if kind is None or not self.whole or kind not in self._relayed or not self._can(kind, params):
            return refusal(METHOD_NOT_FOUND, "not supported")
        if not self._counted(kind, _most_questions):
            return refusal(INTERNAL_ERROR, "too many questions during one request")
        asked = {key: value for key, value in params.items() if key not in ("_meta", "task")}
        return await self._audience.ask(method, asked)

    def _can(self, kind: Relayed, params: Mapping[str, Json]) -> bool:
        declared = self._audience.capabilities.get(kind)
        if not isinstance(declared, dict):
            return False
        return (
            kind != "elicitation" or params.get("mode", "form") != "url" or "url" in cast("dict[str, Json]", declared)
        )

    def _counted(self, kind: str, most: int) -> bool:
        self.counts[kind] = self.counts.get(kind, 0) + 1
        return self.counts[kind] <= most


def passed_on(capabilities: Mapping[str, Json], relayed: frozenset[Relayed]) -> dict[str, Json]:
    """Return what of a client's capabilities a server may be told."""
    kinds = sorted(set(_ASKED.values()) & relayed)
    return {kind: capabilities[kind] for kind in kinds if isinstance(capabilities.get(kind), dict)}


def _is_severe(level: Json, least: str | None) -> bool:
    return least in LEVELS and level in LEVELS and LEVELS.index(str(level)) >= LEVELS.index(str(least))
