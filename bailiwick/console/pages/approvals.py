"""*Approvals*: the queue, live; one request with everything that a reviewer needs, and what they decide."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from datetime import timedelta
from typing import cast
from urllib.parse import quote

from bailiwick.console.access import ROOT, Visit
from bailiwick.console.oidc import Oidc
from bailiwick.console.parts import Parts
from bailiwick.console.rendering import moved
from bailiwick.console.reviewing import changes, review
from bailiwick.control.web import Reply, Routes
from bailiwick.errors import BailiwickError
from bailiwick.gateway.wire import Json

_page_size = 50
_PLACE = f"{ROOT}/approvals"
Told = Mapping[str, Json]


class ApprovalPages:
    """The queue, and one request."""

    def __init__(self, parts: Parts, oidc: Oidc, modifiable: Container[str]) -> None:
        """`modifiable`: the kinds of requests that people can change before they approve them."""
        self._parts = parts
        self._modifiable = modifiable
        self._oidc = oidc

    def routes(self) -> Routes:
        """Return who answers which path."""
        doors = self._parts.doors
        return {
            _PLACE: {"GET": doors.page(self._list, "approver", "auditor")},
            f"{_PLACE}/live": {"GET": doors.page(self._live, "approver", "auditor", shape="part")},
            f"{_PLACE}/*": {"GET": doors.page(self._one, "approver", "auditor")},
            f"{_PLACE}/*/decide": {"POST": doors.act("approval.decide", self._decide, "approver")},
        }

    async def _list(self, visit: Visit) -> Reply:
        return self._parts.doors.show(visit, "approvals.html", await self._queue(visit))

    async def _live(self, visit: Visit) -> Reply:
        async def render() -> str:
            return self._parts.doors.part(visit, "approvals_part.html", await self._queue(visit))

        return self._parts.live(visit, render)

    async def _queue(self, visit: Visit) -> Mapping[str, object]:
        which = visit.query.get("which", "mine" if visit.login.has("approver") else "waiting")
        asked: dict[str, Json] = {"all": which == "past", "mine": which == "mine"}
        found = _objects((await self._parts.ask(visit, "approval.list", asked))["approvals"])
        if which == "past":
            found = [each for each in found if each["state"] not in ("PENDING", "APPROVED", "RUNNING")]
        else:
            found = list(reversed(found))  # who waits longest comes first
        start = _number(visit.query.get("from", ""))
        now = self._parts.clock()
        return {
            "which": which,
            "approvals": found[start : start + _page_size],
            "count": len(found),
            "start": start,
            "further": start + _page_size if len(found) > start + _page_size else None,
            "back": max(0, start - _page_size) if start else None,
            "now": now.replace(microsecond=0, second=now.second // 10 * 10),
        }

    async def _one(self, visit: Visit) -> Reply:
        return await self._shown(visit, visit.asked.part)

    async def _shown(self, visit: Visit, identity: str, error: BailiwickError | None = None) -> Reply:
        found = cast("Told", (await self._parts.ask(visit, "approval.show", {"approval": identity}))["approval"])
        values = {
            "approval": found,
            "review": review(found),
            "error": error,
            "again": self._again(visit, found),
            "modifiable": str(found["kind"]) in self._modifiable,
            "decides": bool(found["yours"]) and visit.login.has("approver"),
        }
        return self._parts.doors.show(visit, "approval.html", values, 200 if error is None else 409)

    def _again(self, visit: Visit, found: Told) -> str | None:
        """Return where somebody proves anew who they are, if that is asked of them; empty: by another link."""
        longest = found["reauth"]
        if not isinstance(longest, int | float):
            return None
        if self._parts.clock() - visit.login.authenticated_at <= timedelta(seconds=longest):
            return None
        issuer = self._oidc.named(visit.login.issuer)
        here = quote(f"{_PLACE}/{found['id']}", safe="")
        return "" if issuer is None else f"{ROOT}/login/oidc/{issuer}?again=yes&to={here}"

    async def _decide(self, visit: Visit, given: Mapping[str, str]) -> Reply:
        identity, verdict = visit.asked.part, given.get("verdict", "")
        try:
            problem = await self._decided(visit, identity, verdict, given)
        except BailiwickError as error:
            if error.code in ("session", "ledger", "config"):
                raise
            return await self._shown(visit, identity, error)
        if problem:
            return self._parts.doors.problem(visit, 400, problem, "load the page anew and try again")
        return moved(f"{_PLACE}/{identity}?told={verdict}")

    async def _decided(self, visit: Visit, identity: str, verdict: str, given: Mapping[str, str]) -> str:
        """Have the desk do what was decided; return what is wrong with the form."""
        ask, reason, digest = self._parts.ask, given.get("reason", "").strip(), given.get("digest", "")
        known: dict[str, Json] = {"approval": identity}
        text: dict[str, Json] = {"text": reason} if reason else {}
        match verdict:
            case "approve":
                await ask(visit, "approval.approve", {**known, **text, "digest": digest})
            case "modify":
                found = cast("Told", (await ask(visit, "approval.show", {"approval": identity}))["approval"])
                wanted = changes(found, given)
                await ask(visit, "approval.modify", {**known, **text, "digest": digest, "set": wanted})
            case "deny":
                await ask(visit, "approval.deny", {**known, "reason": reason})
            case "delegate":
                groups: list[Json] = [*given.get("group", "").replace(",", " ").split()]
                await ask(visit, "approval.delegate", {**known, **text, "groups": groups})
            case "ask":
                await ask(visit, "approval.ask", {**known, "text": reason})
            case _:
                return "nothing is decided"
        return ""


def _objects(found: Json) -> Sequence[Told]:
    return cast("list[Told]", found)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0
