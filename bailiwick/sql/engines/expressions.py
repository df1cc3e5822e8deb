"""Expressions: columns are resolved against the scope, functions and casts against the dialect's lists."""

from __future__ import annotations

import re
from typing import NoReturn

from sqlglot import exp

from bailiwick.sql.engines.environment import Level, Source, Walk
from bailiwick.sql.engines.refusal import refuse
from bailiwick.sql.engines.scoped import folded
from bailiwick.sql.engines.tree import Node, argument, child, children, identifier, parts

_FUNCTION = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_UNITS_WORDS = """
YEAR QUARTER MONTH WEEK DAY HOUR MINUTE SECOND MILLISECOND MICROSECOND DOW ISODOW DOY ISOYEAR EPOCH DECADE
"""
_UNITS = frozenset(word for each in _UNITS_WORDS.split() for word in (each, f"{each}S"))
_LONGEST_PATTERN = 1000
_COUNTS = frozenset({"count", "row_number", "rank", "dense_rank", "length", "instr"})


def name_of(node: Node | None) -> str:
    """Return the name that an identifier is; '' for none. Raises Refused for what is no plain name."""
    if node is None:
        return ""
    found = argument(node, "this")
    if not isinstance(node, exp.Identifier) or not isinstance(found, str) or not found:
        refuse("syntax_not_supported", "something else stands where a name belongs")
    if not found.isascii() or not found.isprintable():
        refuse("syntax_not_supported", f"the name `{found}` has characters beyond ASCII", "an alias of plain letters")
    return found


def expression(node: Node, level: Level, walk: Walk) -> str:
    """Walk an expression, or a clause that holds some. Returns its type where it is a column, else ''."""
    called = _plainly_called(node, level, walk)
    if called is not None:
        node.replace(called)
        node = called
    if isinstance(node, exp.Column):
        return _column(node, level)
    if isinstance(node, exp.Query):
        _inner_query(node, level, walk)
        return ""
    _look_at(node, level, walk)
    skipped = _names_of(node)
    for key, value in parts(node):
        if isinstance(value, exp.Expr) and key not in skipped:
            expression(value, level, walk)
    if isinstance(node, exp.Anonymous) and folded(str(argument(node, "this"))) in _COUNTS:
        return "bigint"
    return ""


def _plainly_called(node: Node, level: Level, walk: Walk) -> Node | None:
    """Return the call that a word or an operator of the engine stands for; None where it stands for itself."""
    dialect = walk.dialect
    if type(node) in dialect.arrows:
        operands = [each for key in ("this", "expression") if (each := child(node, key)) is not None]
        return exp.Anonymous(this=dialect.arrows[type(node)], expressions=operands)
    word = child(node, "this") if isinstance(node, exp.Column) else None
    if not isinstance(word, exp.Identifier) or argument(word, "quoted") or child(node, "table") is not None:
        return None
    given = dialect.clock.get(folded(name_of(word)))
    if given is None:
        return None
    known = _candidates(name_of(word), "", "", level) or folded(name_of(word)) in level.outputs
    if known and not dialect.clock_is_reserved:
        return None
    return exp.Anonymous(this=given[0], expressions=[exp.Literal.string(each) for each in given[1:]])


def _names_of(node: Node) -> tuple[str, ...]:
    """Return the keys under which a node holds names that are no columns."""
    if isinstance(node, exp.Window):
        return ("alias",)
    if isinstance(node, exp.Interval | exp.Extract):
        return ("unit",) if isinstance(node, exp.Interval) else ("this",)
    if isinstance(node, exp.TimestampDiff):
        return ("unit",)
    return ("expression",) if isinstance(node, exp.Collate) else ("to",) if isinstance(node, exp.Cast) else ()


