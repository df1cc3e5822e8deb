"""Whether what one scope allows was allowed by another: the comparison behind `policy diff`.

None means that it cannot be decided; the diff then counts it as a widening and says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from bailiwick.match.evaluate import all_of, any_of
from bailiwick.match.implies import filter_implies, implies
from bailiwick.model.mask import Mask
from bailiwick.model.policy import Grant, Hours, Limit, SessionRules
from bailiwick.model.scope import DenyRows, ReadGrant, WriteGrant

Grants = Mapping[str, Grant]
"""By id, as they stand in the policy: their conditions and limits."""


def uncovered_read(
    read: ReadGrant, grants: Grants, others: Sequence[ReadGrant], other_grants: Grants
) -> tuple[ReadGrant | None, bool]:
    """Return the part of a read that no single other read admits too, and whether that is certain."""
    known = {
        name: any_of(
            _read_within(read, name, mask, grants.get(read.grant), other, other_grants.get(other.grant))
            for other in others
        )
        for name, mask in read.fields.items()
    }
    left = {name: mask for name, mask in read.fields.items() if known[name] is not True}
    return (replace(read, fields=left) if left else None), any(known[name] is False for name in left)


def uncovered_write(
    write: WriteGrant, grants: Grants, others: Sequence[WriteGrant], other_grants: Grants
) -> tuple[WriteGrant | None, bool]:
    """Return the part of a write that no single other write admits too, and whether that is certain."""
    mine = grants.get(write.grant)
    names: Iterable[str | None] = sorted(write.fields) or [None]
    known = {
        name: any_of(_write_within(write, name, mine, other, other_grants.get(other.grant)) for other in others)
        for name in names
    }
    left = [name for name in known if known[name] is not True]
    if not left:
        return None, True
    fields = frozenset(name for name in left if name is not None)
    values = {name: matcher for name, matcher in write.set.items() if name in fields}
    return replace(write, fields=fields, set=values), any(known[name] is False for name in left)


def denied_still(deny: DenyRows, others: Iterable[DenyRows]) -> bool | None:
    """Return whether every row (or field of it) that one deny takes away is taken away by another."""
    return any_of(
        all_of(
            [
                filter_implies(deny.filter, other.filter),
                other.fields is None or (deny.fields is not None and deny.fields <= other.fields),
            ]
        )
        for other in others
    )


def mask_within(mine: Mask | None, other: Mask | None) -> bool | None:
    """Return whether one way of showing a field tells nothing that the other does not."""
    if other is None or mine == other:
        return True
    if mine is None:
        return False
    return True if mine.name in ("null", "full") and other.name not in ("null", "full", "sql") else None


def limits_within(mine: Sequence[Limit], others: Sequence[Limit]) -> bool:
    """Return whether every other limit is kept by one of mine over the same window."""
    return all(
        any(
            (limit.name, limit.per, limit.unit) == (other.name, other.per, other.unit) and limit.amount <= other.amount
            for limit in mine
        )
        for other in others
    )


def session_rules_wider(mine: SessionRules, other: SessionRules) -> tuple[str, ...]:
    """Return the names of the session rules that let through more than the other ones."""
    wider = [
        name
        for name, now, was in (
            ("ttl", mine.ttl, other.ttl),
            ("idle", mine.idle, other.idle),
        )
        if was is not None and (now is None or now > was)
    ]
    if other.actions is not None and (mine.actions is None or mine.actions > other.actions):
        wider.append("actions")
    if other.concurrent is not None and (mine.concurrent is None or mine.concurrent > other.concurrent):
        wider.append("concurrent")
    if other.cost is not None and (mine.cost is None or not limits_within((mine.cost,), (other.cost,))):
        wider.append("cost")
    if other.hours is not None and (mine.hours is None or not _hours_within(mine.hours, other.hours)):
        wider.append("hours")
    return tuple(wider)


def _hours_within(mine: Hours, other: Hours) -> bool:
    inside = mine.days <= other.days and mine.start >= other.start and mine.end <= other.end
    return mine == other or (mine.zone == other.zone and inside)


def _read_within(
    read: ReadGrant, name: str, mask: Mask | None, grant: Grant | None, other: ReadGrant, other_grant: Grant | None
) -> bool | None:
    if name not in other.fields:
        return False
    terms = _terms_within(grant, other_grant)
    return all_of([mask_within(mask, other.fields[name]), filter_implies(read.filter, other.filter), terms])


def _write_within(
    write: WriteGrant, name: str | None, grant: Grant | None, other: WriteGrant, other_grant: Grant | None
) -> bool | None:
    if name is not None and name not in other.fields:
        return False
    parts = [filter_implies(write.filter, other.filter), _terms_within(grant, other_grant)]
    parts.append(other.batch is None or (write.batch is not None and write.batch <= other.batch))
    if name is not None and name in other.set:
        parts.append(implies(write.set[name], other.set[name]) if name in write.set else False)
    return all_of(parts)


def _terms_within(mine: Grant | None, other: Grant | None) -> bool | None:
    """Compare conditions and limits. Two different conditions cannot be compared."""
    if other is None:
        return True
    when = None if mine is None else mine.when
    limits = () if mine is None else tuple(limit for limit in mine.limits if limit.name != "batch")
    before = tuple(limit for limit in other.limits if limit.name != "batch")
    if other.when is None or other.when == when:
        same: bool | None = True
    else:
        same = None if when is not None else False
    queued = other.through == "direct" or (mine is not None and mine.through == "queue")
    return all_of([same, queued, limits_within(limits, before)])
