"""The state machine of everything that waits for people. Pure: an approval, an act and a moment give the next state.

INVARIANT: nothing is begun without the recorded verdicts that its terms ask for, of people who may give them, on the
digest that is begun. What has expired or was withdrawn is never begun. What was begun is not begun again, unless it
was confirmed to have been rolled back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from bailiwick.model.approval import (
    Approval,
    ApprovalState,
    Need,
    Previewed,
    Reviewer,
    Step,
    Subject,
    Terms,
)
from bailiwick.model.decision import Denial
from bailiwick.model.policy import ApproverGroup, Gate, Policy

DEFAULT_EXPIRES: Final = timedelta(hours=24)
LASTS: Final = timedelta(hours=1)
"""How long after its approval something may begin."""
most_steps = 100
"""Questions, answers, delegations and modifications of one approval."""
longest_text = 2000


@dataclass(frozen=True, slots=True)
class Approve:
    """A person approves what they were shown: the subject of that digest."""

    by: Reviewer
    digest: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Refuse:
    """A person denies it, and says why."""

    by: Reviewer
    reason: str


@dataclass(frozen=True, slots=True)
class Modify:
    """A person puts another request in its place, which was decided and previewed anew. Verdicts so far are void."""

    by: Reviewer
    digest: str
    """Of what they were shown."""
    subject: Subject
    previewed: Previewed
    text: str = ""


@dataclass(frozen=True, slots=True)
class Delegate:
    """A person hands what they could decide to other groups."""

    by: Reviewer
    groups: tuple[str, ...]
    text: str = ""


@dataclass(frozen=True, slots=True)
class Ask:
    """A person asks back."""

    by: Reviewer
    text: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The agent, or its person, answers."""

    session: str
    text: str


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Its session has ended. `revoked`: by force, which ends also what the gateway would have run itself."""

    reason: str
    revoked: bool = False


@dataclass(frozen=True, slots=True)
class Begin:
    """It is about to run, for its session: what was approved is consumed."""

    session: str
    digest: str


@dataclass(frozen=True, slots=True)
class Finish:
    """It has run; `code` is empty when that succeeded."""

    code: str = ""


@dataclass(frozen=True, slots=True)
class Restore:
    """It has run and is confirmed to have been rolled back, wholly."""

    reason: str


Act = Approve | Refuse | Modify | Delegate | Ask | Answer | Withdraw | Begin | Finish | Restore


def step(approval: Approval, act: Act, now: datetime) -> Approval | Denial:
    """Return the approval after an act, or why it cannot be done. What time does to it comes first."""
    current = as_of(approval, now)
    match act:
        case Approve():
            return _deciding(current, act.by, now) or _approved(current, act, now)
        case Refuse():
            denied = _deciding(current, act.by, now)
            return denied or _stepped(current, Step("denied", now, act.by.name, act.reason), state="DENIED")
        case Modify():
            return _deciding(current, act.by, now) or _modified(current, act, now)
        case Delegate():
            return _deciding(current, act.by, now) or _delegated(current, act, now)
        case Ask():
            denied = _deciding(current, act.by, now) or _talking(current)
            return denied or _stepped(current, Step("asked", now, act.by.name, act.text))
        case Answer():
            return _answered(current, act, now)
        case Withdraw():
            return _withdrawn(current, act, now)
        case Begin():
            return _begun(current, act, now)
        case Finish() | Restore():
            return _ended(current, act, now)


def as_of(approval: Approval, now: datetime) -> Approval:
    """Return an approval as it is at a moment: expired, or escalated, where that is due."""
    if approval.state not in ("PENDING", "APPROVED"):
        return approval
    if now >= approval.expires_at:
        waited = "nobody decided in time" if approval.state == "PENDING" else "it was not run in time"
        return _stepped(approval, Step("expired", approval.expires_at, "gateway", waited), state="EXPIRED")
    if approval.state == "APPROVED":
        return approval
    for need in approval.terms.needs:
        due = None if need.escalate_after is None else approval.made_at + need.escalate_after
        if due is not None and now >= due:
            wider = replace(need, groups=_more(need.groups, need.escalate_to), escalate_after=None)
            line = Step("escalated", due, "gateway", gates=(need.gate,), groups=need.escalate_to)
            approval = _stepped(_with_need(approval, need, wider), line)
    return approval


def met(approval: Approval) -> bool:
    """Return whether the verdicts on record, on what the subject is now, are those that the terms ask for."""
    return all(len(_counted(approval, need.gate)) >= need.quorum for need in approval.terms.needs)


def missing(approval: Approval) -> Sequence[tuple[Need, int]]:
    """Return the needs that are not met, each with how many people it still lacks."""
    found = ((need, need.quorum - len(_counted(approval, need.gate))) for need in approval.terms.needs)
    return [(need, lack) for need, lack in found if lack > 0]


def may_decide(approval: Approval, by: Reviewer) -> Denial | None:
    """Return why a person may not decide on it, None when they may. Whether it still can be decided is not asked."""
    if by.means == "client":
        return Denial("approval_not_yours", "a program decides on no approval", remedy="log in as a person")
    if _folded(by.name) in {_folded(each) for each in approval.requester.barred if each}:
        message = "whoever asks for something does not approve it"
        return Denial("approval_not_yours", message, remedy="another person has to decide")
    if not any(serves(by, need) for need in approval.terms.needs):
        wanted = ", ".join(sorted({each for need in approval.terms.needs for each in need.groups}))
        message = f"`{approval.id}` is not for you to decide"
        return Denial("approval_not_yours", message, f"a member of {wanted}" if wanted else "a reviewer", "ask them")
    return None


def serves(by: Reviewer, need: Need) -> bool:
    """Return whether a person is of a group that a need names."""
    if by.everywhere:
        return True
    return bool(by.groups & set(need.groups)) if need.groups else by.means != "local"


def seated(by: Reviewer, approvers: Mapping[str, ApproverGroup], *, local: bool) -> Reviewer:
    """Return a person with the groups that they have under a policy: a name in `approvers` hides an issuer's."""
    named = {name for name, group in approvers.items() if by.name in group.users or bool(by.groups & set(group.groups))}
    groups = frozenset((by.groups - approvers.keys()) | named)
    return replace(by, groups=groups, everywhere=local and by.means in ("local", "link"))


