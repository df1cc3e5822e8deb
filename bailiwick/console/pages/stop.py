"""Stopping: everything, an agent, a session or a mount; and letting it go on."""

from __future__ import annotations

from collections.abc import Mapping

from bailiwick.console.access import ROOT, Act, Visit
from bailiwick.console.parts import Parts
from bailiwick.console.rendering import moved
from bailiwick.control.web import Reply, Routes
from bailiwick.gateway.wire import Json

_requests: Mapping[str, tuple[str, str]] = {
    "everything": ("everything.suspend", "everything.resume"),
    "agent": ("agent.suspend", "agent.resume"),
    "session": ("session.suspend", "session.resume"),
    "mount": ("mount.close", "mount.open"),
}
"""Kind → the desk's requests to stop one, and to let it go on."""


class StopPages:
    """The page with the one button, and what is suspended."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> Routes:
        """Return who answers which path."""
        doors = self._parts.doors
        return {
            f"{ROOT}/stop": {"GET": doors.page(self._page)},
            f"{ROOT}/suspend": {"POST": doors.act("suspend", self._act(0, "suspended"))},
            f"{ROOT}/resume": {"POST": doors.act("resume", self._act(1, "resumed"))},
        }

    async def _page(self, visit: Visit) -> Reply:
        found = await self._parts.ask(visit, "suspension.list")
        policy = self._parts.sessions.force.policy
        values = {
            "suspensions": found["suspensions"],
            "alive": len(self._parts.sessions.registry),
            "agents": [*policy.agents],
            "mounts": [*policy.every_mount],
        }
        return self._parts.doors.show(visit, "stop.html", values)

    def _act(self, which: int, told: str) -> Act:
        async def act(visit: Visit, given: Mapping[str, str]) -> Reply:
            kind, name = given.get("kind", ""), given.get("name", "")
            if kind not in _requests:
                return self._parts.doors.problem(visit, 400, "there is nothing of that kind to stop")
            fields: dict[str, Json] = {} if kind == "everything" else {kind: name}
            if which == 0:
                fields["reason"] = given.get("reason", "").strip()
            await self._parts.ask(visit, _requests[kind][which], fields)
            back = f"{ROOT}/sessions/{name}" if kind == "session" and given.get("from") == "session" else f"{ROOT}/stop"
            return moved(f"{back}?told={told}")

        return act
