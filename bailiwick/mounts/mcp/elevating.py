"""The gateway's own tool `request_elevation`: an agent asks people for more than it may, for a while."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import cast

from bailiwick.errors import BailiwickError
from bailiwick.gateway.elevations.desk import ElevationDesk
from bailiwick.gateway.refusal import RefusedError
from bailiwick.gateway.sessions.live import Live
from bailiwick.gateway.wire import Fields
from bailiwick.gateway.wire import Json as WireJson
from bailiwick.match.in_words import duration_in_words
from bailiwick.model.decision import Denial
from bailiwick.model.policy import ElevationRule
from bailiwick.mounts.mcp.contents import Result
from bailiwick.mounts.mcp.message import Json
from bailiwick.mounts.mcp.replies import denied

NAME = "request_elevation"


def elevations_for(live: Live) -> list[ElevationRule]:
    """Return the elevations that a session may ask for."""
    return [each for each in live.terms.table.policy.elevations.values() if live.session.agent in each.agents]


def definition(rules: list[ElevationRule]) -> dict[str, Json]:
    """Return the tool for a session that may ask for these."""
    longest = "; ".join(f"{each.name}: at most {duration_in_words(each.max)}" for each in rules)
    properties: dict[str, Json] = {
        "elevation": {"type": "string", "enum": [each.name for each in rules], "description": longest},
        "duration": {"type": "string", "description": "For how long, e.g. `30m` or `2h`; as short as will do."},
        "reason": {"type": "string", "description": "What it is for; the people who decide read it."},
    }
    return {
        "name": NAME,
        "title": "Ask people for more rights, for a while",
        "description": "Asks people to give this session an extra role for a bounded time. It is not given at once: "
        "the answer has an id, and the same call made again says how the request stands.",
        "inputSchema": {
            "type": "object",
            "properties": properties,
            "required": [*properties],
            "additionalProperties": False,
        },
    }


async def request_elevation(desk: ElevationDesk, live: Live, arguments: Mapping[str, Json]) -> Result:
    """Do it, or say why not."""
    try:
        told = await desk.ask(Fields(cast("Mapping[str, WireJson]", arguments)), live)
    except RefusedError as error:
        return denied(error.denial)
    except BailiwickError as error:
        return denied(Denial("argument_not_granted", error.message, remedy=error.remedy))
    found = cast("Json", told["elevation"])
    text = json.dumps(found, ensure_ascii=False)
    return {"content": [{"type": "text", "text": text}], "structuredContent": found, "isError": False}
