"""*Elevations*: asked for, in force and over; ending one at once."""

from __future__ import annotations

from collections.abc import Mapping

from bailiwick.console.access import ROOT, Visit
from bailiwick.console.parts import Parts
from bailiwick.console.rendering import moved
from bailiwick.control.web import Reply, Routes

_PLACE = f"{ROOT}/elevations"
_shown = 100
"""Of those that are over, the newest."""


class ElevationPages:
    """The list. Deciding on one is deciding on its approval."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> Routes:
        """Return who answers which path."""
        doors = self._parts.doors
        return {
            _PLACE: {"GET": doors.page(self._list, "viewer", "approver", "auditor", "opener")},
            f"{_PLACE}/live": {"GET": doors.page(self._live, "viewer", "approver", "auditor", "opener", shape="part")},
            f"{_PLACE}/*/revoke": {"POST": doors.act("elevation.revoke", self._revoke, "approver")},
        }

    async def _list(self, visit: Visit) -> Reply:
        return self._parts.doors.show(visit, "elevations.html", await self._values(visit))

    async def _live(self, visit: Visit) -> Reply:
        async def render() -> str:
            return self._parts.doors.part(visit, "elevations_part.html", await self._values(visit))

        return self._parts.live(visit, render)

    async def _values(self, visit: Visit) -> Mapping[str, object]:
        found = await self._parts.ask(visit, "elevation.list", {"all": True})
        over = found["over"]
        now = self._parts.clock()
        return {
            "waiting": found["waiting"],
            "in_force": found["in_force"],
            "over": over[:_shown] if isinstance(over, list) else [],
            "reviews": visit.login.has("approver", "auditor"),
            "ends": visit.login.has("approver"),
            "rules": [*self._parts.sessions.force.policy.elevations.values()],
            "now": now.replace(microsecond=0, second=now.second // 10 * 10),  # so that a quiet page does not change
        }

    async def _revoke(self, visit: Visit, given: Mapping[str, str]) -> Reply:
        reason = given.get("reason", "").strip()
        await self._parts.ask(visit, "elevation.revoke", {"elevation": visit.asked.part, "reason": reason})
        return moved(f"{_PLACE}?told=ended")
