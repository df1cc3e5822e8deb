"""Calls that a gate holds: kept for people, waited for, and let through once, exactly as they were approved.

A call that is let through goes through session and decision again. INVARIANT: what is returned to be run has the digest
that was approved; the approval is consumed by `ToolPath.run`, before anything is executed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bailiwick.decide.calls import Admitted, Held, Refused
from bailiwick.errors import BailiwickError
from bailiwick.gateway.approvals.approvals import Told
from bailiwick.gateway.approvals.executing import same_reach
from bailiwick.gateway.approvals.held import content_of, digest_of, given_in
from bailiwick.gateway.approvals.records import verdict
from bailiwick.gateway.approvals.results import Came
from bailiwick.gateway.call import Call
from bailiwick.gateway.enforce import Gateway
from bailiwick.gateway.sessions.live import Live
from bailiwick.model.approval import Approval, Subject
from bailiwick.model.budget import Used
from bailiwick.model.decision import Denial, Deny
from bailiwick.model.scope import ToolScope
from bailiwick.mounts.mcp.message import Json
from bailiwick.mounts.tool_path import ToolPath, request_of

longest_wait = 600.0
"""Seconds that a caller may wait on one request."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A call as a mount knows it."""

    name: str
    """As the scope has it: with its kind, where that is no tool; of a document the URI."""
    statement: str
    """As the ledger tells it."""
    purpose: str
    detail: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Cleared:
    """A call that people approved: to be run now, with these arguments, which may be others than were asked for."""

    admitted: Admitted
    approval: Approval


@dataclass(frozen=True, slots=True)
class Pending:
    """A call that waits for people still."""

    approval: Approval
    denial: Denial
    record: str


@dataclass(frozen=True, slots=True)
class Barred:
    """A call that is not made: a person denied it, it was not decided in time, or it may not even wait."""

    denial: Denial
    record: str = ""


@dataclass(frozen=True, slots=True)
class Ran:
    """A call that the gateway has run itself, once it was approved; and what came of it."""

    approval: Approval
    told: Came


class HeldCalls:
    """The calls of one session that gates hold."""

    def __init__(self, gateway: Gateway, live: Live, path: ToolPath) -> None:
        self._gateway = gateway
        self._live = live
        self._path = path

    async def clear(self, held: Held, asked: Asked, patience: float) -> Cleared | Pending | Barred | Ran:
        """Hold a call, or take it up again, and wait so many seconds for people to decide."""
        digest = digest_of(self._live, asked.name, held.admitted)
        approvals, executions = self._gateway.approvals, self._gateway.executions
        if (handed := await executions.handed(self._live, digest)) is not None:
            return Ran(handed.approval, handed.told)
        found = await approvals.same(self._live.session.id, digest)
        record = ""
        if found is None or found.state not in ("PENDING", "APPROVED", "RUNNING"):
            kept = await self._hold(held, asked, digest)
            if isinstance(kept, Barred):
                return kept
            found, record = kept
        itself = found.terms.mode == "execute"
        if (found.state == "PENDING" or itself) and not found.over and patience > 0:
            self._live.started()
            try:
                waits = executions if itself else approvals
                found = await waits.wait(found.id, min(patience, longest_wait))
            finally:
                self._live.finished()
        if itself and (handed := await executions.handed(self._live, digest)) is not None:
            return Ran(handed.approval, handed.told)
        if found.state == "PENDING" or (itself and not found.over):
            return Pending(found, verdict(found), record)
        if found.state != "APPROVED":
            return await self._barred(held, asked, verdict(found))
        return await self._approved(held, asked, found)

    async def _hold(self, held: Held, asked: Asked, digest: str) -> tuple[Approval, str] | Barred:
        admitted = held.admitted
        subject = Subject("call", admitted.tool.mount, asked.name, content_of(admitted.arguments), digest)
        request = request_of(admitted.tool, asked.purpose)
        reserved = await self._gateway.reserve(self._live, admitted.allow)
        if isinstance(reserved, Denial):
            return await self._barred(held, asked, reserved)
        self._gateway.charged(self._live, reserved, Used())  # holding is an action, its run another one
        call = Call(admitted.tool.mount, asked.statement, request, held.hold, {**asked.detail})
        kept = await self._gateway.hold_call(self._live, call, subject)
        return Barred(kept.denial, kept.record) if isinstance(kept, Told) else (kept.approval, kept.record)

    async def _approved(self, held: Held, asked: Asked, approval: Approval) -> Cleared | Barred:
        """Decide it again, as it was approved: the policy or the session may be others by now."""
        blocked = self._live.blocked(held.tool.mount)
        if blocked is not None:
            return await self._barred(held, asked, blocked)
        admitted = decided_again(self._gateway, self._live, approval, held.tool)
        if isinstance(admitted, Denial):
            return await self._barred(held, asked, admitted)
        return Cleared(admitted, approval)

    async def _barred(self, held: Held, asked: Asked, denial: Denial) -> Barred:
        request = request_of(held.tool, asked.purpose)
        return Barred(denial, await self._path.refuse(asked.statement, request, Deny(denial)))


