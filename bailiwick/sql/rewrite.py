"""From the text of an agent to plans: parse, resolve against the scope, replace, deparse. Nothing else goes upstream.

A `Rewriter` belongs to one scope and one catalogue. It holds no session's values, so everything that it gives back may
be kept for every session of the same scope.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from postgast.pg_query_pb2 import Node, RangeTableSample, RawStmt

from bailiwick.model.decision import Access, Denial, DenialCode
from bailiwick.model.scope import Scope
from bailiwick.sql import aggregates, locks, named, statements, writes
from bailiwick.sql.casts import declared_name
from bailiwick.sql.catalogue import Catalogue, Visible, VisibleRelation
from bailiwick.sql.counting import count
from bailiwick.sql.environment import UNREPLACED, Level, Refused, Replacement, Use, Walk
from bailiwick.sql.expressions import expression
from bailiwick.sql.literals import Cut, form, twin
from bailiwick.sql.native.resetting import reset_what_agents_set, resets_everything
from bailiwick.sql.native.through import through_views
from bailiwick.sql.parameters import Parameters, lent
from bailiwick.sql.parser import (
    MAX_STATEMENT,
    MAX_STATEMENTS,
    conjoin,
    deparse,
    normalized,
    on_stack,
    parse,
    query_text,
    scan,
)
from bailiwick.sql.parser import expression as parsed
from bailiwick.sql.plan import Plan, Prepare, with_sql
from bailiwick.sql.predicates import RelationText
from bailiwick.sql.preview import DryRun, RowsQuery, dry_run, rows_query
from bailiwick.sql.queries import query
from bailiwick.sql.scoped import INNER, ScopedRelation
from bailiwick.sql.shaped import with_parameters
from bailiwick.sql.shapes import Shapes, Shared, cut_for_shape
from bailiwick.sql.system import ONLY_BESIDE, SYSTEM_INNER, SystemView
from bailiwick.sql.trees import become, copied
from bailiwick.sql.types import own_types
from bailiwick.sql.usage import Known, Statement
from bailiwick.sql.usage_walk import used_by
from bailiwick.sql.written import Write

_SIMPLE = {
    "transaction_stmt": statements.control,
    "variable_set_stmt": statements.variable_set,
    "variable_show_stmt": statements.variable_show,
    "unlisten_stmt": statements.unlisten,
    "discard_stmt": named.discard,
    "deallocate_stmt": named.deallocate,
    "close_portal_stmt": named.close,
    "fetch_stmt": named.fetch,
    "explain_stmt": named.explain,
}
_SHAPES = 1024
"""Shapes that a rewriter remembers; a gateway, which asks it for those that it has not seen, remembers more."""


class Rewriter:
    """Rewrites statements under one scope. Not thread-safe; pure but for what it remembers of its own results."""

    def __init__(
        self,
        scope: Scope,
        catalogue: Catalogue,
        mount: str,
        functions: Iterable[str] = (),
        limit: int = MAX_STATEMENT,
        native: Mapping[str, str] | None = None,
        longest: int = 0,
    ) -> None:
        """`longest`: milliseconds that a statement may take, up to which an agent may set a bound of its own.

        `native`: schema of tables → schema of the views over them that the connection's role reaches, when it runs
        as a role of the native depth; only these are then there."""
        self.scope = scope
        self._catalogue = catalogue
        self._functions = frozenset(functions).union(catalogue.functions)
        self._own_types = own_types(catalogue)
        self._limit = limit
        self._relations: dict[tuple[str, str], ScopedRelation] = {}
        for each in scope.resources.values():
            place = (each.resource.schema, each.resource.table)
            relation = catalogue.relations.get(place)
            if each.resource.mount == mount and relation is not None:
                self._relations[place] = ScopedRelation(each, relation)
        self._held: dict[tuple[str, str], ScopedRelation] | None = None
        """The relations with the fields that gates hold; made when a statement first names one."""
        self._aggregates = aggregates.relations(self._relations.values(), catalogue)
        self._visible = self._make_visible(mount, longest)
        self._native = native is not None
        if native is not None:
            views = {place: through_views(scoped, native) for place, scoped in self._relations.items()}
            self._relations = {place: view for place, view in views.items() if view is not None}
        self._system: dict[tuple[str, str], SystemView | None] = {}
        self._torn: frozenset[int] = frozenset()
        """Parameters of the last statement whose places do not agree on a type; see `Walk.torn`."""
        self._shapes = Shapes(_SHAPES)
        self._by_value = False
        """Whether the last statements' literals were looked at."""
        self._system_forms: dict[str, bytes] = {}
        self._observed = _known(self._relations, self._aggregates) if mount in scope.observed else None
        """Where the session is observed: the tables that it may name."""

    def _make_visible(self, mount: str, longest: int) -> Visible:
        found: list[VisibleRelation] = []
        for (schema, name), scoped in (self._relations | self._aggregates).items():
            shown = tuple(column for column in scoped.relation.columns if column.name in scoped.columns)
            if shown:
                found.append(
                    VisibleRelation(
                        schema, name, scoped.relation.oid, scoped.relation.kind, shown, bool(scoped.scope.updates)
                    )
                )
        places = self._relations | self._aggregates  # also what may be written, and not read
        schemas = sorted({schema for schema, _ in places}, key=lambda schema: (schema != "public", schema))
        return Visible(tuple(found), self.scope.agent, tuple(schemas) or ("public",), mount, longest)

    def rewrite(self, sql: str, declared: tuple[int, ...] = ()) -> tuple[Plan | Denial, ...]:
        """Return a plan or a denial for each statement of the text; one EMPTY plan when there is none.

        `declared`: oids of the types that the client declares its first parameters with.
        """
        types = tuple(declared_name(oid, self._catalogue) for oid in declared)
        found = None if any(declared) or self._observed is not None else cut_for_shape(sql)
        if found is not None:
            if not self._shapes.knows(found):
                self._shapes.keep(found, self._shared(found))
            plan = self._shapes.plan(found)
            if plan is not None:
                return (plan,)
        denial = scan(sql, self._limit)
        plans = (denial,) if denial is not None else on_stack(sql, lambda: self._rewrite(sql, types))
        return tuple(_advised(each) if isinstance(each, Denial) else each for each in plans)

    def shared(self, sql: str) -> Shared | None:
        """Return what a text that was rewritten shares with those that differ from it in their literals only."""
        found = cut_for_shape(sql) if self._observed is None else None  # what is observed has its literals
        return None if found is None else self._shapes.shared(found)

    def dry_run(self, plan: Plan) -> DryRun:
        """Return what a dry run of a write's plan executes."""
        return dry_run(plan, self._written(plan))

    def rows(self, plan: Plan, count: int) -> RowsQuery | None:
        """Return the query for the rows of so many keys, which a dry run of the plan returned."""
        relation = self._written(plan)
        return None if relation is None else rows_query(relation, count)

    def _written(self, plan: Plan) -> ScopedRelation | None:
        """Return the one relation that a plan writes."""
        resources = {access.resource for access in plan.accesses if access.verb != "read"}
        found = [each for each in self._relations.values() if each.resource.name in resources]
        return found[0] if len(found) == 1 else None

    def _shared(self, found: Cut) -> Shared | None:
        """Analyse the twin of a text."""
        sql = twin(found)
        if sql is None or scan(sql, self._limit) is not None:
            return None
        self._by_value = False
        plans = on_stack(sql, lambda: self._rewrite(sql, ()))
        plan = plans[0]
        if (
            len(plans) != 1
            or isinstance(plan, Denial)
            or plan.kind not in ("READ", "WRITE")
            or plan.copy
            or plan.act
            or self._by_value
        ):
            return None
        made = form(plan.sql, len(found.literals))
        if made is None:
            return None
        shaped = with_parameters(plan, made, len(found.literals))
        return (replace(plan, shaped=shaped) if shaped else plan, made)

    def _rewrite(self, sql: str, types: tuple[str, ...]) -> tuple[Plan | Denial, ...]:
        tree = parse(sql)
        if isinstance(tree, Denial):
            return (tree,)
        if not tree.stmts:
            return (Plan("EMPTY", "", returns=False),)
        if len(tree.stmts) > MAX_STATEMENTS:
            return (Denial("statement_too_large", "too many statements", f"up to {MAX_STATEMENTS} in one string"),)
        return tuple(self._statement(raw, sql, types) for raw in tree.stmts)

    def _statement(self, raw: RawStmt, sql: str, types: tuple[str, ...]) -> Plan | Denial:
        encoded = sql.encode()
        text = encoded[raw.stmt_location : raw.stmt_location + raw.stmt_len] if raw.stmt_len else encoded
        statement = normalized(text.decode("utf-8", "replace"))
        again = copied(raw.stmt) if text.count(b"$") > 1 else Node()
        self._torn = frozenset()
        used = None if self._observed is None else used_by(raw.stmt, self._observed, self._visible.search_path)
        found = self._planned_twice(raw.stmt, again, statement, types)
        if isinstance(found, Denial) and found.code in _HELD:
            found = self._with_held(text.decode("utf-8", "replace"), statement, types) or found
        if self._observed is None or isinstance(found, Denial):
            return found
        uses = used or Statement()
        if isinstance(found.act, Prepare):  # it is used when it is executed
            return replace(found, used=Statement(), act=replace(found.act, plan=replace(found.act.plan, used=uses)))
        return replace(found, used=uses)

    def _planned_twice(self, node: Node, again: Node, statement: str, types: tuple[str, ...]) -> Plan | Denial:
        """Plan a statement, and a copy of it once more where its parameters turn out to have several types."""
        try:
            plan = self._plan(node, statement, types)
            if not self._torn:
                return plan
            # The server takes the type of a parameter from one of its places, and we do not know which.
            most = max(*self._torn, len(types))
            names = (types[number] if number < len(types) else "unknown" for number in range(most))
            known = ("" if number in self._torn else name for number, name in enumerate(names, 1))
            return self._plan(again, statement, tuple(known))
        except Refused as refused:
            return refused.denial
        except RecursionError:
            return Denial("statement_too_large", "the statement nests too deeply")

    def _with_held(self, text: str, statement: str, types: tuple[str, ...]) -> Plan | None:
        """Plan a query that names fields which gates hold, for people to decide on; None where it is none.

        INVARIANT: what it reads of them is among its accesses, so that `decide` holds it at every run.
        """
        tree = parse(text)
        if self._native or isinstance(tree, Denial) or not tree.stmts[0].stmt.HasField("select_stmt"):
            return None  # the views of the native depth do not show them
        if self._held is None:
            made = (ScopedRelation(each.scope, each.relation, with_held=True) for each in self._relations.values())
            self._held = dict(zip(self._relations, made, strict=True))
        self._torn = frozenset()
        plain, self._relations = self._relations, self._held
        try:
            found = self._planned_twice(tree.stmts[0].stmt, copied(tree.stmts[0].stmt), statement, types)
        finally:
            self._relations = plain
        if isinstance(found, Denial) or found.kind != "READ" or found.locks or found.act is not None:
            return None
        held = {each.resource.name for each in self._held.values() if _reads_held(each, found)}
        return found if held else None

    def _plan(self, node: Node, statement: str, types: tuple[str, ...], parameters: int = 0) -> Plan | Denial:
        """`types`: of the agent's first parameters; `parameters`: how many of them there are at least."""
        walk = self._walk()
        walk.declared, walk.parameters = types, parameters
        plan = self._planned(node, walk, statement)
        self._torn = self._torn | walk.torn()
        return plan

    def _planned(self, node: Node, walk: Walk, statement: str) -> Plan | Denial:
        kind = node.WhichOneof("node") or ""
        within: list[Write] = []
        walk.write = writes.within(within)
        tag = resets_everything(node) if self._native else ""
        if tag:
            return Plan(
                "SESSION",
                reset_what_agents_set(tag),
                returns=False,
                statement=statement,
                act=named.everything(tag),
                tag=tag,
                answered=tag,
            )
        if kind in _SIMPLE:
            return self._finished(node, _SIMPLE[kind](node, walk), statement)
        if kind == "select_stmt":
            query(node.select_stmt, Level(top=True), walk)
            if within:
                return self._write(node, walk, Plan("WRITE", "", tag="SELECT"), within, statement)
            return self._query(node, walk, Plan("READ", "", tag="SELECT"), statement)
        if kind == "copy_stmt":
            inner = statements.copy_query(node)
            query(inner.select_stmt, Level(), walk)
            aggregates.refuse_in(walk.uses, "COPY")
            return self._query(node, walk, Plan("READ", "", copy=True, tag="COPY"), statement)
        if kind in writes.KINDS:
            write, _ = writes.written(node, Level(top=True), walk)
            plan = Plan("WRITE", "", checked=write.checked, returns=write.returns, tag=write.tag)
            return self._write(node, walk, plan, [write, *within], statement)
        if kind == "declare_cursor_stmt":
            plan = named.declaration(node)
            query(node.declare_cursor_stmt.query.select_stmt, Level(), walk)
            aggregates.refuse_in(walk.uses, "DECLARE")
            return named.declared(self._query(node, walk, plan, statement))
        if kind == "prepare_stmt":
            return self._prepare(node, walk)
        if kind == "execute_stmt":
            return named.execute(node)
        name = kind.removesuffix("_stmt").replace("_", " ") or "this statement"
        return Denial(
            "statement_not_allowed",
            f"`{name}` is not allowed",
            "SELECT, INSERT, UPDATE, DELETE, MERGE, cursors, PREPARE, transactions, SET and SHOW of harmless settings",
        )

    def _prepare(self, node: Node, walk: Walk) -> Plan | Denial:
        """Plan PREPARE: the statement in it, then the whole around that."""
        stmt = node.prepare_stmt
        declared, statement = named.declared_types(stmt, walk), named.inner_statement(stmt)
        types = named.without(declared, walk.declared)
        plan = self._plan(stmt.query, statement, types, len(declared))
        if isinstance(plan, Denial):
            return plan
        named.declare_all(stmt, plan)
        return self._finished(node, named.prepared(stmt, plan), f'PREPARE "{stmt.name}" AS {statement}', plan.accesses)

    def _walk(self) -> Walk:
        walk = Walk(
            self._relations,
            self._catalogue,
            self._visible,
            self._system,
            self._functions,
            query,
            expression,
            writes.within([]),
        )
        walk.aggregates = self._aggregates
        return walk

    def _query(self, node: Node, walk: Walk, plan: Plan, statement: str) -> Plan | Denial:
        alone = {(use.node.range_var.schemaname or "pg_catalog", use.node.range_var.relname) for use in walk.uses}
        if len(alone) == 1 and alone <= ONLY_BESIDE and not all(map(_asks_for_one_setting, walk.uses)):
            return Denial("resource_unknown", f"`{next(iter(alone))[1]}` is not available on its own")
        for name, least in walk.beside.items():
            if len(alone) < least:
                return Denial("function_not_allowed", f"function `{name}` is not allowed here")
        self._by_value = self._by_value or walk.by_value
        parameters = Parameters(1, lent) if plan.copy else Parameters(walk.parameters + 1)
        for replacement in walk.replacements:
            self._put_column(replacement, parameters)
        self._replace(walk, parameters)
        aggregates.give_sources(walk.blocks, parameters)
        locking = replace(plan, locks=True) if walk.locks else plan
        made = self._finished(node, locking, statement, _reads(walk.read), parameters)
        return made if isinstance(made, Denial) else aggregates.finish(made, walk.blocks, walk.read)

    def _write(self, node: Node, walk: Walk, plan: Plan, found: list[Write], statement: str) -> Plan | Denial:
        """`found`: every write of the statement, those within it in their order."""
        for name in walk.beside:
            return Denial("function_not_allowed", f"function `{name}` is not allowed here")
        for each in (walk.uses, *(write.uses for write in found)):
            aggregates.refuse_in(each, "a statement that writes")
        self._by_value = self._by_value or walk.by_value
        parameters = Parameters(walk.parameters + 1)
        for replacement in walk.replacements:
            self._put_column(replacement, parameters)
        self._replace(walk, parameters)
        for write in found:
            writes.finish(write, parameters)
        inner = [write for write in found if write.inner]
        count(node, [write.inner for write in inner])
        own = dict.fromkeys(access for write in found for access in write.accesses)
        reads = _reads([*walk.read, *(use for write in found for use in write.reads)])
        blind = any(write.blind for write in found)
        keys = frozenset(key for write in found for key in write.target.table.told_keys())
        made = replace(plan, inner=tuple(write.accesses for write in inner), blind=blind, keys=keys)
        return self._finished(node, made, statement, (*own, *reads), parameters)

    def _finished(
        self,
        node: Node,
        plan: Plan,
        statement: str,
        accesses: tuple[Access, ...] = (),
        parameters: Parameters | None = None,
    ) -> Plan | Denial:
        sql = deparse(node)
        if isinstance(sql, Denial):
            return sql
        if UNREPLACED in sql:  # INVARIANT: no relation is read but through its scoped form
            return Denial("syntax_not_supported", "a relation stands in a place where it cannot be scoped")
        made = with_sql(plan, sql)
        first, bound = (parameters.first, parameters.bound) if parameters else (1, ())
        if plan.copy:
            made, bound = replace(made, lent=bound), ()
        return replace(
            made, accesses=accesses, first=first, bound=bound, statement=statement, own_types=self._own_types
        )

    def _replace(self, walk: Walk, parameters: Parameters) -> None:
        """Put the scoped form in the place of every relation that the agent named."""
        for use in walk.uses:
            names = [part.string.sval for part in use.node.range_var.alias.colnames]
            place = use.node
            self._show(use, place, parameters)
            if use.copies and (use.fenced or isinstance(use.relation, SystemView)):
                _copy_inside(place, use)
            if use.sample is not None:
                _sample_inside(place, use.sample)
            alias = place.range_subselect.alias
            alias.aliasname = use.alias
            for name in names:
                alias.colnames.add().string.sval = name
            for each in use.also:
                become(each, place)
        for locked in reversed(walk.locked):  # the inner ones first: a limit copies the condition that they stand in
            locks.limit(locked, parameters)

    def _show(self, use: Use, place: Node, parameters: Parameters) -> None:
        """Make `place` the scoped form of a relation as a FROM item."""
        if isinstance(use.relation, SystemView):
            sql = use.relation.sql
            if sql not in self._system_forms:
                tree = query_text(f"SELECT * FROM ({sql}) AS bw")  # noqa: S608  # ours
                self._system_forms[sql] = tree.select_stmt.from_clause[0].SerializeToString()
            place.ParseFromString(self._system_forms[sql])
        else:
            use.relation.put(place, parameters, _wanted(use), only=use.only, fenced=use.fenced)

    def _put_column(self, replacement: Replacement, parameters: Parameters) -> None:
        """Put a column of a write's target as the scope shows it in the place of its reference."""
        use = replacement.source.use
        if use is not None and isinstance(use.relation, ScopedRelation):
            text = RelationText(use.relation.relation, use.alias, parameters, direct=False)
            become(replacement.node, parsed(use.relation.field(text, replacement.column)))


