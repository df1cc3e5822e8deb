"""From the text of an agent to a plan: parse, check, resolve against the scope, compose. Nothing else is executed.

A rewriter belongs to one scope and one catalogue. It holds no session's values, so that its plans may be kept for
every session of the same scope.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlglot import exp

from bailiwick.model.decision import Access, Denial
from bailiwick.model.policy import Engine
from bailiwick.model.scope import Scope
from bailiwick.sql.catalogue import Catalogue
from bailiwick.sql.engines import grammar
from bailiwick.sql.engines.dialect import Dialect, Parameters
from bailiwick.sql.engines.duckdb import DuckDB
from bailiwick.sql.engines.environment import Columns, Level, Use, Walk
from bailiwick.sql.engines.keyed import KeyedWrite
from bailiwick.sql.engines.mariadb import MariaDB
from bailiwick.sql.engines.plan import EnginePlan, Keyed, Reached, Target
from bailiwick.sql.engines.queries import query
from bailiwick.sql.engines.refusal import Refused
from bailiwick.sql.engines.scoped import Scoped, folded
from bailiwick.sql.engines.sqlite import SQLite
from bailiwick.sql.engines.tree import (
    Node,
    check_gaps,
    child,
    children,
    numbered,
    parse,
    piece_of,
    scan,
    text_of,
    without_literals,
)
from bailiwick.sql.engines.trino import Trino
from bailiwick.sql.engines.writes import Write, composed, write

DIALECTS: Mapping[Engine, Dialect] = {
    "sqlite": SQLite(),
    "duckdb": DuckDB(),
    "mariadb": MariaDB(),
    "trino": Trino(),
}
_TOO_DEEP = Denial("statement_too_large", "the statement nests too deeply", "a simpler statement")


class EngineRewriter:
    """Rewrites statements under one scope. Pure, and safe to use in another thread."""

    def __init__(self, scope: Scope, catalogue: Catalogue, mount: str, engine: Engine) -> None:
        self.scope = scope
        self.dialect = DIALECTS[engine]
        self.relations: dict[tuple[str, str], Scoped] = {}
        for each in scope.resources.values():
            place = (each.resource.schema, each.resource.table)
            relation = catalogue.relations.get(place)
            if each.resource.mount == mount and relation is not None:
                self.relations[place] = Scoped(self.dialect, each, relation)

    def rewrite(self, sql: str) -> EnginePlan | Denial:
        """Return the plan of the one statement of the text, or why there is none."""
        denial = scan(sql)
        if denial is not None:
            return denial
        try:
            return self._rewrite(sql)
        except Refused as refused:
            return refused.denial
        except RecursionError:
            return _TOO_DEEP

    def _rewrite(self, sql: str) -> EnginePlan:
        walk = Walk(self.dialect, self.relations, _unused(sql), loud=self.dialect.always_loud)
        if self.dialect.gaps is not None:
            check_gaps(sql, self.dialect.grammar, self.dialect.gaps)
        named, walk.parameters = numbered(sql, self.dialect.grammar, f"{walk.prefix}p")
        tree = parse(named, self.dialect.grammar)
        grammar.check_lacks(tree, self.dialect.lacks, recursive=self.dialect.recursive)
        grammar.check(tree, self.dialect.holds, self.dialect.joins)
        made: Write | None = None
        columns: Columns = ()
        inner = ""
        if isinstance(tree, exp.Insert | exp.Update | exp.Delete):
            made = write(tree, walk)
        else:
            columns = query(tree, Level(), walk)
        walk.loud = walk.loud or (made is not None and self.dialect.by_key)  # a write fails where a query would warn
        text_of(tree, self.dialect.grammar)  # it reads again as what was walked
        parameters = Parameters(walk.parameters + 1)
        forms, reads = self._forms(walk, parameters, made)
        target: Target | None = None
        keyed: Keyed | None = None
        if made is None:
            body = self._whole(forms, _ctes(tree), _without_ctes(tree, self.dialect.grammar))
        elif self.dialect.by_key:
            body, keyed, target = self._by_key(made, walk, parameters, forms)
        else:
            body, form, target, inner = composed(made, walk, parameters)
            if made.use is not None:
                forms[made.use.name] = form
            body = self._whole(forms, made.ctes, body)
            inner = self._whole(forms, made.ctes, inner)
        return EnginePlan(
            kind="READ" if made is None else "WRITE",
            sql=self._numbered(body, walk.prefix),
            accesses=_accesses(walk.uses, made),
            statement=without_literals(sql, self.dialect.grammar),
            parameters=walk.parameters,
            bound=parameters.bound,
            columns=columns,
            reads=reads,
            functions=frozenset(walk.functions) | self.dialect.own_functions(),
            query=self._numbered(inner, walk.prefix),
            keyed=keyed,
            target=target,
        )

    def _forms(
        self, walk: Walk, parameters: Parameters, made: Write | None
    ) -> tuple[dict[str, str], dict[str, Reached]]:
        """Return the scoped form of each use, and what it may read."""
        forms: dict[str, str] = {}
        reads: dict[str, Reached] = {}
        for use in walk.uses:
            names = use.scoped.in_order(use.fields)
            if made is None or use is not made.use:
                fenced = walk.loud and use.scoped.hides_rows
                forms[use.name] = use.scoped.form(parameters, names, fenced=fenced)
            reads[use.name] = use.scoped.reached(names)
        return forms, reads

    def _numbered(self, sql: str, prefix: str) -> str:
        """Return the text with its own kind of parameter in the places of the agent's."""
        return re.sub(rf"[:$]{prefix}p(\d+)", lambda match: self.dialect.parameter(int(match[1])), sql)

    def _whole(self, forms: Mapping[str, str], ctes: Sequence[Node], body: str) -> str:
        """Return our own named queries, the agent's, and the statement."""
        named = self._named(forms, ctes)
        word = "WITH RECURSIVE" if self.dialect.recursive else "WITH"
        return f"{word} {', '.join(named)} {body}" if named else body

    def _named(self, forms: Mapping[str, str], ctes: Sequence[Node]) -> list[str]:
        named = [f"{self.dialect.ident(name)} AS ({form})" for name, form in forms.items()]
        return named + [piece_of(each, self.dialect.grammar) for each in ctes]

    def _by_key(
        self, made: Write, walk: Walk, parameters: Parameters, forms: dict[str, str]
    ) -> tuple[str, Keyed | None, Target]:
        """Return the text of a write by key, what is done around it, and what it changes."""
        composing = KeyedWrite(made, walk, parameters)
        if made.use is not None:
            forms[made.use.name] = composing.form()
        body, keyed, target = composing.composed(self._named(forms, made.ctes))
        if keyed is not None:
            keyed = replace(keyed, find=self._numbered(keyed.find, walk.prefix))
        return body, keyed, target


def _ctes(tree: Node) -> list[Node]:
    found = child(tree, "with_")
    return [] if found is None else children(found, "expressions")


def _without_ctes(tree: Node, name: str) -> str:
    """Return the text of a query without its WITH, which stays in the tree."""
    found = child(tree, "with_")
    tree.set("with_", None)
    body = piece_of(tree, name)
    tree.set("with_", found)
    return body


def _unused(sql: str) -> str:
    """Return the beginning of names that stands nowhere in the text."""
    text, number = folded(sql), 0
    while f"bw{number}_" in text:
        number += 1
    return f"bw{number}_"


def _accesses(uses: Sequence[Use], made: Write | None) -> tuple[Access, ...]:
    """Return what a statement uses of which resource."""
    reads: dict[str, set[str]] = {}
    for use in uses:
        if made is None or use is not made.use or use.fields:
            reads.setdefault(use.scoped.resource.name, set()).update(use.fields)
    found = [Access(resource, "read", tuple(sorted(names))) for resource, names in reads.items()]
    if made is not None:
        found.insert(0, Access(made.target.resource.name, made.verb, tuple(sorted(made.fields))))
    return tuple(found)
