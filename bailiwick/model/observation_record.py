"""Observations in records: what was used stands in `detail["used"]`, everything else in the record itself."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal

from bailiwick.model.observation import Observation, Seen, TableUse, ToolUse
from bailiwick.model.observation_json import Object, from_json, to_json
from bailiwick.model.record import JsonValue, Record

USED, OBSERVED = "used", "observed"
"""Keys of a record's `detail`: what was used; and `True`, that the session was observed on the mount."""
_MEMBERS = ("v", "values", "tables", "tool", "more", "cost")
_UNDATED = datetime(1970, 1, 1, tzinfo=UTC)


def used_json(
    tables: tuple[TableUse, ...] = (),
    tool: ToolUse | None = None,
    values: Mapping[str, Seen] | None = None,
    cost: Decimal | None = None,
    more: tuple[ToolUse, ...] = (),
) -> Object:
    """Return what was used as a record carries it."""
    whole = to_json(Observation("", "", _UNDATED, values=values or {}, tables=tables, tool=tool, more=more, cost=cost))
    return {name: whole[name] for name in _MEMBERS if name in whole}


def observation_of(record: Record) -> Observation | None:
    """Return the observation that a record carries; None: it carries none. Raises ObservationError.

    An intent carries none: its outcome has it."""
    used = record.detail.get(USED)
    if used is None or record.kind == "intent":
        return None
    if not isinstance(used, dict):
        return from_json(used)
    told: Mapping[str, JsonValue] = {
        "agent": record.agent,
        "session": record.session,
        "at": record.at.isoformat(),
        "user": record.user,
        "task": record.task,
        "mount": record.mount,
        "record": record.id,
        "statement": record.statement,
        "rows": record.rows,
        "bytes": record.bytes,
        "duration_us": record.duration_us,
        "decision": record.decision,
        "code": record.code,
    }
    return from_json({**{name: value for name, value in told.items() if value is not None}, **used})