def decided_again(gateway: Gateway, live: Live, approval: Approval, tool: ToolScope | None = None) -> Admitted | Denial:
    """Decide a call that was approved once more, as it was approved. INVARIANT: what is returned has its digest."""
    name = approval.subject.text
    tool = tool or live.scope.tools.get(name)
    if tool is None:
        return OTHER
    decided = gateway.decide_keyed(live, name, given_in(tool, approval.subject))
    if isinstance(decided, Refused):
        return decided.decision.denial
    admitted = decided.admitted if isinstance(decided, Held) else decided
    gates = decided.hold.gates if isinstance(decided, Held) else ()
    same = digest_of(live, name, admitted) == approval.subject.digest
    return admitted if same and set(gates) <= set(approval.gates) else OTHER


async def status(gateway: Gateway, live: Live, approval_id: str) -> tuple[Approval, dict[str, Json]] | None:
    """Return how a request stands that waits for people, for the session that made it.

    Of one that the gateway has run it tells what came of it, also to a later session of the same agent for the same
    person, with the same task, values and scope. Of others' requests nothing is said, not even that there are any."""
    try:
        found = await gateway.approvals.find(approval_id)
    except BailiwickError:
        return None
    mine = found.requester.session == live.session.id
    if not mine:
        who = found.requester
        if (who.agent, who.user, who.task) != (live.identity.agent, live.identity.user, live.identity.task):
            return None
        async with gateway.sessions.outlived(found.requester.session) as other:
            if other is None or found.terms.mode != "execute" or not same_reach(live, other):
                return None
    told = status_of(found)
    result = await gateway.executions.shown(live, found)
    return found, told if result is None else {**told, "result": {**result}}


def status_of(approval: Approval) -> dict[str, Json]:
    """Return what the agent may know of a request of its own that waits, or waited, for people."""
    questions = [each for each in approval.steps if each.kind in ("asked", "answered")]
    told: dict[str, Json] = {
        "approval": approval.id,
        "state": approval.state.lower(),
        "gates": [*approval.gates],
        "expires_at": approval.expires_at.isoformat(timespec="seconds"),
    }
    if approval.terms.mode == "execute":
        told["mode"] = "execute"
    if approval.terms.message:
        told["message"] = approval.terms.message
    if approval.state in ("DENIED", "EXPIRED", "WITHDRAWN"):
        told["reason"] = approval.reason
    if questions and questions[-1].kind == "asked":
        told["question"] = questions[-1].text
    if approval.modified and approval.state not in ("PENDING", "DENIED"):
        told["modified"] = True
    return told


OTHER = Denial(
    "approval_changed",
    "what was approved is not what this call would be any more: the policy has changed since",
    remedy="make the call again, so that people can decide on it",
)
