"""The types of a GraphQL API: as they are accepted, as a session sees them, and the arguments of fields. No I/O.

What is not reachable from a mapped field is not kept; what a session's grants do not show does not exist for it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import cast

from graphql import (
    DocumentNode,
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLError,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLType,
    GraphQLUnionType,
    InputObjectTypeDefinitionNode,
    InterfaceTypeDefinitionNode,
    ListTypeNode,
    NamedTypeNode,
    NonNullTypeNode,
    ObjectTypeDefinitionNode,
    SchemaDefinitionNode,
    TypeDefinitionNode,
    TypeNode,
    UnionTypeDefinitionNode,
    build_ast_schema,
    build_client_schema,
    build_schema,
    get_named_type,
    is_leaf_type,
    is_required_argument,
    is_specified_scalar_type,
    parse,
    print_ast,
    print_schema,
)

from bailiwick.errors import ConfigError
from bailiwick.model.scope import CallGrant, ToolScope

deepest_input = 4
"""Levels of an input whose keys are arguments of their own."""
Composite = GraphQLObjectType | GraphQLInterfaceType | GraphQLUnionType
_PLAIN = {"Int": "integer", "Float": "number", "String": "string", "ID": "string", "Boolean": "boolean"}
_most_types = 4000


def type_of(each: GraphQLField | GraphQLArgument | GraphQLInputField) -> GraphQLType:
    """Return the type of a field or argument, with what it is wrapped in."""
    return cast("GraphQLType", each.type)  # pyright: ignore[reportUnknownMemberType]  # the library leaves it open


def nullable(type_: GraphQLType) -> GraphQLType:
    """Return the type without its `!`."""
    if isinstance(type_, GraphQLNonNull):
        return cast("GraphQLType", type_.of_type)  # pyright: ignore[reportUnknownMemberType]  # likewise
    return type_


def named(each: GraphQLField | GraphQLArgument | GraphQLInputField) -> GraphQLNamedType:
    """Return the type of a field or argument without what it is wrapped in."""
    return get_named_type(type_of(each))


def schema_of(text: str, where: str) -> GraphQLSchema:
    """Return the types that a text describes: SDL, or the JSON of an introspection. Raises ConfigError."""
    try:
        if text.lstrip().startswith("{"):
            found = cast("dict[str, object]", json.loads(text))
            data = cast("dict[str, object]", found.get("data", found))
            schema = build_client_schema(data)  # pyright: ignore[reportArgumentType]  # it checks what it is given
        else:
            schema = build_schema(text)
    except (GraphQLError, TypeError, ValueError, KeyError, AttributeError, RecursionError) as error:
        why = str(error).partition("\n")[0][:200]
        raise ConfigError(f"{where} describes no GraphQL types: {why}", remedy="export the API's schema anew") from None
    if len(schema.type_map) > _most_types:
        raise ConfigError(f"{where} has more than {_most_types} types", remedy="export the part that agents need")
    return schema


def root_of(schema: GraphQLSchema, name: str) -> GraphQLField | None:
    """Return a field that operations may begin with, by its name in the policy: `Query.customer`."""
    kind, _, field = name.partition(".")
    root = schema.query_type if kind == "Query" else schema.mutation_type
    return None if root is None else root.fields.get(field)


def kept(schema: GraphQLSchema, names: Iterable[str]) -> str:
    """Return as SDL what can be reached from these fields; what is to be accepted, in one spelling."""
    roots = {"Query": schema.query_type, "Mutation": schema.mutation_type}
    fields: dict[str, set[str]] = {root.name: set() for root in roots.values() if root is not None}
    for name in names:
        kind, _, field = name.partition(".")
        root = roots.get(kind)
        if root is not None:
            fields[root.name].add(field)
    return print_ast(_pruned(parse(print_schema(schema)), fields, set(fields)))


def pruned(document: DocumentNode, fields: Mapping[str, Collection[str]]) -> GraphQLSchema:
    """Return the types of which only these fields are left."""
    schema = build_ast_schema(document, assume_valid=True, assume_valid_sdl=True)
    roots = {each.name for each in (schema.query_type, schema.mutation_type) if each is not None}
    left = {name: fields.get(name, ()) for name in schema.type_map}
    return build_ast_schema(_pruned(document, left, roots), assume_valid=True, assume_valid_sdl=True)


def _pruned(document: DocumentNode, fields: Mapping[str, Collection[str]], roots: Collection[str]) -> DocumentNode:
    """Return the definitions that are reached from the roots through the fields that are left of each type."""
    known = {
        each.name.value: _with_fields(each, fields.get(each.name.value))
        for each in document.definitions
        if isinstance(each, TypeDefinitionNode)
    }
    members: dict[str, list[str]] = {}
    for name, each in known.items():
        for above in each.interfaces or () if isinstance(each, _IMPLEMENTING) else ():
            members.setdefault(above.name.value, []).append(name)
    reached, left = dict.fromkeys(roots), list(roots)
    while left:
        name = left.pop()
        for found in (*_named_in(known[name]), *members.get(name, ())) if name in known else ():
            if found not in reached:
                reached[found] = None
                left.append(found)
    whole = [each for each in document.definitions if isinstance(each, SchemaDefinitionNode)]
    return DocumentNode(definitions=(*whole, *(known[name] for name in sorted(reached) if name in known)))


_IMPLEMENTING = (ObjectTypeDefinitionNode, InterfaceTypeDefinitionNode)


def _with_fields(definition: TypeDefinitionNode, names: Collection[str] | None) -> TypeDefinitionNode:
    if names is None or not isinstance(definition, _IMPLEMENTING):
        return definition
    left = tuple(each for each in definition.fields or () if each.name.value in names)
    of = type(definition)
    return of(
        name=definition.name,
        description=definition.description,
        interfaces=definition.interfaces,
        directives=(),
        fields=left,
    )


def _named_in(definition: TypeDefinitionNode) -> Iterator[str]:
    """Yield the types that a definition names."""
    if isinstance(definition, _IMPLEMENTING):
        yield from (each.name.value for each in definition.interfaces or ())
        for field in definition.fields or ():
            yield _name_of(field.type)
            yield from (_name_of(argument.type) for argument in field.arguments or ())
    elif isinstance(definition, UnionTypeDefinitionNode):
        yield from (each.name.value for each in definition.types or ())
    elif isinstance(definition, InputObjectTypeDefinitionNode):
        yield from (_name_of(each.type) for each in definition.fields or ())


def _name_of(node: TypeNode) -> str:
    while isinstance(node, ListTypeNode | NonNullTypeNode):
        node = node.type
    return cast("NamedTypeNode", node).name.value


def properties(arguments: Mapping[str, GraphQLArgument]) -> dict[str, object]:
    """Return name → JSON schema of the arguments that matchers see: keys of inputs with dots between them."""
    found: dict[str, object] = {}
    for name, each in arguments.items():
        _properties(found, name, each, 1)
    return found


def _properties(found: dict[str, object], name: str, each: GraphQLArgument | GraphQLInputField, level: int) -> None:
    inner = keys_of(each, level)
    if inner is None:
        found[name] = _schema_of(each)
        return
    for key, below in inner.items():
        _properties(found, f"{name}.{key}", below, level + 1)


def keys_of(each: GraphQLArgument | GraphQLInputField, level: int) -> Mapping[str, GraphQLInputField] | None:
    """Return the keys of an argument that are arguments of their own; None: it is one."""
    type_ = nullable(type_of(each))
    return type_.fields if isinstance(type_, GraphQLInputObjectType) and level < deepest_input else None


def _schema_of(each: GraphQLArgument | GraphQLInputField) -> dict[str, object]:
    type_ = nullable(type_of(each))
    if isinstance(type_, GraphQLList):
        return {"type": "array"}
    if isinstance(type_, GraphQLEnumType):
        return {"type": "string", "enum": list(type_.values)}
    if isinstance(type_, GraphQLScalarType) and is_specified_scalar_type(type_):
        return {"type": _PLAIN[type_.name]}
    return {}


def needed(arguments: Mapping[str, GraphQLArgument]) -> list[str]:
    """Return the arguments without which a field cannot be asked for."""
    return [name for name, each in arguments.items() if is_required_argument(each)]


def steps(schema: GraphQLSchema, type_: GraphQLNamedType, name: str) -> list[tuple[str, GraphQLField]]:
    """Return what a field's name may stand for in a type: type → field, through all that may stand in its place."""
    if isinstance(type_, GraphQLObjectType):
        return [(type_.name, type_.fields[name])] if name in type_.fields else []
    if not isinstance(type_, GraphQLInterfaceType | GraphQLUnionType):
        return []
    own = [type_] if isinstance(type_, GraphQLInterfaceType) else []
    every: list[GraphQLInterfaceType | GraphQLObjectType] = [*own, *schema.get_possible_types(type_)]
    return [(each.name, each.fields[name]) for each in every if name in each.fields]


