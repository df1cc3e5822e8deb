"""`authorization_details` (RFC 9396): how a client asks for a session, and for less than it could have."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import cast

from bailiwick.control.web import Json, json_of
from bailiwick.errors import BailiwickError
from bailiwick.gateway.settings import parse_duration

TYPE = "bailiwick_session"
_keys = ("type", "agent", "task", "context", "tenant", "only", "ttl")
_longest = 512


@dataclass(frozen=True, slots=True)
class Details:
    """What is asked for. None, or nothing: it is not said."""

    agent: str | None = None
    task: str | None = None
    context: Mapping[str, str] = field(default_factory=dict[str, str])
    tenant: str | None = None
    only: str | None = None
    """As JSON; see `policy.asking`."""
    ttl: timedelta | None = None


def read_details(given: Sequence[str]) -> Details | str:
    """Return what a client asks for, or what is wrong with it: a list of one object of our type."""
    if not given:
        return Details()
    listed = json_of(given[0]) if len(given) == 1 else None
    found = cast("list[object]", listed) if isinstance(listed, list) else []
    if len(found) != 1 or not isinstance(found[0], dict):
        return "`authorization_details` is not a list of one object"
    return _details(cast("dict[str, Json]", found[0]))


def _details(found: Mapping[str, Json]) -> Details | str:
    if found.get("type") != TYPE:
        return f"the type of `authorization_details` is not `{TYPE}`"
    unknown = [key for key in found if key not in _keys]
    if unknown:
        return f"`{unknown[0][:40]}` in `authorization_details` is not known; its keys are {', '.join(_keys)}"
    context, only, ttl = found.get("context", {}), found.get("only"), found.get("ttl")
    texts = {key: found.get(key) for key in ("agent", "task", "tenant")}
    odd = [key for key, value in texts.items() if value is not None and not _is_text(value)]
    if odd:
        return f"`{odd[0]}` in `authorization_details` is not a text"
    if not isinstance(context, dict) or not all(_is_value(value) for value in context.values()):
        return "`context` in `authorization_details` is not a mapping of texts, whole numbers and truth values"
    if only is not None and not isinstance(only, dict):
        return "`only` in `authorization_details` is not a mapping of resources"
    try:
        life = None if ttl is None else parse_duration(str(ttl))
    except BailiwickError as error:
        return f"`ttl` in `authorization_details`: {error.message}"
    return Details(
        agent=cast("str | None", texts["agent"]),
        task=cast("str | None", texts["task"]),
        context={name: _text(value) for name, value in context.items()},
        tenant=cast("str | None", texts["tenant"]),
        only=None if only is None else json.dumps(only),
        ttl=life,
    )


def _is_text(value: Json) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _longest and value.isprintable()


def _is_value(value: Json) -> bool:
    return isinstance(value, bool | int) or _is_text(value)


def _text(value: Json) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)
