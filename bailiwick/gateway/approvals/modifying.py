"""Calls that people change before they approve them: decided anew for the session that waits, never widened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import cast

from bailiwick.decide.calls import Held, Refused
from bailiwick.gateway.approvals.desk import Modifier
from bailiwick.gateway.approvals.held import content_of, digest_of, given_in
from bailiwick.gateway.approvals.sight import labels_of_call
from bailiwick.gateway.enforce import Gateway
from bailiwick.gateway.sessions.live import Live
from bailiwick.gateway.sessions.sessions import Sessions
from bailiwick.gateway.wire import Json
from bailiwick.model.approval import Approval, Previewed, Reviewer, Subject
from bailiwick.model.decision import Denial
from bailiwick.model.label import level_of, levels
from bailiwick.model.record import JsonValue


def call_modifier(gateway: Gateway, sessions: Sessions) -> Modifier:
    """Return what changes arguments of calls that wait; null takes one away."""

    async def modified(
        approval: Approval, wanted: Mapping[str, Json], by: Reviewer
    ) -> tuple[Subject, Previewed] | Denial:
        del by
        async with sessions.outlived(approval.requester.session) as live:
            blocked = _OVER if live is None else live.refused(sessions.clock())
            return blocked or _OVER if live is None or blocked is not None else changed(live, approval, wanted)

    def changed(live: Live, approval: Approval, wanted: Mapping[str, Json]) -> tuple[Subject, Previewed] | Denial:
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


def statement_modifier(gateway: Gateway, sessions: Sessions) -> Modifier:
    """Return what puts another statement in the place of one that waits: decided and previewed anew, never wider."""

    async def modified(
        approval: Approval, wanted: Mapping[str, Json], by: Reviewer
    ) -> tuple[Subject, Previewed] | Denial:
        del by
        sql, values = wanted.get("statement"), wanted.get("parameters")
        fine = isinstance(sql, str) and bool(sql.strip()) and isinstance(values, list | None)
        changer = next((each for each in gateway.executions.changers if each.runs(approval.subject)), None)
        if not isinstance(sql, str) or not fine or {*wanted} - {"statement", "parameters"} or changer is None:
            return _ONE
        async with sessions.outlived(approval.requester.session) as live:
            blocked = _OVER if live is None else live.refused(sessions.clock())
            if live is None or blocked is not None:
                return blocked or _OVER
            given = None if values is None else cast("list[JsonValue]", values)
            asked = await changer.modified(live, approval, sql, given)
            if isinstance(asked, Denial):
                return asked
            labels = frozenset(labels_of_call(asked.call, live.scope))
            if levels.index(level_of(labels)) > levels.index(level_of(frozenset(approval.labels))):
                return replace(_MORE, message="the changed statement would touch what is labelled higher")
            previewed = await gateway.preview(live, asked.call, asked.subject, asked.run)
        if isinstance(previewed, Denial):
            return previewed
        before, after = approval.previewed.rows, previewed.rows
        if before is not None and after is not None and after > before:
            return replace(_MORE, message=f"the changed statement would write {after} rows, not {before}")
        return asked.subject, previewed

    return modified


_ONE = Denial(
    "approval_changed",
    "a statement is changed by `statement`, and by `parameters` where it has others",
    remedy="give one statement in the place of the one that waits",
)
_MORE = Denial("approval_changed", "", remedy="narrow it, or deny it and say what to ask for instead")
_OVER = Denial("approval_closed", "its session is over", remedy="there is nothing left to decide")
