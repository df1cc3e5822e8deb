"""FROM clauses: every item becomes a `Source` whose columns we know exactly."""

from __future__ import annotations

from collections.abc import Sequence

from postgast import pg_query_pb2 as pb
from postgast.pg_query_pb2 import Node, RangeVar

from bailiwick.sql import aggregates, extensions, locks, table_functions
from bailiwick.sql.catalogue import Column
from bailiwick.sql.environment import (
    NOTHING,
    UNREPLACED,
    Columns,
    Cte,
    Fact,
    Level,
    Source,
    Use,
    Walk,
    joined,
    refuse,
    renamed,
    source_of_columns,
)
from bailiwick.sql.expressions import condition, fence, is_leakproof
from bailiwick.sql.regtypes import REG_TYPES
from bailiwick.sql.scoped import ScopedRelation
from bailiwick.sql.system import SystemView, shown_type, system_relation

SYSTEM_SCHEMAS = ("pg_catalog", "information_schema")


def from_clause(items: Sequence[Node], level: Level, walk: Walk) -> None:
    """Walk a FROM clause; its items become the level's sources, in order."""
    for item in items:
        level.starred += source_of(item, level, walk)


def source_of(item: Node, level: Level, walk: Walk) -> Columns:
    """Walk one FROM item and add what it makes visible to the level. Returns what `*` shows of it."""
    kind = item.WhichOneof("node")
    walk.deeper()
    match kind:
        case "range_var":
            found = _relation(item, level, walk)
        case "range_subselect":
            found = _subquery(item.range_subselect, level, walk)
        case "range_function":
            found = table_functions.function(item.range_function, level, walk)
        case "json_table":
            found = table_functions.json_table(item.json_table, level, walk)
        case "range_table_func":
            found = table_functions.xml_table(item.range_table_func, level, walk)
        case "range_table_sample":
            found = _sampled(item, level, walk)
        case "join_expr":
            shown = _join(item, level, walk)
            walk.depth -= 1
            return shown
        case _:
            refuse("syntax_not_supported", f"`{(kind or 'nothing').replace('_', ' ')}` is not supported in FROM")
    level.sources.append(found)
    walk.depth -= 1
    return found.shown


def _relation(node: Node, level: Level, walk: Walk) -> Source:
    relation = node.range_var
    if not relation.schemaname:
        cte = level.cte(relation.relname)
        if cte is not None:
            return _of_cte(relation, cte)
    guarded = aggregates.relation(relation, walk)
    scoped = guarded or scoped_relation(relation, walk)
    if not relation.inh and isinstance(scoped, ScopedRelation) and scoped.through:
        refuse("syntax_not_supported", "ONLY is not supported here: relations are views", "without ONLY")
    direct = level.locking is not None and guarded is None
    if direct and isinstance(scoped, ScopedRelation) and not scoped.through:
        return locks.open_locked(node, relation, scoped, level, walk)
    alias = relation.alias.aliasname or relation.relname
    use = Use(node, alias, scoped, only=not relation.inh)
    walk.uses.append(use)
    relation.catalogname = UNREPLACED
    facts = column_facts(use, relation.relname, walk)
    schema = "" if relation.HasField("alias") else relation.schemaname or schema_of(scoped)
    source = source_of_columns(alias, renamed(facts, relation.alias), use, schema)
    for (name, _), (real, _) in zip(source.shown, facts, strict=True):
        source.origins[name] = (*source.origins.get(name, ()), (use, real))
    return source


def _of_cte(relation: RangeVar, cte: Cte) -> Source:
    columns = cte.known()
    if columns is None:
        refuse("syntax_not_supported", f"`{relation.relname}` cannot be referred to here")
    found = source_of_columns(relation.alias.aliasname or relation.relname, renamed(columns, relation.alias))
    if cte.marks:
        found.pairs = found.shown
        found.columns.update(cte.marks)
    return found


def _sampled(item: Node, level: Level, walk: Walk) -> Source:
    """TABLESAMPLE goes inside the scoped form, over the real relation; only what a session gives can be its arguments.

    INVARIANT: where rows are hidden, which rows are drawn tells nothing of where they lie: a repeatable sample and one
    of whole pages would tell how many hidden rows lie between.
    """
    sample = pb.RangeTableSample()
    sample.CopyFrom(item.range_table_sample)
    names = [part.string.sval for part in sample.method]
    method = names[-1] if len(names) == 1 or names[:-1] == ["pg_catalog"] else ""
    if method not in ("bernoulli", "system") or not sample.relation.HasField("range_var"):
        refuse("syntax_not_supported", "this TABLESAMPLE is not supported", "BERNOULLI or SYSTEM of a table")
    known = len(walk.uses)
    walk.values((*sample.args, sample.repeatable), Level())
    item.CopyFrom(sample.relation)
    source = _relation(item, level, walk)
    use = source.use
    if len(walk.uses) != known + 1 or use is None or not isinstance(use.relation, ScopedRelation):
        refuse("syntax_not_supported", "TABLESAMPLE is only supported on tables, with constants and parameters")
    if use.relation.through:
        refuse("syntax_not_supported", "TABLESAMPLE is not supported here: relations are views", "a condition")
    if use.relation.hides_rows:
        if sample.repeatable.WhichOneof("node"):
            refuse("syntax_not_supported", "REPEATABLE is not supported where rows are hidden", "without REPEATABLE")
        method = "bernoulli"
    del sample.method[:]
    sample.method.add().string.sval = method
    use.sample = sample
    return source


def schema_of(scoped: ScopedRelation | SystemView) -> str:
    """Return the schema in which an unqualified relation was found."""
    return scoped.through or scoped.relation.schema if isinstance(scoped, ScopedRelation) else "pg_catalog"


