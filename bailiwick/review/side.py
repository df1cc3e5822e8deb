"""What one policy, with its lock, decides about requests of which the ledger tells. Pure: needs no database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bailiwick.decide.canonical import digest
from bailiwick.decide.decide import DecisionTable
from bailiwick.model.decision import Access, Allow, Decision, Denial, Hold, Request
from bailiwick.model.lock import Lock
from bailiwick.model.policy import Policy
from bailiwick.model.scope import Scope
from bailiwick.review.asked import Asked, Terms, Verdict
from bailiwick.review.scopes import Known, scopes_of
from bailiwick.sql.plan import Plan
from bailiwick.sql.rewrite import Rewriter
from bailiwick.sql.snapshot import snapshot

_most_rewriters = 256


class Side:
    """One policy. Keeps what it has worked out."""

    def __init__(self, policy: Policy, lock: Lock) -> None:
        self.policy = policy
        self.lock = lock
        self._scopes: dict[Terms, tuple[Scope, ...]] = {}
        self._contents: dict[str, Scope] = {}
        self._tables: dict[str, DecisionTable] = {}
        self._rewriters: dict[tuple[str, str], Rewriter] = {}
        self._by_text: dict[tuple[str, str, str], Verdict | None] = {}
        self._catalogues = {name: snapshot(mount, lock) for name, mount in policy.mounts.items()}

    def scopes(self, terms: Terms, known: Known) -> tuple[Scope, ...]:
        """Return the scope of a session, or the two between which it lies."""
        found = self._scopes.get(terms)
        if found is None:
            made = scopes_of(self.policy, self.lock, terms, known)
            found = self._scopes[terms] = tuple(map(self._shared, made))
        return found

    def _shared(self, scope: Scope) -> Scope:
        """Return one scope for all that reach the same, so that statements are analysed for it once."""
        content = digest(scope.resources, scope.tools, scope.grants)
        return self._contents.setdefault(content, scope)

    def refuses(self, terms: Terms) -> str:
        """Return why there would be no such session at all; empty when there can be one."""
        if terms.agent not in self.policy.agents:
            return f"the policy has no agent `{terms.agent}`"
        if terms.task is None:
            return "" if terms.parent is None else self.refuses(terms.parent)
        task = self.policy.tasks.get(terms.task)
        if task is None or terms.agent not in task.agents:
            return f"task `{terms.task}` is not one of agent `{terms.agent}`"
        if terms.context is not None and terms.parent is None:
            looked_up = {name for name, rule in task.context.items() if rule.source or rule.claim}
            lost = [name for name in task.context if name not in (*terms.context, *looked_up, "tenant")]
            if lost:
                return f"sessions of task `{terms.task}` have to bring `{lost[0]}`"
        return "" if terms.parent is None else self.refuses(terms.parent)

    def by_text(self, scope: Scope, mount: str, statement: str) -> Verdict | None:
        """Return what is decided about a statement; None when its recorded text cannot be read."""
        key = (scope.id, mount, statement)
        if key not in self._by_text:
            self._by_text[key] = self._analysed(scope, mount, statement)
        return self._by_text[key]

    def by_accesses(self, scope: Scope, asked: Asked) -> Verdict | None:
        """Return what is decided about what a request touched; None when that is not told apart."""
        accesses = accesses_of(asked)
        if accesses is None or (asked.then == "deny" and not accesses):
            return None
        return self._told(self._table(scope).decide(Request(asked.mount, accesses)), accesses)

    def _analysed(self, scope: Scope, mount: str, statement: str) -> Verdict | None:
        known = self.policy.mounts.get(mount)
        if not statement or known is None:
            return None
        engine = known.engine
        if engine is None:
            plans = self._rewriter(scope, mount, known.functions).rewrite(statement)
        else:
            from bailiwick.sql.engines.rewrite import DIALECTS, EngineRewriter  # sqlglot costs start-up time

            if engine not in DIALECTS:
                return None
            found = EngineRewriter(scope, self._catalogues[mount], mount, engine).rewrite(statement)
            plans = (found if isinstance(found, Denial) else Plan("READ", "", found.accesses),)
        return self._of_plans(scope, mount, plans)

    def _of_plans(self, scope: Scope, mount: str, plans: Sequence[Plan | Denial]) -> Verdict | None:
        if len(plans) != 1:
            return None
        (plan,) = plans
        if isinstance(plan, Denial):
            if plan.code in ("statement_unparsable", "statement_too_large"):
                return None
            return Verdict("deny", plan.code, plan.message)
        return self._told(self._table(scope).decide(Request(mount, plan.accesses)), plan.accesses)

    def _told(self, decision: Decision, accesses: tuple[Access, ...]) -> Verdict:
        if isinstance(decision, Allow):
            return Verdict("allow", "", "", accesses, decision.ceilings, decision.grants)
        outcome = "hold" if isinstance(decision, Hold) else "deny"
        return Verdict(outcome, decision.denial.code, decision.denial.message, accesses)

    def _table(self, scope: Scope) -> DecisionTable:
        found = self._tables.get(scope.id)
        if found is None:
            found = self._tables[scope.id] = DecisionTable(self.policy, scope)
        return found

    def _rewriter(self, scope: Scope, mount: str, functions: Sequence[str]) -> Rewriter:
        key = (scope.id, mount)
        found = self._rewriters.get(key)
        if found is None:
            if len(self._rewriters) >= _most_rewriters:
                self._rewriters.clear()
            found = self._rewriters[key] = Rewriter(scope, self._catalogues[mount], mount, functions)
        return found


def accesses_of(asked: Asked) -> tuple[Access, ...] | None:
    """Return the accesses of a record; None where two verbs of a resource share the fields that it names."""
    fields: Mapping[str, tuple[str, ...]] = dict(asked.fields)
    verbs: dict[str, list[str]] = {}
    for action in asked.actions:
        resource, _, verb = action.partition(":")
        verbs.setdefault(resource, []).append(verb)
    if any(len(each) > 1 for each in verbs.values()):
        return None
    return tuple(Access(name, each[0], fields.get(name, ())) for name, each in verbs.items())
