"""Whether a policy would admit what was observed, decided by the same functions that enforce it.

Of a statement it is known which columns it used and what its conditions were, not its rows: a row filter admits it if
the statement itself, or what its rows held, keeps within it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from bailiwick.decide.calls import Admitted, Asking, Held, decide_call
from bailiwick.decide.decide import DecisionTable
from bailiwick.decide.scope import effective_scope, session_values
from bailiwick.learn.keys import keys_of
from bailiwick.learn.lining import Names, names_of_rows
from bailiwick.match.evaluate import Resolve, holds
from bailiwick.model.decision import Access, Deny, Request
from bailiwick.model.lock import Lock
from bailiwick.model.matcher import Equal, Matcher, OneOf
from bailiwick.model.observation import Observation, Seen, TableUse, ToolUse
from bailiwick.model.policy import Policy
from bailiwick.model.scope import RowFilter, Scope
from bailiwick.model.session import Claim, Session, User
from bailiwick.model.tool import Kind
from bailiwick.model.value import Ref, Scalar

_KINDS: Mapping[str, Kind] = {
    "tool": "tool",
    "prompt": "prompt",
    "document": "document",
    "route": "route",
    "field": "field",
    "file": "file",
}


@dataclass(frozen=True, slots=True)
class Person:
    """A session as observations tell of it: its values and its task."""

    agent: str
    user: str
    task: str
    values: Mapping[str, Seen]


class Cover:
    """Answers whether observations are covered by one policy. Scopes are kept for agents and tasks."""

    def __init__(self, policy: Policy, lock: Lock, *, tasks: bool = True) -> None:
        self.policy = policy
        self.lock = lock
        self._tasks = tasks
        self._scopes: dict[tuple[str, str | None], tuple[Scope, DecisionTable]] = {}

    def denied(self, seen: Observation, values: Mapping[str, Seen]) -> str:
        """Return why the policy would deny what was observed; empty when it would not. What a gate holds is not denied.

        `values` are the session's, which need not stand in each of its observations.
        """
        session = session_of(Person(seen.agent, seen.user, seen.task if self._tasks else "", values), seen.at)
        scope, table = self._scope(session)
        resolve = _resolving(session)
        for use in seen.tools:
            found = self._tool(seen.mount, use, scope, resolve, session, seen.at)
            if found:
                return found
        by_key = _by_key(values)
        for use, names in zip(seen.tables, names_of_rows(seen.tables, by_key), strict=True):
            found = _table(seen, use, names, scope, table, resolve)
            if found:
                return found
        return ""

    def _scope(self, session: Session) -> tuple[Scope, DecisionTable]:
        key = (session.agent, session.task)
        if key not in self._scopes:
            scope = effective_scope(self.policy, self.lock, session)
            self._scopes[key] = (scope, DecisionTable(self.policy, scope))
        return self._scopes[key]

    def _tool(self, mount: str, use: ToolUse, scope: Scope, resolve: Resolve, session: Session, now: datetime) -> str:
        asking = Asking(self.policy, scope, resolve, session_values(session), now)
        arguments = {each.name: as_given(each.value) for each in use.arguments}
        kind = _KINDS[use.kind]
        found = self.policy.tool_mounts.get(mount)
        offered = () if found is None else found.offered
        known = next((each for each in offered if each.kind == kind and each.name == use.name), None)
        name = use.name if found is None or known is None else found.shown(known).removeprefix(f"{kind}:")
        decided = decide_call(asking, name, arguments, kind)
        if isinstance(decided, Admitted | Held):
            return ""
        return decided.decision.denial.message if isinstance(decided.decision, Deny) else ""


def session_of(person: Person, at: datetime) -> Session:
    """Return the session that observations tell of."""
    context: dict[str, Scalar] = {}
    claims: dict[str, Claim] = {}
    groups: frozenset[str] = frozenset()
    for name, seen in person.values.items():
        head, _, rest = name.partition(".")
        if head == "user" and rest == "groups":
            groups = frozenset(str(item.value) for item in seen.items if item.value is not None)
        elif seen.value is not None and head == "user" and rest:
            claims[rest] = seen.value
        elif seen.value is not None:
            context[name] = seen.value
    user_id = claims.pop("id", None)
    known = person.values.get("tenant")
    return Session(
        id="observed",
        agent=person.agent,
        user=User(user_id if isinstance(user_id, str) else person.user, groups, claims),
        task=person.task or None,
        context=context,
        tenant=None if known is None else known.value,
        opened_at=at,
        expires_at=at + timedelta(hours=1),
        idle=None,
    )


def as_given(seen: Seen) -> object:
    """Return a value as the JSON of a call has it."""
    if seen.type == "list":
        return [as_given(item) for item in seen.items]
    if seen.type == "object":
        return {}
    value = seen.value
    if isinstance(value, Decimal):
        return float(value)
    return value.isoformat() if isinstance(value, datetime) else value


def _resolving(session: Session) -> Resolve:
    return lambda ref: session.value(ref.path)


def _table(seen: Observation, use: TableUse, names: Names, scope: Scope, table: DecisionTable, resolve: Resolve) -> str:
    looked = tuple(sorted({*use.read, *use.filtered, *use.joined, *use.counted, *use.compared}))
    accesses: list[Access] = []
    if use.verb != "read":
        accesses.append(Access(use.resource, use.verb, tuple(sorted(use.written))))
    if looked or use.verb == "read":
        accesses.append(Access(use.resource, "read", looked))
    resource = scope.resources.get(use.resource)
    if resource is None:
        return f"`{use.resource}` is not granted"
    decision = table.decide(Request(resource.resource.mount, tuple(accesses)))
    if isinstance(decision, Deny):
        return decision.denial.message
    if use.verb != "create" and use.rows != 0:
        reach = {"update": resource.updates, "delete": resource.deletes}.get(use.verb, ())
        filters = [(each.filter for each in resource.reads)] + ([(each.filter for each in reach)] if reach else [])
        for each in filters:
            if not any(_within(use, names, one, resolve, seen.at) for one in each):
                return f"`{use.resource}:{use.verb}` reaches rows beyond its filter"
    writes = {"update": resource.updates, "create": resource.creates}.get(use.verb, ())
    if writes and not any(_settable(use, each.set, resolve, seen.at) for each in writes):
        return f"`{use.resource}:{use.verb}` writes other values than it may"
    return ""


def _within(use: TableUse, names: Names, where: RowFilter, resolve: Resolve, now: datetime) -> bool:
    """Return whether all rows of a use are known to lie within a filter."""
    return all(_keeps(use, names, column, matcher, resolve, now) for column, matcher in where.conditions)


def _keeps(use: TableUse, names: Names, column: str, matcher: Matcher, resolve: Resolve, now: datetime) -> bool:
    operands = (
        (matcher.operand,) if isinstance(matcher, Equal) else matcher.operands if isinstance(matcher, OneOf) else ()
    )
    if any(isinstance(each, Ref) and str(each)[1:] in names.get(column, ()) for each in operands):
        return True
    told: list[Sequence[Seen]] = [
        each.values for each in use.conditions if each.field == column and each.comparison in ("equal", "one_of")
    ]
    told += [each.values for each in use.holds if each.field == column and each.whole]
    return any(values and all(holds(matcher, value.value, resolve, now) is True for value in values) for values in told)


def _settable(use: TableUse, bounds: Mapping[str, Matcher], resolve: Resolve, now: datetime) -> bool:
    for held in use.sets:
        matcher = bounds.get(held.field)
        if matcher is not None and not all(holds(matcher, each.value, resolve, now) is True for each in held.values):
            return False
    return True


def _by_key(values: Mapping[str, Seen]) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for name, value in values.items():
        for key in keys_of(value):
            found[key] = found.get(key, frozenset()) | {name}
    return found
