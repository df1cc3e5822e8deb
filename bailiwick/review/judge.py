"""What another policy changes for a request of which the ledger tells. Pure.

INVARIANT: nothing is said of a request whose decision of then the same replay does not give under the policy of then.
What cannot be told is unknown, and never counted as unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from bailiwick.decide.limits import ceilings
from bailiwick.model.ceilings import Ceilings
from bailiwick.model.lock import Lock
from bailiwick.model.scope import CallGrant, ResourceScope, Scope, ToolScope
from bailiwick.review.asked import CIRCUMSTANCES, Asked, Terms, Verdict, unknown
from bailiwick.review.calls import Evidence, ToldCall, decided, evidence_of, told_calls, tool_of
from bailiwick.review.reach import Effect, call_effects, data_effects, same_grants, same_mount, same_resource, same_tool
from bailiwick.review.scopes import Known, known_conditions
from bailiwick.review.side import Side

Kind = Literal[
    "denied", "held", "masked", "narrowed", "allowed", "released", "widened", "unknown", "unchanged", "elsewhere"
]
"""What becomes of a request. `allowed`: it had been refused; `released`: it had waited for people, and would not.
`elsewhere`: it was refused for something else than the policy's grants: a limit, its session's end, its form."""


@dataclass(frozen=True, slots=True)
class Found:
    """One thing that changes for a request."""

    kind: Kind
    why: str = ""
    code: str = ""


Founds = tuple[Found, ...]
UNCHANGED: Founds = (Found("unchanged"),)


@dataclass(frozen=True, slots=True)
class Judged:
    """What changes for a request."""

    found: Founds = UNCHANGED
    most: int | None = None
    """Where it is allowed still: rows that it may return or write at most, if that is fewer than then."""


class Judge:
    """Compares what was decided with what a policy would decide."""

    def __init__(self, new: Side, before: Callable[[str], Side | None]) -> None:
        """`before` gives the policy of a version, None when it is not kept."""
        self._new = new
        self._before = before
        self._known: dict[Terms, Known] = {}
        self._alike: dict[tuple[int, int], tuple[object, object, bool]] = {}
        """Of two scopes of a tool or resource whether they are the same; holding them keeps their ids."""
        self._granted: dict[tuple[int, int, tuple[str, ...]], tuple[Scope, Scope, bool]] = {}

    def judge(self, asked: Asked) -> Judged:
        """Return what changes for a request."""
        if asked.then == "deny" and asked.code in CIRCUMSTANCES:
            return Judged((Found("elsewhere", "", asked.code),))
        if not asked.mount and asked.then == "allow" and not asked.actions:
            return Judged()  # one of the gateway's own tools: what it does with data has its own record
        refusal = self._new.refuses(asked.terms)
        if refusal:
            return Judged(UNCHANGED if asked.then == "deny" else (Found("denied", refusal, "agent_mismatch"),))
        old = self._before(asked.policy)
        known = self._conditions(asked.terms)
        after = self._new.scopes(asked.terms, known)
        if old is None:
            found = {self._alone(asked, scope) for scope in after}
        else:
            before = old.scopes(asked.terms, known)
            pairs = _pairs(before, after)
            found = {self._against(asked, old, *pair) for pair in pairs}
        if len(found) == 1:
            return found.pop()
        return Judged((Found("unknown", "it hangs on a `when` of which nothing is recorded"),))

    def _conditions(self, terms: Terms) -> Known:
        found = self._known.get(terms)
        if found is None:
            opened = self._before(terms.policy) if terms.policy else None
            lock = Lock({}) if opened is None else opened.lock
            found = known_conditions(None if opened is None else opened.policy, lock, terms)
            self._known[terms] = found
        return found

    # --- requests of data ---

    def _against(self, asked: Asked, old: Side, before: Scope, after: Scope) -> Judged:
        """Compare with the policy of then."""
        if not _is_of_data(asked, old, self._new):
            return self._call(asked, before, after, old)
        if asked.then == "deny" or not asked.actions:
            alike = same_mount(before, after, asked.mount)
        else:
            names = {action.partition(":")[0] for action in asked.actions}
            alike = all(self._same_resource(before.resources.get(each), after.resources.get(each)) for each in names)
        if alike and self._same_grants(before, after, asked.grants) and _same_ground(old, self._new, asked.mount):
            return Judged()
        replays: Sequence[Callable[[Side, Scope], Verdict | None]] = (
            lambda side, scope: side.by_text(scope, asked.mount, asked.statement),
            lambda side, scope: side.by_accesses(scope, asked),
        )
        for replay in replays:
            was, now = replay(old, before), replay(self._new, after)
            if was is not None and now is not None and was.outcome == asked.then:
                return Judged(_compared(asked, was, now, before, after), _tighter(was, now))
        if not asked.statement:
            return Judged((Found("unknown", "its statement is not recorded"),))
        return Judged((Found("unknown", "its recorded text does not replay: it gives another decision than then"),))

    def _alone(self, asked: Asked, after: Scope) -> Judged:
        """Compare with what was recorded, where the policy of then is not kept."""
        if not _is_of_data(asked, None, self._new):
            return self._call(asked, None, after, None)
        text = self._new.by_text(after, asked.mount, asked.statement)
        touched = self._new.by_accesses(after, asked)
        told = [each for each in (text, touched) if each is not None]
        if not told or len({each.outcome for each in told}) > 1:
            return Judged((Found("unknown", "the policy of then is not kept, and the record alone does not tell"),))
        found = _outcome(asked.then, told[0])
        if found != UNCHANGED or asked.then != "allow" or set(asked.grants) == set(told[0].grants):
            return Judged(found)  # an id holds the content of its grant
        return Judged((Found("unknown", "the policy of then is not kept: its rows and masks cannot be compared"),))

    # --- calls ---

    def _call(self, asked: Asked, before: Scope | None, after: Scope, old: Side | None) -> Judged:
        calls = told_calls(asked.statement)
        if not calls:
            return Judged((Found("unknown", "its call is not recorded"),))
        found = [self._one(asked, call, before, after, single=len(calls) == 1) for call in calls]
        most = None if before is None or old is None else self._fewer(asked, calls, old, before, after)
        for kind in ("denied", "unknown", "held", "allowed", "released"):
            some = [each for part in found for each in part if each.kind == kind]
            if some:
                return Judged(tuple(dict.fromkeys(some)))
        effects = tuple(dict.fromkeys(each for part in found for each in part if each.kind != "unchanged"))
        return Judged(effects or UNCHANGED, most)

    def _one(self, asked: Asked, call: ToldCall, before: Scope | None, after: Scope, *, single: bool) -> Founds:
        tool = tool_of(after, call.name)
        earlier = None if before is None else tool_of(before, call.name)
        if before is not None and self._same_tool(earlier, tool):
            return UNCHANGED
        if before is None:
            evidence = Evidence(grants=_with_ids(tool, asked.grants), denied=asked.then == "deny")
        else:
            evidence = evidence_of(earlier, asked.grants, asked.then)
        now = decided(tool, call, evidence)
        if asked.then == "deny" and now.outcome == "allow" and not single:
            now = unknown("one of several fields was refused, and which one is not recorded")
        found = _outcome(asked.then, now)
        if found != UNCHANGED or now.outcome == "deny" or tool is None:
            return found
        if before is None:
            same = {each.grant for each in evidence.grants} == set(asked.grants)
            return (
                UNCHANGED if same else (Found("unknown", "the policy of then is not kept: results are not compared"),)
            )
        admitting = [each for each in tool.allows if each.grant in now.grants]
        return _told(call_effects(call.name, evidence.grants, admitting)) if evidence.grants else UNCHANGED

    def _same_tool(self, old: ToolScope | None, new: ToolScope | None) -> bool:
        key = (id(old), id(new))
        found = self._alike.get(key)
        if found is None:
            found = self._alike[key] = (old, new, same_tool(old, new))
        return found[2]

    def _same_resource(self, old: ResourceScope | None, new: ResourceScope | None) -> bool:
        key = (id(old), id(new))
        found = self._alike.get(key)
        if found is None:
            found = self._alike[key] = (old, new, same_resource(old, new))
        return found[2]

    def _same_grants(self, old: Scope, new: Scope, ids: tuple[str, ...]) -> bool:
        key = (id(old), id(new), ids)
        found = self._granted.get(key)
        if found is None:
            found = self._granted[key] = (old, new, same_grants(old, new, ids))
        return found[2]

    def _fewer(self, asked: Asked, calls: Sequence[ToldCall], old: Side, before: Scope, after: Scope) -> int | None:
        """Return how many items a call may return at most, if those are fewer than then."""
        tool = tool_of(after, calls[0].name)
        if asked.then != "allow" or tool is None:
            return None
        bounds: list[Ceilings | None] = []
        for side, scope in ((old, before), (self._new, after)):
            mount = side.policy.tool_mounts.get(tool.mount)
            known = [scope.grants[each] for each in asked.grants if each in scope.grants]
            bounds.append(ceilings(known, () if mount is None else mount.limits, "read"))
        was, now = (None if each is None else each.rows for each in bounds)
        return now if now is not None and (was is None or now < was) else None


def _pairs(before: Sequence[Scope], after: Sequence[Scope]) -> list[tuple[Scope, Scope]]:
    """Return what may have been in force together: of conditions that are not known, none holds or all do."""
    if len(before) == len(after):
        return list(zip(before, after, strict=True))
    return [(first, second) for first in before for second in after]


def _is_of_data(asked: Asked, old: Side | None, new: Side) -> bool:
    return asked.mount in new.policy.mounts or (old is not None and asked.mount in old.policy.mounts)


def _same_ground(old: Side, new: Side, mount: str) -> bool:
    """Return whether nothing but the scope differs in how a mount's statements are taken."""
    first, second = old.policy.mounts.get(mount), new.policy.mounts.get(mount)
    if first is None or second is None:
        return False
    tables = old.lock.mounts.get(mount, {}) == new.lock.mounts.get(mount, {})
    return tables and (first.functions, first.limits, first.enforce) == (
        second.functions,
        second.limits,
        second.enforce,
    )


