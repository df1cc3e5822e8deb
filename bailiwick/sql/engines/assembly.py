"""From a walked statement to the texts that are executed: our own named queries, the agent's, and the statement."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from bailiwick.sql.engines.composing import Composed, composed, form_of, identity
from bailiwick.sql.engines.dialect import Dialect, Parameters
from bailiwick.sql.engines.environment import Walk
from bailiwick.sql.engines.foresight import foreseen, is_blind
from bailiwick.sql.engines.keyed import KeyedWrite
from bailiwick.sql.engines.plan import EnginePlan, Reached, Returning, Step, Upsert
from bailiwick.sql.engines.predicates import TRUE
from bailiwick.sql.engines.returning import find, form_back, returned
from bailiwick.sql.engines.tree import Node, piece_of
from bailiwick.sql.engines.upserts import Upserting
from bailiwick.sql.engines.writes import Write


class Assembly:
    """Puts one statement together. Its forms share one list of parameters."""

    def __init__(self, walk: Walk, dialect: Dialect, ctes: Sequence[Node]) -> None:
        self._walk, self._dialect = walk, dialect
        self._parameters = Parameters(walk.parameters + 1)
        self._forms: dict[str, str] = {}
        self._reads: dict[str, Reached] = {}
        self._ctes = [piece_of(each, dialect.grammar) for each in ctes]

    def plan(self, plan: EnginePlan, made: Write | None) -> EnginePlan:
        """Return the plan with its texts. `plan.sql` is the body of a query so far."""
        self._make_forms(made)
        if made is None:
            found = self._with(plan, self._step(plan.sql))
        elif self._dialect.by_key:
            found = self._by_key(plan, made)
        elif made.conflict is not None or (made.verb == "create" and self._is_looked_at(made)):
            found = self._upsert(plan, made)
        else:
            found = self._written(plan, made)
        blind = made is not None and is_blind(made)
        return replace(found, bound=self._parameters.bound, blind=blind)

    def _is_looked_at(self, made: Write) -> bool:
        """Whether something is known of which rows an INSERT may not write."""
        return foreseen(made, made.target.text(Parameters(1))) != TRUE

    def _with(self, plan: EnginePlan, step: Step) -> EnginePlan:
        """Return the plan with a step as its statement."""
        return replace(
            plan, sql=step.sql, reads=step.reads, functions=step.functions, target=step.target, query=step.query
        )

    def _make_forms(self, made: Write | None) -> None:
        for use in self._walk.uses:
            names = use.scoped.in_order(use.fields)
            if made is not None and use is made.back:
                by_row = self._dialect.writing is not None and self._dialect.writing.by_row
                self._forms[use.name] = form_back(made, self._walk, self._parameters)
                reached = use.scoped.reached(names, row=by_row, more=() if by_row else made.target.key)
            elif made is not None and use is made.use:
                self._forms[use.name] = "" if self._dialect.by_key else form_of(made, self._walk, self._parameters)
                reached = use.scoped.reached(names, row=True)
            else:
                fenced = self._walk.loud and use.scoped.hides_rows
                self._forms[use.name] = use.scoped.form(self._parameters, names, fenced=fenced)
                reached = use.scoped.reached(names)
            self._reads[use.name] = reached

    def _step(self, body: str, made: Composed | None = None) -> Step:
        """Return a step: with `made` a write, with its query of rows in so far as it is the agent's."""
        functions = frozenset(self._walk.functions) | self._dialect.own_functions()
        return Step(
            self._whole(body),
            self._reads,
            functions,
            None if made is None else made.target,
            "" if made is None else self._whole(made.rows),
        )

    def _numbered(self, sql: str) -> str:
        """Return the text with its own kind of parameter in the places of the agent's."""
        prefix = self._walk.prefix
        return re.sub(rf"[:$]{prefix}p(\d+)", lambda match: self._dialect.parameter(int(match[1])), sql)

    def _whole(self, body: str) -> str:
        """Return our own named queries, the agent's, and the statement."""
        named = self._named(body)
        word = "WITH RECURSIVE" if self._dialect.recursive else "WITH"
        return self._numbered(f"{word} {', '.join(named)} {body}" if named else body)

    def _named(self, body: str) -> list[str]:
        """Return the named queries that a text needs; the agent's own all or none."""
        own = [name for name in self._walk.named if self._dialect.ident(name) in body]
        ctes = self._ctes if own else []
        around = " ".join([body, *ctes])
        forms = {name: form for name, form in self._forms.items() if self._dialect.ident(name) in around}
        return [f"{self._dialect.ident(name)} AS ({form})" for name, form in forms.items()] + ctes

    def _written(self, plan: EnginePlan, made: Write) -> EnginePlan:
        text = composed(made, self._walk, self._parameters)
        found = self._with(plan, self._step(text.sql, text))
        if made.back is None:
            return found
        before = find(made, text, self._walk) if made.verb == "delete" else ""
        looked = replace(self._step(before, text), target=text.target) if before else None
        return replace(found, returning=self._returning(made, looked))

    def _returning(self, made: Write, before: Step | None = None) -> Returning:
        return Returning(self._step(returned(made, self._walk)), len(identity(made, self._walk)), before)

    def _upsert(self, plan: EnginePlan, made: Write) -> EnginePlan:
        composing = Upserting(made, self._walk, self._parameters)
        conflict = composing.conflict
        texts = composing.composed()
        self._forms[conflict.given] = texts.given
        self._reads[conflict.given] = composing.reached()
        change = texts.change
        upsert = Upsert(
            make=texts.make,
            fill=self._step(texts.fill.sql, texts.fill),
            held=texts.held,
            fresh=texts.fresh,
            meant=self._step(texts.meant) if texts.meant else None,
            change=None if change is None else self._step(change.sql, change),
            pinned=tuple(name for name, _ in conflict.pins),
            key=conflict.key,
        )
        found = replace(self._with(plan, self._step(texts.add.sql, replace(texts.add, rows=""))), upsert=upsert)
        return found if made.back is None else replace(found, returning=self._returning(made))

    def _by_key(self, plan: EnginePlan, made: Write) -> EnginePlan:
        """Return the plan of a write by key, with what is done around it."""
        composing = KeyedWrite(made, self._walk, self._parameters)
        if made.use is not None:
            self._forms[made.use.name] = composing.form()
        back = "" if made.back is None else made.back.name
        forms = {name: form for name, form in self._forms.items() if name != back}
        named = [f"{self._dialect.ident(name)} AS ({form})" for name, form in forms.items()]
        named += self._ctes
        body, keyed, target = composing.composed(named)
        if keyed is not None:
            keyed = replace(keyed, find=self._numbered(keyed.find))
        step = replace(self._step(""), sql=self._numbered(body), target=target)
        foresee = self._numbered(composing.foresee(named)) if made.verb == "create" and self._is_looked_at(made) else ""
        found = replace(self._with(plan, step), keyed=keyed, foresee=foresee)
        return found if made.back is None else replace(found, returning=self._returning(made))
