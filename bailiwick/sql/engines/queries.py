"""Queries: every FROM item becomes a generated name, every name is resolved against the scope.

The tree is changed in place. What is not known here denies.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from bailiwick.sql.engines.environment import Columns, Cte, Level, Source, Walk
from bailiwick.sql.engines.expressions import expression, name_of
from bailiwick.sql.engines.refusal import refuse
from bailiwick.sql.engines.scoped import folded
from bailiwick.sql.engines.stars import order_by_all, written_out
from bailiwick.sql.engines.tree import Node, argument, child, children, identifier, parts


def query(node: Node, level: Level, walk: Walk) -> Columns:
    """Walk a query whose names are `level`'s. Returns its columns."""
    level.ctes = named_queries(node, level, walk)
    if isinstance(node, exp.Select):
        return _select(node, level, walk)
    if isinstance(node, exp.SetOperation):
        return _combined(node, level, walk)
    if isinstance(node, exp.Subquery) and not argument(node, "alias"):
        inner = child(node, "this")
        if isinstance(inner, exp.Query):
            return query(inner, Level(level.outer, level.ctes), walk)
    if isinstance(node, exp.Values) and not argument(node, "alias"):
        return _values(node, level, walk)
    refuse("syntax_not_supported", "this kind of query is not supported here", "SELECT")


def named_queries(node: Node, level: Level, walk: Walk) -> dict[str, Cte]:
    """Walk the WITH queries of a node; each sees those before it, and itself where it is recursive."""
    known = dict(level.ctes)
    found = child(node, "with_")
    if found is None:
        return known
    if argument(found, "recursive"):
        walk.loud = True  # it may run without end: whether it is begun must not depend on a hidden row
    for each in children(found, "expressions"):
        alias, inner = child(each, "alias"), child(each, "this")
        name = name_of(child(alias, "this")) if alias is not None else ""
        if alias is None or not isinstance(inner, exp.Query):
            refuse("syntax_not_supported", "a WITH query can only be a SELECT here")
        own = Cte(walk.new_name(), ())
        walk.named.append(own.name)
        titles = [name_of(title) for title in children(alias, "columns")]
        inside = dict(known)
        if argument(found, "recursive") and isinstance(inner, exp.Union):
            own.columns = _titled(_anchor(inner, Level(level.outer, known), walk), titles)
            inside[folded(name)] = own
        columns = _titled(query(inner, Level(level.outer, inside), walk), titles)
        own.columns = columns
        known[folded(name)] = own
        alias.set("this", identifier(own.name))
    return known


def _anchor(union: Node, level: Level, walk: Walk) -> Columns:
    """Return the columns of the first query of a recursive one, before it is walked in earnest."""
    first = union
    while isinstance(first, exp.SetOperation):
        first = child(first, "this") or first
    trial = Walk(walk.dialect, walk.relations, walk.prefix, loud=walk.loud)
    return query(first.copy(), Level(level.outer, level.ctes), trial)


def _titled(columns: Columns, titles: list[str]) -> Columns:
    if not titles:
        return columns
    if len(titles) != len(columns):
        refuse("statement_unparsable", f"{len(titles)} columns are named, the query has {len(columns)}")
    return tuple((title, kind) for title, (_, kind) in zip(titles, columns, strict=True))


def _select(node: Node, level: Level, walk: Walk) -> Columns:
    _from(node, level, walk)
    for window in children(node, "windows"):
        level.windows.add(folded(name_of(child(window, "this"))))
    columns = _select_list(node, level, walk)
    level.outputs = _named_outputs(node) if "where" in walk.dialect.aliases else {}
    _parts(node, "where", level, walk)
    level.outputs = {}
    _parts(node, "group", level, walk)
    level.outputs = {folded(name): kind for name, kind in columns}
    for window in children(node, "windows"):
        for each in (*children(window, "partition_by"), child(window, "order"), child(window, "spec")):
            if each is not None:
                expression(each, level, walk)
    order_by_all(node, len(columns), walk)
    for part in ("distinct", "group", "having", "qualify", "order", "limit", "offset"):
        _parts(node, part, level, walk, again=part == "group")
    return columns