def terms_of(policy: Policy, gates: Iterable[str]) -> Terms:
    """Return under which terms what these gates hold may be approved. The strictest of each counts."""
    names = tuple(dict.fromkeys(gates))
    rules = [policy.gates.get(name) or Gate(name) for name in names]
    needs = tuple(Need(rule.name, rule.approvers, rule.quorum, rule.escalate_after, rule.escalate_to) for rule in rules)
    return Terms(
        needs,
        min((rule.expires for rule in rules if rule.expires is not None), default=DEFAULT_EXPIRES),
        LASTS,
        min((rule.reauth for rule in rules if rule.reauth is not None), default=None),
        "execute" if rules and all(rule.mode == "execute" for rule in rules) else "wait",
        "; ".join(rule.message for rule in rules if rule.message),
    )


def _deciding(approval: Approval, by: Reviewer, now: datetime) -> Denial | None:
    """Return why a person may decide nothing here, None when they may."""
    if approval.state != "PENDING":
        return _closed(approval)
    barred = may_decide(approval, by)
    if barred is not None:
        return barred
    longest = approval.terms.reauth
    if longest is not None and by.means != "local":
        fresh = by.authenticated_at is not None and timedelta(0) <= now - by.authenticated_at <= longest
        if not fresh:
            minutes = int(longest.total_seconds() // 60)
            message = f"`{approval.id}` asks for a login within the last {minutes} min"
            return Denial("reauthentication_needed", message, remedy="log in again, then decide")
    return None


def _approved(approval: Approval, act: Approve, now: datetime) -> Approval | Denial:
    if act.digest != approval.subject.digest:
        return _changed(approval)
    gates = tuple(
        need.gate
        for need in approval.terms.needs
        if serves(act.by, need) and _folded(act.by.name) not in _counted(approval, need.gate)
    )
    if not gates:
        message = f"you have approved `{approval.id}` already"
        return Denial("approval_not_yours", message, remedy="somebody else's approval is still needed")
    line = Step("approved", now, act.by.name, act.text[:longest_text], act.digest, gates)
    voted = _stepped(approval, line)
    if not met(voted):
        return voted
    return replace(voted, state="APPROVED", expires_at=now + approval.terms.lasts)


def _modified(approval: Approval, act: Modify, now: datetime) -> Approval | Denial:
    if act.digest != approval.subject.digest:
        return _changed(approval)
    if act.subject.kind != approval.subject.kind or act.subject.digest == approval.subject.digest:
        return Denial("approval_changed", "this changes nothing that could be approved", remedy="approve or deny it")
    line = Step("modified", now, act.by.name, act.text[:longest_text], act.subject.digest)
    terms = approval.terms
    if act.subject.kind == "statement":  # its agent has another one, which would never be this one
        terms = replace(terms, mode="execute")
    changed = replace(approval, subject=act.subject, previewed=act.previewed, terms=terms)
    return _talking(approval) or _stepped(changed, line)


def _delegated(approval: Approval, act: Delegate, now: datetime) -> Approval | Denial:
    full = _talking(approval)
    if full is not None:
        return full
    if not act.groups:
        return Denial("approval_not_yours", "it is delegated to nobody", remedy="name a group")
    changed = approval
    handed: list[str] = []
    for need in approval.terms.needs:
        if serves(act.by, need):
            changed = _with_need(changed, need, replace(need, groups=act.groups))
            handed.append(need.gate)
    line = Step("delegated", now, act.by.name, act.text[:longest_text], gates=tuple(handed), groups=act.groups)
    return _stepped(changed, line)


def _answered(approval: Approval, act: Answer, now: datetime) -> Approval | Denial:
    if approval.state != "PENDING":
        return _closed(approval)
    if act.session != approval.requester.session:
        return _unknown(approval.id)
    talk = [each.kind for each in approval.steps if each.kind in ("asked", "answered")]
    if not talk or talk[-1] != "asked":
        return Denial("approval_closed", f"nobody asks anything about `{approval.id}`", remedy="wait")
    return _talking(approval) or _stepped(approval, Step("answered", now, "agent", act.text[:longest_text]))


def _withdrawn(approval: Approval, act: Withdraw, now: datetime) -> Approval | Denial:
    if approval.state not in ("PENDING", "APPROVED"):
        return _closed(approval)
    if approval.terms.mode == "execute" and not act.revoked:
        return Denial("approval_closed", f"`{approval.id}` outlives its session", remedy="deny it")
    return _stepped(approval, Step("withdrawn", now, "gateway", act.reason), state="WITHDRAWN")


def _begun(approval: Approval, act: Begin, now: datetime) -> Approval | Denial:
    if act.session != approval.requester.session:
        return _unknown(approval.id)
    if approval.state != "APPROVED" or not met(approval):
        return _closed(approval)
    if act.digest != approval.subject.digest:
        return _changed(approval)
    return _stepped(approval, Step("begun", now, "gateway", digest=act.digest), state="RUNNING")


def _ended(approval: Approval, act: Finish | Restore, now: datetime) -> Approval | Denial:
    if approval.state != "RUNNING":
        return _closed(approval)
    if isinstance(act, Restore):
        return _stepped(approval, Step("restored", now, "gateway", act.reason), state="APPROVED")
    if act.code:
        return _stepped(approval, Step("failed", now, "gateway", act.code), state="FAILED")
    return _stepped(approval, Step("executed", now, "gateway"), state="EXECUTED")


def _counted(approval: Approval, gate: str) -> set[str]:
    """Return who has approved what the subject is now, for a gate, since it was last modified."""
    digest = approval.subject.digest
    found = set[str]()
    for each in approval.steps:
        if each.kind == "modified":
            found.clear()
        elif each.kind == "approved" and each.digest == digest and gate in each.gates:
            found.add(_folded(each.by))
    return found


def _stepped(approval: Approval, line: Step, state: ApprovalState | None = None) -> Approval:
    return replace(approval, steps=(*approval.steps, line), state=state or approval.state)


def _with_need(approval: Approval, old: Need, new: Need) -> Approval:
    needs = tuple(new if each.gate == old.gate else each for each in approval.terms.needs)
    return replace(approval, terms=replace(approval.terms, needs=needs))


def _more(groups: tuple[str, ...], further: tuple[str, ...]) -> tuple[str, ...]:
    """Return the groups with further ones; those of anybody stay those of anybody."""
    return tuple(dict.fromkeys((*groups, *further))) if groups else groups


def _talking(approval: Approval) -> Denial | None:
    if len(approval.steps) < most_steps:
        return None
    message = f"`{approval.id}` has {most_steps} steps already"
    return Denial("limit_exceeded", message, "to approve or to deny it", "decide on it")


_words: Mapping[str, str] = {
    "APPROVED": "has been approved already",
    "DENIED": "has been denied",
    "EXPIRED": "has expired",
    "WITHDRAWN": "has ended with its session",
    "RUNNING": "is being run",
    "EXECUTED": "has been run",
    "FAILED": "has been run, and failed",
    "PENDING": "waits for people",
}


def _closed(approval: Approval) -> Denial:
    code = "approval_expired" if approval.state == "EXPIRED" else "approval_closed"
    message = f"`{approval.id}` {_words[approval.state]}"
    return Denial(code, message, remedy="there is nothing left to decide" if approval.over else "")


def _changed(approval: Approval) -> Denial:
    message = f"`{approval.id}` is not what it was when you looked at it"
    return Denial("approval_changed", message, remedy="look at it again, then decide")


def _unknown(approval: str) -> Denial:
    return Denial("approval_unknown", f"there is no approval `{approval}` of this session")


def _folded(name: str) -> str:
    """Return a name as four eyes compare it: one that could be taken for another's is the same."""
    return name.strip().casefold()
