"""What would be decided about a statement, an action or a call, and why. Nothing is executed. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from bailiwick.control.explaining_tools import file_call, file_verbs_of, route_call, tool_action, tool_call
from bailiwick.decide.decide import decide
from bailiwick.decide.scope import effective_scope
from bailiwick.decide.session import check_opening
from bailiwick.errors import PolicyError, SessionError
from bailiwick.model.action import data_verbs
from bailiwick.model.decision import Access, Allow, Decision, Denial, Deny, Hold, Request
from bailiwick.model.files import FileVerb
from bailiwick.model.lock import Lock
from bailiwick.model.policy import Policy
from bailiwick.model.route import methods
from bailiwick.model.scope import Scope
from bailiwick.model.session import Session, User
from bailiwick.sql.catalogue import Catalogue
from bailiwick.sql.plan import Bound, Constant, Plan


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, and whose session it would be."""

    asked: str
    agent: str
    task: str | None = None
    user: str | None = None
    groups: Sequence[str] = ()
    values: Mapping[str, str] | None = None
    tenant: str | None = None
    mount: str | None = None
    arguments: str | None = None
    """Of a call, as JSON."""
    claims: Mapping[str, str] | None = None
    """Of the person, beside their groups."""


@dataclass(frozen=True, slots=True)
class Explained:
    """One statement or action and what comes of it."""

    asked: str
    decision: Decision
    accesses: tuple[Access, ...] = ()
    plan: Plan | None = None
    words: tuple[str, ...] = ()
    """Of tools: how they may be called, or the call that would be made."""


def explained(
    policy: Policy, lock: Lock, question: Question, catalogue: Callable[[str], Catalogue]
) -> list[dict[str, object]]:
    """Return what is decided, as JSON. `catalogue` gives what is known of a mount. Raises PolicyError, SessionError."""
    session = session_of(policy, question)
    scope = effective_scope(policy, lock, session)
    asked, parts = question.asked, question.asked.split(":")
    if asked.partition(" ")[0] in methods and asked.partition(" ")[2].startswith("/"):
        decision, words = route_call(policy, scope, session, asked, question.arguments)
        found = [Explained(asked, decision, words=words)]
    elif question.arguments is not None and (verbs := file_verbs_of(policy, asked)):
        found = [_file(policy, scope, session, question, verb) for verb in verbs]
    elif question.arguments is not None:
        decision, words = tool_call(policy, scope, session, asked, question.arguments)
        found = [Explained(asked, decision, words=words)]
    elif len(parts) == 2 and policy.tool_resource(parts[0]) is not None:
        decision, words = tool_action(scope, parts[0], parts[1])
        found = [Explained(asked, decision, words=words)]
    elif 2 <= len(parts) <= 3 and parts[1] in data_verbs and " " not in asked:
        found = [_action(policy, scope, parts)]
    else:
        name = _mount(policy, question.mount)
        found = list(_statements(policy, scope, catalogue(name), name, asked))
    return [_json(each, scope) for each in found]


def _file(policy: Policy, scope: Scope, session: Session, question: Question, verb: FileVerb) -> Explained:
    decision, words = file_call(policy, scope, session, verb, question.arguments or "{}")
    return Explained(f"{question.asked} ({verb})", decision, words=words)


def session_of(policy: Policy, question: Question) -> Session:
    """Return the session that would be opened. A value that is looked up at opening may be left out or given.

    Raises SessionError when it cannot be."""
    found = session_or_denial(policy, question)
    if isinstance(found, Denial):
        raise SessionError(found.message, remedy=found.remedy)
    return found


def session_or_denial(policy: Policy, question: Question) -> Session | Denial:
    """Return the session that would be opened, or why it cannot be."""
    task, given = question.task, question.values or {}
    known = policy.tasks.get(task) if task is not None else None
    derived = [] if known is None else [name for name, rule in known.context.items() if rule.source is not None]
    claims = dict(question.claims or {})
    person = None if question.user is None else User(question.user, frozenset(question.groups), claims)
    brought = {name: value for name, value in given.items() if name not in derived}
    now, agent = datetime.now(UTC), question.agent
    opening = check_opening(
        policy, agent, task, person, brought, question.tenant, ttl=None, longest=timedelta(hours=12), now=now
    )
    if isinstance(opening, Denial):
        return opening
    context = {**opening.context, **{name: given[name] for name in derived if name in given}}
    return Session("explain", agent, person, task, context, opening.tenant, now, now + opening.ttl, opening.idle)


