"""What a new policy makes possible, and what it makes impossible, in words.

Policies are compared by what their agents may do at most, for each agent alone and in each of its tasks: not by their
text. What cannot be compared counts as a widening and says so. Only grants are compared one by one: a new grant that is
admitted by several old ones together counts as a widening as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from bailiwick.decide.canonical import canonical
from bailiwick.match.in_words import listed
from bailiwick.model.lock import Lock
from bailiwick.model.mask import Mask
from bailiwick.model.policy import Grant, Policy
from bailiwick.model.scope import ResourceScope, WriteGrant
from bailiwick.policy.covers import Grants, denied_still, uncovered_read, uncovered_write
from bailiwick.policy.diff_rules import Note, rules_changed
from bailiwick.policy.possible import Possible, lock_of_names, possible
from bailiwick.policy.tool_covers import more_of_tool
from bailiwick.policy.words import (
    aggregate_in_words,
    denied_in_words,
    read_in_words,
    table_of,
    terms_in_words,
    write_in_words,
)

_OTHER, _before, _after = "\0", "before", "instead"
_masked = Mask("full")
_UNSURE = " (cannot be compared with before; counted as widening)"


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that became possible (`widens`) or impossible."""

    widens: bool
    text: str
    agent: str = ""
    task: str | None = None
    resource: str = ""
    certain: bool = True
    """False: it could not be compared, and so counts as a widening."""

    def __str__(self) -> str:
        where = self.agent + (f" in task {self.task}" if self.task is not None else "")
        place = ", ".join(part for part in (where, self.resource) if part)
        return f"{'+' if self.widens else '-'} {place + ': ' if place else ''}{self.text}"


def diff(old: Policy, new: Policy, old_lock: Lock | None = None, new_lock: Lock | None = None) -> tuple[Change, ...]:
    """Return the changes, widenings first; none when everything that is compared is the same.

    Without locks the columns that either policy names are taken to exist.
    """
    before_lock, after_lock = _locks(old, new, old_lock, new_lock)
    found: list[Change] = [_of_note(note) for note in rules_changed(old, new)]
    for agent in dict.fromkeys((*new.agents, *old.agents)):
        tasks = [name for name, task in (*new.tasks.items(), *old.tasks.items()) if agent in task.agents]
        alone: set[tuple[bool, str, str]] = set()
        for task in (None, *dict.fromkeys(tasks)):
            before, after = possible(old, before_lock, agent, task), possible(new, after_lock, agent, task)
            changes = list(_of_agent(before, after, before_lock, after_lock))
            # what changed for the agent as such is said once, not again for each of its tasks
            found += [each for each in changes if task is None or (each.widens, each.resource, each.text) not in alone]
            if task is None:
                alone = {(each.widens, each.resource, each.text) for each in changes}
    return tuple(sorted(dict.fromkeys(found), key=lambda change: not change.widens))


def widened(changes: Iterable[Change]) -> bool:
    """Return whether anything became possible."""
    return any(change.widens for change in changes)


def _locks(old: Policy, new: Policy, old_lock: Lock | None, new_lock: Lock | None) -> tuple[Lock, Lock]:
    if old_lock is not None and new_lock is not None:
        return old_lock, new_lock
    known = old_lock or new_lock
    if known is not None:
        return known, known
    return lock_of_names(old, new), lock_of_names(new, old)


def _of_note(note: Note) -> Change:
    return Change(note.widens, note.text, note.agent, note.task, certain=note.certain)


def _of_agent(before: Possible, after: Possible, before_lock: Lock, after_lock: Lock) -> Iterator[Change]:
    for name in dict.fromkeys((*after.scope.resources, *before.scope.resources)):
        was, now = before.scope.resources.get(name), after.scope.resources.get(name)
        here = _Side(was, before, before_lock)
        there = _Side(now, after, after_lock)
        for widens, mine, other in ((True, there, here), (False, here, there)):
            for said, certain in _more(mine, other):
                if certain or widens:
                    text = ("now: " if widens else "no longer: ") + said.replace(_OTHER, _before if widens else _after)
                    yield Change(widens, text + ("" if certain else _UNSURE), after.agent, after.task, name, certain)
    yield from _of_tools(before, after)


def _of_tools(before: Possible, after: Possible) -> Iterator[Change]:
    for name in dict.fromkeys((*after.scope.tools, *before.scope.tools)):
        was, now = before.scope.tools.get(name), after.scope.tools.get(name)
        for widens, mine, other in (
            (True, (now, after.grants), (was, before.grants)),
            (False, (was, before.grants), (now, after.grants)),
        ):
            for said, certain in more_of_tool(name, mine, other):
                if certain or widens:
                    text = ("now: " if widens else "no longer: ") + said + ("" if certain else _UNSURE)
                    scope = now or was
                    resource = scope.resource.name if scope else ""
                    yield Change(widens, text, after.agent, after.task, resource, certain)


@dataclass(frozen=True, slots=True)
class _Side:
    """One of the two policies, on one resource."""

    scope: ResourceScope | None
    possible: Possible
    lock: Lock

    @property
    def grants(self) -> Grants:
        return self.possible.grants


