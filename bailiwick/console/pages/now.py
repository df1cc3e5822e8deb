"""*Now*: what happens at the moment, each figure with the way to its records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import cast

from bailiwick.console.access import ROOT, Visit
from bailiwick.console.figures import bars
from bailiwick.console.parts import Parts
from bailiwick.console.records import all_shown
from bailiwick.control.web import Reply, Routes
from bailiwick.gateway.ledger.reader import LedgerReader, Query, Stored
from bailiwick.gateway.sessions.live import Live
from bailiwick.gateway.wire import Json

_listed = 8
_looked_into = 40
_budgets_every = timedelta(seconds=5)
_a_day = timedelta(days=1)
_tight = 80
"""Percent of a budget from which it is shown."""


class Now:
    """The first page."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._full: Sequence[Mapping[str, Json]] = ()
        self._looked_at = self._asked_at = datetime.min.replace(tzinfo=UTC)
        self._findings: Sequence[Mapping[str, Json]] = ()
        self._sinks: Sequence[Mapping[str, Json]] = ()
        self._overdue: Sequence[Mapping[str, Json]] = ()
        self._due_at = datetime.min.replace(tzinfo=UTC)

    def routes(self) -> Routes:
        """Return who answers which path."""
        doors = self._parts.doors
        any_role = ("viewer", "approver", "auditor", "opener")
        return {
            ROOT: {"GET": doors.page(self._page, *any_role)},
            f"{ROOT}/now/live": {"GET": doors.page(self._live, *any_role, shape="part")},
        }

    async def _page(self, visit: Visit) -> Reply:
        return self._parts.doors.show(visit, "now.html", await self._values(visit))

    async def _live(self, visit: Visit) -> Reply:
        async def render() -> str:
            return self._parts.doors.part(visit, "now_part.html", await self._values(visit))

        return self._parts.live(visit, render)

    async def _values(self, visit: Visit) -> Mapping[str, object]:
        parts = self._parts
        complete = await parts.counting.counted()
        now, tally = parts.clock().replace(microsecond=0), parts.counting.tally
        hour, day = bars(tally.per_minute(now, 60)), bars(tally.per_minute(now, 96, 15))
        live = sorted(parts.sessions.registry, key=lambda each: each.active, reverse=True)
        refused = await parts.read(_refused) if visit.login.has("auditor") else []
        recent = tally.per_minute(now, 6)[:5]
        if visit.login.has("auditor"):
            await self._ask(visit)
        await self._look_at_reviews(visit)
        return {
            "now": now.replace(second=now.second // 10 * 10),  # so that a quiet page does not change each second
            "complete": complete,
            "hour": hour,
            "day": day,
            "a_minute": round(sum(sum(each.values()) for each in recent) / 5),
            "tight": await self._tight(live),
            "alive": len(live),
            "connections": sum(each.connections for each in live),
            "sessions": live[:_listed],
            "refused": all_shown(refused, visit.clearance),
            "policy": parts.sessions.force.policy.version,
            "findings": self._findings,
            "sinks": self._sinks,
            "overdue": self._overdue,
        }

    async def _look_at_reviews(self, visit: Visit) -> None:
        """Ask now and then whose reviews are overdue."""
        now, desk = self._parts.clock(), self._parts.desk()
        if desk is None or "review.status" not in desk.more or now - self._due_at < _budgets_every:
            return
        self._due_at = now
        agents = cast("Sequence[Mapping[str, Json]]", (await self._parts.ask(visit, "review.status"))["agents"])
        self._overdue = [each for each in agents if each["overdue"]]

    async def _ask(self, visit: Visit) -> None:
        """Ask now and then what was out of the usual within a day, and which sinks are not delivered to."""
        now = self._parts.clock()
        if now - self._asked_at < _budgets_every:
            return
        self._asked_at = now
        findings = cast("Sequence[Mapping[str, Json]]", (await self._parts.ask(visit, "findings.list"))["findings"])
        recent = [each for each in findings if datetime.fromisoformat(str(each["at"])) > now - _a_day]
        self._findings = recent[:_listed]
        sinks = cast("Sequence[Mapping[str, Json]]", (await self._parts.ask(visit, "sinks.list"))["sinks"])
        self._sinks = [each for each in sinks if each["state"] in ("failing", "stopped")]

    async def _tight(self, live: Sequence[Live]) -> Sequence[Mapping[str, Json]]:
        """Return the budgets that are close to full, of the sessions that were used last; looked at now and then."""
        now, desk = self._parts.clock(), self._parts.desk()
        if now - self._looked_at < _budgets_every or desk is None:
            return self._full
        self._looked_at = now
        found: dict[str, Mapping[str, Json]] = {}
        for each in live[:_looked_into]:
            for budget in cast("Sequence[Mapping[str, Json]]", await desk.budgets(each)):
                percent = budget["percent"]
                if isinstance(percent, int) and percent >= _tight:
                    found[str(budget["name"])] = budget
        self._full = sorted(found.values(), key=lambda budget: -cast("int", budget["percent"]))[:_listed]
        return self._full


def _refused(reader: LedgerReader) -> list[Stored]:
    return reader.query(Query(decision="deny", limit=_listed))
