"""One request to a server, whichever revision it speaks: in the modern one it may take several rounds.

There a server that needs an answer ends the request with its questions, and is asked anew with the answers.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import cast

from bailiwick.mounts.mcp.era import encoded
from bailiwick.mounts.mcp.message import METHOD_NOT_FOUND, Json
from bailiwick.mounts.mcp.relay import Answered, Hears
from bailiwick.mounts.mcp.upstream import Reply, Upstream, UpstreamError, params_of

_most_rounds = 16
_most_questions = 16
_several_rounds = frozenset({"tools/call", "prompts/get", "resources/read"})


async def ask(
    upstream: Upstream, method: str, params: Mapping[str, Json], most: int, hears: Hears, mirrored: Mapping[str, str]
) -> Reply:
    """Return the server's last answer. Raises UpstreamError."""
    sent = params
    for _ in range(_most_rounds):
        reply = await upstream.request(method, sent, most, hears, mirrored)
        if upstream.modern is None or reply.result is None or reply.result.get("resultType") != "input_required":
            return reply
        if method not in _several_rounds:
            break
        questions = reply.result.get("inputRequests", {})
        if not isinstance(questions, dict) or len(cast("dict[str, Json]", questions)) > _most_questions:
            break
        answers = await _answers(cast("dict[str, Json]", questions), hears)
        if answers is None:
            return Reply(None, METHOD_NOT_FOUND, "the server asks for what is not supported", reply.size)
        state = reply.result.get("requestState")
        sent = {**params, "inputResponses": answers, **({} if state is None else {"requestState": state})}
    raise UpstreamError("the server asks without end, or in a way that is not clear")


async def _answers(questions: Mapping[str, Json], hears: Hears) -> dict[str, Json] | None:
    """Return the answers; None when there is none to one of the questions."""
    asked = [cast("dict[str, Json]", each) if isinstance(each, dict) else {} for each in questions.values()]
    if not hears.whole:
        return None
    answered: list[Answered] = await asyncio.gather(
        *(hears.asked(str(each.get("method")), params_of(each)) for each in asked)
    )
    if any(error is not None for _, error in answered):
        return None
    return {key: result for key, (result, _) in zip(questions, answered, strict=True)}


def mirrored(definition: str, arguments: Mapping[str, Json]) -> dict[str, str]:
    """Return the headers that repeat those arguments of which the accepted schema says so (`x-mcp-header`)."""
    found: dict[str, str] = {}
    for path, name in _marked(definition):
        value: Json = arguments
        for key in path:
            value = _member(value, key)
        if isinstance(value, bool):
            found[f"Mcp-Param-{name}"] = "true" if value else "false"
        elif isinstance(value, str | int):
            found[f"Mcp-Param-{name}"] = encoded(str(value))
    return found


@lru_cache(maxsize=1024)
def _marked(definition: str) -> tuple[tuple[tuple[str, ...], str], ...]:
    return tuple(_within(_member(cast("Json", json.loads(definition)), "inputSchema"), ()))


def _member(value: Json, key: str) -> Json:
    return cast("dict[str, Json]", value).get(key) if isinstance(value, dict) else None


def _within(schema: Json, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    properties = _member(schema, "properties")
    for key, each in cast("dict[str, Json]", properties).items() if isinstance(properties, dict) else ():
        name = _member(each, "x-mcp-header")
        if (
            isinstance(name, str)
            and name
            and all(c.isascii() and (c.isalnum() or c in "!#$%&'*+-.^_`|~") for c in name)
        ):
            yield (*path, key), name
        yield from _within(each, (*path, key))
