"""What the ledger and the agent are told of approvals."""

from __future__ import annotations

from typing import Literal

from bailiwick.decide.approvals import Act
from bailiwick.gateway.recorder import Fact, Recorder
from bailiwick.model.approval import Approval, Requester, Reviewer, Step
from bailiwick.model.decision import Denial
from bailiwick.model.record import JsonValue, Record
from bailiwick.model.session import Session


class ApprovalRecords:
    """Makes their records."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def moved(
        self,
        kind: Literal["approval.held", "approval.verdict", "approval.moved", "approval.ended"],
        approval: Approval,
        line: Step,
        by: Reviewer | None = None,
    ) -> Record:
        """Return the record of a step; `by` is the person who made it."""
        detail: dict[str, JsonValue] = {
            "approval": approval.id,
            "step": line.kind,
            "by": line.by,
            "state": approval.state,
            "digest": approval.subject.digest,
        }
        if line.gates:
            detail["gates"] = [*line.gates]
        if line.groups:
            detail["groups"] = [*line.groups]
        if by is not None:
            detail["means"] = by.means
        if line.kind == "held" and approval.subject.kind == "elevation":
            detail["name"] = approval.subject.text
            detail["asked"] = approval.subject.content
        record = self._recorder.make(Fact(kind, message=line.text, policy=approval.policy, detail=detail))
        return _about(record, approval)._replace(purpose=approval.purpose if line.kind == "held" else "")

    def not_counted(self, approval: Approval, act: Act, by: Reviewer | None, denial: Denial) -> Record:
        """Return the record of a verdict that does not count."""
        detail: dict[str, JsonValue] = {
            "approval": approval.id,
            "step": type(act).__name__.lower(),
            "by": "gateway" if by is None else by.name,
            "state": approval.state,
        }
        fact = Fact("approval.refused", denial.code, denial.message, policy=approval.policy, detail=detail)
        return _about(self._recorder.make(fact), approval)


def requester_of(session: Session) -> Requester:
    """Return for whom something waits, and who is behind it and so may not decide."""
    barred: list[str] = []
    each: Session | None = session
    while each is not None:
        if each.user is not None:
            barred.append(each.user.id)
        each = each.parent
    user = "" if session.user is None else session.user.id
    return Requester(session.id, session.agent, user, session.task or "", session.chain, tuple(dict.fromkeys(barred)))


def held(approval: Approval) -> Denial:
    """Return what an agent is told of what waits for people."""
    rows = approval.previewed.rows
    would = "" if rows is None else f"; it would write {rows} row{'' if rows == 1 else 's'}"
    action = next((each for each in approval.actions if not each.endswith(":read")), "")
    action = action or next(iter(approval.actions), "")
    said = f" ({approval.terms.message})" if approval.terms.message else ""
    message = f"`{action}` waits for an approval: held as `{approval.id}`{would}{said}"
    what = "statement" if approval.subject.kind == "statement" else "call"
    remedy = (
        f"nothing has been done; a person decides on `{approval.id}` while this session is open; "
        f"the same {what} made again is the same request"
    )
    if _runs_itself(approval):
        remedy = (
            f"nothing has been done; a person decides on `{approval.id}`, and the gateway runs it once it is approved; "
            f"the same {what} made again gets the result"
        )
    return Denial("queued" if approval.gates == ("queue",) else "needs_approval", message, "", remedy, action)


def verdict(approval: Approval) -> Denial:
    """Return what an agent is told of what waited for people and will not be done."""
    action = next(iter(approval.actions), "")
    match approval.state:
        case "DENIED":
            return Denial(
                "approval_denied",
                f"`{action}` was denied by a reviewer: {approval.reason} (`{approval.id}`)",
                remedy="do what the reviewer says; the same request again is denied for a while",
                action=action,
            )
        case "EXPIRED":
            said = f"{approval.reason} (`{approval.id}`)"
            return Denial("approval_expired", f"`{action}` is denied: {said}", "", "ask for it again", action)
        case "PENDING":
            return held(approval)
        case "APPROVED" | "RUNNING" if _runs_itself(approval):
            message = f"`{action}` was approved, and the gateway runs it: `{approval.id}`"
            remedy = "nothing is left to do but to ask how it stands; the same request made again gets the result"
            return Denial("needs_approval", message, "", remedy, action)
        case _:
            message = f"`{approval.id}` is {approval.state.lower()}"
            return Denial("approval_closed", message, "", "make a new request", action)


def _runs_itself(approval: Approval) -> bool:
    return approval.terms.mode == "execute" and approval.subject.kind != "elevation"


def _about(record: Record, approval: Approval) -> Record:
    """Return a record with whom an approval is about, also when the session is long over."""
    who = approval.requester
    return record._replace(
        agent=who.agent,
        user=who.user,
        session=who.session,
        task=who.task,
        chain=who.chain,
        mount=approval.subject.mount,
        actions=approval.actions,
    )
