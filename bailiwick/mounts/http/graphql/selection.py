"""What a session may select of a field's result, and what has to be asked for so that its rows can be decided. No I/O.

Without `fields` in a grant, that is what has no fields of its own. What has some is entered only where a path leads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from graphql import GraphQLID, GraphQLNamedType, GraphQLSchema, is_leaf_type

from bailiwick.decide.asking import as_json
from bailiwick.decide.calls import Admitted, is_below
from bailiwick.decide.results import View
from bailiwick.match.evaluate import Resolve
from bailiwick.model.decision import Denial
from bailiwick.model.matcher import Equal, Matcher, Not, OneOf
from bailiwick.model.scope import CallGrant
from bailiwick.model.value import Operand, Ref
from bailiwick.mounts.http.graphql.operation import Pick, Root
from bailiwick.mounts.http.graphql.types import at, leaves, named, needed, root_of, steps

Path = tuple[str, ...]
Wanted = dict[tuple[str, frozenset[str] | None], "Wanted"]
"""Field and the types of which it is asked → what is asked of it."""
_most_listed = 12


@dataclass(frozen=True, slots=True)
class Selected:
    """A field with what is asked of it, which may be asked."""

    root: Root
    admitted: Admitted
    view: View
    """Of what is asked for alone."""
    wanted: Wanted
    fields: tuple[str, ...] = ()
    """What is read of it, by path, sorted; also what its rows are only decided by."""


def selected(schema: GraphQLSchema, root: Root, admitted: Admitted, resolve: Resolve) -> Selected | Denial:
    """Return what is asked of a field that was admitted, or why it may not be."""
    field = root_of(schema, root.name)
    type_ = None if field is None else named(field)
    if type_ is None:
        return Denial("field_not_granted", f"`{root.name}` is not granted", "", "leave it out")
    if is_leaf_type(type_):
        return Selected(root, admitted, admitted.view, {})
    look = _Look(schema, type_, root, admitted)
    refused = look.refused()
    if refused is not None:
        return refused
    wanted: Wanted = {}
    _merge(wanted, root.picks)
    for condition in look.conditions():
        at_ = wanted
        for name in condition:
            at_ = at_.setdefault((name, None), {})
    return Selected(root, admitted, look.view(resolve), wanted, look.fields())


def _merge(wanted: Wanted, picks: Iterable[Pick]) -> None:
    """Put what is asked for together: each field once, under its own name."""
    for pick in picks:
        if pick.on is not None:
            wanted.setdefault(("__typename", None), {})
        if not pick.known:
            _merge(wanted.setdefault((pick.name, None if pick.name == "__typename" else pick.on), {}), pick.below)


def _paths(picks: Iterable[Pick], above: Path = ()) -> Iterator[tuple[Path, bool]]:
    """Yield every path that is asked for, and whether nothing is asked below it."""
    for pick in picks:
        path = (*above, pick.name)
        yield path, not pick.below
        yield from _paths(pick.below, path)


class _Look:
    """The view on one field's result, against what is asked of it."""

    def __init__(self, schema: GraphQLSchema, type_: GraphQLNamedType, root: Root, admitted: Admitted) -> None:
        self._schema = schema
        self._type = type_
        self._admitted = admitted
        self._root = root
        self._items = admitted.view.path
        self._paths = dict.fromkeys(_paths(root.picks))
        self._plain = frozenset(leaves(at(schema, type_, self._items)))

    def refused(self) -> Denial | None:
        """Return why something that is asked for is not granted."""
        for path, ends in self._paths:
            if ends and not self._is_open(path):
                return self._not_granted(path)
        for condition in self.conditions():
            for name, value in self._root.arguments.items():
                if value is not None and is_below(name) and _leads(name.partition("(")[0].split("."), condition):
                    if len(name.partition("(")[0].split(".")) <= len(self._items):
                        continue  # which of the items are listed, not what they hold
                    message = f"`{name.partition('(')[0]}` is asked for with arguments, and the scope hangs on it"
                    return Denial("argument_not_granted", message, "", "ask for it without arguments", self._action)
        return None

    @property
    def _action(self) -> str:
        action = self._admitted.tool.tool.action
        return f"{action.resource}:{action.verb}"

    def _is_open(self, path: Path) -> bool:
        if path[-1] == "__typename":
            above = path[:-1]
            return above == self._items[: len(above)] or any(
                self._enters(each, above) for each in self._admitted.view.grants
            )
        if path[: len(self._items)] != self._items:
            return False
        return any(self._shown(grant, path) for grant in self._admitted.view.grants)

    def _within(self, path: Path) -> str:
        return ".".join(path[len(self._items) :])

    def _enters(self, grant: CallGrant, path: Path) -> bool:
        """Return whether a grant leads to what has fields of its own, or through it."""
        dotted = self._within(path)
        ways = (*(grant.fields or ()), *grant.masks)
        entered = any(way == dotted or way.startswith(f"{dotted}.") for way in ways)
        return entered and not self._is_hidden(grant, dotted)

    def _is_hidden(self, grant: CallGrant, dotted: str) -> bool:
        closed = (*grant.hidden, *self._admitted.view.hidden, *(way for way in grant.masks if way != dotted))
        return any(dotted == way or dotted.startswith(f"{way}.") for way in closed)

    def _shown(self, grant: CallGrant, path: Path) -> tuple[str, ...]:
        """Return under which paths a grant shows a leaf: itself, or parts of what it holds; none: it does not."""
        dotted = self._within(path)
        if not dotted or self._is_hidden(grant, dotted):
            return ()
        if dotted in grant.masks:
            return (dotted,)
        if grant.fields is None:
            return (dotted,) if dotted in self._plain else ()
        above, _, name = dotted.rpartition(".")
        if dotted in grant.fields or (above in grant.fields and self._is_plain(path, name)):
            return (dotted,)
        return tuple(way for way in grant.fields if way.startswith(f"{dotted}."))

    def _is_plain(self, path: Path, name: str) -> bool:
        return name in leaves(at(self._schema, self._type, path[:-1]))

    def view(self, resolve: Resolve) -> View:
        """Return the view of what is asked for alone."""
        view = self._admitted.view
        grants = (replace(grant, items=self._as_held(grant.items, resolve)) for grant in view.grants)
        denies = (replace(grant, items=self._as_held(grant.items, resolve)) for grant in view.denies)
        return replace(view, grants=tuple(self._seen(grant) for grant in grants), denies=tuple(denies))

    def _as_held(self, items: Mapping[str, Matcher], resolve: Resolve) -> Mapping[str, Matcher]:
        """Return what items must match, with the values of ids as GraphQL has them: as text, whatever they are."""
        return {
            path: _as_text(matcher, resolve)
            if at(self._schema, self._type, (*self._items, *path.split("."))) == [GraphQLID]
            else matcher
            for path, matcher in items.items()
        }

    def _seen(self, grant: CallGrant) -> CallGrant:
        found: dict[str, None] = {"__typename": None}
        for path, ends in self._paths:
            if ends and path[-1] != "__typename":
                found.update(dict.fromkeys(self._shown(grant, path)))
            elif not ends and len(path) > len(self._items) and self._enters(grant, path):
                found[f"{self._within(path)}.__typename"] = None
        return replace(grant, fields=tuple(found))

    def fields(self) -> tuple[str, ...]:
        """Return what is read, sorted."""
        read = [path for path, ends in self._paths if ends and path[-1] != "__typename"]
        return tuple(sorted({".".join(path) for path in (*read, *self.conditions())}))

    def conditions(self) -> list[Path]:
        """Return what has to be asked for so that each item can be decided."""
        view = self._admitted.view
        named_ = {way: None for grant in (*view.grants, *view.denies) for way in grant.items}
        ways = [(*self._items, *way.split(".")) for way in named_]
        return [way for way in ways if self._can_be_asked(way)]

    def _can_be_asked(self, path: Path) -> bool:
        types = [self._type]
        for place, name in enumerate(path):
            found = [step for each in types for step in steps(self._schema, each, name)]
            if not found or any(needed(field.args) for _, field in found):
                return False
            types = [named(field) for _, field in found]
            if place < len(path) - 1 and any(is_leaf_type(each) for each in types):
                return False
        return all(is_leaf_type(each) for each in types)

    def _not_granted(self, path: Path) -> Denial:
        known = dict.fromkeys(
            way
            for grant in self._admitted.view.grants
            for way in (*(grant.fields if grant.fields is not None else self._plain), *grant.masks)
            if not self._is_hidden(grant, way)
        )
        more = f" and {len(known) - _most_listed} more" if len(known) > _most_listed else ""
        allowed = ", ".join(f"`{each}`" for each in list(known)[:_most_listed]) + more
        return Denial("field_not_granted", f"`{'.'.join(path)}` is not granted", allowed, "leave it out", self._action)


def _as_text(matcher: Matcher, resolve: Resolve) -> Matcher:
    match matcher:
        case Equal(operand):
            value = _text(operand, resolve)
            return matcher if value is None else Equal(value)
        case OneOf(operands):
            return OneOf(tuple(_text(each, resolve) or each for each in operands))
        case Not(inner):
            return Not(_as_text(inner, resolve))
        case _:
            return matcher


def _text(operand: Operand, resolve: Resolve) -> str | None:
    value = as_json(resolve(operand) if isinstance(operand, Ref) else operand, {"type": "string"})
    return value if isinstance(value, str) else None


def _leads(path: Iterable[str], other: Path) -> bool:
    """Return whether a path is another one, or leads to it."""
    way = tuple(path)
    return other[: len(way)] == way
