"""What the desk answers about notices."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from bailiwick.gateway.notices.notices import Notices
from bailiwick.gateway.notices.store import Outgoing
from bailiwick.gateway.notices.text import plain, title_of
from bailiwick.gateway.wire import Fields, Json
from bailiwick.model.approval import Reviewer

Answer = Callable[[Fields, Reviewer], Awaitable[Mapping[str, Json]]]


def noticing(notices: Notices) -> Mapping[str, Answer]:
    """Return the requests about notices."""

    async def test(fields: Fields, by: Reviewer) -> Mapping[str, Json]:
        del by
        channel = fields.maybe_text("channel") or ""
        fields.done()
        came = await notices.test(channel)
        return {"channels": [{"channel": name, "how": each.how, "reason": each.reason} for name, each in came.items()]}

    async def listed(fields: Fields, by: Reviewer) -> Mapping[str, Json]:
        del by
        fields.done()
        return {"notices": [_told(row) for row in await notices.list()]}

    return {"notify.test": test, "notify.list": listed}


def _told(row: Outgoing) -> dict[str, Json]:
    return {
        "id": row.id,
        "channel": row.channel,
        "kind": row.notice.kind,
        "subject": plain(row.notice.subject),
        "title": title_of(row.notice),
        "state": row.state,
        "attempts": row.attempts,
        "reason": row.reason,
        "made_at": row.made_at.isoformat(timespec="seconds"),
        "next_at": row.next_at.isoformat(timespec="seconds") if row.state == "WAITING" else None,
    }
