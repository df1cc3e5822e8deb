"""FROM clauses: every item becomes a `Source` whose columns we know exactly."""

from __future__ import annotations

from collections.abc import Sequence

from postgast import pg_query_pb2 as pb
from postgast.pg_query_pb2 import Alias, Node, RangeFunction, RangeVar

from bailiwick.sql.casts import type_name
from bailiwick.sql.environment import NOTHING, Columns, Fact, Level, Source, Use, Walk, joined, refuse
from bailiwick.sql.expressions import condition, expression, fence, is_leakproof
from bailiwick.sql.scoped import ScopedRelation
from bailiwick.sql.system import SystemView, system_relation

SYSTEM_SCHEMAS = ("pg_catalog", "information_schema")


def from_clause(items: Sequence[Node], level: Level, walk: Walk) -> None:
    """Walk a FROM clause; its items become the level's sources, in order."""
    for item in items:
        source_of(item, level, walk)


def source_of(item: Node, level: Level, walk: Walk) -> None:
    """Walk one FROM item and add what it makes visible to the level."""
    kind = item.WhichOneof("node")
    walk.deeper()
    match kind:
        case "range_var":
            level.sources.append(_relation(item, level, walk))
        case "range_subselect":
            level.sources.append(_subquery(item.range_subselect, level, walk))
        case "range_function":
            level.sources.append(_function(item.range_function, level, walk))
        case "join_expr":
            _join(item, level, walk)
        case _:
            refuse("syntax_not_supported", f"`{(kind or 'nothing').replace('_', ' ')}` is not supported in FROM")
    walk.depth -= 1


def renamed(columns: Columns, alias: Alias) -> dict[str, Fact]:
    """Apply `AS alias(a, b, …)`. Raises Refused for more names than columns."""
    names = [part.string.sval for part in alias.colnames]
    if len(names) > len(columns):
        refuse("syntax_not_supported", f"`{alias.aliasname}` has {len(columns)} columns, {len(names)} are named")
    return {names[i] if i < len(names) else name: fact for i, (name, fact) in enumerate(columns)}


def _relation(node: Node, level: Level, walk: Walk) -> Source:
    relation = node.range_var
    if not relation.schemaname:
        is_cte, columns = level.cte(relation.relname)
        if is_cte:
            if columns is None:
                refuse("syntax_not_supported", f"`{relation.relname}` cannot be referred to here")
            return Source(relation.alias.aliasname or relation.relname, renamed(columns, relation.alias))
    scoped = scoped_relation(relation, walk)
    alias = relation.alias.aliasname or relation.relname
    use = Use(node, alias, scoped, only=not relation.inh)
    walk.uses.append(use)
    facts = column_facts(use, relation.relname, walk)
    schema = "" if relation.HasField("alias") else relation.schemaname or schema_of(scoped)
    return Source(alias, renamed(facts, relation.alias), use, schema)


def schema_of(scoped: ScopedRelation | SystemView) -> str:
    """Return the schema in which an unqualified relation was found."""
    return scoped.relation.schema if isinstance(scoped, ScopedRelation) else "pg_catalog"


def column_facts(use: Use, name: str, walk: Walk) -> Columns:
    """Return what is known of the columns of a scoped relation."""
    if isinstance(use.relation, ScopedRelation):
        uses = frozenset((use,)) if use.relation.hides_rows else frozenset[Use]()
        shown = use.relation.columns.values()
        return tuple((column.name, Fact(column.type, uses, column.leaky)) for column in shown)
    for schema in SYSTEM_SCHEMAS:  # always fenced: nothing can leak through their columns
        real = walk.catalogue.system.get((schema, name))
        if real is not None:
            return tuple((column.name, Fact(column.type)) for column in real.columns)
    return tuple((column, NOTHING) for column in use.relation.columns)


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
    readable = sorted({scoped.relation.name for scoped in walk.relations.values() if scoped.columns})
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
    return Source(item.alias.aliasname, renamed(columns, item.alias))


