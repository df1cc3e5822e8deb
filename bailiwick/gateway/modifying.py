"""Calls that people change before they approve them: decided anew for the session that waits, never widened."""

from __future__ import annotations

from collections.abc import Mapping

from bailiwick.decide.calls import Held, Refused
from bailiwick.gateway.approval_desk import Modifier
from bailiwick.gateway.enforce import Gateway
from bailiwick.gateway.held import content_of, digest_of, given_in
from bailiwick.gateway.sessions import Sessions
from bailiwick.gateway.wire import Json
from bailiwick.model.approval import Approval, Previewed, Reviewer, Subject
from bailiwick.model.decision import Denial


def call_modifier(gateway: Gateway, sessions: Sessions) -> Modifier:
    """Return what changes arguments of calls that wait; null takes one away."""

    async def modified(
        approval: Approval, wanted: Mapping[str, Json], by: Reviewer
    ) -> tuple[Subject, Previewed] | Denial:
        del by
        live = sessions.registry.get(approval.requester.session)
        blocked = _OVER if live is None else live.refused(sessions.clock())
        if live is None or blocked is not None:
            return blocked or _OVER
        name = approval.subject.text
        tool = live.scope.tools.get(name)
        if tool is None or tool.tool.kind in ("document", "file"):
            return Denial("approval_changed", "nothing of this can be changed", remedy="approve or deny it")
        given = {**given_in(tool, approval.subject), **wanted}
        decided = gateway.decide_keyed(live, name, {key: value for key, value in given.items() if value is not None})
        if isinstance(decided, Refused):
            return decided.decision.denial
        admitted = decided.admitted if isinstance(decided, Held) else decided
        if isinstance(decided, Held) and not set(decided.hold.gates) <= set(approval.gates):
            message = "with these arguments another gate would hold it too"
            return Denial("approval_changed", message, remedy="deny it, and say what to ask for instead")
        digest = digest_of(live, name, admitted)
        return Subject("call", admitted.tool.mount, name, content_of(admitted.arguments), digest), Previewed()

    return modified


_OVER = Denial("approval_closed", "its session is over", remedy="there is nothing left to decide")