def _inner_query(node: Node, level: Level, walk: Walk) -> None:
    from bailiwick.sql.engines.queries import query  # the two recurse into each other

    before = walk.loud
    walk.loud = False
    inner = child(node, "this") if isinstance(node, exp.Subquery) else node
    if inner is None or argument(node, "alias"):
        refuse("syntax_not_supported", "this sub-query is not supported here")
    query(inner, level.within(), walk)
    # Where a sub-query is evaluated, values of the rows around it are: its aggregates may fail because of them.
    # And a long one tells by its time that such a row is there.
    telling = any(isinstance(each, exp.Anonymous | exp.Join | exp.With) for each in inner.walk())
    telling = telling or "Select" in walk.dialect.loud
    walk.loud = walk.loud or before or telling


def _look_at(node: Node, level: Level, walk: Walk) -> None:
    if type(node).__name__ in walk.dialect.loud:
        walk.loud = True
    if isinstance(node, exp.Star) and (any(parts(node)) or not isinstance(node.parent, exp.Anonymous)):
        refuse("syntax_not_supported", "`*` is only supported in a select list and in count(*)")
    if isinstance(node, exp.Placeholder):
        if not str(argument(node, "this")).startswith(walk.prefix):
            refuse("syntax_not_supported", "parameters are written `?` here")
    elif isinstance(node, exp.Anonymous):
        _call(node, walk)
    elif isinstance(node, exp.PropertyEQ):
        if not isinstance(node.parent, exp.Struct) or not isinstance(child(node, "this"), exp.Identifier | exp.Literal):
            refuse("syntax_not_supported", "a name stands where it is not supported")
    elif isinstance(node, exp.JSONExtract | exp.JSONExtractScalar):
        walk.functions.add("->" if isinstance(node, exp.JSONExtract) else "->>")  # SQLite calls them so
    elif isinstance(node, exp.Like | exp.ILike | exp.Glob):
        walk.functions.add("glob" if isinstance(node, exp.Glob) else "like")  # SQLite calls it so
        pattern = child(node, "expression")
        pattern = child(pattern, "this") if isinstance(pattern, exp.Escape) else pattern
        if not isinstance(pattern, exp.Literal) or len(str(argument(pattern, "this"))) > _LONGEST_PATTERN:
            walk.loud = True
    elif isinstance(node, exp.Limit | exp.Offset | exp.Escape):
        walk.loud = walk.loud or not _never_fails(node)
    elif isinstance(node, exp.Collate):
        named = child(node, "expression")
        word = str(argument(named, "this")).upper() if isinstance(named, exp.Var) else ""
        known = walk.dialect.collations
        if word not in known:
            refuse("syntax_not_supported", "this collation is not supported here", ", ".join(sorted(known)))
    elif isinstance(node, exp.Interval | exp.Extract | exp.TimestampDiff):
        unit = child(node, "this" if isinstance(node, exp.Extract) else "unit")
        if isinstance(node, exp.Extract) and isinstance(unit, exp.Literal):  # `extract('year' FROM …)`
            unit = exp.Var(this=str(argument(unit, "this")).upper())
            node.set("this", unit)
        if not isinstance(unit, exp.Var) or str(argument(unit, "this")).upper() not in _UNITS:
            refuse("syntax_not_supported", "this unit of time is not supported here", "DAY, MONTH, YEAR …")
    elif isinstance(node, exp.Cast):
        _cast(node, walk)
    elif isinstance(node, exp.Window):
        _window(node, level)
    elif isinstance(node, exp.Alias | exp.Var):
        refuse("syntax_not_supported", "a name stands where it is not supported")


def _never_fails(node: Node) -> bool:
    """Whether a LIMIT, OFFSET or ESCAPE is one that is right whenever it is evaluated: a number, a character."""
    value = child(node, "expression")
    if not isinstance(value, exp.Literal):
        return False
    text = str(argument(value, "this"))
    if isinstance(node, exp.Escape):
        return bool(argument(value, "is_string")) and len(text) == 1
    return not argument(value, "is_string") and text.isdecimal() and len(text) < 19