_OUT_COLUMNS = {
    "json_each": ("key", "value"),
    "jsonb_each": ("key", "value"),
    "json_each_text": ("key", "value"),
    "jsonb_each_text": ("key", "value"),
    "json_array_elements": ("value",),
    "jsonb_array_elements": ("value",),
    "json_array_elements_text": ("value",),
    "jsonb_array_elements_text": ("value",),
    "pg_options_to_table": ("option_name", "option_value"),
    "_pg_expandarray": ("x", "n"),
    "pg_get_keywords": ("word", "catcode", "barelabel", "catdesc", "baredesc"),
    "ts_parse": ("tokid", "token"),
    "ts_token_type": ("tokid", "alias", "description"),
    "ts_debug": ("alias", "description", "token", "dictionaries", "dictionary", "lexemes"),
    "regexp_matches": ("regexp_matches",),
}


def _function(item: RangeFunction, level: Level, walk: Walk) -> Source:
    """A function in FROM sees the items before it (it is implicitly LATERAL)."""
    columns: list[tuple[str, Fact]] = []
    single = len(item.functions) == 1
    for entry in item.functions:
        call, defined = entry.list.items[0], entry.list.items[1]
        columns += _function_columns(call, [*defined.list.items, *item.coldeflist], item, single, level, walk)
    if item.ordinality:
        columns.append(("ordinality", Fact("bigint")))
    alias = item.alias.aliasname or (columns[0][0] if single else "")
    source = Source(alias, renamed(tuple(columns), item.alias))
    if not item.coldeflist and all(not entry.list.items[1].list.items for entry in item.functions):
        # Say the columns that we resolved by, so that no reference can mean another column or a function call.
        item.alias.aliasname = alias or "bw_function"
        del item.alias.colnames[:]
        for name in source.columns:
            item.alias.colnames.add().string.sval = name
    return source


def _function_columns(
    call: Node, defined: Sequence[Node], item: RangeFunction, single: bool, level: Level, walk: Walk
) -> Columns:
    name = call.func_call.funcname[-1].string.sval if call.HasField("func_call") else "value"
    arguments = len(call.func_call.args)
    fact = expression(call, level.inner(), walk)
    fence(fact)
    if defined:
        for column in defined:
            type_name(column.column_def.type_name, walk)
        return tuple((column.column_def.colname, fact) for column in defined)
    if name == "unnest" and arguments > 1:
        return tuple((name, fact) for _ in range(arguments))
    if name in _OUT_COLUMNS and name != "regexp_matches":
        return tuple((out, fact) for out in _OUT_COLUMNS[name])
    return ((item.alias.aliasname if single and item.alias.aliasname else name, fact),)


def _join(item: Node, level: Level, walk: Walk) -> None:
    join = item.join_expr
    before = len(level.sources)
    source_of(join.larg, level, walk)
    middle = len(level.sources)
    source_of(join.rarg, level, walk)
    left, right = level.sources[before:middle], level.sources[middle:]
    shared = [part.string.sval for part in join.using_clause]
    if join.is_natural:
        rights = {name for source in right for name in source.columns}
        shared = [name for source in left for name in source.columns if name in rights]
    for name in shared:
        _equal(name, left, right, walk)
    condition(join.quals, level, walk)
    if join.HasField("join_using_alias"):
        columns = {name: _merged(name, [*left, *right]) for name in shared}
        level.sources.append(Source(join.join_using_alias.aliasname, columns))
    if join.HasField("alias"):
        columns = _joined_columns(shared, [*left, *right])
        level.sources[before:] = [Source(join.alias.aliasname, renamed(columns, join.alias))]


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
            if source.use is not None:
                source.use.fields.add(name)
        facts.append(found[0].columns[name])
    fence(joined(facts, "boolean", leaky=not is_leakproof(walk, "=", facts[0], facts[1])))


def _merged(name: str, sources: Sequence[Source]) -> Fact:
    facts = [source.columns[name] for source in sources if name in source.columns]
    return joined(facts, facts[0].type) if facts else NOTHING


def _joined_columns(shared: Sequence[str], sources: Sequence[Source]) -> Columns:
    columns = [(name, _merged(name, sources)) for name in dict.fromkeys(shared)]
    columns += [(name, fact) for source in sources for name, fact in source.columns.items() if name not in shared]
    return tuple(columns)
