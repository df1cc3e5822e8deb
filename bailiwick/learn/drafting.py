"""Drafts of several agents from one stream of observations, with what lint says of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from bailiwick.errors import PolicyError
from bailiwick.gateway.ledger.reader import Query, Stored
from bailiwick.learn.draft import Draft
from bailiwick.learn.gathering import Gathered, Gathering
from bailiwick.learn.propose import propose
from bailiwick.learn.records import observed_in
from bailiwick.learn.surroundings import Around
from bailiwick.ledger.encode import decode
from bailiwick.model.observation import Observation
from bailiwick.model.policy import Policy
from bailiwick.policy.lint import Finding, lint
from bailiwick.policy.load import load
from bailiwick.policy.sections import section

Each = Callable[[Query], Iterator[Stored]]
"""What to find → the records of a ledger, oldest first."""


def observed(each: Each, start: datetime | None, policy: Policy | None) -> Iterator[Observation]:
    """Yield the observations of a ledger from a moment on."""
    for stored in each(Query(since=start)):
        entry = decode(stored.body)
        seen = None if entry is None else observed_in(entry.record, policy)
        if seen is not None:
            yield seen


def gathered_of(agents: Sequence[str], observations: Iterable[Observation]) -> dict[str, Gathered]:
    """Return what each agent was seen to do."""
    each = {name: Gathering(name) for name in agents}
    for seen in observations:
        one = each.get(seen.agent)
        if one is not None:
            one.add(seen)
    return {name: one.gathered for name, one in each.items()}


def drafts_of(agents: Sequence[str], observations: Iterable[Observation], around: Around) -> list[Draft]:
    """Return a draft for each agent; each has names of tasks of its own."""
    gathered = gathered_of(agents, observations)
    return apart([propose(gathered[each], around) for each in agents])


def checked(files: Mapping[str, str], texts: Mapping[str, str], around: Around) -> list[Finding]:
    """Return what lint says of drafts, which must pass `policy check` beside the mounts of `files`."""
    beside = {} if around.policy is None else {"mounts.yaml": mounts_of(files)}
    loaded = load({**beside, **texts})
    if loaded.policy is None:
        first = loaded.problems[0]
        raise PolicyError(f"the draft is no valid policy: {first}", remedy="report this, with the observation")
    return [each for each in lint(loaded.policy, around.lock) if each.position.file in texts]


def mounts_of(files: Mapping[str, str]) -> str:
    """Return the mounts of a policy as they are written, from all of its files."""
    body = "".join(section(text, "mounts") for text in files.values())
    if not body:
        raise PolicyError("the policy's `mounts` are written in one line", remedy="write them as a block")
    return f"bailiwick: 1\nmounts:\n{body}"


def apart(drafts: list[Draft]) -> list[Draft]:
    """Return the drafts with names of tasks that only one of them has."""
    found: list[Draft] = []
    taken: set[str] = set()
    for draft in drafts:
        jobs = [replace(e, name=f"{draft.agent}-{e.name}"[:63]) if e.name in taken else e for e in draft.jobs]
        taken |= {each.name for each in jobs}
        found.append(replace(draft, jobs=tuple(jobs)))
    return found
