"""From GraphQL types to a mount: what operations may begin with, with guessed actions, nothing granted. No I/O.

A guess: people decide. A field of `Query` reads; what one of `Mutation` does, its name tells at best.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from graphql import GraphQLObjectType, GraphQLSchema

from bailiwick.mounts.http.graphql.types import named, schema_of
from bailiwick.mounts.mcp.importing.guess import guesses
from bailiwick.policy.lock_scalar import scalar_text
from bailiwick.policy.locked_tools import locked_tool

_WRAPPERS = re.compile(r"(?<=.)(Connection|Payload|Result|Response|Edge|List)$")


@dataclass(frozen=True, slots=True)
class ImportedField:
    """One field that operations may begin with."""

    name: str
    action: str
    effects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ImportedGraph:
    """A mount as the types have it."""

    name: str
    schema: str
    """Where the types are, from the policy on."""
    variable: str
    """Prefix of the environment variables that the gateway needs."""
    fields: tuple[ImportedField, ...]


def graph_imported(name: str, text: str, file: str) -> ImportedGraph:
    """Return the mount of the types in a text. Raises ConfigError."""
    schema = schema_of(text, f"`{file}`")
    variable = re.sub(r"[^A-Z0-9]+", "_", name.upper()).strip("_") or "API"
    return ImportedGraph(name, file, variable, tuple(_fields(schema)))


def _fields(schema: GraphQLSchema) -> Iterator[ImportedField]:
    if schema.query_type is not None:
        for name, field in schema.query_type.fields.items():
            type_ = named(field)
            of = _WRAPPERS.sub("", type_.name) if isinstance(type_, GraphQLObjectType) else name
            yield ImportedField(f"Query.{name}", f"{_resource(of)}:read", ())
    if schema.mutation_type is not None:
        tools = [locked_tool(name, {}) for name in schema.mutation_type.fields]
        for name, guess in guesses("api", tools).items():
            verb = "call" if guess.verb == "read" else guess.verb
            yield ImportedField(f"Mutation.{name}", f"{guess.resource}:{verb}", guess.effects)


def _resource(type_: str) -> str:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type_).lower().strip("_")
    return words if words and words[0].isalpha() else f"r_{words}"


def graph_as_policy(found: ImportedGraph) -> str:
    """Return a mount as the text of a policy."""
    variable = found.variable
    lines = [
        "# Written by `bailiwick http import`. Actions and effects are guesses: look them through. Nothing is granted.",
        f"# set where the gateway starts: {variable}_URL, {variable}_TOKEN",
        *("bailiwick: 1", "mounts:", f"  {scalar_text(found.name)}:", "    kind: http"),
        f"    url: {scalar_text(f'${{{variable}_URL}}')}",
        f"    credential: {{header: {{Authorization: {scalar_text(f'Bearer ${{{variable}_TOKEN}}')}}}}}",
        *("    graphql:", "      path: /graphql", f"      schema: {scalar_text(found.schema)}", "      fields:"),
    ]
    for field in found.fields:
        effects = f", effects: [{', '.join(field.effects)}]" if field.effects else ""
        lines.append(f"        {field.name}: {{action: {scalar_text(field.action)}{effects}}}")
    return "\n".join(lines) + "\n"
