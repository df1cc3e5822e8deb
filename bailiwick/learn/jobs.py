"""Tasks: jobs that an agent's sessions fall into, by what is done together.

Two deeds belong together where one is done in at least three in ten of the sessions that do the other. What three in
four of all sessions do joins nothing: it is in every job. The connected parts are jobs, if each has sessions enough.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from bailiwick.learn.draft import Job, Proposed
from bailiwick.learn.settled import Settled
from bailiwick.learn.surroundings import named
from bailiwick.model.action import Action
from bailiwick.model.value import ValueType

TOGETHER = 0.3
EVERYWHERE = 0.75
_LEAST_SESSIONS = 20
_LEAST_SHARE = 0.1
_MOST_ASTRAY = 0.05


def jobs_of(
    settled: Settled,
    grants: Sequence[Proposed],
    context: Mapping[str, ValueType],
    action: Callable[[int], Action],
) -> tuple[Job, ...]:
    """Return the tasks: those that sessions named, else those that their deeds fall into; always at least one."""
    granted: dict[str, set[str]] = {}
    for each in grants:
        granted.setdefault(each.action.resource, set()).add(each.action.verb)
    deeds = _deeds(settled)
    found = [
        _job(settled, name, sessions, deeds, action, granted, context, why)
        for name, why, sessions in parts_of(settled, action)
    ]
    if found:
        return tuple(found)
    everything = {name: tuple(sorted(verbs)) for name, verbs in sorted(granted.items())}
    people = len(settled.people(settled.sessions))
    return (Job("work", everything, context, len(settled.sessions), people, "all that it does"),)


def parts_of(settled: Settled, action: Callable[[int], Action]) -> list[tuple[str, str, list[int]]]:
    """Return the jobs, each with its name, why it is one, and its sessions; none where all sessions do one job."""
    by_task: dict[str, list[int]] = {}
    for each in settled.sessions:
        by_task.setdefault(settled.gathered.sessions[each].task, []).append(each)
    if any(by_task):
        return [(name, "so the sessions called it", each) for name, each in sorted(by_task.items()) if name]
    deeds = _deeds(settled)
    found: list[tuple[str, str, list[int]]] = []
    for part, sessions in clusters({each: set(done) for each, done in deeds.items()}):
        lead = max(part, key=lambda deed: sum(deed in deeds[each] for each in sessions))
        name = named(str(action(lead)).replace(":", "-"))
        found.append((name, "its sessions share deeds that the others do not have", sessions))
    return found if len(found) > 1 else []


def _deeds(settled: Settled) -> dict[int, frozenset[int]]:
    forms = settled.gathered.forms
    return {
        each: frozenset(deed for form in settled.gathered.sessions[each].forms for deed in forms[form].deeds)
        for each in settled.sessions
    }


def _job(
    settled: Settled,
    name: str,
    sessions: Sequence[int],
    deeds: Mapping[int, frozenset[int]],
    action: Callable[[int], Action],
    granted: Mapping[str, set[str]],
    context: Mapping[str, ValueType],
    why: str,
) -> Job:
    verbs: dict[str, set[str]] = {}
    for deed in frozenset[int]().union(*[deeds[each] for each in sessions]):
        done = action(deed)
        if done.verb in granted.get(done.resource, ()):
            verbs.setdefault(done.resource, set()).add(done.verb)
    brought: dict[str, ValueType] = {
        value: kind
        for value, kind in context.items()
        if any(value in settled.gathered.sessions[each].values for each in sessions)
    }
    people = len(settled.people(list(sessions)))
    listed = {resource: tuple(sorted(each)) for resource, each in sorted(verbs.items())}
    return Job(name, listed, brought, len(sessions), people, why)


def clusters(done: Mapping[int, set[int]]) -> list[tuple[frozenset[int], list[int]]]:
    """Return the jobs that sessions fall into, each with its deeds and sessions; fewer than two: there is one job."""
    total = len(done)
    if total < 2 * _LEAST_SESSIONS:
        return []
    support: dict[int, int] = {}
    both: dict[tuple[int, int], int] = {}
    for deeds in done.values():
        ordered = sorted(deeds)
        for place, first in enumerate(ordered):
            support[first] = support.get(first, 0) + 1
            for second in ordered[place + 1 :]:
                both[first, second] = both.get((first, second), 0) + 1
    special = {deed for deed, count in support.items() if count < EVERYWHERE * total}
    part = {deed: deed for deed in special}
    for (first, second), count in both.items():
        if first in special and second in special and count >= TOGETHER * min(support[first], support[second]):
            old, new = part[first], part[second]
            part = {deed: new if each == old else each for deed, each in part.items()}
    members: dict[int, set[int]] = {}
    for deed, each in part.items():
        members.setdefault(each, set()).add(deed)
    found: list[tuple[frozenset[int], list[int]]] = []
    astray = 0
    placed: dict[int, list[int]] = {each: [] for each in members}
    for session, deeds in done.items():
        mine = {part[deed] for deed in deeds if deed in special}
        if len(mine) != 1:
            astray += 1
            continue
        placed[mine.pop()].append(session)
    if astray > _MOST_ASTRAY * total:
        return []  # sessions that do both, or nothing special: these are no separate jobs
    for each, deeds in sorted(members.items()):
        if len(placed[each]) < max(_LEAST_SESSIONS, _LEAST_SHARE * total):
            return []
        found.append((frozenset(deeds), placed[each]))
    return found