def at(schema: GraphQLSchema, type_: GraphQLNamedType, path: Iterable[str]) -> list[GraphQLNamedType]:
    """Return the types that may stand at a path."""
    found = [type_]
    for name in path:
        found = [named(field) for each in found for _, field in steps(schema, each, name)]
    return list(dict.fromkeys(found))


def leaves(types: Iterable[GraphQLNamedType]) -> list[str]:
    """Return the fields of types that have none of their own, and can be asked for as they are."""
    found: dict[str, None] = {}
    for each in types:
        if isinstance(each, GraphQLObjectType | GraphQLInterfaceType):
            plain = (name for name, field in each.fields.items() if is_leaf_type(named(field)))
            found.update(dict.fromkeys(name for name in plain if not needed(each.fields[name].args)))
    return list(found)


def seen(schema: GraphQLSchema, tools: Iterable[ToolScope]) -> dict[str, set[str]]:
    """Return type → fields that the grants of some tool lead to."""
    found: dict[str, set[str]] = {}
    for each in tools:
        root = root_of(schema, each.tool.name)
        kind, _, name = each.tool.name.partition(".")
        above = schema.query_type if kind == "Query" else schema.mutation_type
        if root is None or above is None:
            continue
        found.setdefault(above.name, set()).add(name)
        type_ = named(root)
        _follow(schema, found, type_, each.tool.items)
        items = at(schema, type_, each.tool.items)
        plain = leaves(items)
        for path in dict.fromkeys(path for grant in each.allows for path in _ways(grant, plain)):
            way = path.split(".")
            for item in items:
                _follow(schema, found, item, way)
                for name in leaves(at(schema, item, way)):
                    _follow(schema, found, item, (*way, name))
    return found


def _ways(grant: CallGrant, plain: Iterable[str]) -> Iterator[str]:
    """Yield the paths that a grant shows; `plain`: what has no fields of its own."""
    yield from (path for path in (plain if grant.fields is None else grant.fields) if path not in grant.hidden)
    yield from grant.masks


def _follow(schema: GraphQLSchema, found: dict[str, set[str]], type_: GraphQLNamedType, path: Iterable[str]) -> None:
    types = [type_]
    for name in path:
        taken = [step for each in types for step in steps(schema, each, name)]
        for above, _ in taken:
            found.setdefault(above, set()).add(name)
        types = list(dict.fromkeys(named(field) for _, field in taken))
