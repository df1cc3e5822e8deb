"""*Reviews*: which are due, one line by line with the evidence of its use, and what was decided, as a patch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from bailiwick.console.access import ROOT, Visit
from bailiwick.console.parts import Parts
from bailiwick.console.rendering import moved
from bailiwick.control.web import Reply, Routes
from bailiwick.errors import PolicyError
from bailiwick.gateway.wire import Json

_SEEING = ("approver", "auditor")
_PLACE = f"{ROOT}/reviews"
Told = Mapping[str, Json]


class ReviewPages:
    """The reviews of all agents, and one."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> Routes:
        """Return who answers which path."""
        doors = self._parts.doors
        return {
            _PLACE: {"GET": doors.page(self._page, *_SEEING)},
            f"{_PLACE}/*": {"GET": doors.page(self._review, *_SEEING)},
            f"{_PLACE}/open": {"POST": doors.act("review.open", self._open, "approver")},
            f"{_PLACE}/*/decide": {"POST": doors.act("review.decide", self._decide, "approver")},
            f"{_PLACE}/*/close": {"POST": doors.act("review.close", self._close, "approver")},
        }

    async def _page(self, visit: Visit) -> Reply:
        agents = (await self._parts.ask(visit, "review.status"))["agents"]
        reviews = (await self._parts.ask(visit, "review.list", {"all": True}))["reviews"]
        return self._parts.doors.show(visit, "reviews.html", {"agents": agents, "reviews": reviews})

    async def _review(self, visit: Visit) -> Reply:
        review = await self._asked(visit, "review.show")
        lines = cast("Sequence[Told]", review["lines"])
        undecided = cast("Sequence[str]", review["undecided"])
        wanted = visit.query.get("line") or (undecided[0] if undecided else "")
        stands = cast("Mapping[str, str | None]", review["stands"])
        patch, left, error = await self._patch(visit)
        values = {
            "review": review,
            "line": next((each for each in lines if each["id"] == wanted), None),
            "asks": [str(each["id"]) for each in lines if stands[str(each["id"])] == "ask"],
            "patch": patch,
            "left": left,
            "error": error,
        }
        return self._parts.doors.show(visit, "review.html", values)

    async def _patch(self, visit: Visit) -> tuple[str, Told, str]:
        """Return what the decisions change of the policy's files, what is left to people, and why it cannot be told."""
        try:
            found = await self._parts.ask(visit, "review.patch", {"review": visit.asked.part})
        except PolicyError as error:
            return "", {}, error.message
        return str(found["patch"]), cast("Told", found["left"]), ""

    async def _open(self, visit: Visit, given: Mapping[str, str]) -> Reply:
        found = await self._parts.ask(visit, "review.open", {"agent": given.get("agent", ""), "owner": None})
        return moved(f"{_PLACE}/{cast('Told', found['review'])['id']}?told=opened")

    async def _decide(self, visit: Visit, given: Mapping[str, str]) -> Reply:
        fields: dict[str, Json] = {name: given.get(name, "") for name in ("line", "verdict")}
        fields["note"] = given.get("note", "").strip() or None
        after = await self._asked(visit, "review.decide", fields)
        return moved(f"{_PLACE}/{after['id']}?told=decided")

    async def _close(self, visit: Visit, given: Mapping[str, str]) -> Reply:
        del given
        after = await self._asked(visit, "review.close")
        return moved(f"{_PLACE}/{after['id']}?told=closed")

    async def _asked(self, visit: Visit, do: str, fields: Mapping[str, Json] | None = None) -> Told:
        found = await self._parts.ask(visit, do, {"review": visit.asked.part, **(fields or {})})
        return cast("Told", found["review"])
