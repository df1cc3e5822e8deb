"""What the desk answers about policies that wait to be promoted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from bailiwick.gateway.policies.promotion import Pending
from bailiwick.gateway.policies.reload import Reloader
from bailiwick.gateway.wire import Fields, Json
from bailiwick.model.approval import Reviewer

Answer = Callable[[Fields, Reviewer], Awaitable[Mapping[str, Json]]]


def promoting(reloader: Reloader) -> Mapping[str, Answer]:
    """Return the requests about promotion."""

    async def pending(fields: Fields, by: Reviewer) -> Mapping[str, Json]:
        del by
        fields.done()
        found = reloader.promotion.pending
        return {"pending": None if found is None else pending_told(found)}

    async def promote(fields: Fields, by: Reviewer) -> Mapping[str, Json]:
        identity = fields.text("pending")
        fields.done()
        changes = await reloader.promote(identity, by)
        return {"promoted": identity, "changes": [str(each) for each in changes]}

    return {"policy.pending": pending, "policy.promote": promote}


def pending_told(pending: Pending) -> dict[str, Json]:
    """Return a pending policy as the desk tells it, in the words of `policy diff`."""
    return {
        "id": pending.id,
        "version": pending.ready.force.policy.version,
        "since": pending.at.isoformat(timespec="seconds"),
        "authors": [*pending.authors],
        "changes": [str(each) for each in pending.changes],
    }
