"""The steps of a write in one transaction, on engines that return what they change: each row answers for itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bailiwick.mounts.sql.results import Failed
from bailiwick.mounts.sql.running import Job, Rows, Written
from bailiwick.sql.engines.plan import Returning, Step, Upsert

Found = Sequence[tuple[object, ...]]
_TWICE = Failed("21000", "the statement writes a row more than once")
_MEANWHILE = Failed("40001", "the rows changed meanwhile; try again")


class Transaction(Protocol):
    """One transaction of one engine. What it has done is undone unless it is committed."""

    def ask(self, step: Step) -> Found:
        """Run a step under the second layer, and return its rows."""
        ...

    def own(self, sql: str) -> Found:
        """Run text in which nothing is of the agent's."""
        ...

    def rows(self, step: Step, identities: Found) -> Rows:
        """Run the query of what is returned of these rows, up to the bounds."""
        ...

    def tells_apart(self, upsert: Upsert, step: Step) -> bool:
        """Whether the key compares what stands in `upsert.pinned` exactly."""
        ...


def written(job: Job, on: Transaction) -> Written | Failed:
    """Do a write, up to its commit."""
    plan, returning = job.plan, job.plan.returning
    if returning is not None and returning.find is not None:
        return _deleted(job, on, returning, returning.find)
    checks = on.ask(plan.step) if plan.upsert is None else _upserted(on, plan.upsert, plan.step)
    if isinstance(checks, Written | Failed):
        return checks
    found = _verdict(job, [check[0] for check in checks])
    if found.verdict or returning is None:
        return found
    return _returned(job, on, returning, [check[1:] for check in checks])


def _verdict(job: Job, checks: Sequence[object]) -> Written:
    batch = job.bounds.batch
    if batch is not None and len(checks) > batch:
        return Written(len(checks), "batch_exceeded")
    return Written(len(checks), "row_out_of_scope" if any(check != 1 for check in checks) else "")


def _returned(job: Job, on: Transaction, returning: Returning, identities: Found) -> Written | Failed:
    """Return what is to be returned of rows: exactly one for each."""
    if len({*identities}) != len(identities):
        return _TWICE
    rows = on.rows(returning.step, identities)
    if rows.ended:
        return Written(len(identities), rows.ended)
    if len(rows.rows) != len(identities):
        return Written(len(identities), "row_out_of_scope")
    return job.told(identities, rows)


def _deleted(job: Job, on: Transaction, returning: Returning, find: Step) -> Written | Failed:
    identities = on.ask(find)
    found = _verdict(job, [1 for _ in identities])
    if found.verdict:
        return found
    returned = _returned(job, on, returning, identities)
    if isinstance(returned, Failed) or returned.verdict:
        return returned
    return returned if len(on.ask(job.plan.step)) == len(identities) else _MEANWHILE


def _upserted(on: Transaction, upsert: Upsert, add: Step) -> Found | Written | Failed:
    """Put the given rows aside, look at them, and update or insert. Returns the checks of all rows."""
    if not on.tells_apart(upsert, add):
        return Failed("0A000", "ON CONFLICT by this key is not possible here: it takes different texts for the same")
    on.own(upsert.make)
    on.ask(upsert.fill)
    if upsert.held and (wrong := _number(on.own(upsert.held))):
        return Written(wrong, "row_out_of_scope")
    fresh = _number(on.own(upsert.fresh)) if upsert.fresh else None
    changed: Found = ()
    if upsert.meant is not None and upsert.change is not None:
        ((times, rows),) = on.ask(upsert.meant)
        if times != rows:
            return _TWICE
        changed = on.ask(upsert.change)
        if len(changed) != rows:  # one that is met may not be changed
            return Written(len(changed), "row_out_of_scope")
    added = on.ask(add)
    if fresh is not None and len(added) != fresh:
        return _TWICE
    return [*changed, *added]


def _number(found: Found) -> int:
    return int(str(found[0][0]))
