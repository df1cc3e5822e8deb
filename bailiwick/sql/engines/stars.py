"""`* EXCLUDE (…)`, `* REPLACE (…)` and `ORDER BY ALL`: written out as the columns that they mean in the scope."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from bailiwick.sql.engines.environment import Source, Walk
from bailiwick.sql.engines.expressions import name_of
from bailiwick.sql.engines.refusal import refuse
from bailiwick.sql.engines.scoped import folded
from bailiwick.sql.engines.tree import Node, argument, child, children, identifier, parts


def written_out(node: Node, sources: Sequence[Source], *, merged: bool) -> list[Node]:
    """Return the items that an item of a select list stands for: itself, but for a `*` that leaves out or replaces.

    `merged`: joins make one column of two, or leave a side out, so that `*` is not all columns of all sources."""
    star = child(node, "this") if isinstance(node, exp.Column) else node
    if not isinstance(star, exp.Star) or not any(parts(star)):
        return [node]
    alias = name_of(child(node, "table")) if isinstance(node, exp.Column) else None
    if merged or (isinstance(node, exp.Column) and child(node, "db") is not None):
        refuse("syntax_not_supported", "`* EXCLUDE` and `* REPLACE` are not supported with this join", "named columns")
    meant = [each for each in sources if alias is None or folded(each.alias) == folded(alias)]
    excluded = {_named(each) for each in children(star, "except_")}
    replaced = {folded(name_of(child(each, "alias"))): each for each in children(star, "replace")}
    shown = [(source, name) for source in meant for name, _ in source.columns]
    names = {folded(name) for _, name in shown}
    for name in excluded | replaced.keys():
        if name not in names:
            refuse("field_not_granted", f"`{name}` is not a column that `*` shows in this session")
    left = [(source, name) for source, name in shown if folded(name) not in excluded]
    places = [(folded(source.alias), folded(name)) for source, name in left]
    twice = len({*places}) < len(places) or any(not source.alias or not name for source, name in left)
    if twice or len({folded(name) for _, name in left} & replaced.keys()) < len(replaced) or not left:
        refuse("syntax_not_supported", "this `*` is not supported here", "named columns")
    return [_item(source, name, replaced) for source, name in left]


def _named(node: Node) -> str:
    """Return the name of a column that is left out."""
    if isinstance(node, exp.Column) and child(node, "table") is None:
        return folded(name_of(child(node, "this")))
    refuse("syntax_not_supported", "only plain names of columns can be left out here", "EXCLUDE (a, b)")


def _item(source: Source, name: str, replaced: dict[str, Node]) -> Node:
    found = replaced.get(folded(name))
    if found is None:
        return exp.Column(this=identifier(name), table=identifier(source.alias))
    inner = child(found, "this")
    if not isinstance(found, exp.Alias) or inner is None:
        refuse("syntax_not_supported", "this `*` is not supported here", "named columns")
    return exp.Alias(this=inner.copy(), alias=identifier(name))


def order_by_all(query: Node, width: int, walk: Walk) -> None:
    """Write `ORDER BY ALL` of a query of so many columns as the numbers of these."""
    order = child(query, "order")
    items = [] if order is None else children(order, "expressions")
    word = child(items[0], "this") if len(items) == 1 else None
    if order is None or not isinstance(word, exp.Var) or str(argument(word, "this")).upper() != "ALL":
        return
    if "order" not in walk.dialect.aliases:
        refuse("syntax_not_supported", "`ORDER BY ALL` is not supported here", "ORDER BY 1, 2")
    listed: list[Node] = []
    for number in range(1, width + 1):
        each = items[0].copy()
        each.set("this", exp.Literal.number(number))
        listed.append(each)
    order.set("expressions", listed)
