"""*Sessions*: alive and past; one with its scope in words, its calls as a picture, and how to end it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import cast

from bailiwick.console.access import ROOT, Visit
from bailiwick.console.figures import Line, line
from bailiwick.console.parts import Parts
from bailiwick.console.records import Shown, all_shown
from bailiwick.console.rendering import moved
from bailiwick.console.words import read_moment
from bailiwick.control.web import Reply, Routes
from bailiwick.gateway.ledger.reader import Query
from bailiwick.gateway.wire import Json

_page_size = 100
_calls = 400
"""Calls of a session that are drawn, the newest."""


class SessionPages:
    """The list, and one session."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> Routes:
        """Return who answers which path."""
        doors = self._parts.doors
        any_role = ("viewer", "approver", "auditor", "opener")
        return {
            f"{ROOT}/sessions": {"GET": doors.page(self._list, *any_role)},
            f"{ROOT}/sessions/*": {"GET": doors.page(self._one, *any_role)},
            f"{ROOT}/sessions/*/revoke": {"POST": doors.act("session.revoke", self._revoke, "opener")},
        }

    async def _list(self, visit: Visit) -> Reply:
        past, agent = visit.query.get("past") == "yes", visit.query.get("agent", "")
        found = await self._parts.ask(visit, "session.list", {"all": past})
        sessions = [each for each in _objects(found["sessions"]) if agent in ("", each["agent"])]
        start = _number(visit.query.get("from", ""))
        values = {
            "past": past,
            "agent": agent,
            "sessions": sessions[start : start + _page_size],
            "count": len(sessions),
            "start": start,
            "older": start + _page_size if len(sessions) > start + _page_size else None,
            "newer": max(0, start - _page_size) if start else None,
        }
        return self._parts.doors.show(visit, "sessions.html", values)

    async def _one(self, visit: Visit) -> Reply:
        identity = visit.asked.part
        found = await self._parts.ask(visit, "session.show", {"session": identity})
        session = cast("Mapping[str, Json]", found["session"])
        records = await self._parts.read(lambda reader: reader.query(Query(session=identity, limit=_calls)))
        seen = all_shown(records, visit.clearance)
        values = {
            "session": session,
            "words": found["words"],
            "budgets": found.get("budgets", []),
            "suspended": self._suspended(identity),
            "records": seen[:50] if visit.login.has("auditor") else [],
            "line": _line(seen, session, self._parts.clock()),
            "drawn": len(records),
            "most": _calls,
        }
        return self._parts.doors.show(visit, "session.html", values)

    def _suspended(self, identity: str) -> str:
        """Return why a session is suspended, itself or with others; empty when it is not."""
        live = self._parts.sessions.registry.get(identity)
        return "" if live is None or live.suspended is None else live.suspended.message

    async def _revoke(self, visit: Visit, given: Mapping[str, str]) -> Reply:
        del given
        await self._parts.ask(visit, "session.revoke", {"session": visit.asked.part})
        return moved(f"{ROOT}/sessions/{visit.asked.part}?told=revoked")


def _line(records: Sequence[Shown], session: Mapping[str, Json], now: datetime) -> Line | None:
    """Return the picture of a session's calls."""
    calls: list[tuple[datetime, str, str]] = []
    for each in reversed(records):
        at = read_moment(each.text("at"))
        if at is not None and each.text("kind") in ("call", "intent"):
            calls.append((at, each.text("mount") or "other", each.text("decision") or "allow"))
    if not calls:
        return None
    opened = read_moment(session["opened_at"]) or calls[0][0]
    last = now if session["state"] == "OPEN" else calls[-1][0]
    return line(calls, min(opened, calls[0][0]), max(last, calls[-1][0]))


def _objects(found: Json) -> list[Mapping[str, Json]]:
    return cast("list[Mapping[str, Json]]", found)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0
