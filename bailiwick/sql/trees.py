"""Copies of the parser's trees, and the mark on what must not go upstream as it stands.

Through bytes, because the runtime's own `CopyFrom` visits every field that a message could have, and a node could have
270 of them; reading bytes visits those that are there.
"""

from __future__ import annotations

from typing import TypeVar

from google.protobuf.message import Message

M = TypeVar("M", bound=Message)

PENDING = 0x71 | 0x62 << 7 | 0x53 << 14 | 0x44 << 21 | 5 << 28
"""As the `location` of a column: it is one of a write's target, and still has to be replaced. Copies have it too.

INVARIANT: no tree with it is deparsed (`has_pending`), so that what was copied before it was replaced never runs."""
_PENDING = bytes((0xF1, 0xE2, 0xD3, 0xC4, 5))
"""The same as it is serialized. No text in UTF-8 holds these bytes."""


def has_pending(serialized: bytes) -> bool:
    """Whether something in a serialized tree still has to be replaced."""
    return _PENDING in serialized


def tag(kind: type[Message], name: str) -> bytes:
    """Return what stands in front of the field of that name, a message, in a serialized message of the kind."""
    return _varint(kind.DESCRIPTOR.fields_by_name[name].number << 3 | 2)


def within(tagged: bytes, serialized: bytes) -> bytes:
    """Return the serialized message that holds another one in the field of that tag. Copying it takes much longer."""
    return tagged + _varint(len(serialized)) + serialized


def _varint(number: int) -> bytes:
    if number < 0x80:
        return bytes((number,))
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    digits.append(number)
    return bytes(digits)


def become(place: M, tree: M) -> None:
    """Make `place` a copy of `tree`, which may be a part of it."""
    place.ParseFromString(tree.SerializeToString())


def copied(tree: M) -> M:
    """Return a copy."""
    return type(tree).FromString(tree.SerializeToString())
