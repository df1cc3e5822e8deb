"""Methods that agents ask, by name: what is answered at once, and what is work. No I/O."""

from __future__ import annotations

from collections.abc import Coroutine

from bailiwick.model.decision import Denial
from bailiwick.mounts.mcp import era
from bailiwick.mounts.mcp.calls import NOT_FOUND, ProtocolError, refusal
from bailiwick.mounts.mcp.clients import Client
from bailiwick.mounts.mcp.contents import Result
from bailiwick.mounts.mcp.message import INVALID_PARAMS, Json, Message, error_of, result_of
from bailiwick.mounts.mcp.relay import Audience
from bailiwick.mounts.mcp.replies import denied

_LISTS = frozenset({"tools/list", "prompts/list", "resources/list", "resources/templates/list"})


def listing(client: Client, method: str) -> Result | None:
    """Return what of a kind the session has; None when that is not what was asked."""
    match method:
        case "tools/list":
            return {"tools": client.tools()}
        case "prompts/list":
            return {"prompts": client.prompts()}
        case "resources/list":
            return {"resources": client.documents(templates=False)}
        case "resources/templates/list":
            return {"resourceTemplates": client.documents(templates=True)}
        case _:
            return None


def work(client: Client, message: Message, audience: Audience) -> Coroutine[object, object, Result] | None:
    """Return what does what was asked; None when it is no method of this kind."""
    match message.method:
        case "tools/call":
            return client.calls.call(message.params, audience)
        case "prompts/get":
            return client.calls.prompt(message.params, audience)
        case "resources/read":
            return client.calls.read(message.params, audience)
        case "completion/complete":
            return client.calls.complete(message.params, audience)
        case _:
            return None


def answer(message: Message, result: Result, *, modern: bool) -> dict[str, Json]:
    """Return the response that tells a result."""
    if not modern:
        return result_of(message.id, result)
    cached = message.method in _LISTS or message.method == "resources/read"
    return result_of(message.id, era.completed(result, listed=cached))


def failure(message: Message, error: ProtocolError, *, modern: bool) -> dict[str, Json]:
    """Return the response that tells an error."""
    code = INVALID_PARAMS if modern and error.code == NOT_FOUND else error.code
    return error_of(message.id, code, error.message, error.data)


def refused(message: Message, denial: Denial, *, modern: bool) -> dict[str, Json]:
    """Return the response to what was not even begun; of a tool in its result, as every denial of one."""
    if message.method == "tools/call":
        return answer(message, denied(denial), modern=modern)
    return failure(message, refusal(denial), modern=modern)
