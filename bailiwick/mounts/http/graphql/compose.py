"""The operation that an API is sent: made of what was understood and decided, values as variables. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from graphql import (
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
)

from bailiwick.decide.calls import is_below
from bailiwick.mounts.http.graphql.selection import Selected, Wanted
from bailiwick.mounts.http.graphql.types import named, root_of, type_of
from bailiwick.mounts.mcp.message import Json


def alias_of(place: int) -> str:
    """Return under which key the API answers to the field at a place of the operation."""
    return f"f{place}"


def composed(schema: GraphQLSchema, kind: str, fields: Sequence[Selected]) -> dict[str, Json]:
    """Return the body to send."""
    writing = _Writing(schema)
    lines = [writing.root(place, each) for place, each in enumerate(fields)]
    head = f"({', '.join(writing.declared)})" if writing.declared else ""
    return {"query": f"{kind}{head} {{ {' '.join(lines)} }}", "variables": writing.values}


class _Writing:
    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self.declared: list[str] = []
        self.values: dict[str, Json] = {}

    def root(self, place: int, each: Selected) -> str:
        """Return one of the fields that the operation begins with."""
        arguments = each.admitted.arguments
        own = {name: value for name, value in arguments.items() if not is_below(name)}
        field, name = root_of(self._schema, each.root.name), each.root.name.partition(".")[2]
        if field is None:
            raise ValueError("a field that was selected is one of the schema")
        head = f"{alias_of(place)}: {name}{self._given(field, own)}"
        return head + self._below(named(field), each.wanted, (), arguments)

    def _given(self, field: GraphQLField, arguments: Mapping[str, Json]) -> str:
        """Return the arguments of a field, each of them a variable."""
        given: dict[str, object] = {}
        for name, value in arguments.items():
            *way, last = name.split(".")
            inner = given
            for key in way:
                inner = cast("dict[str, object]", inner.setdefault(key, {}))
            inner[last] = value
        parts: list[str] = []
        for name, value in given.items():
            variable = f"v{len(self.declared)}"
            self.declared.append(f"${variable}: {type_of(field.args[name])}")
            self.values[variable] = value
            parts.append(f"{name}: ${variable}")
        return f"({', '.join(parts)})" if parts else ""

    def _below(
        self, type_: GraphQLNamedType, wanted: Wanted, path: tuple[str, ...], arguments: Mapping[str, Json]
    ) -> str:
        if not isinstance(type_, GraphQLObjectType | GraphQLInterfaceType | GraphQLUnionType):
            return ""
        parts = [
            part
            for (name, on), inner in wanted.items()
            for part in self._field(type_, name, on, inner, path, arguments)
        ]
        return f" {{ {' '.join(parts or ['__typename'])} }}"

    def _field(
        self,
        type_: GraphQLObjectType | GraphQLInterfaceType | GraphQLUnionType,
        name: str,
        on: frozenset[str] | None,
        inner: Wanted,
        path: tuple[str, ...],
        arguments: Mapping[str, Json],
    ) -> Iterator[str]:
        if name == "__typename":
            yield name
            return
        here = (*path, name)
        dotted = ".".join(here)
        own = {
            argument[len(dotted) + 1 : -1]: value
            for argument, value in arguments.items()
            if argument.startswith(f"{dotted}(") and value is not None
        }
        if on is None and not isinstance(type_, GraphQLUnionType):
            field = type_.fields.get(name)
            if field is not None:
                yield f"{name}{self._given(field, own)}{self._below(named(field), inner, here, arguments)}"
                return
        if isinstance(type_, GraphQLObjectType):
            return
        for each in self._schema.get_possible_types(type_):
            field = each.fields.get(name)
            if field is not None and (on is None or each.name in on):
                below = self._below(named(field), inner, here, arguments)
                yield f"... on {each.name} {{ {name}{self._given(field, own)}{below} }}"
