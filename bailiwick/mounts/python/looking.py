"""What is shown of a function's result: its view, and the ceilings on it. No I/O."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Literal, cast

from bailiwick.decide.calls import Admitted
from bailiwick.decide.limits import exceeded
from bailiwick.decide.results import count, show
from bailiwick.gateway.wire import Json
from bailiwick.match.evaluate import Resolve
from bailiwick.match.masks import Digest
from bailiwick.model.ceilings import Ceilings
from bailiwick.model.decision import Denial
from bailiwick.mounts.mcp.message import read_faithfully, write
from bailiwick.mounts.tool_path import Done

Came = Literal["returned", "raised", "late", "opaque"]
"""What came of a function: a result, an exception, nothing in time, or what is no data."""
came: tuple[Came, ...] = ("returned", "raised", "late", "opaque")
_OPAQUE = Denial(
    "result_withheld",
    "the function's result is not data, so it cannot be looked at",
    remedy="have it return lists, mappings, texts, numbers, dates, true, false or none",
)
_NOTHING = Denial("result_withheld", "nothing of the function's result is in this session's scope")
_LATE = Denial("timeout_exceeded", "the function ran for too long, so nothing of it is shown")


def is_looked_at(admitted: Admitted) -> bool:
    """Return whether the gateway must see the result before anybody else does."""
    bounds = admitted.allow.ceilings or Ceilings()
    return not admitted.view.whole or bounds.rows is not None or bounds.bytes is not None


def late(admitted: Admitted) -> Denial:
    """Return what is said of a call that took too long."""
    bounds = admitted.allow.ceilings
    return _LATE if bounds is None or bounds.timeout is None else exceeded("timeout_exceeded", bounds, 0)


def looked_at(
    admitted: Admitted,
    how: Came,
    result: Json,
    resolve: Resolve,
    now: Callable[[], datetime],
    digest: Digest,
    *,
    looked: bool,
) -> Done[Json]:
    """Return what is shown of what came of a function; `looked`: whether its result was handed in."""
    if how == "late":
        return Done(denial=late(admitted))
    if how == "opaque":
        return Done(denial=_OPAQUE)
    if how == "raised":
        return Done(code="tool_error")
    if not looked:
        return Done()
    is_text = isinstance(result, str) and not admitted.view.whole
    found = _parsed(cast("str", result)) if is_text else result
    if found is None and is_text:
        return Done(denial=_NOTHING)
    if admitted.view.whole:
        shown, items = found, count(admitted.view, found)
    else:
        seen = show(admitted.view, found, resolve, now(), digest)
        if not seen.found:
            return Done(denial=_NOTHING, items=0)
        shown, items = cast("Json", seen.value), seen.items
    size = len(write(shown))
    bounds = admitted.allow.ceilings or Ceilings()
    if bounds.bytes is not None and size > bounds.bytes:
        return Done(denial=exceeded("bytes_exceeded", bounds, size), size=size)
    if bounds.rows is not None and items > bounds.rows:
        return Done(denial=exceeded("rows_exceeded", bounds, items), items=items)
    return Done(write(shown).decode() if is_text else shown, "", items, size)


def _parsed(text: str) -> Json:
    """Return the JSON that a text is, None when it is no list and no mapping."""
    try:
        found = read_faithfully(text.encode())
    except (ValueError, UnicodeEncodeError):
        return None
    return cast("Json", found) if isinstance(found, dict | list) else None
