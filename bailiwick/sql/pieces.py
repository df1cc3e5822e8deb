"""Parsed pieces of scoped forms, kept: a column as it is shown, a relation with its filter. Each is parsed once for a
scope and then copied; what differs from statement to statement is only how its parameters are numbered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

from google.protobuf.message import Message
from postgast.pg_query_pb2 import ParamRef

from bailiwick.sql.plan import Bound
from bailiwick.sql.predicates import Parameters

M = TypeVar("M", bound=Message)
_Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Piece(Generic[M]):
    """A tree whose parameters are numbered from 1, in the order of `bound`."""

    tree: M
    bound: tuple[Bound, ...]
    places: tuple[tuple[_Path, int], ...]
    """Where its parameters are, and the place of each in `bound`."""

    def reserve(self, parameters: Parameters) -> None:
        """Number the piece's parameters among those of the statement, if they are not yet."""
        for each in self.bound:
            parameters.number(each)

    def put(self, target: M, parameters: Parameters) -> None:
        """Copy the piece to `target`, its parameters numbered among those of the statement."""
        target.CopyFrom(self.tree)
        numbers = [parameters.number(each) for each in self.bound]
        for path, place in self.places:
            _at(target, path).number = numbers[place]


def piece(make: Callable[[Parameters], M], parameters: Parameters) -> Piece[M]:
    """Return what `make` makes, as a piece. With inline `parameters` it holds literals instead: not to be kept."""
    own = parameters if parameters.inline else Parameters(1)
    tree = make(own)
    bound = () if parameters.inline else own.bound
    places = tuple((path, number - 1) for path, number in _parameters(tree)) if bound else ()
    return Piece(tree, bound, places)


def _at(tree: Message, path: _Path) -> ParamRef:
    found: object = tree
    for step in path:
        found = cast("list[object]", found)[step] if isinstance(step, int) else getattr(found, step)
    return cast("ParamRef", found)


def _parameters(tree: Message) -> list[tuple[_Path, int]]:
    found: list[tuple[_Path, int]] = []
    stack: list[tuple[Message, _Path]] = [(tree, ())]
    while stack:
        message, path = stack.pop()
        if isinstance(message, ParamRef):
            found.append((path, message.number))
            continue
        for field, value in message.ListFields():
            if field.message_type is None:
                continue
            if field.is_repeated:
                stack.extend((each, (*path, field.name, place)) for place, each in enumerate(value))
            else:
                stack.append((value, (*path, field.name)))
    return found
