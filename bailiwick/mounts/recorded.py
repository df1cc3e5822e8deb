"""Calls as the ledger tells them: which arguments the policy itself bounds in clear, every other one as a digest.

A keyed digest shows that two calls were given the same, and nothing of what it was. No I/O.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from bailiwick.decide.asking import matcher_of
from bailiwick.gateway.people import told
from bailiwick.match.masks import Digest
from bailiwick.model.matcher import Bound, Equal, Every, Matcher, OneOf
from bailiwick.model.record import JsonValue
from bailiwick.model.scope import CallGrant, ToolScope
from bailiwick.mounts.mcp.message import Json, write

_longest = 8192
_longest_name = 300
_most_told = 50
_plain = str | int | float
_json = json.JSONEncoder(ensure_ascii=True, sort_keys=True, separators=(",", ":")).encode


def statement_of(name: str, arguments: Mapping[str, Json]) -> str:
    """Return a call as the ledger tells it, at most so long; the arguments as `in_clear` or `digested` gave them."""
    text = f"{name[:_longest_name]} {_json(arguments)}"
    return text if len(text) <= _longest else text[:_longest] + "…"


def digested(arguments: Mapping[str, Json], digest: Digest) -> dict[str, Json]:
    """Return arguments of which nothing is known: none of their values is told."""
    return {name[:_longest_name]: _told(value, digest) for name, value in arguments.items()}


def in_clear(tool: ToolScope, grants: Iterable[CallGrant], arguments: Mapping[str, Json], digest: Digest) -> Told:
    """Return the arguments of a call that was admitted: in clear what the policy says itself, and numbers it bounds."""
    known = tuple(grants)
    return {
        name: value
        if name in tool.tool.fixed or any(_is_bounded(matcher_of(grant, name), value) for grant in known)
        else _told(value, digest)
        for name, value in arguments.items()
    }


def given_detail(parameters: Sequence[JsonValue], digest: Digest) -> dict[str, JsonValue] | None:
    """Return what a record says of the parameters of a statement: each as a digest, of many the first ones."""
    if not parameters:
        return None
    return {"parameters": [_plain_told(each, digest) for each in parameters[:_most_told]]}


Told = dict[str, Json]


def _is_bounded(matcher: Matcher | None, value: Json) -> bool:
    match matcher:
        case Equal() | OneOf():
            return True
        case Bound():
            return isinstance(value, int | float)
        case Every(parts):
            return any(_is_bounded(part, value) for part in parts)
        case _:
            return False


def _told(value: Json, digest: Digest) -> Json:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, list):  # each by itself, so that one of them can be searched for
        parts = cast("list[Json]", value)
        if 0 < len(parts) <= _most_told and all(isinstance(each, _plain) for each in parts):
            return [_told(each, digest) for each in parts]
        return _plain_told(parts, digest)
    return _plain_told(value, digest)


def _plain_told(value: Json, digest: Digest) -> JsonValue:
    if value is None or isinstance(value, bool):
        return value
    return told(digest, value if isinstance(value, str) else write(value).decode())
