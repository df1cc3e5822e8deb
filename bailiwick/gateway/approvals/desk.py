"""The desk's requests about approvals: what the command line, the API and the console ask for people who decide."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from bailiwick.decide.approvals import Approve, Ask, Delegate, Modify, Refuse, longest_text, may_decide
from bailiwick.errors import ProtocolError
from bailiwick.gateway.approvals.approvals import Approvals, Verdict
from bailiwick.gateway.approvals.as_json import told
from bailiwick.gateway.approvals.sight import seen
from bailiwick.gateway.refusal import RefusedError
from bailiwick.gateway.wire import Fields, Json
from bailiwick.model.approval import Approval, Previewed, Reviewer, Subject, SubjectKind
from bailiwick.model.decision import Denial

Answered = Mapping[str, Json]
Modifier = Callable[[Approval, Mapping[str, Json], Reviewer], Awaitable[tuple[Subject, Previewed] | Denial]]
"""(what waits, what is to be changed in it, who changes it) → the changed request, decided and previewed anew."""
_longest_wait = 25.0


class ApprovalDesk:
    """Answers them."""

    def __init__(self, approvals: Approvals) -> None:
        self._approvals = approvals
        self.modifiers: dict[SubjectKind, Modifier] = {}
        """What can change a request of a kind; the mounts bring them."""

    def answers(self) -> Mapping[str, Callable[[Fields, Reviewer], Awaitable[Answered]]]:
        """Return who answers what."""
        return {
            "approval.list": self._list,
            "approval.show": self._show,
            "approval.approve": self._approve,
            "approval.deny": self._deny,
            "approval.modify": self._modify,
            "approval.delegate": self._delegate,
            "approval.ask": self._ask,
            "approval.watch": self._watch,
        }

    async def _list(self, fields: Fields, by: Reviewer) -> Answered:
        everything, mine = fields.flag("all"), fields.flag("mine")
        fields.done()
        seat = self._approvals.seated(by)
        found = await self._approvals.list(everything=everything)
        return {"approvals": [told(each) for each in found if not mine or may_decide(each, seat) is None]}

    async def _show(self, fields: Fields, by: Reviewer) -> Answered:
        approval = fields.text("approval")
        fields.done()
        return {"approval": self._in_full(await self._approvals.find(approval), by)}

    async def _approve(self, fields: Fields, by: Reviewer) -> Answered:
        approval, digest, text = fields.text("approval"), fields.text("digest"), fields.maybe_text("text") or ""
        fields.done()
        return await self._decided(approval, Approve(by, digest, text))

    async def _deny(self, fields: Fields, by: Reviewer) -> Answered:
        approval, reason = fields.text("approval"), _said(fields, "reason")
        fields.done()
        return await self._decided(approval, Refuse(by, reason))

    async def _modify(self, fields: Fields, by: Reviewer) -> Answered:
        approval_id, digest = fields.text("approval"), fields.text("digest")
        wanted, text = fields.mapping("set"), fields.maybe_text("text") or ""
        fields.done()
        found = await self._approvals.find(approval_id)
        barred = await self._approvals.barred(found, by)
        if barred is not None:
            raise RefusedError(barred)
        modifier = self.modifiers.get(found.subject.kind)
        if modifier is None:
            raise ProtocolError("this cannot be modified", remedy="deny it, and say what to ask for instead")
        made = await modifier(found, wanted, by)
        if isinstance(made, Denial):
            raise RefusedError(made)
        return await self._decided(approval_id, Modify(by, digest, *made, text))

    async def _delegate(self, fields: Fields, by: Reviewer) -> Answered:
        approval, groups, text = fields.text("approval"), fields.texts("groups"), fields.maybe_text("text") or ""
        fields.done()
        return await self._decided(approval, Delegate(by, groups, text))

    async def _ask(self, fields: Fields, by: Reviewer) -> Answered:
        approval, text = fields.text("approval"), _said(fields, "text")
        fields.done()
        return await self._decided(approval, Ask(by, text))

    async def _watch(self, fields: Fields, by: Reviewer) -> Answered:
        """Answer once something has changed since `seen`, with what waits then; after a while in any case."""
        del by
        seen = fields.value("seen")
        fields.done()
        if seen is not None and (not isinstance(seen, int) or isinstance(seen, bool)):
            raise ProtocolError("`seen` is not a number")
        count = self._approvals.changes if seen is None else await self._approvals.news(seen, _longest_wait)
        found = await self._approvals.list(everything=False)
        return {"seen": count, "approvals": [told(each) for each in found]}

    async def _decided(self, approval_id: str, verdict: Verdict) -> Answered:
        after = await self._approvals.decide(approval_id, verdict)
        if isinstance(after, Denial):
            raise RefusedError(after)
        for follow in self._approvals.followers:
            await follow(after)
        return {"approval": self._in_full(after, verdict.by)}

    def _in_full(self, approval: Approval, by: Reviewer) -> dict[str, Json]:
        """Return everything about it that they may see, and whether who asks may decide."""
        barred = may_decide(approval, self._approvals.seated(by))
        yours = approval.state == "PENDING" and barred is None
        return {
            **seen(approval, self._approvals.policy, by),
            "yours": yours,
            "not_yours": None if barred is None else barred.message,
        }


def _said(fields: Fields, name: str) -> str:
    found = fields.text(name).strip()
    if not found or len(found) > longest_text:
        raise ProtocolError(f"`{name}` is empty or too long", remedy=f"say it in at most {longest_text} characters")
    return found
