"""Parsed pieces of scoped forms, kept: a column as it is shown, a relation with its filter. Each is parsed once for a
scope and is then bytes to put together; what differs between statements is only how parameters are numbered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from google.protobuf.message import Message
from postgast.pg_query_pb2 import ParamRef

from bailiwick.sql.parameters import Parameters
from bailiwick.sql.plan import Bound

_NUMBERINGS = 64


class Piece:
    """A serialized tree, in each numbering of its parameters that was asked for."""

    __slots__ = ("_first", "_kind", "_known", "bound")

    def __init__(self, tree: Message, bound: tuple[Bound, ...]) -> None:
        """`tree`: its parameters are numbered from 1, in the order of `bound`."""
        self.bound = bound
        self._kind = type(tree)
        self._first = tree.SerializeToString()
        self._known: dict[tuple[int, ...], bytes] = {tuple(range(1, len(bound) + 1)): self._first}

    def reserve(self, parameters: Parameters) -> None:
        """Number the piece's parameters among those of the statement, if they are not yet."""
        for each in self.bound:
            parameters.number(each)

    def serialized(self, parameters: Parameters) -> bytes:
        """Return the tree, its parameters numbered among those of the statement."""
        numbers = tuple([parameters.number(each) for each in self.bound])
        found = self._known.get(numbers)
        if found is None:
            if len(self._known) >= _NUMBERINGS:
                self._known.clear()
            found = self._known[numbers] = self._numbered(numbers)
        return found

    def _numbered(self, numbers: tuple[int, ...]) -> bytes:
        tree = self._kind.FromString(self._first)
        for each in _parameters(tree):
            each.number = numbers[each.number - 1]
        return tree.SerializeToString()


def piece(make: Callable[[Parameters], Message], parameters: Parameters) -> Piece:
    """Return what `make` makes, as a piece. With `inline` ones it holds none: not to be kept."""
    own = parameters if parameters.inline else Parameters(1)
    tree = make(own)
    return Piece(tree, () if parameters.inline else own.bound)


def _parameters(tree: Message) -> Iterator[ParamRef]:
    stack = [tree]
    while stack:
        message = stack.pop()
        if isinstance(message, ParamRef):
            yield message
            continue
        for field, value in message.ListFields():
            if field.message_type is not None:
                stack.extend(value if field.is_repeated else [value])