def _compared(asked: Asked, was: Verdict, now: Verdict, before: Scope, after: Scope) -> Founds:
    found = _outcome(asked.then, now)
    if found != UNCHANGED or now.outcome == "deny":
        return found
    effects = [*data_effects(before, after, was.accesses, asked.touched)]
    fields = {(each.resource, each.verb): {*each.fields} for each in now.accesses}
    for access in was.accesses:
        left = [each for each in access.fields if each not in fields.get((access.resource, access.verb), set())]
        if left and not any(effect.kind == "masked" for effect in effects):
            effects.append(Effect("narrowed", f"{access.resource}: without {', '.join(left[:6])}"))
    return _told(effects)


def _told(effects: Sequence[Effect]) -> Founds:
    return tuple(Found(each.kind, each.words) for each in effects) or UNCHANGED


def _outcome(then: str, now: Verdict) -> Founds:
    """Return what changes in the decision itself."""
    if now.outcome == "unknown":
        return (Found("unknown", now.why),)
    if then == now.outcome:
        return UNCHANGED
    if now.outcome == "deny":
        return (Found("denied", now.why, now.code),)
    if now.outcome == "hold":
        words = now.why if then == "allow" else f"it would wait for people: {now.why}"
        return (Found("held" if then == "allow" else "allowed", words, now.code),)
    return (Found("released" if then == "hold" else "allowed", "", ""),)


def _tighter(was: Verdict, now: Verdict) -> int | None:
    """Return how many rows a statement may return or write at most, if those are fewer than then."""
    if was.outcome != "allow" or now.outcome != "allow" or now.ceilings is None:
        return None
    if all(each.verb in ("read", "aggregate") for each in now.accesses):
        before, after = None if was.ceilings is None else was.ceilings.rows, now.ceilings.rows
    else:
        before, after = None if was.ceilings is None else was.ceilings.batch, now.ceilings.batch
    return after if after is not None and (before is None or after < before) else None


def _with_ids(tool: ToolScope | None, ids: Sequence[str]) -> tuple[CallGrant, ...]:
    return () if tool is None else tuple(each for each in tool.allows if each.grant in ids)
