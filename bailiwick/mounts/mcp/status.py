"""The gateway's own tool `approval_status`: how requests of this session that wait for people stand."""

from __future__ import annotations

import json
from collections.abc import Mapping

from bailiwick.gateway.enforce import Gateway
from bailiwick.gateway.sessions.live import Live
from bailiwick.model.approval import Approval
from bailiwick.model.decision import Denial
from bailiwick.mounts.held_calls import status, status_of
from bailiwick.mounts.mcp.contents import Result
from bailiwick.mounts.mcp.message import Json
from bailiwick.mounts.mcp.replies import denied

NAME = "approval_status"
_longest_wait = 60
_longest_answer = 2000
_ARGUMENTS = frozenset({"approval", "wait", "answer"})

DEFINITION: Mapping[str, Json] = {
    "name": NAME,
    "title": "How a request stands that waits for people",
    "description": "Says whether people have approved, denied or asked something about a call that waits for them. "
    "Once it is approved, make the same call again with the same arguments: it runs once. Where the gateway runs it "
    "itself (`mode: execute`), `result` has what came of it.",
    "inputSchema": {
        "type": "object",
        "properties": {
            "approval": {"type": "string", "description": "Its id; left out: all that wait."},
            "wait": {"type": "integer", "minimum": 0, "maximum": _longest_wait, "description": "Seconds to wait."},
            "answer": {"type": "string", "description": "An answer to what a reviewer asked."},
        },
        "additionalProperties": False,
    },
    "annotations": {"readOnlyHint": True, "openWorldHint": False},
}


def can_wait(live: Live) -> bool:
    """Return whether something of a session can come to wait for people."""
    policy = live.terms.table.policy
    return (
        any(tool.held for tool in live.tools.tools.values())
        or any(each.held for each in live.scope.resources.values() if each.resource.mount in live.mounts)
        or any(live.session.agent in each.agents for each in policy.elevations.values())
    )


async def approval_status(gateway: Gateway, live: Live, arguments: Mapping[str, Json]) -> Result:
    """Answer it. Of other sessions' requests nothing is said, not even that there are any."""
    approvals = gateway.approvals
    name, wait, answer = (arguments.get(key) for key in ("approval", "wait", "answer"))
    seconds = wait if isinstance(wait, int) and not isinstance(wait, bool) else 0 if wait is None else -1
    fine = {*arguments} <= _ARGUMENTS and 0 <= seconds <= _longest_wait
    fine = fine and isinstance(name, str | None) and isinstance(answer, str | None)
    if not fine or (name is None and (answer is not None or seconds)) or len(str(answer or "")) > _longest_answer:
        message = f"`{NAME}` takes `approval`, and with it `wait` in seconds and `answer`"
        return denied(Denial("argument_not_granted", message, "", "give texts and a number"))
    if name is None:
        mine = [each for each in await approvals.list(everything=False) if _is_of(each, live)]
        return _told({"waiting": [status_of(each) for each in mine]})
    known = await status(gateway, live, str(name))
    if known is None:
        return denied(Denial("approval_unknown", "there is no such approval of this session", "", "leave it out"))
    found, told = known
    if isinstance(answer, str) and answer.strip():
        answered = await approvals.answer(live, found.id, answer)
        if isinstance(answered, Denial):
            return denied(answered)
        found, told = answered, status_of(answered)
    if not found.over and seconds:
        waits = gateway.executions if found.terms.mode == "execute" else approvals
        found = await waits.wait(found.id, seconds)
        known = await status(gateway, live, found.id)
        told = status_of(found) if known is None else known[1]
    return _told(told)


def _is_of(approval: Approval, live: Live) -> bool:
    return approval.requester.session == live.session.id


def _told(data: dict[str, Json]) -> Result:
    text = json.dumps(data, ensure_ascii=False)
    return {"content": [{"type": "text", "text": text}], "structuredContent": data, "isError": False}
