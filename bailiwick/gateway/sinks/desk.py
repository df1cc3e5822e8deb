"""What the desk answers about sinks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from bailiwick.gateway.sinks.sinks import Sinks
from bailiwick.gateway.wire import Fields, Json
from bailiwick.model.approval import Reviewer

Answer = Callable[[Fields, Reviewer], Awaitable[Mapping[str, Json]]]


def sinking(sinks: Sinks) -> Mapping[str, Answer]:
    """Return the requests about sinks."""

    async def listed(fields: Fields, by: Reviewer) -> Mapping[str, Json]:
        del by
        fields.done()
        return {"sinks": await sinks.told()}

    async def test(fields: Fields, by: Reviewer) -> Mapping[str, Json]:
        del by
        name = fields.maybe_text("sink") or ""
        fields.done()
        came = await sinks.test(name)
        return {"sinks": [{"sink": each, "how": how.how, "reason": how.reason} for each, how in came.items()]}

    return {"sinks.list": listed, "sinks.test": test}
