"""What the desk answers about findings."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from bailiwick.gateway.findings.watching import Watching
from bailiwick.gateway.wire import Fields, Json
from bailiwick.ledger.departures import Told
from bailiwick.model.approval import Reviewer

Answer = Callable[[Fields, Reviewer], Awaitable[Mapping[str, Json]]]


def finding(watching: Watching) -> Mapping[str, Answer]:
    """Return the requests about findings."""

    async def listed(fields: Fields, by: Reviewer) -> Mapping[str, Json]:
        del by
        fields.done()
        return {"findings": [_shown(each) for each in await watching.list()]}

    return {"findings.list": listed}


def _shown(each: Told) -> dict[str, Json]:
    return {
        "id": each.id,
        "at": each.at,
        "agent": each.agent,
        "task": each.task,
        "session": each.session,
        "code": each.code,
        "message": each.message,
        "record": each.record,
        **{name: value for name, value in each.detail.items() if name != "finding"},
    }
