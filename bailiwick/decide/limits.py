"""Ceilings of the grants that contribute to a request: every one of them holds, so the strictest does."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Literal

from bailiwick.model.ceilings import Ceilings
from bailiwick.model.decision import Denial
from bailiwick.model.policy import Grant, Limit

LimitCode = Literal["batch_exceeded", "rows_exceeded", "bytes_exceeded", "timeout_exceeded"]


def ceilings(grants: Iterable[Grant], mount: Iterable[Limit], verb: str | None) -> Ceilings | None:
    """Return the ceilings on a statement for its access by that verb, None when there are none.

    `batch` is about what is written; `rows` of a grant about what that grant lets the statement read, of a mount about
    all that it returns of a resource. `verb` None: a statement that uses no resource.
    """
    grants, mount = tuple(grants), tuple(mount)
    if not mount and not any(grant.limits for grant in grants):
        return None
    found: dict[str, int] = {}
    own = chain.from_iterable(_about(grant.limits, verb) for grant in grants)
    for limit in chain(own, mount):
        if limit.per is None and _has_meaning(limit.name, verb):
            amount = int(limit.amount)
            found[limit.name] = min(found.get(limit.name, amount), amount)
    return _of(found) if found else None


def strictest(first: Ceilings | None, second: Ceilings | None) -> Ceilings | None:
    """Return what keeps both."""
    if first is None or second is None or first == second:
        return second if first is None else first
    return Ceilings(
        _least(first.batch, second.batch),
        _least(first.rows, second.rows),
        _least(first.bytes, second.bytes),
        _least(first.timeout, second.timeout),
    )


def _about(limits: Iterable[Limit], verb: str | None) -> Iterable[Limit]:
    return (limit for limit in limits if limit.name != "rows" or verb == "read")


def _has_meaning(name: str, verb: str | None) -> bool:
    if name == "batch":
        return verb not in (None, "read")
    return name in ("bytes", "timeout") or (name == "rows" and verb is not None)


def _of(found: dict[str, int]) -> Ceilings:
    return Ceilings(found.get("batch"), found.get("rows"), found.get("bytes"), found.get("timeout"))


def _least(first: int | None, second: int | None) -> int | None:
    if first is None or second is None:
        return second if first is None else first
    return min(first, second)


def exceeded(code: LimitCode, ceilings: Ceilings, real: int, action: str = "") -> Denial:
    """Return the denial of a statement that broke a ceiling; `real` is what it really wrote, `batch_exceeded` only."""
    if code == "batch_exceeded":
        most = _counted(ceilings.batch, "row")
        message = f"the statement would write {_counted(real, 'row')}, but it may write at most {ceilings.batch}"
        return Denial(code, message, f"writing up to {most} in one statement", _narrow("batch"), action)
    if code == "rows_exceeded":
        most = _counted(ceilings.rows, "row")
        message = f"the statement returns more than {most}"
        return Denial(code, message, f"results of up to {most}", _narrow("rows"), action)
    if code == "bytes_exceeded":
        most = _counted(ceilings.bytes, "byte")
        message = f"the statement returns more than {most}"
        return Denial(code, message, f"results of up to {most}", _narrow("bytes"), action)
    most = _counted(ceilings.timeout, "second")
    message = f"the statement ran for longer than {most} and was cancelled"
    return Denial(code, message, f"statements of up to {most}", _narrow("timeout"), action)


def _counted(number: int | None, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _narrow(name: str) -> str:
    ask = f"ask the policy's owner for a larger `{name}`"
    return f"narrow its condition, or {ask}" if name in ("batch", "timeout") else f"ask for less at once, or {ask}"