def _parts(node: Node, part: str, level: Level, walk: Walk, *, again: bool = False) -> None:
    found = child(node, part)
    if found is not None and not again:
        if part == "group":  # it may name an output, which is not known yet: the aliases are added for it alone
            before = level.outputs
            level.outputs = _named_outputs(node)
            expression(found, level, walk)
            level.outputs = before
        else:
            expression(found, level, walk)


def _named_outputs(node: Node) -> dict[str, str]:
    """Return the aliases of a select list, of which no type is told."""
    aliases = [each for each in children(node, "expressions") if isinstance(each, exp.Alias)]
    return {folded(name_of(child(each, "alias"))): "" for each in aliases}


def _select_list(node: Node, level: Level, walk: Walk) -> Columns:
    """Walk a select list, whose items may name those before them where the engine knows that."""
    joins = children(node, "joins")
    merged = any(children(join, "using") or argument(join, "method") or argument(join, "kind") for join in joins)
    items = [item for each in children(node, "expressions") for item in written_out(each, level.sources, merged=merged)]
    if len(items) != len(children(node, "expressions")) or any(each.parent is None for each in items):
        node.set("expressions", items)
    found: list[tuple[str, str]] = []
    for each in items:
        columns = _output(each, level, walk)
        found += columns
        if isinstance(each, exp.Alias) and "select" in walk.dialect.aliases:
            level.outputs.update({folded(name): kind for name, kind in columns})
    return tuple(found)


def _output(node: Node, level: Level, walk: Walk) -> Columns:
    """Walk one item of a select list."""
    star = child(node, "this") if isinstance(node, exp.Column) else node
    if isinstance(star, exp.Star) and any(parts(star)):
        refuse("syntax_not_supported", "this `*` is not supported here", "`*`")
    if isinstance(node, exp.Star):
        return _everything(level.sources)
    if isinstance(node, exp.Column) and isinstance(child(node, "this"), exp.Star):
        alias = name_of(child(node, "table"))
        found = [source for source in level.sources if folded(source.alias) == folded(alias)]
        if not found or argument(node, "db"):
            refuse("resource_unknown", f"`{alias}` is not in the FROM clause")
        return _everything(found)
    if isinstance(node, exp.Alias):
        inner = child(node, "this")
        kind = "" if inner is None else expression(inner, level, walk)
        return ((name_of(child(node, "alias")), kind),)
    kind = expression(node, level, walk)
    return ((_title(node), kind),)


def _title(node: Node) -> str:
    """Return the name of an output that has no alias: the column's, the function's, or none."""
    while isinstance(node, exp.Window | exp.Filter | exp.Paren | exp.Cast):
        node = child(node, "this") or exp.Null()
    if isinstance(node, exp.Column):
        return name_of(child(node, "this"))
    return folded(str(argument(node, "this"))) if isinstance(node, exp.Anonymous) else ""


def _everything(sources: list[Source]) -> Columns:
    if not sources:
        refuse("statement_unparsable", "`*` needs a FROM clause")
    for source in sources:
        for name, _ in source.columns:
            source.read(name)
    return tuple(column for source in sources for column in source.columns)


def outputs(nodes: Sequence[Node], level: Level, walk: Walk) -> Columns:
    """Walk the items of a select list."""
    return tuple(column for each in nodes for column in _output(each, level, walk))


def further_sources(first: Node, level: Level, walk: Walk) -> None:
    """Walk a FROM item of a write, and what is joined to it."""
    joins = children(first, "joins")
    first.set("joins", None)
    for join in joins:
        plain = not children(join, "using") and argument(join, "method") is None
        if not plain or str(argument(join, "side") or "").upper() not in ("", "LEFT"):
            refuse("syntax_not_supported", "this kind of join is not supported in a write", "JOIN … ON, LEFT JOIN … ON")
    _joined(first, joins, level, walk)
    first.set("joins", joins or None)


def _from(node: Node, level: Level, walk: Walk) -> None:
    found = child(node, "from_")
    _joined(None if found is None else child(found, "this"), children(node, "joins"), level, walk)


