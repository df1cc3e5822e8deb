"""Put an expression of ours in the place of the agent's: `$1 … $n` in the text stand for its arguments."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from google.protobuf.message import Message
from postgast.pg_query_pb2 import Node

from bailiwick.sql.parser import expression


@lru_cache(maxsize=512)
def _parsed(template: str) -> Node:
    return expression(template)


def put(node: Node, template: str, arguments: Sequence[Node]) -> None:
    """Replace `node` by the template. The arguments may be parts of `node`; they are copied before."""
    copies: list[Node] = []
    for argument in arguments:
        copy = Node()
        copy.CopyFrom(argument)
        copies.append(copy)
    node.CopyFrom(_parsed(template))
    for place in list(_places(node)):
        place.CopyFrom(copies[place.param_ref.number - 1])


def _places(tree: Message) -> list[Node]:
    found: list[Node] = []
    stack: list[Message] = [tree]
    while stack:
        message = stack.pop()
        if isinstance(message, Node) and message.HasField("param_ref"):
            found.append(message)
            continue
        for field, value in message.ListFields():
            if field.message_type is not None:
                stack.extend(value if field.is_repeated else [value])
    return found
