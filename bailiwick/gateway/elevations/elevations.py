"""Elevations: asked for, decided by people as every approval is, in force for a while, ended by itself or by hand.

Order of a grant: its approval is consumed, what was approved is checked against the policy and the session of the
moment, the grant is on record and stored, its approval is finished; only then sessions have it. Order of an end: first
sessions lose it, then it is recorded and stored. Whatever fails on the way, nobody has it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import cast

from bailiwick.decide.approvals import DEFAULT_EXPIRES, LASTS
from bailiwick.decide.elevations import check_request, end_of
from bailiwick.errors import BailiwickError, SessionError
from bailiwick.gateway.approvals.approvals import Approvals, denied_stands
from bailiwick.gateway.approvals.records import requester_of
from bailiwick.gateway.elevations.store import ElevationStore
from bailiwick.gateway.recorder import Fact
from bailiwick.gateway.sessions.live import Live
from bailiwick.gateway.sessions.sessions import Sessions
from bailiwick.model.approval import Approval, Need, Requester, Reviewer, Step, Subject, Terms
from bailiwick.model.decision import Denial
from bailiwick.model.elevation import Elevation
from bailiwick.model.policy import ElevationRule

_log = logging.getLogger("bailiwick.elevations")
_sweep_seconds = 0.5
_most_waiting = 5
"""Requests of one agent that wait at once."""
_most_an_hour = 20
"""Requests of one agent in an hour: people's attention is not the agent's to use up."""


class Elevations:
    """The elevations of this gateway. `start` after the approvals, `stop` before them."""

    def __init__(self, sessions: Sessions, approvals: Approvals) -> None:
        self.store = ElevationStore(sessions.state)
        self.listeners: list[Callable[[], None]] = []
        """Called on the event loop when what sessions may do is another because of an elevation; never raise."""
        self._sessions = sessions
        self._approvals = approvals
        self._asked: dict[str, deque[datetime]] = {}
        self._asking = asyncio.Lock()
        self._granting = asyncio.Lock()
        self._stirred = asyncio.Event()
        self._approved: set[str] = set()
        self._sweeping: asyncio.Task[None] | None = None
        approvals.listeners.append(self._heard)
        approvals.followers.append(self._follow)

    async def start(self) -> None:
        """End what was not wholly granted when the gateway stopped, and take up what was approved meanwhile."""
        elevated = self._sessions.elevated
        for each in elevated:
            approval = await self._approvals.store.find(each.id)
            if approval is None or approval.state != "EXECUTED":
                await self._end(each, "interrupted", "gateway")
        waiting = await self._approvals.store.waiting()
        self._approved.update(each.id for each in waiting if each.subject.kind == "elevation")
        self._sweeping = asyncio.create_task(self._sweep())

    async def stop(self) -> None:
        """End the clockwork. What is in force stays so."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.gather(self._sweeping, return_exceptions=True)

    # --- asking ---

    async def ask(self, live: Live, name: str, span: timedelta, reason: str) -> Approval | Denial:
        """Ask for an elevation of a session, by its own agent. Raises LedgerError, ConfigError."""
        refused = live.blocked()
        if refused is not None:
            return refused
        return await self._ask(requester_of(live.session), live.session.id, name, span, reason)

    async def ask_for(
        self, agent: str, session: str, name: str, span: timedelta, reason: str, by: Reviewer
    ) -> Approval | Denial:
        """Ask for an elevation of an agent, or of one of its sessions, by a person, who cannot approve it then."""
        if session:
            live = self._sessions.registry.get(session)
            if live is None or live.ended is not None:
                raise SessionError(f"`{session[:100]}` is not open", remedy="see `bailiwick session list`")
            own = requester_of(live.session)
            requester = replace(own, barred=tuple(dict.fromkeys((*own.barred, by.name))))
        else:
            requester = Requester("", agent, by.name, barred=(by.name,))
        return await self._ask(requester, session, name, span, reason)

    async def _ask(
        self, requester: Requester, session: str, name: str, span: timedelta, reason: str
    ) -> Approval | Denial:
        policy, agent = self._sessions.force.policy, requester.agent
        rule = check_request(policy, agent, name, span, reason)
        async with self._asking:  # one at a time: equal ones are found
            if isinstance(rule, Denial):
                return await self._refused(requester, name, rule)
            subject = _subject(policy.version, agent, session, rule, span)
            waiting = await self._waiting(agent)
            known = await self._approvals.same(session, subject.digest)
            if known is not None and self._still_stands(known):
                return known
            full = self._full(agent, len(waiting))
            if full is not None:
                return await self._refused(requester, name, full)
            approval = self._made(requester, subject, rule, reason)
            await self._approvals.open(approval)
            self._asked.setdefault(agent, deque(maxlen=_most_an_hour)).append(self._sessions.clock())
            return approval

    def _made(self, requester: Requester, subject: Subject, rule: ElevationRule, reason: str) -> Approval:
        now = self._sessions.clock()
        mode = "wait" if requester.session else "execute"  # what is a session's ends with it
        terms = Terms((Need(f"elevation {rule.name}", rule.approvers),), DEFAULT_EXPIRES, LASTS, mode=mode)
        return Approval(
            id=self._approvals.new_id(),
            subject=subject,
            requester=requester,
            terms=terms,
            policy=self._sessions.force.policy.version,
            actions=(),
            grants=(),
            purpose=reason.strip(),
            made_at=now,
            expires_at=now + terms.expires,
            steps=(Step("held", now, "agent", digest=subject.digest),),
        )

    async def _waiting(self, agent: str) -> list[Approval]:
        found = await self._approvals.list(everything=False)
        mine = [each for each in found if each.subject.kind == "elevation" and each.requester.agent == agent]
        return [each for each in mine if each.state == "PENDING"]

    def _still_stands(self, approval: Approval) -> bool:
        """Return whether a request asked again is this one: it waits, is in force, or was denied a moment ago."""
        if approval.state == "EXECUTED":
            return self._sessions.elevated.get(approval.id) is not None
        if approval.state == "DENIED":
            return self._sessions.clock() - approval.steps[-1].at < denied_stands
        return not approval.over

    def _full(self, agent: str, waiting: int) -> Denial | None:
        if waiting >= _most_waiting:
            message = f"{_most_waiting} elevations of `{agent}` are waiting already"
            return Denial("limit_exceeded", message, remedy="wait until people have decided on them")
        asked = self._asked.get(agent)
        hour = self._sessions.clock() - timedelta(hours=1)
        if asked is not None and len(asked) == _most_an_hour and asked[0] > hour:
            message = f"`{agent}` has asked for {_most_an_hour} elevations within an hour"
            return Denial("limit_exceeded", message, remedy="ask later")
        return None

    async def _refused(self, requester: Requester, name: str, denial: Denial) -> Denial:
        recorder = self._sessions.recorder
        detail = {"elevation": name[:100], "by": requester.user or "agent"}
        fact = Fact("elevation.refused", denial.code, denial.message, policy=self._policy, detail=detail)
        who = {"agent": requester.agent, "session": requester.session, "user": requester.user}
        await recorder.keep(recorder.make(fact)._replace(**who))  # pyright: ignore[reportArgumentType]  # texts all
        return denial

    # --- granting ---

    def _heard(self, approval: Approval) -> None:
        if approval.subject.kind == "elevation" and approval.state == "APPROVED":
            self._approved.add(approval.id)
            self._stirred.set()

    async def _follow(self, approval: Approval) -> None:
        """Grant it before whoever approved it is told so: the next call is made under it."""
        if approval.id in self._approved:
            try:
                await self.grant_approved()
            except BailiwickError as error:  # the verdict stands; the sweep tries again
                _log.error("elevations: %s", error.message)

    async def grant_approved(self) -> None:
        """Grant what people have approved. Raises LedgerError, ConfigError: then it is tried again."""
        async with self._granting:
            for each in tuple(self._approved):
                approval = await self._approvals.find(each)
                if approval.state == "APPROVED":
                    await self._grant(approval)
                if approval.over or (await self._approvals.find(each)).over:
                    self._approved.discard(each)

    async def _grant(self, approval: Approval) -> None:
        live = self._sessions.registry.get(approval.requester.session) if approval.requester.session else None
        if approval.terms.mode == "execute":
            begun = await self._approvals.begin_itself(approval)
        elif live is None:
            return  # its end withdraws the approval
        else:
            begun = await self._approvals.begin(live, approval.id, approval.subject.digest)
        if isinstance(begun, Denial):
            return  # suspended, say: it is tried again as long as the approval lasts
        elevation = self._drawn(begun, live)
        if isinstance(elevation, str):
            await self._approvals.finish(approval.id, elevation)
            return
        await self._record("elevation.granted", elevation, by=", ".join(elevation.approved_by))
        await self.store.insert(elevation)
        finished = await self._approvals.finish(approval.id)
        if isinstance(finished, Denial):
            await self.store.end(elevation.id, "interrupted")
            return
        self._sessions.elevated.add(elevation)
        self._refit()

    def _drawn(self, approval: Approval, live: Live | None) -> Elevation | str:
        """Return the elevation that was approved, from now on; or why it cannot be any more."""
        now, policy = self._sessions.clock(), self._sessions.force.policy
        content = cast("dict[str, str | int]", json.loads(approval.subject.content))
        if policy.version != approval.policy:
            return "policy_changed"
        ends = now + timedelta(seconds=int(content["seconds"]))
        if live is not None:
            if live.ended is not None or live.due(now) is not None:
                return "session_closed"
            ends = min(ends, live.session.expires_at)
        people = dict.fromkeys(each.by for each in approval.steps if each.kind == "approved")
        session = str(content["session"])
        made = Elevation(
            approval.id,
            approval.subject.text,
            str(content["agent"]),
            session,
            now,
            ends,
            tuple(people),
            approval.purpose,
        )
        return "policy_changed" if end_of(made, policy) is None else made

    # --- ending ---

    async def revoke(self, elevation_id: str, by: str, reason: str) -> Elevation:
        """End one at once. Raises SessionError when it is not in force."""
        found = self._sessions.elevated.get(elevation_id)
        if found is None:
            raise SessionError(
                f"no elevation `{elevation_id[:100]}` is in force", remedy="see `bailiwick elevation list`"
            )
        await self._end(found, "revoked", by, reason)
        return found

    async def end_what_is_over(self) -> None:
        """End what time, the policy or the end of a session has ended."""
        sessions = self._sessions
        for elevation, how in sessions.elevated.due(sessions.force.policy, sessions.clock()):
            await self._end(elevation, how, "gateway")
        for elevation in sessions.elevated:
            live = sessions.registry.get(elevation.session) if elevation.session else None
            if elevation.session and (live is None or live.ended is not None):
                await self._end(elevation, "session", "gateway")

    async def _end(self, elevation: Elevation, how: str, by: str, reason: str = "") -> None:
        elevated = self._sessions.elevated
        elevated.drop(elevation.id)
        self._refit()
        try:
            await self._record("elevation.ended", elevation, by=by, how=how, why=reason)
            await self.store.end(elevation.id, how)
        except BailiwickError:
            elevated.retry(elevation, how)  # in force it is not; its end is stored later
            raise
        elevated.forget(elevation.id)

    def _refit(self) -> None:
        self._sessions.refit_all()
        for each in self.listeners:
            each()

    async def _record(self, kind: str, elevation: Elevation, *, by: str, how: str = "", why: str = "") -> None:
        recorder = self._sessions.recorder
        detail = {
            "elevation": elevation.id,
            "name": elevation.name,
            "ends_at": elevation.ends_at.isoformat(),
            "by": by,
            **({"how": how} if how else {}),
            **({"reason": why} if why else {}),
        }
        fact = Fact("elevation.granted" if kind == "elevation.granted" else "elevation.ended", policy=self._policy)
        live = self._sessions.registry.get(elevation.session) if elevation.session else None
        record = recorder.make(replace(fact, detail=detail), None if live is None else live.session)
        await recorder.keep(record._replace(agent=elevation.agent, session=elevation.session))

    async def _sweep(self) -> None:
        while True:
            try:
                await self.end_what_is_over()
                await self.grant_approved()
            except BailiwickError as error:  # a store or the ledger: tried again
                _log.error("elevations: %s", error.message)
            try:
                await asyncio.wait_for(self._stirred.wait(), _sweep_seconds)
            except TimeoutError:
                continue
            self._stirred.clear()

    @property
    def _policy(self) -> str:
        return self._sessions.force.policy.version

    # --- telling ---

    def in_force(self) -> Sequence[Elevation]:
        """Return those that are in force, the first to end first."""
        now, policy = self._sessions.clock(), self._sessions.force.policy
        over = {each.id for each, _ in self._sessions.elevated.due(policy, now)}
        return sorted((each for each in self._sessions.elevated if each.id not in over), key=lambda each: each.ends_at)

    async def waiting(self, *, everything: bool) -> Sequence[Approval]:
        """Return the requests that wait for people, or all."""
        found = await self._approvals.list(everything=everything)
        return [each for each in found if each.subject.kind == "elevation"]


def _subject(version: str, agent: str, session: str, rule: ElevationRule, span: timedelta) -> Subject:
    content = json.dumps(
        {"agent": agent, "role": rule.role, "seconds": int(span.total_seconds()), "session": session}, sort_keys=True
    )
    whole = "\0".join((session, version, "elevation", rule.name, content))
    return Subject("elevation", "", rule.name, content, hashlib.sha256(whole.encode()).hexdigest())