def _mount(policy: Policy, given: str | None) -> str:
    if given is None and len(policy.mounts) == 1:
        return next(iter(policy.mounts))
    if given is None or given not in policy.mounts:
        names = ", ".join(policy.mounts)
        raise PolicyError(f"the policy has no mount `{given}`" if given else "which mount?", remedy=f"--mount: {names}")
    return given


def _action(policy: Policy, scope: Scope, parts: Sequence[str]) -> Explained:
    access = Access(parts[0], parts[1], tuple(parts[2:]))
    resource = policy.resource(parts[0])
    request = Request("" if resource is None else resource.mount, (access,))
    return Explained(":".join(parts), decide(policy, scope, request), (access,))


def _statements(policy: Policy, scope: Scope, catalogue: Catalogue, mount: str, sql: str) -> Iterator[Explained]:
    for plan in _plans(policy, scope, catalogue, mount, sql):
        if isinstance(plan, Denial):
            yield Explained(sql, Deny(plan))
        else:
            decision = decide(policy, scope, Request(mount, plan.accesses))
            yield Explained(plan.statement or sql, decision, plan.accesses, plan)


def _plans(policy: Policy, scope: Scope, catalogue: Catalogue, mount: str, sql: str) -> Sequence[Plan | Denial]:
    """Return what the mount would run for each statement, or why it would not."""
    engine = policy.mounts[mount].engine
    if engine is None:
        from bailiwick.sql.rewrite import Rewriter

        rewriter = Rewriter(scope, catalogue, mount, policy.mounts[mount].functions)
        return rewriter.rewrite(sql)
    from bailiwick.sql.engines.rewrite import DIALECTS, EngineRewriter

    if engine not in DIALECTS:
        message = f"nothing is known yet of the SQL of engine `{engine}` (mount `{mount}`)"
        raise PolicyError(message, remedy=f"use one of {', '.join(DIALECTS)}")
    found = EngineRewriter(scope, catalogue, mount, engine).rewrite(sql)
    if isinstance(found, Denial):
        return (found,)
    checked = found.target is not None and found.target.verb != "delete"
    written = Constant("the rows that were written")
    bound = tuple(Bound(written if each.source == "written" else each.source, each.type) for each in found.bound)
    plan = Plan(
        found.kind,
        "; ".join(found.texts),
        found.accesses,
        first=found.parameters + 1,
        bound=bound,
        checked=checked,
        statement=found.statement,
    )
    return (plan,)


def _json(each: Explained, scope: Scope) -> dict[str, object]:
    taken = each.decision.grants if isinstance(each.decision, Allow) else ()
    known = [scope.grants[name] for name in taken if name in scope.grants]
    grants = [
        {"id": each.id, "reason": each.reason, "at": f"{each.position.file}:{each.position.line}"} for each in known
    ]
    found: dict[str, object] = {
        "asked": each.asked,
        "decision": type(each.decision).__name__.lower(),
        "accesses": [asdict(access) for access in each.accesses],
        "grants": grants,
        **({"tools": list(each.words)} if each.words else {}),
    }
    if not isinstance(each.decision, Allow):
        found["denial"] = asdict(each.decision.denial)
        found |= {"gate": each.decision.gate} if isinstance(each.decision, Hold) else {}
    elif each.decision.ceilings is not None:
        found["ceilings"] = {name: most for name, most in asdict(each.decision.ceilings).items() if most is not None}
    if isinstance(each.decision, Allow) and each.plan is not None:
        found["rewritten"] = each.plan.sql
        found["bound"] = [
            {"parameter": each.plan.first + place, "source": str(bound.source), "type": bound.type}
            for place, bound in enumerate(each.plan.bound or each.plan.lent)
        ]
        found["checked_after"] = each.plan.checked
        found["aggregated"] = [
            {"resource": one.resource, "min_group": one.min_group, "groupings": one.most} for one in each.plan.groupings
        ]
    return found
