"""Records of the ledger as observations. Those of an observing gateway say what was used; those of an enforcing one
say less: which columns, not in which role; which arguments, most of them as digests; and no session values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import cast

from bailiwick.model.observation import Argument, Observation, Seen, TableUse, ToolUse
from bailiwick.model.observation_record import observation_of
from bailiwick.model.policy import Policy
from bailiwick.model.record import JsonValue, Record

_DIGEST = "hmac:"
_KINDS = ("prompt", "document", "route", "field")


def observed_in(record: Record, policy: Policy | None) -> Observation | None:
    """Return what a record tells of what was used; None: nothing. Raises ObservationError for a broken one."""
    found = observation_of(record)
    if found is not None:
        return found
    if record.kind not in ("call", "outcome") or record.decision != "allow" or not record.actions or policy is None:
        return None
    return Observation(
        agent=record.agent,
        session=record.session,
        at=record.at,
        user=record.user,
        task=record.task,
        mount=record.mount,
        record=record.id,
        tables=_tables(record, policy),
        tool=_tool(record, policy),
        statement=record.statement,
        rows=record.rows,
        bytes=record.bytes,
        duration_us=record.duration_us,
        decision="allow",
        code=record.code,
    )


def _tables(record: Record, policy: Policy) -> tuple[TableUse, ...]:
    verbs: dict[str, list[str]] = {}
    for action in record.actions:
        resource, _, verb = action.partition(":")
        if policy.resource(resource) is not None:
            verbs.setdefault(resource, []).append(verb.partition(":")[0])
    found: list[TableUse] = []
    for resource, used in verbs.items():
        fields = tuple(sorted(record.fields.get(resource, ())))
        for verb in used:
            if verb == "read":
                found.append(TableUse(resource, verb, read=fields, rows=record.rows if used == ["read"] else None))
            else:
                # Beside a read nobody can tell which of the columns were written: then it is asked.
                found.append(TableUse(resource, verb, written=fields if used == [verb] else ()))
    return tuple(found)


def _tool(record: Record, policy: Policy) -> ToolUse | None:
    resource, _, verb = record.actions[0].partition(":")
    if policy.tool_resource(resource) is None:
        return None
    name, given = _told(record.statement)
    kind, _, rest = name.partition(":")
    if kind in _KINDS and rest:
        return ToolUse(rest, resource, verb, kind, given)
    return ToolUse(name, resource, verb, "route" if name.split(" ")[0].isupper() and "/" in name else "tool", given)


def _told(statement: str) -> tuple[str, tuple[Argument, ...]]:
    """Return name and arguments of a call as `mounts.recorded` writes it; one that was cut off has no arguments."""
    name, brace, rest = statement.partition(" {")
    try:
        members = cast("Mapping[str, JsonValue]", json.loads("{" + rest)) if brace else dict[str, JsonValue]()
    except ValueError:
        return name, ()
    return name, tuple(Argument(each, _seen(value)) for each, value in sorted(members.items()))


def _seen(value: JsonValue) -> Seen:
    if value is None:
        return Seen("null")
    if isinstance(value, bool):
        return Seen("boolean", value)
    if isinstance(value, int):
        return Seen("integer", value)
    if isinstance(value, str):
        return Seen("unknown", None, value) if value.startswith(_DIGEST) else Seen("string", value)
    return Seen("unknown")