def _more(mine: _Side, other: _Side) -> Iterator[tuple[str, bool]]:
    """Yield what `mine` admits beyond `other`, in words, and whether that is certain."""
    if mine.scope is None:
        return
    if other.scope is not None:
        here, there = mine.scope.resource, other.scope.resource
        if (here.mount, here.schema, here.table) != (there.mount, there.schema, there.table):
            yield f"table {here.schema}.{here.table} of mount {here.mount} by this name", False
        if there.tenant is not None and here.tenant != there.tenant:
            yield f"rows of any tenant, not only the session's ({there.tenant})", here.tenant is None
        yield from _ungated(mine.scope, other.scope)
        yield from _not_denied(mine, mine.scope, other, other.scope)
    yield from _reads(mine, mine.scope, other)
    yield from _aggregates(mine, mine.scope, other)
    yield from _writes(mine, mine.scope, other)


def _ungated(mine: ResourceScope, other: ResourceScope) -> Iterator[tuple[str, bool]]:
    reads = mine.reads or (mine.aggregate.grants if mine.aggregate is not None else ())
    verbs = {"read": reads, "update": mine.updates, "create": mine.creates, "delete": mine.deletes}
    for key, gate in other.held.items():
        verb, _, field = key.partition(":")
        reached = any(not field or field in grant.fields for grant in verbs[verb])
        if reached and key not in mine.held and verb not in mine.held:
            clear = verb != "read" or not field or any(read.fields.get(field, _masked) is None for read in reads)
            of = f" of {field}{'' if clear else ', masked,'}" if field else ""
            yield f"{verb}{of} without approval (gate {gate})", True


def _not_denied(mine: _Side, scope: ResourceScope, other: _Side, before: ResourceScope) -> Iterator[tuple[str, bool]]:
    for deny in before.denied_rows:
        known = denied_still(deny, scope.denied_rows)
        if known is not True:
            yield denied_in_words(deny).removeprefix("never "), known is False
    name = scope.resource.name
    kept = {_denial(grant) for grant in mine.possible.conditional_denies(name)}
    always = {_denial(grant)[:-1] for grant in mine.grants.values() if grant.effect == "deny" and grant.when is None}
    for grant in other.possible.conditional_denies(name):
        if _denial(grant) not in kept and _denial(grant)[:-1] not in always:
            yield f"what was denied{terms_in_words(grant).removeprefix(';')} ({grant.action})", False


def _denial(grant: Grant) -> tuple[str, ...]:
    """Return what a deny says, its condition last."""
    fields = canonical(grant.fields if grant.action.field is None else (grant.action.field,))
    return (canonical(grant.action), fields, canonical(grant.rows), canonical(grant.sql), grant.when or "")


def _reads(mine: _Side, scope: ResourceScope, other: _Side) -> Iterator[tuple[str, bool]]:
    others = other.scope.reads if other.scope is not None else ()
    for read in scope.reads:
        left, certain = uncovered_read(read, mine.grants, others, other.grants)
        if left is None:
            continue
        near = [
            read_in_words(
                replace(each, fields={name: each.fields[name] for name in left.fields if name in each.fields})
            )
            + terms_in_words(other.grants.get(each.grant))
            for each in others
            if set(each.fields) & set(left.fields)
        ]
        said = read_in_words(left, table_of(scope, mine.lock)) + terms_in_words(mine.grants.get(read.grant))
        held = [name for name, mask in left.fields.items() if mask is None and f"read:{name}" in scope.held]
        gate = f"; {listed(held)} in clear after approval only" if held else ""
        yield said + gate + _compared(near), certain


def _aggregates(mine: _Side, scope: ResourceScope, other: _Side) -> Iterator[tuple[str, bool]]:
    """What may only be aggregated was allowed before if it could be read, or aggregated under no stricter bounds."""
    told, there = scope.aggregate, other.scope
    if told is None:
        return
    before = there.aggregate if there is not None else None
    others = there.reads if there is not None else ()
    if before is not None and before.min_group <= told.min_group and before.groupings >= told.groupings:
        others = before.grants
    for read in told.grants:
        left, certain = uncovered_read(read, mine.grants, others, other.grants)
        if left is not None:
            shown = replace(told, grants=(left,))
            near = aggregate_in_words(before, None, other.grants)
            yield aggregate_in_words(shown, table_of(scope, mine.lock), mine.grants)[0] + _compared(near), certain


def _writes(mine: _Side, scope: ResourceScope, other: _Side) -> Iterator[tuple[str, bool]]:
    there = other.scope
    for verb, writes, others in (
        ("update", scope.updates, there.updates if there else ()),
        ("create", scope.creates, there.creates if there else ()),
        ("delete", scope.deletes, there.deletes if there else ()),
    ):
        for write in writes:
            left, certain = uncovered_write(write, mine.grants, others, other.grants)
            if left is None:
                continue
            near = [
                write_in_words(verb, _only(each, left)) + terms_in_words(other.grants.get(each.grant))
                for each in others
                if verb == "delete" or each.fields & left.fields
            ]
            gate = f"; after approval only (gate {scope.held[verb]})" if verb in scope.held else ""
            said = write_in_words(verb, left, table_of(scope, mine.lock)) + gate
            yield said + terms_in_words(mine.grants.get(write.grant)) + _compared(near), certain


def _only(write: WriteGrant, left: WriteGrant) -> WriteGrant:
    fields = write.fields & left.fields
    return replace(write, fields=fields, set={name: write.set[name] for name in write.set if name in fields})


def _compared(near: Sequence[str]) -> str:
    """Return what the other policy admits of the same, if anything."""
    said = list(dict.fromkeys(near))
    more = f" | and {len(said) - 3} more" if len(said) > 3 else ""
    return f" [{_OTHER}: {' | '.join(said[:3])}{more}]" if said else ""
