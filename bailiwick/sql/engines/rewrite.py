"""From the text of an agent to a plan: parse, check, resolve against the scope, compose. Nothing else is executed.

A rewriter belongs to one scope and one catalogue. It holds no session's values, so that its plans may be kept for
every session of the same scope.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlglot import exp

from bailiwick.model.decision import Access, Denial, DenialCode
from bailiwick.model.policy import Engine
from bailiwick.model.scope import Scope
from bailiwick.sql.catalogue import Catalogue
from bailiwick.sql.engines import grammar
from bailiwick.sql.engines.assembly import Assembly
from bailiwick.sql.engines.dialect import Dialect
from bailiwick.sql.engines.duckdb import DuckDB
from bailiwick.sql.engines.environment import Columns, Level, Use, Walk
from bailiwick.sql.engines.mariadb import MariaDB
from bailiwick.sql.engines.plan import EnginePlan
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
from bailiwick.sql.engines.usage import Usage
from bailiwick.sql.engines.writes import Write, write

DIALECTS: Mapping[Engine, Dialect] = {
    "sqlite": SQLite(),
    "duckdb": DuckDB(),
    "mariadb": MariaDB(),
    "trino": Trino(),
}
_HELD: frozenset[DenialCode] = frozenset({"needs_approval", "action_not_granted"})
"""What is said of a field that a gate holds, and of a table that has no others."""
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
        self._held: dict[tuple[str, str], Scoped] | None = None
        """The relations with the fields that gates hold; made when a statement first names one."""
        self._usage = Usage(self.relations.values()) if mount in scope.observed else None

    def rewrite(self, sql: str, *, shown: bool = False) -> EnginePlan | Denial:
        """Return the plan of the one statement of the text, or why there is none.

        `shown`: of a write that returns nothing, the plan by which it returns its rows as the scope shows them.
        """
        denial = scan(sql)
        if denial is not None:
            return denial
        found = self._tried(sql, self.relations, shown=shown)
        if isinstance(found, Denial) and found.code in _HELD:
            return self._with_held(sql) or found
        return found

    def _tried(self, sql: str, relations: Mapping[tuple[str, str], Scoped], *, shown: bool) -> EnginePlan | Denial:
        try:
            return self._rewrite(sql, relations, shown=shown)
        except Refused as refused:
            return refused.denial
        except RecursionError:
            return _TOO_DEEP

    def _with_held(self, sql: str) -> EnginePlan | None:
        """Plan a query that names fields which gates hold, for people to decide on; None where it is none.

        INVARIANT: what it reads of them is among its accesses, so that `decide` holds it at every run.
        """
        if self._held is None:
            self._held = {
                place: Scoped(self.dialect, each.scope, each.relation, with_held=True)
                for place, each in self.relations.items()
            }
        found = self._tried(sql, self._held, shown=False)
        if isinstance(found, Denial) or found.kind != "READ":
            return None
        return found if any(_reads_held(each, found) for each in self._held.values()) else None

    def _rewrite(self, sql: str, relations: Mapping[tuple[str, str], Scoped], *, shown: bool) -> EnginePlan:
        walk = Walk(self.dialect, relations, _unused(sql), loud=self.dialect.always_loud)
        if self.dialect.gaps is not None:
            check_gaps(sql, self.dialect.grammar, self.dialect.gaps)
        named, walk.parameters = numbered(sql, self.dialect.grammar, f"{walk.prefix}p")
        tree = parse(named, self.dialect.grammar)
        grammar.check_lacks(tree, self.dialect.lacks, recursive=self.dialect.recursive)
        grammar.check(tree, self.dialect.holds, self.dialect.joins)
        used = None if self._usage is None else self._usage.of(tree, f"{walk.prefix}p")
        if shown and isinstance(tree, exp.Insert | exp.Update | exp.Delete) and child(tree, "returning") is None:
            tree.set("returning", exp.Returning(expressions=[exp.Star()]))
        made: Write | None = None
        columns: Columns = ()
        if isinstance(tree, exp.Insert | exp.Update | exp.Delete):
            made = write(tree, walk)
            columns = made.columns
        else:
            columns = query(tree, Level(), walk)
        walk.loud = walk.loud or (made is not None and self.dialect.by_key)  # a write fails where a query would warn
        text_of(tree, self.dialect.grammar)  # it reads again as what was walked
        body = "" if made is not None else _without_ctes(tree, self.dialect.grammar)
        plan = EnginePlan(
            "READ" if made is None else "WRITE",
            body,
            accesses=_accesses(walk.uses, made),
            statement=without_literals(sql, self.dialect.grammar),
            parameters=walk.parameters,
            columns=columns,
            used=used,
        )
        return Assembly(walk, self.dialect, _ctes(tree)).plan(plan, made)


def _reads_held(scoped: Scoped, plan: EnginePlan) -> bool:
    """Whether a plan reads a field of the relation that a gate holds."""
    reads = [each for each in plan.accesses if each.resource == scoped.resource.name and each.verb == "read"]
    return any(scoped.is_held(name) for each in reads for name in each.fields)


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
    acts = () if made is None else made.acts
    writes = [Access(made.target.resource.name, each.verb, tuple(sorted(each.fields))) for each in acts if made]
    return (*writes, *found)
