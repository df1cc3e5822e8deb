"""Reading requests of the admin socket: every field by its type, nothing coerced, nothing unknown let through."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from bailiwick.errors import ProtocolError

Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]
_longest = 4096


class Fields:
    """The fields of one request. Take each, then call `done`: what was not taken is an error."""

    def __init__(self, request: Mapping[str, Json]) -> None:
        self._left = dict(request)

    def text(self, name: str) -> str:
        """Take a required text."""
        found = self.maybe_text(name)
        if not found:
            raise ProtocolError(f"`{name}` is missing", remedy=f"give `{name}` as a text")
        return found

    def maybe_text(self, name: str) -> str | None:
        """Take a text, None when there is none."""
        found = self._left.pop(name, None)
        return None if found is None else _text(name, found)

    def texts(self, name: str) -> tuple[str, ...]:
        """Take a list of texts, empty when there is none."""
        found = self._left.pop(name, None)
        if found is None:
            return ()
        if not isinstance(found, list) or len(found) > 1000:
            raise ProtocolError(f"`{name}` is not a list of texts")
        return tuple(_text(name, each) for each in found)

    def named(self, name: str) -> Mapping[str, str]:
        """Take a mapping of texts, empty when there is none."""
        return {key: _text(name, value) for key, value in self._mapping(name).items()}

    def claims(self, name: str) -> Mapping[str, str | tuple[str, ...]]:
        """Take a mapping of texts or lists of texts, empty when there is none."""
        found: dict[str, str | tuple[str, ...]] = {}
        for key, value in self._mapping(name).items():
            many = isinstance(value, list)
            found[key] = tuple(_text(name, each) for each in value) if many else _text(name, value)
        return found

    def mapping(self, name: str) -> Mapping[str, Json]:
        """Take a mapping of whatever, empty when there is none."""
        return self._mapping(name)

    def value(self, name: str) -> Json:
        """Take whatever is there, None when there is nothing."""
        return self._left.pop(name, None)

    def flag(self, name: str) -> bool:
        """Take a truth value, false when there is none."""
        found = self._left.pop(name, False)
        if not isinstance(found, bool):
            raise ProtocolError(f"`{name}` is not true or false")
        return found

    def done(self) -> None:
        """Refuse what was not taken."""
        if self._left:
            raise ProtocolError(
                f"unknown field `{next(iter(self._left))[:100]}`", remedy="use the same version of both"
            )

    def _mapping(self, name: str) -> dict[str, Json]:
        found = self._left.pop(name, None)
        if found is None:
            return {}
        if not isinstance(found, dict) or len(found) > 1000:
            raise ProtocolError(f"`{name}` is not a mapping")
        return cast("dict[str, Json]", found)


def _text(name: str, value: Json) -> str:
    if not isinstance(value, str) or len(value) > _longest or "\0" in value:
        raise ProtocolError(f"`{name}` is not a text of at most {_longest} characters")
    return value