def _call(node: Node, walk: Walk) -> None:
    name = argument(node, "this")
    if not isinstance(name, str) or not _FUNCTION.fullmatch(name) or folded(name) not in walk.dialect.functions:
        told = name if isinstance(name, str) and name.isascii() and name.isprintable() else "this"
        refuse("function_not_allowed", f"function `{told}` is not allowed", "ordinary functions over values")
    walk.functions.add(folded(name))
    if walk.dialect.functions[folded(name)]:
        walk.loud = True


def _cast(node: Node, walk: Walk) -> None:
    kind = child(node, "to")
    told = getattr(argument(kind, "this"), "name", "") if kind is not None else ""
    if told not in walk.dialect.casts:
        allowed = ", ".join(sorted(walk.dialect.casts))
        refuse("syntax_not_supported", "a cast to this type is not supported here", allowed)
    for each in children(kind, "expressions") if kind is not None else ():
        if not isinstance(each, exp.DataTypeParam) or not isinstance(child(each, "this"), exp.Literal):
            refuse("syntax_not_supported", "this type is not supported here")


def _window(node: Node, level: Level) -> None:
    named = child(node, "alias")
    if named is not None and folded(name_of(named)) not in level.windows:
        refuse("statement_unparsable", f"there is no window `{name_of(named)}`")


def _column(node: Node, level: Level) -> str:
    """Resolve a reference; every relation that it could mean counts as read."""
    name_node = child(node, "this")
    name, table, schema = name_of(name_node), name_of(child(node, "table")), name_of(child(node, "db"))
    found = _candidates(name, table, schema, level)
    if found:
        if schema:
            node.set("db", None)
        if not table and _has_others_apart(found[0][0], level):
            node.set("table", identifier(found[0][0].alias))
        for source, column in found:
            source.read(column[0])
        return found[0][1][1] if len(found) == 1 else ""
    if not table and folded(name) in level.outputs:
        return level.outputs[folded(name)]
    _refuse_column(name, table, level)


def _candidates(name: str, table: str, schema: str, level: Level | None) -> list[tuple[Source, tuple[str, str]]]:
    """Return what a name means in the nearest query where it means something."""
    while level is not None:
        sources = [
            source for source in level.sources if (folded(source.alias) == folded(table) if table else not source.apart)
        ]
        if schema:
            sources = [source for source in sources if folded(source.schema) == folded(schema)]
        found = [(source, column) for source in sources if (column := source.find(name)) is not None]
        if found:
            return found
        level = level.outer
    return []


def _has_others_apart(found: Source, level: Level) -> bool:
    """Whether a source stands beside one whose columns need its alias, and have to be told apart from that one's."""
    at: Level | None = level
    while at is not None and found not in at.sources:
        at = at.outer
    return at is not None and any(each.apart for each in at.sources)


def _refuse_column(name: str, table: str, level: Level) -> NoReturn:
    at: Level | None = level
    while at is not None:
        for source in at.sources:
            if table and folded(source.alias) != folded(table):
                continue
            if source.use is not None:
                scoped = source.use.scoped
                resource, real = scoped.resource.name, _real(name, source)
                if real and scoped.is_held(real):
                    gate = scoped.scope.held[f"read:{real}"]
                    refuse(
                        "needs_approval",
                        f"`{resource}:read:{real}` is held by the gate `{gate}`",
                        remedy="read it by a query of its own, which people can decide on, or leave the field out",
                        action=f"{resource}:read:{real}",
                    )
                shown = ", ".join(scoped.columns)
                refuse(
                    "field_not_granted",
                    f"`{name}` is not a field of `{resource}` in this session",
                    f"`{resource}:read` of {shown}",
                    action=f"{resource}:read:{name}",
                )
        at = at.outer
    refuse("field_not_granted", f"`{name}` is not a column of this query")


def _real(name: str, source: Source) -> str:
    """Return the relation's own name of a column that the scope does not show."""
    use = source.use
    columns = () if use is None else use.scoped.relation.columns
    return next((column.name for column in columns if folded(column.name) == folded(name)), "")
