"""What people are told of approvals. Names, ids and counts: neither arguments nor what an agent says of its reasons."""

from __future__ import annotations

from bailiwick.model.approval import Approval
from bailiwick.model.notice import Notice

_waits = frozenset({"held", "escalated", "delegated", "modified", "answered"})
"""Steps after which somebody else is to look at it."""
_over = {"APPROVED": "was approved", "DENIED": "was denied", "EXPIRED": "has expired", "FAILED": "has failed"}


def approval_notice(approval: Approval) -> Notice | None:
    """Return what people are told of the last step of an approval; None: nothing."""
    line = approval.steps[-1] if approval.steps else None
    if line is None:
        return None
    named = approval.subject.text if approval.subject.kind == "call" else "a statement"  # its text holds values
    who, actions = approval.requester, ", ".join(approval.actions) or named
    if approval.subject.kind == "elevation":
        actions = f"elevation {approval.subject.text}"
    if approval.state == "PENDING" and line.kind in _waits:
        title = f"{who.agent} waits for an approval: {actions}"
    elif line.kind in ("approved", "denied", "expired", "failed") and approval.state in _over:
        title = f"{actions} of {who.agent} {_over[approval.state]}"
    else:
        return None
    groups = sorted({each for need in approval.terms.needs for each in need.groups})
    lines = [f"approval {approval.id}, session {who.session}"]
    lines += [f"for {who.user}"] if who.user else []
    lines += [f"gates: {', '.join(approval.gates)}; approvers: {', '.join(groups) or 'any reviewer'}"]
    lines += [f"until {approval.expires_at.isoformat(timespec='seconds')}"] if not approval.over else []
    once = f"{approval.id} {len(approval.steps)}"
    kind = "elevation" if approval.subject.kind == "elevation" else "approval"
    return Notice(kind, approval.id, title, tuple(lines), f"/console/approvals/{approval.id}", once)