def _known(*relations: Mapping[tuple[str, str], ScopedRelation]) -> dict[tuple[str, str], Known]:
    """Return the tables that a statement may name, for what is observed of it."""
    found: dict[tuple[str, str], Known] = {}
    for place, scoped in (item for each in relations for item in each.items()):
        relation = scoped.relation
        keys = (scoped.resource.key, relation.key, *(relation.uniques or ()))
        types = {column.name: column.type for column in relation.columns}
        known = tuple(dict.fromkeys(key for key in keys if key))
        found[place] = Known(scoped.resource.name, tuple(scoped.columns), known, types)
    return found


def _reads_held(scoped: ScopedRelation, plan: Plan) -> bool:
    """Whether a plan reads a field of the relation that a gate holds."""
    reads = [each for each in plan.accesses if each.resource == scoped.resource.name and each.verb == "read"]
    return any(scoped.is_held(name) for each in reads for name in each.fields)


_HELD: frozenset[DenialCode] = frozenset({"needs_approval", "action_not_granted"})
"""What is said of a field that a gate holds, and of a table that has no others."""
_NEXT: dict[DenialCode, str] = {
    "resource_unknown": "use a relation of the scope, or ask the policy's owner for a grant",
    "field_not_granted": "leave it out, or ask the policy's owner for a grant",
    "action_not_granted": "ask the policy's owner for a grant",
    "function_not_allowed": "use a built-in one, or ask for it in the mount's `functions`",
    "statement_not_allowed": "use one of the statements that are allowed",
    "syntax_not_supported": "write it in another way",
    "statement_unparsable": "correct the statement",
    "statement_too_large": "send smaller statements, values as parameters",
}