def _joined(first: Node | None, joins: list[Node], level: Level, walk: Walk) -> None:
    if first is not None:
        level.sources.append(_source(first, level, walk))
    for join in joins:
        item = child(join, "this")
        if item is None:
            refuse("syntax_not_supported", "this join is not supported here")
        level.sources.append(_source(item, level, walk))
    for join in joins:
        on = child(join, "on")
        if on is not None:
            expression(on, level, walk)
        for each in children(join, "using"):
            _shared(name_of(each), level.sources)
        if argument(join, "method") is not None:  # NATURAL: whatever they share
            for name in {folded(column) for source in level.sources for column, _ in source.columns}:
                if sum(source.find(name) is not None for source in level.sources) > 1:
                    _shared(name, level.sources)


def _shared(name: str, sources: list[Source]) -> None:
    found = [(source, column) for source in sources if (column := source.find(name)) is not None]
    if len(found) < 2:
        refuse("field_not_granted", f"`{name}` is not a column that both sides of the join show")
    for source, column in found:
        source.read(column[0])


def _source(node: Node, level: Level, walk: Walk) -> Source:
    """Walk one item of a FROM clause."""
    alias = child(node, "alias")
    if children(node, "joins"):
        refuse("syntax_not_supported", "brackets around a join are not supported here", "a sub-query")
    if isinstance(node, exp.Table):
        return _table(node, alias, level, walk)
    name = "" if alias is None else name_of(child(alias, "this"))
    titles = [] if alias is None else [name_of(each) for each in children(alias, "columns")]
    if isinstance(node, exp.Values):
        return Source(name, _titled(_values(node, level.beside(), walk), titles))
    inner = child(node, "this")
    if isinstance(node, exp.Subquery) and isinstance(inner, exp.Query):
        return Source(name, _titled(query(inner, level.beside(), walk), titles))
    refuse("syntax_not_supported", "this item of a FROM clause is not supported here", "a table or a sub-query")


def _table(node: Node, alias: Node | None, level: Level, walk: Walk) -> Source:
    name_node = child(node, "this")
    if isinstance(name_node, exp.Anonymous):
        refuse("function_not_allowed", "functions cannot be asked for rows here", "tables and sub-queries")
    if alias is not None and children(alias, "columns"):
        refuse("syntax_not_supported", "a table's columns cannot be renamed here", "aliases in the select list")
    name, schema, catalog = name_of(name_node), name_of(child(node, "db")), name_of(child(node, "catalog"))
    schema = f"{catalog}.{schema}" if catalog else schema
    shown = name if alias is None else name_of(child(alias, "this"))
    cte = level.ctes.get(folded(name)) if not schema else None
    if cte is not None:
        source = Source(shown, cte.columns)
        generated = cte.name
    else:
        scoped = walk.relation(schema, name)
        use = walk.use(scoped)
        if not scoped.columns:
            action = f"{scoped.resource.name}:read"
            refuse("action_not_granted", f"`{action}` is not granted", action=action)
        columns = tuple((each.name, each.type) for each in scoped.columns.values())
        source = Source(shown, columns, use, scoped.relation.schema if alias is None else "")
        generated = use.name
    node.set("this", identifier(generated))
    node.set("db", None)
    node.set("catalog", None)
    node.set("alias", exp.TableAlias(this=identifier(shown)))
    return source


def _values(node: Node, level: Level, walk: Walk) -> Columns:
    rows = children(node, "expressions")
    for row in rows:
        expression(row, level, walk)
    first = rows[0] if rows else None
    width = len(children(first, "expressions")) if isinstance(first, exp.Tuple) else 1
    for part in ("order", "limit", "offset"):
        _parts(node, part, level, walk)
    word, number = walk.dialect.values
    return tuple((f"{word}{number + place}", "") for place in range(width))


def _combined(node: Node, level: Level, walk: Walk) -> Columns:
    """Walk a UNION, EXCEPT or INTERSECT."""
    columns: Columns = ()
    for side in ("expression", "this"):
        inner = child(node, side)
        bracketed = isinstance(inner, exp.Subquery) and not argument(inner, "alias")
        if not isinstance(inner, exp.Select | exp.SetOperation) and not (inner is not None and bracketed):
            refuse("syntax_not_supported", "this part of a UNION is not supported here", "a sub-query")
        columns = query(inner, Level(level.outer, level.ctes), walk)
    level.outputs = {folded(name): kind for name, kind in columns}
    order_by_all(node, len(columns), walk)
    for part in ("order", "limit", "offset"):
        found = child(node, part)
        if found is not None:
            expression(found, level, walk)
    return columns
