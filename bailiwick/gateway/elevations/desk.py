"""What the desk answers about elevations. Deciding on one is deciding on its approval (`approval.approve`)."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import cast

from bailiwick.errors import BailiwickError, SessionError
from bailiwick.gateway.elevations.elevations import Elevations
from bailiwick.gateway.refusal import RefusedError
from bailiwick.gateway.sessions.live import Live
from bailiwick.gateway.settings import parse_duration
from bailiwick.gateway.wire import Fields, Json
from bailiwick.model.approval import Approval, Reviewer
from bailiwick.model.decision import Denial
from bailiwick.model.elevation import Elevation

Answer = Callable[[Fields, Reviewer], Awaitable[Mapping[str, Json]]]


class ElevationDesk:
    """Answers about elevations."""

    def __init__(self, elevations: Elevations) -> None:
        self._elevations = elevations

    def answers(self) -> Mapping[str, Answer]:
        """Return who answers what."""
        return {
            "elevation.request": self._request,
            "elevation.list": self._list,
            "elevation.show": self._show,
            "elevation.revoke": self._revoke,
        }

    async def ask(self, fields: Fields, live: Live) -> Mapping[str, Json]:
        """Answer the agent of a session that asks for an elevation of it. Raises RefusedError."""
        name, span = fields.text("elevation"), _duration(fields.text("duration"))
        reason = fields.text("reason")
        fields.done()
        return {"elevation": self._stands(_granted(await self._elevations.ask(live, name, span, reason)))}

    async def stands(self, fields: Fields, live: Live) -> Mapping[str, Json]:
        """Answer the agent of a session how a request of it stands; of others nothing is said."""
        asked = fields.text("elevation")
        fields.done()
        mine = [each for each in await self._elevations.waiting(everything=True) if each.id == asked]
        if not mine or mine[0].requester.session != live.session.id:
            raise RefusedError(Denial("approval_unknown", "there is no such request of this session"))
        return {"elevation": self._stands(mine[0])}

    async def _request(self, fields: Fields, by: Reviewer) -> Mapping[str, Json]:
        agent, session = fields.maybe_text("agent"), fields.maybe_text("session")
        name, span, reason = fields.text("elevation"), _duration(fields.text("duration")), fields.text("reason")
        fields.done()
        if bool(agent) == bool(session):
            raise SessionError("an elevation is one agent's or one session's", remedy="name the one or the other")
        asked = await self._elevations.ask_for(agent or "", session or "", name, span, reason, by)
        return {"elevation": request_told(_granted(asked))}

    async def _list(self, fields: Fields, by: Reviewer) -> Mapping[str, Json]:
        del by
        everything = fields.flag("all")
        fields.done()
        waiting = await self._elevations.waiting(everything=False)
        past: Sequence[tuple[Elevation, str]] = await self._elevations.store.over() if everything else []
        return {
            "waiting": [request_told(each) for each in waiting if each.state == "PENDING"],
            "in_force": [elevation_told(each) for each in self._elevations.in_force()],
            "over": [{**elevation_told(each), "ended": how} for each, how in past],
        }

    async def _show(self, fields: Fields, by: Reviewer) -> Mapping[str, Json]:
        del by
        asked = fields.text("elevation")
        fields.done()
        for each in await self._elevations.waiting(everything=True):
            if each.id == asked:
                return {"elevation": self._stands(each)}
        raise SessionError(f"there is no elevation `{asked[:100]}`", remedy="see `bailiwick elevation list --all`")

    async def _revoke(self, fields: Fields, by: Reviewer) -> Mapping[str, Json]:
        asked, reason = fields.text("elevation"), fields.maybe_text("reason") or ""
        fields.done()
        return {"elevation": elevation_told(await self._elevations.revoke(asked, by.name, reason[:500]))}

    def _stands(self, approval: Approval) -> dict[str, Json]:
        found = next((each for each in self._elevations.in_force() if each.id == approval.id), None)
        told = request_told(approval)
        return told if found is None else {**told, "state": "IN FORCE", "ends_at": _moment(found)}


def request_told(approval: Approval) -> dict[str, Json]:
    """Return what is told of a request."""
    content = cast("dict[str, Json]", json.loads(approval.subject.content))
    over = {"EXECUTED": "ENDED", "RUNNING": "APPROVED"}
    return {
        "id": approval.id,
        "elevation": approval.subject.text,
        "state": over.get(approval.state, approval.state),
        "agent": content["agent"],
        "session": content["session"] or None,
        "seconds": content["seconds"],
        "reason": approval.purpose,
        "approvers": [group for need in approval.terms.needs for group in need.groups],
        "digest": approval.subject.digest,
        "expires_at": approval.expires_at.isoformat(timespec="seconds"),
        "why": approval.reason if approval.state in ("DENIED", "FAILED", "WITHDRAWN") else "",
    }


def elevation_told(elevation: Elevation) -> dict[str, Json]:
    """Return what is told of one that was granted."""
    return {
        "id": elevation.id,
        "elevation": elevation.name,
        "agent": elevation.agent,
        "session": elevation.session or None,
        "granted_at": elevation.granted_at.isoformat(timespec="seconds"),
        "ends_at": _moment(elevation),
        "approved_by": [*elevation.approved_by],
        "reason": elevation.reason,
    }


def _granted(asked: Approval | Denial) -> Approval:
    if isinstance(asked, Denial):
        raise RefusedError(asked)
    return asked


def _moment(elevation: Elevation) -> str:
    return elevation.ends_at.isoformat(timespec="seconds")


def _duration(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except BailiwickError as error:
        raise SessionError(f"duration: {error.message}", remedy=error.remedy) from None
