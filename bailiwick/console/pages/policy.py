"""*Policy*: what is loaded, what is wrong with it, what each version changed, and who had it loaded when."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import cast

from bailiwick.console.access import ROOT, Visit
from bailiwick.console.parts import Parts
from bailiwick.console.policies import Policies
from bailiwick.console.records import Shown, shown
from bailiwick.console.rendering import moved
from bailiwick.control.web import Reply, Routes
from bailiwick.gateway.ledger.reader import LedgerReader, Query
from bailiwick.gateway.wire import Json
from bailiwick.policy.lint import Finding, lint

_ROLES = ("viewer", "approver", "auditor", "opener")
_looked_at = 50


class PolicyPages:
    """What is loaded, and one version."""

    def __init__(self, parts: Parts, policies: Policies) -> None:
        self._parts = parts
        self._policies = policies
        self._linted: tuple[str, tuple[Finding, ...]] = ("", ())

    def routes(self) -> Routes:
        """Return who answers which path."""
        doors = self._parts.doors
        return {
            f"{ROOT}/policy": {"GET": doors.page(self._page, *_ROLES)},
            f"{ROOT}/policy/*": {"GET": doors.page(self._version, *_ROLES)},
            f"{ROOT}/policy/promote": {"POST": doors.act("policy.promote", self._promote)},
            f"{ROOT}/policy/reload": {"POST": doors.act("policy.reload", self._reload)},
        }

    async def _page(self, visit: Visit) -> Reply:
        events = await self._parts.read(_loaded)
        policy = self._policies.policy
        if self._linted[0] != policy.version:
            self._linted = (policy.version, await asyncio.to_thread(lint, policy, self._policies.lock))
        kept = {each.version for each in await self._policies.kept()}
        current = await self._policies.current()
        last = next((each for each in events if each.text("kind") in ("policy.refused", "policy.loaded")), None)
        refused = last is not None and last.text("kind") == "policy.refused"
        values: dict[str, object] = {
            "policy": policy,
            "files": {} if current is None else current.files,
            "since": next((each.text("at") for each in reversed(_of_now(events, policy.version))), ""),
            "pending": await self._pending(visit),
            "shadow": await self._shadow(visit),
            "problems": _problems(last) if refused and last is not None else [],
            "findings": self._linted[1],
            "events": events,
            "kept": kept,
        }
        return self._parts.doors.show(visit, "policy.html", values)

    async def _version(self, visit: Visit) -> Reply:
        found = await self._policies.compared(visit.asked.part)
        if found is None:
            return self._parts.doors.problem(visit, 404, "this version is not kept", "see the list of versions")
        new, old, compared = found
        values = {
            "new": new,
            "old": old,
            "compared": compared,
            "in_force": new.version == self._policies.policy.version,
        }
        return self._parts.doors.show(visit, "policy_version.html", values)

    async def _pending(self, visit: Visit) -> Json:
        """Return the policy that waits to be promoted, None when there is none."""
        desk = self._parts.desk()
        if desk is None or "policy.pending" not in desk.more:
            return None
        return (await self._parts.ask(visit, "policy.pending"))["pending"]

    async def _shadow(self, visit: Visit) -> Json:
        """Return the policy that runs in the shadow, None when there is none."""
        desk = self._parts.desk()
        if desk is None or "policy.shadow.status" not in desk.more:
            return None
        return (await self._parts.ask(visit, "policy.shadow.status"))["shadow"]

    async def _promote(self, visit: Visit, given: Mapping[str, str]) -> Reply:
        await self._parts.ask(visit, "policy.promote", {"pending": given.get("pending", "")})
        return moved(f"{ROOT}/policy?told=promoted")

    async def _reload(self, visit: Visit, given: Mapping[str, str]) -> Reply:
        del given
        await self._parts.ask(visit, "reload")
        return moved(f"{ROOT}/policy?told=reloaded")


def _loaded(reader: LedgerReader) -> list[Shown]:
    """Return what happened to the policy, the newest first."""
    found = [
        *(shown(each, "internal") for each in reader.query(Query(kind="policy.loaded", limit=_looked_at))),
        *(shown(each, "internal") for each in reader.query(Query(kind="policy.refused", limit=_looked_at))),
        *(shown(each, "internal") for each in reader.query(Query(kind="gateway.started", limit=_looked_at))),
    ]
    return sorted(found, key=lambda each: each.seq, reverse=True)[:_looked_at]


def _of_now(events: list[Shown], version: str) -> list[Shown]:
    """Return the events since which a version is in force without a break, the newest first."""
    found: list[Shown] = []
    for each in events:
        if each.text("kind") == "policy.refused":
            continue
        if each.text("policy") != version:
            break
        found.append(each)
    return found


def _problems(refused: Shown) -> list[str]:
    detail = refused.members.get("detail")
    problems = cast("Json", detail.get("problems")) if isinstance(detail, dict) else None
    return [str(each) for each in problems] if isinstance(problems, list) else [refused.text("message")]
