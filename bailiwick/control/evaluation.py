"""Decisions that are asked for by themselves: whether a session, or an agent in a task, may do one thing. Pure.

Where a decision hangs on what a row holds and that is not said, the answer is no.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from bailiwick.control.web import Json
from bailiwick.decide.asking import Asking
from bailiwick.decide.calls import Admitted, Held, decide_call
from bailiwick.decide.decide import decide
from bailiwick.decide.scope import session_values
from bailiwick.match.evaluate import Resolve, all_of, holds
from bailiwick.model.decision import Access, Allow, Decision, Denial, Deny, Request
from bailiwick.model.policy import Policy
from bailiwick.model.scope import ResourceScope, RowFilter, Scope
from bailiwick.model.session import Session

_data_verbs = ("read", "create", "update", "delete")


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked."""

    session: Session
    scope: Scope
    policy: Policy
    now: datetime
    mounts: frozenset[str] | None
    """The mounts that the session was opened for; None: it is not a real one."""
    resource: str
    identity: str | None
    row: Mapping[str, object] | None
    """What the row holds, if that is said."""
    action: str
    fields: tuple[str, ...]
    arguments: Mapping[str, object]


def answer(question: Question) -> Decision:
    """Return the decision."""
    if question.resource in ("tool", "route"):
        return _call(question)
    place = question.scope.resources.get(question.resource)
    if place is None or (question.mounts is not None and place.resource.mount not in question.mounts):
        return Deny(Denial("resource_unknown", "it is not a resource of this session", remedy="name one that it has"))
    if question.action not in _data_verbs:
        return Deny(Denial("action_not_granted", "it is no verb of data", ", ".join(_data_verbs), "name one of them"))
    fields = question.fields or (place.readable() if question.action == "read" else ())
    if question.action in ("create", "update") and not fields:
        return Deny(Denial("field_not_granted", "it is not said which fields", remedy="give `fields` of the action"))
    access = Access(question.resource, question.action, tuple(sorted(fields)))
    decision = decide(question.policy, question.scope, Request(place.resource.mount, (access,)))
    if not isinstance(decision, Allow) or (question.row is None and question.identity is None):
        return decision
    return decision if _admits(question, place, frozenset(fields)) else Deny(_OUTSIDE)


_OUTSIDE = Denial(
    "row_out_of_scope",
    "this row is not known to be within the scope",
    remedy="say what it holds in `properties` of the resource",
)


class _Unsaid:
    """The value of a part of a path that is not said: it matches nothing but `any`."""


_unsaid = _Unsaid()


def _call(question: Question) -> Decision:
    key, kind = (question.identity or "", "tool") if question.resource == "tool" else (_route(question), "route")
    tool = question.scope.tools.get(key)
    gone = tool is None or (question.mounts is not None and tool.mount not in question.mounts)
    if gone or (kind == "tool" and question.action != "call"):
        what = "`call` one that it has" if kind == "tool" else "name method and template of one that it has"
        return Deny(Denial("resource_unknown", f"it is not a {kind} of this session", remedy=what))
    values = session_values(question.session)
    asking = Asking(question.policy, question.scope, _resolve(question.session), values, question.now)
    if kind == "route":
        route = None if tool is None else tool.tool.route
        unsaid = [] if route is None else [each for each in route.arguments if each.startswith("path.")]
        given = {**dict.fromkeys(unsaid, _unsaid), **question.arguments}
        found = decide_call(asking, key.removeprefix("route:"), given, "route")
    else:
        found = decide_call(asking, key, question.arguments)
    if isinstance(found, Held):
        return found.hold
    return found.allow if isinstance(found, Admitted) else found.decision


def _route(question: Question) -> str:
    """Return the key of the one route with a method and a template, which may begin with its mount; else nothing."""
    found = [
        key
        for key, each in question.scope.tools.items()
        if each.tool.route is not None
        and each.tool.route.method == question.action
        and question.identity in (each.tool.route.path, f"/{each.mount}{each.tool.route.path}")
        and (question.mounts is None or each.mount in question.mounts)
    ]
    return found[0] if len(found) == 1 else ""


def _admits(question: Question, place: ResourceScope, fields: frozenset[str]) -> bool:
    """Return whether the row is known to be one that the grants reach, for each of the fields."""
    row = _row(question, place)
    if row is None or not _of_tenant(question, place, row):
        return False
    resolve = _resolve(question.session)

    def known(rows: RowFilter) -> bool | None:
        return _holds(rows, row, resolve, question.now)

    if any(known(deny.filter) is not False for deny in place.denied_rows):
        return False
    readable = {name for read in place.reads if known(read.filter) is True for name in read.fields}
    if question.action == "read":
        return bool(readable) and fields <= readable
    grants = {"update": place.updates, "create": place.creates, "delete": place.deletes}[question.action]
    if question.action != "create" and not readable:
        return False
    if question.action == "delete":
        return any(known(grant.filter) is True for grant in grants)
    return any(known(grant.filter) is True and fields <= grant.fields for grant in grants)


def _row(question: Question, place: ResourceScope) -> Mapping[str, object] | None:
    """Return what is known of the row; None when its id contradicts what it is said to hold."""
    row = dict(question.row or {})
    if question.identity is not None and len(place.resource.key) == 1:
        (key,) = place.resource.key
        if str(row.setdefault(key, question.identity)) != question.identity:
            return None
    return row


def _of_tenant(question: Question, place: ResourceScope, row: Mapping[str, object]) -> bool:
    tenant = place.resource.tenant
    if tenant is None:
        return True
    own = question.session.tenant
    return own is not None and tenant in row and type(row[tenant]) is type(own) and row[tenant] == own


def _holds(rows: RowFilter, row: Mapping[str, object], resolve: Resolve, now: datetime) -> bool | None:
    """Evaluate a filter over what is known; a column that is not said, and SQL, are unknown."""
    found = [holds(matcher, row[name], resolve, now) if name in row else None for name, matcher in rows.conditions]
    return all_of([*found, None] if rows.sql is not None else found)


def _resolve(session: Session) -> Resolve:
    return lambda ref: session.value(ref.path)


def told(decision: Decision) -> dict[str, Json]:
    """Return what a decision point is told beside yes or no; never a value from outside the scope."""
    if isinstance(decision, Allow):
        return {"grants": [*decision.grants]}
    denial = decision.denial
    said: Iterable[tuple[str, str]] = (
        ("code", denial.code),
        ("reason", denial.message),
        ("allowed", denial.allowed),
        ("remedy", denial.remedy),
    )
    return {name: text for name, text in said if text}
