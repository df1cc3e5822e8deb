"""The answer of an API in the shape in which it was asked for: keys and types of the agent's, errors without words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import cast

from bailiwick.decide.results import show
from bailiwick.match.evaluate import Resolve
from bailiwick.match.masks import Digest
from bailiwick.mounts.http.graphql.compose import alias_of
from bailiwick.mounts.http.graphql.operation import Operation, Pick
from bailiwick.mounts.http.graphql.selection import Selected
from bailiwick.mounts.mcp.message import Json

_most_errors = 20
_CODES = frozenset({"NOT_FOUND", "BAD_USER_INPUT", "CONFLICT", "FORBIDDEN", "RATE_LIMITED", "INTERNAL_SERVER_ERROR"})
"""What is told of why: words that say nothing of anything."""


def answered(
    operation: Operation,
    fields: Sequence[Selected],
    found: Mapping[str, Json],
    look: tuple[Resolve, datetime, Digest],
) -> tuple[dict[str, Json], int]:
    """Return what is shown of an answer, and how many items that is."""
    given = found.get("data")
    data = cast("dict[str, Json]", given) if isinstance(given, dict) else None
    items = 0
    shown: dict[str, Json] = {**operation.known}
    for place, each in enumerate(fields):
        value = None if data is None else data.get(alias_of(place))
        if value is None:
            shown[each.root.key] = None
            continue
        seen = show(each.view, value, *look)
        items += seen.items
        shown[each.root.key] = shaped(each.root.picks, seen.value) if seen.found else None
    told = _errors(fields, found.get("errors"))
    answer: dict[str, Json] = {"data": None if data is None else shown}
    return (answer | {"errors": told} if told else answer), items


def shaped(picks: Iterable[Pick], value: Json) -> Json:
    """Return a value with the keys that were asked for; what is not shown of it is null."""
    wanted = tuple(picks)
    if wanted:
        return _shaped(wanted, value)
    return value


def _shaped(wanted: Sequence[Pick], value: Json) -> Json:
    if isinstance(value, list):
        return [_shaped(wanted, each) for each in cast("list[Json]", value)]
    if not isinstance(value, dict):
        return None
    given = cast("dict[str, Json]", value)
    found: dict[str, Json] = {}
    for pick in wanted:
        if pick.on is None or given.get("__typename") in pick.on:
            one = pick.known or shaped(pick.below, given.get(pick.name))
            found[pick.key] = _together(found[pick.key], one) if pick.key in found else one
    return found


def _together(first: Json, second: Json) -> Json:
    """Return what was asked for in two places under one key."""
    one, other = _members(first), _members(second)
    if one:
        return {**one, **{key: _together(one[key], each) if key in one else each for key, each in other.items()}}
    several = _listed(first)
    if several:
        return [_together(*pair) for pair in zip(several, _listed(second), strict=False)]
    return first


def _members(value: Json) -> dict[str, Json]:
    return cast("dict[str, Json]", value) if isinstance(value, dict) else {}


def _listed(value: Json) -> list[Json]:
    return cast("list[Json]", value) if isinstance(value, list) else []


def _errors(fields: Sequence[Selected], given: Json) -> list[Json]:
    """Return the errors of an API: where they are, and nothing that they say."""
    if given is None:
        return []
    keys = {alias_of(place): each.root.key for place, each in enumerate(fields)}
    found: list[Json] = []
    for each in cast("list[Json]", given)[:_most_errors] if isinstance(given, list) else [None]:
        error = cast("dict[str, Json]", each) if isinstance(each, dict) else {}
        path, more = error.get("path"), error.get("extensions")
        first = cast("list[Json]", path)[0] if isinstance(path, list) and path else None
        code = cast("dict[str, Json]", more).get("code") if isinstance(more, dict) else None
        told: dict[str, Json] = {"message": "the API reports an error; its words are not shown"}
        if isinstance(first, str) and first in keys:
            told["path"] = [keys[first]]
        if isinstance(code, str) and code in _CODES:
            told["extensions"] = {"code": code}
        found.append(told)
    return found
