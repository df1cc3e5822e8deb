"""What a statement on a mount of kind `sql` used, where the session is observed; and what its rows held."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from bailiwick.decide.seen import seen_type, typed
from bailiwick.gateway.call import Call
from bailiwick.gateway.enforce import attempt
from bailiwick.gateway.enforcer import LiveSession
from bailiwick.gateway.observing import UNREAD, Results, Values, is_clear, observed, observer_of, table_uses
from bailiwick.match.masks import Digest
from bailiwick.model.decision import Denial
from bailiwick.model.record import JsonValue
from bailiwick.mounts.sql.results import Result
from bailiwick.sql.engines.plan import EnginePlan


def observed_call(
    call: Call, plan: EnginePlan, given: Sequence[JsonValue], live: LiveSession, digest: Digest
) -> tuple[Call, Results | None]:
    """Return the call with what it uses, and what looks at its rows; as it is where that cannot be told."""
    if plan.used is None or not plan.used.tables:
        return call, None
    found = attempt("observing a statement", _observed, call, plan, given, live, digest)
    return (call, None) if isinstance(found, Denial) else found


def look_at(results: Results, call: Call, answer: Result) -> Call:
    """Return the call of a statement with what the rows of its answer held."""
    types = results.types
    for row in answer.rows:
        if results.full or len(row) != len(types):
            break
        results.row([UNREAD if kind is None else _as(value, kind) for value, kind in zip(row, types, strict=True)])
    rows = len(answer.rows) if answer.affected is None else answer.affected
    return results.added(call, rows, whole=answer.ended is None)


def _observed(
    call: Call, plan: EnginePlan, given: Sequence[JsonValue], live: LiveSession, digest: Digest
) -> tuple[Call, Results | None]:
    used = plan.used
    if used is None:
        return call, None
    observer, clear = observer_of(live, digest), partial(is_clear, live.scope)
    values: Values = {number: _reader(value) for number, value in enumerate(given, 1)}
    uses = table_uses(used.tables, values, clear, observer)
    return observed(call, observer, uses), Results(used, clear, observer)


def _reader(value: JsonValue) -> Callable[[str], object]:
    return lambda column: _as(value, column)


def _as(value: JsonValue, column: str) -> object:
    """Return a value as one of a column of that type: engines give back what was put in as text or number alike."""
    if isinstance(value, str):
        return typed(value, seen_type(column))
    if isinstance(value, int) and seen_type(column) == "boolean":
        return bool(value)
    return value
