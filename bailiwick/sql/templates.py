"""Put an expression of ours in the place of the agent's: `$1 … $n` in the text stand for its arguments.

INVARIANT: the arguments are copied, and what is replaced later in them (relations by their scoped form, columns of a
write's target) is then replaced in every copy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from google.protobuf.message import Message
from postgast import pg_query_pb2 as pb
from postgast.pg_query_pb2 import Node

from bailiwick.sql.environment import Replacement, Use, Walk, refuse
from bailiwick.sql.parser import expression
from bailiwick.sql.trees import become, copied

_Path = tuple[tuple[str, int | None], ...]
"""Names of fields, with the place in those that hold several."""


@dataclass(slots=True)
class _Argument:
    """A copy of an argument, and where in it something is to be replaced."""

    copy: Node
    uses: list[tuple[_Path, Use]] = field(default_factory=list["tuple[_Path, Use]"])
    columns: list[tuple[_Path, Replacement]] = field(default_factory=list["tuple[_Path, Replacement]"])


@lru_cache(maxsize=512)
def _parsed(template: str) -> bytes:
    made = expression(template)
    if not (made.HasField("bool_expr") and made.bool_expr.boolop == pb.AND_EXPR):
        return made.SerializeToString()
    whole = Node()  # one condition stays one: those that the agent joined by AND are told apart by their places
    whole.coalesce_expr.args.append(made)
    return whole.SerializeToString()


def put(node: Node, template: str, arguments: Sequence[Node], walk: Walk) -> None:
    """Replace `node` by the template. The arguments, which were walked before, may be parts of `node`."""
    given = [_argument(argument, walk) for argument in arguments]
    node.ParseFromString(_parsed(template))
    for place in list(_places(node)):
        argument = given[place.param_ref.number - 1]
        become(place, argument.copy)
        for path, use in argument.uses:
            use.also.append(_at(place, path))
        for path, known in argument.columns:
            walk.replacements.append(replace(known, node=_at(place, path)))


def _argument(argument: Node, walk: Walk) -> _Argument:
    made = _Argument(copied(argument))
    if argument.WhichOneof("node") in ("a_const", "param_ref"):
        return made
    uses = [(place, use) for use in walk.uses for place in (use.node, *use.also)]
    known = {id(place): (place, use) for place, use in uses}  # held here: an identity is not given to another meanwhile
    columns = {id(each.node): each for each in walk.replacements}
    locked = {id(each.select) for each in walk.locked}
    for path, message in _parts(argument) if known or columns or locked else ():
        found = id(message)  # a part of a tree is always the same object as long as one is held
        if found in known:
            place, use = known[found]
            use.also = [each for each in use.also if each is not place]  # it is no part of the statement any more
            made.uses.append((path, use))
        if found in columns:
            made.columns.append((path, columns[found]))
        if found in locked:
            refuse("syntax_not_supported", "a query that locks rows is not supported in this place")
    return made


def _parts(tree: Message) -> Iterator[tuple[_Path, Message]]:
    """Yield the tree and every message within it, with the way to each."""
    stack: list[tuple[_Path, Message]] = [((), tree)]
    while stack:
        path, message = stack.pop()
        yield path, message
        for known, value in message.ListFields():
            if known.message_type is None:
                continue
            if known.is_repeated:
                stack.extend(((*path, (known.name, place)), each) for place, each in enumerate(value))
            else:
                stack.append(((*path, (known.name, None)), value))


def _at(tree: Node, path: _Path) -> Node:
    found: Message = tree
    for name, place in path:
        value: Message | Sequence[Message] = getattr(found, name)
        found = value if isinstance(value, Message) else value[place or 0]
    if not isinstance(found, Node):
        raise TypeError(f"no node at {path}")
    return found


def _places(tree: Message) -> list[Node]:
    found: list[Node] = []
    stack: list[Message] = [tree]
    while stack:
        message = stack.pop()
        if isinstance(message, Node) and message.HasField("param_ref"):
            found.append(message)
            continue
        for known, value in message.ListFields():
            if known.message_type is not None:
                stack.extend(value if known.is_repeated else [value])
    return found
