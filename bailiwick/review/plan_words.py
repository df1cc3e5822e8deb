"""A plan in words, for people. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from bailiwick.review.judge import Kind
from bailiwick.review.plan import Change, Planned, kinds

_SIGNS: dict[Kind, str] = {
    "denied": "-",
    "held": "!",
    "masked": "~",
    "narrowed": "~",
    "unknown": "?",
    "allowed": "+",
    "released": "+",
    "widened": "+",
}
_MEANT: dict[Kind, str] = {
    "denied": "would be denied",
    "held": "would wait for people",
    "masked": "would show less of their fields",
    "narrowed": "would reach fewer rows",
    "unknown": "cannot be told",
    "allowed": "were refused and would be allowed",
    "released": "waited for people and would not",
    "widened": "would show more",
    "unchanged": "unchanged",
    "elsewhere": "refused for another reason than the policy's grants",
}


def in_words(planned: Planned, most: int = 40) -> Iterator[str]:
    """Yield the lines of a plan: what changes, then how many requests of each kind."""
    for change in planned.changes[:most]:
        yield from _change(change)
    if len(planned.changes) > most:
        yield f"… and {len(planned.changes) - most} more; `--json` lists all"
    if planned.changes:
        yield ""
    noun = "request" if planned.requests == 1 else "requests"
    yield f"{planned.requests} {noun} ({planned.groups} different) against policy {planned.version[:12]}:"
    for kind in kinds:
        count = planned.counts.get(kind, 0)
        if count:
            yield f"  {count:>8}  {_MEANT[kind]}"


def _change(change: Change) -> Iterator[str]:
    what = ", ".join(change.actions) or "no resource"
    who = change.agent + (f" in {change.task}" if change.task else "")
    yield f"{_SIGNS[change.kind]} {change.kind:<8} {change.count:>6}x  {who}: {what}"
    if change.why:
        yield f"    {change.why}" + (f" ({change.code})" if change.code else "")
    people = [name for name, _ in change.people.most_common(3)]
    more = f" and {len(change.people) - 3} more" if len(change.people) > 3 else ""
    for_whom = f"for {', '.join(people)}{more}; " if people else ""
    yield f"    {for_whom}{change.first[:16]} to {change.last[:16]}"
    for record, asked in change.examples[:1]:
        yield f"    e.g. {record}  {' '.join(asked.split())[:120]}"
