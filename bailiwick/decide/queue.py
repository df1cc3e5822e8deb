"""What waits for people: several accesses of one statement that are held become one hold, of all their gates."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from bailiwick.decide.limits import strictest
from bailiwick.model.decision import Allow, Hold
from bailiwick.model.policy import Preview

_least: tuple[Preview, ...] = ("off", "count", "rows")


def least_preview(found: Iterable[Preview]) -> Preview | None:
    """Return the preview that runs and shows least: any grant may say that a dry run does harm. None: no grant."""
    return min(found, key=_least.index, default=None)


def together(first: Hold | None, second: Hold) -> Hold:
    """Return one hold for two accesses that are both queued."""
    mine, other = None if first is None else first.queued, second.queued
    if first is None or mine is None or other is None:
        return second
    merged = replace(
        mine,
        preview=min(mine.preview, other.preview, key=_least.index),
        grants=tuple(dict.fromkeys((*mine.grants, *other.grants))),
        labels=mine.labels | other.labels,
        ceilings=strictest(mine.ceilings, other.ceilings),
        budgets=tuple({each.key: each for each in (*mine.budgets, *other.budgets)}.values()),
    )
    gates = tuple(dict.fromkeys((*first.gates, *second.gates)))
    return replace(second if first.gate == "queue" else first, queued=merged, gates=gates)


def beside(hold: Hold, other: Allow) -> Hold:
    """Return a queued hold with what the statement's other accesses, which are allowed, bring."""
    queued = hold.queued
    if queued is None:
        return hold
    return replace(
        hold,
        queued=replace(
            queued,
            grants=tuple(dict.fromkeys((*queued.grants, *other.grants))),
            labels=queued.labels | other.labels,
            ceilings=strictest(queued.ceilings, other.ceilings),
            budgets=tuple({each.key: each for each in (*queued.budgets, *other.budgets)}.values()),
        ),
    )