def column_facts(use: Use, name: str, walk: Walk) -> Columns:
    """Return what is known of the columns of a scoped relation."""
    if isinstance(use.relation, ScopedRelation):
        uses = frozenset((use,)) if use.relation.hides_rows else frozenset[Use]()
        shown = use.relation.columns.values()
        return tuple((column.name, Fact(column.type, uses, column.leaky)) for column in shown)
    for schema in SYSTEM_SCHEMAS:  # always fenced: nothing can leak through their columns
        real = walk.catalogue.system.get((schema, name))
        if real is not None:
            return tuple((column.name, _shown(column)) for column in real.columns)
    return tuple((column, NOTHING) for column in use.relation.columns)


def _shown(column: Column) -> Fact:
    return Fact(shown_type(column.type), named=column.type if column.type in REG_TYPES else "")


def scoped_relation(relation: RangeVar, walk: Walk) -> ScopedRelation | SystemView:
    """Return what the relation is within the scope. Raises Refused: what is not mapped does not exist."""
    name = relation.relname
    if relation.catalogname or relation.relpersistence not in ("", "p"):
        refuse("resource_unknown", f"relation `{name}` is not in the scope of this session")
    for schema in (relation.schemaname,) if relation.schemaname else walk.visible.search_path:
        found = walk.relations.get((schema, name))
        if found is not None:
            if not found.columns:
                refuse(
                    "action_not_granted",
                    f"`{found.resource.name}` cannot be read in this session",
                    action=f"{found.resource.name}:read",
                )
            return found
    if relation.schemaname in SYSTEM_SCHEMAS or (not relation.schemaname and name.startswith("pg_")):
        place = (relation.schemaname or "pg_catalog", name)
        if place not in walk.system:
            walk.system[place] = system_relation(*place, walk.catalogue, walk.visible)
        view = walk.system[place]
        if view is not None:
            return view
    known = [*walk.relations.values(), *walk.aggregates.values()]
    readable = sorted({scoped.relation.name for scoped in known if scoped.columns})
    refuse(
        "resource_unknown",
        f"relation `{name}` is not in the scope of this session",
        f"relations: {', '.join(readable)}" if readable else "",
    )


def _subquery(item: pb.RangeSubselect, level: Level, walk: Walk) -> Source:
    if not item.subquery.HasField("select_stmt"):
        refuse("syntax_not_supported", "only a query can stand in FROM")
    select = item.subquery.select_stmt
    if item.lateral:
        columns, around = walk.correlated(lambda: walk.query(select, level.inner(), walk))
        fence(Fact("", around, leaky=True))
    else:
        columns = walk.query(select, level.beside(), walk)
    return source_of_columns(item.alias.aliasname, renamed(columns, item.alias))


def _join(item: Node, level: Level, walk: Walk) -> Columns:
    join = item.join_expr
    before = len(level.sources)
    lefts = source_of(join.larg, level, walk)
    middle = len(level.sources)
    rights = source_of(join.rarg, level, walk)
    left, right = level.sources[before:middle], level.sources[middle:]
    shared = [part.string.sval for part in join.using_clause]
    if join.is_natural:
        names = {name for name, _ in rights}
        shared = list(dict.fromkeys(name for name, _ in lefts if name in names))
    for name in shared:
        _equal(name, left, right, walk)
    condition(join.quals, level, walk)
    columns = _joined_columns(shared, [*left, *right], (*lefts, *rights))
    if join.HasField("join_using_alias"):
        merged = columns[: len(shared)]
        level.sources.append(_of_others(join.join_using_alias.aliasname, merged, merged, [*left, *right]))
    if join.HasField("alias"):
        shown = renamed(columns, join.alias)
        if join.alias.colnames:
            _keep_order([*left, *right])
        level.sources[before:] = [_of_others(join.alias.aliasname, shown, columns, [*left, *right])]
        return shown
    return columns


def _keep_order(sources: Sequence[Source]) -> None:
    """The columns of what was joined are renamed by their order."""
    for source in sources:
        for use in (source.use, *(use for origins in source.origins.values() for use, _ in origins)):
            if use is not None:
                use.whole = True


def _of_others(alias: str, shown: Columns, columns: Columns, sources: Sequence[Source]) -> Source:
    """Return the alias of a join: what is read of it is read of what was joined."""
    made = source_of_columns(alias, shown)
    for (name, _), (known, _) in zip(shown, columns, strict=True):
        origins = tuple(origin for source in sources for origin in source.origins.get(known, ()))
        made.origins[name] = (*made.origins.get(name, ()), *origins)
    return made


def _equal(name: str, left: Sequence[Source], right: Sequence[Source], walk: Walk) -> None:
    """A shared column of NATURAL or USING: visible on both sides, and an equality that must not leak."""
    facts: list[Fact] = []
    for side in (left, right):
        found = [source for source in side if name in source.columns]
        if not found:
            refuse(
                "field_not_granted", f"column `{name}` is not in the scope of this session on both sides of the join"
            )
        for source in found:
            source.read((name,))
        facts.append(found[0].columns[name])
    extensions.check_equality(name, facts, walk.catalogue)
    fence(joined(facts, "boolean", leaky=not is_leakproof(walk, "=", facts[0], facts[1])))


def _merged(name: str, sources: Sequence[Source]) -> Fact:
    facts = [source.columns[name] for source in sources if name in source.columns]
    return joined(facts, facts[0].type) if facts else NOTHING


def _joined_columns(shared: Sequence[str], sources: Sequence[Source], columns: Columns) -> Columns:
    """Return the columns of a join in the server's order: the shared ones first, and once."""
    merged = [(name, _merged(name, sources)) for name in dict.fromkeys(shared)]
    return (*merged, *((name, fact) for name, fact in columns if name not in shared))