def _advised(denial: Denial) -> Denial:
    """Return the denial with a next step."""
    return denial if denial.remedy else replace(denial, remedy=_NEXT.get(denial.code, ""))


def _asks_for_one_setting(use: Use) -> bool:
    """Whether it is what `SHOW` would answer: `pg_settings` where `name` is a constant. JDBC asks so."""
    if use.node.range_var.relname != "pg_settings":
        return False
    named = [copy.a_expr for copy in use.copies if copy.a_expr.lexpr.column_ref.fields[-1].string.sval == "name"]
    return any(each.name[0].string.sval == "=" for each in named)


def _sample_inside(place: Node, sample: RangeTableSample) -> None:
    """Sample the real relation, not what the scope leaves of it."""
    relation = place.range_subselect.subquery.select_stmt.from_clause[0]
    sample.relation.CopyFrom(relation)
    relation.range_table_sample.CopyFrom(sample)


def _wanted(use: Use) -> tuple[str, ...]:
    """Return the columns that the statement reads of a relation: all when it renames them by their order, at least one.

    What is not read would be left out by the database too; but every mask in it makes the tree larger.
    """
    if isinstance(use.relation, SystemView) or use.whole or use.node.range_var.alias.colnames:
        return tuple(use.relation.columns)
    return tuple(name for name in use.relation.columns if name in use.fields) or tuple(use.relation.columns)[:1]


def _copy_inside(place: Node, use: Use) -> None:
    """Copy the agent's leakproof conditions into the fenced query, over the real columns."""
    inner = SYSTEM_INNER if isinstance(use.relation, SystemView) else INNER
    where = place.range_subselect.subquery.select_stmt.where_clause
    for copy in use.copies:
        reference = copy.a_expr.lexpr.column_ref
        name = reference.fields[-1].string.sval
        del reference.fields[:]
        reference.fields.add().string.sval = inner
        reference.fields.add().string.sval = name
    conjoin(where, use.copies)


def _reads(uses: Iterable[Use]) -> tuple[Access, ...]:
    fields: dict[tuple[str, str], set[str]] = {}
    for use in uses:
        if isinstance(use.relation, ScopedRelation):
            verb = "aggregate" if use.relation.only_aggregated else "read"
            fields.setdefault((use.relation.resource.name, verb), set()).update(use.fields)
    return tuple(Access(resource, verb, tuple(sorted(names))) for (resource, verb), names in sorted(fields.items()))
