"""One operation, read: its fields with their arguments, fragments taken apart and conditions resolved. No I/O.

What is understood here is decided, and composed anew: nothing of the agent's text goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from graphql import (
    BooleanValueNode,
    DirectiveNode,
    DocumentNode,
    EnumValueNode,
    FieldNode,
    FloatValueNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLArgument,
    GraphQLError,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLType,
    GraphQLUnionType,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    OverlappingFieldsCanBeMergedRule,
    SelectionSetNode,
    StringValueNode,
    ValueNode,
    VariableNode,
    is_leaf_type,
    parse,
    specified_rules,
    validate,
)
from graphql.execution.values import get_variable_values

from bailiwick.mounts.http.graphql.text import Posted, most_tokens, unreadable
from bailiwick.mounts.http.graphql.types import keys_of, named, nullable, properties, type_of
from bailiwick.mounts.mcp.message import Json

most_roots = 16
most_fields = 1000
deepest = 12
_RULES = tuple(rule for rule in specified_rules if rule is not OverlappingFieldsCanBeMergedRule)
"""What fields mean that are asked for twice is looked at here, in time that grows with the operation alone."""
_INTROSPECTION = ("__schema", "__type")
_longest_told = 300
_most_digits = 100
_absent = object()


@dataclass(frozen=True, slots=True)
class Pick:
    """One field as the agent asks for it."""

    key: str
    """Under which it stands in the answer."""
    name: str
    on: frozenset[str] | None
    """The types of which it is asked; None: whatever stands there."""
    below: tuple[Pick, ...] = ()
    known: str = ""
    """Of `__typename`: what it is, where that is known beforehand."""


@dataclass(frozen=True, slots=True)
class Root:
    """A field that the operation begins with."""

    key: str
    name: str
    """As the policy has it: `Query.customer`."""
    field: GraphQLField
    arguments: Mapping[str, Json]
    """As matchers see them: `id`, `input.amount`, and of fields below `orders(first)`, None where it has no value."""
    picks: tuple[Pick, ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """What is asked for."""

    kind: Literal["query", "mutation"]
    roots: tuple[Root, ...]
    known: Mapping[str, str]
    """Key → what is known of the operation itself (`__typename`)."""
    introspects: bool = False
    """It asks for types, and for nothing else."""


def checked(schema: GraphQLSchema, text: str) -> DocumentNode:
    """Return the document that a text is, if it fits the types. Raises UnreadableError."""
    try:
        document = parse(text, no_location=True, max_tokens=most_tokens)
    except (GraphQLError, RecursionError) as error:
        raise unreadable(f"the operation is not GraphQL: {_told(error)}", code="statement_unparsable") from None
    _only_one(document)
    found = validate(schema, document, _RULES, max_errors=1)
    if found:
        raise unreadable(f"the operation is not one of this session's: {_told(found[0])}", code="resource_unknown")
    return document


def _told(error: BaseException) -> str:
    """Return what is wrong in one line; of types it names those alone that the session sees."""
    text = getattr(error, "message", "") or "it is nested too deeply"
    return " ".join(str(text).split())[:_longest_told]


def _only_one(document: DocumentNode) -> None:
    operations = [each for each in document.definitions if isinstance(each, OperationDefinitionNode)]
    if len(operations) != 1:
        raise unreadable("a document with one operation is taken", "send each by itself")
    if any(not isinstance(each, OperationDefinitionNode | FragmentDefinitionNode) for each in document.definitions):
        raise unreadable("a document holds operations and fragments alone")
    if operations[0].operation.value == "subscription":
        raise unreadable("subscriptions are not served here", "ask by a query", "syntax_not_supported")


def operation_of(schema: GraphQLSchema, document: DocumentNode, posted: Posted) -> Operation:
    """Return the operation of a document that was checked, with its variables. Raises UnreadableError."""
    definition = next(each for each in document.definitions if isinstance(each, OperationDefinitionNode))
    if posted.operation and (definition.name is None or definition.name.value != posted.operation):
        raise unreadable("`operationName` is not the name of the operation")
    mutates = definition.operation.value == "mutation"
    root = schema.mutation_type if mutates else schema.query_type
    if root is None:
        raise unreadable("the operation is not one of this session's", code="resource_unknown")
    variables = _variables(schema, definition, posted.variables)
    fragments = {each.name.value: each for each in document.definitions if isinstance(each, FragmentDefinitionNode)}
    reading = _Reading(schema, fragments, variables)
    for node in (definition, *(definition.variable_definitions or ()), *fragments.values()):
        reading.without_directives(node.directives)
    return _operation(reading, definition, root, "mutation" if mutates else "query")


def _operation(
    reading: _Reading, definition: OperationDefinitionNode, root: GraphQLObjectType, kind: Literal["query", "mutation"]
) -> Operation:
    asked = [field for field, _, _ in reading.fields(definition.selection_set, root, None)]
    known = {_key(each): root.name for each in asked if each.name.value == "__typename"}
    plain = [each for each in asked if each.name.value != "__typename"]
    types = [each for each in plain if each.name.value in _INTROSPECTION]
    if types and len(types) < len(plain):
        raise unreadable("types are asked for together with data", "ask for them by themselves")
    if types:
        return Operation(kind, (), known, introspects=True)
    if not asked:
        raise unreadable("the operation asks for nothing", "ask for a field")
    keys = [_key(each) for each in asked]
    if len(set(keys)) < len(keys):
        raise unreadable("a key of the answer stands for two fields", "give each its own alias")
    if len(plain) > (1 if kind == "mutation" else most_roots):
        most = "one change" if kind == "mutation" else f"at most {most_roots} fields"
        raise unreadable(f"an operation begins with {most} here", "ask in several", "statement_too_large", status=413)
    word = "Mutation" if kind == "mutation" else "Query"
    return Operation(kind, tuple(reading.root(each, f"{word}.{each.name.value}", root) for each in plain), known)


def _key(node: FieldNode) -> str:
    return (node.alias or node.name).value


def _variables(
    schema: GraphQLSchema, definition: OperationDefinitionNode, given: Mapping[str, Json]
) -> Mapping[str, Json]:
    """Return the variables that have a value, as they were given. Raises UnreadableError when one does not fit."""
    nodes = definition.variable_definitions or ()
    found = get_variable_values(schema, nodes, dict(given), max_errors=1)
    if isinstance(found, list):
        raise unreadable(f"the variables do not fit: {_told(found[0])}", "give each its type")
    values: dict[str, Json] = {}
    for node in nodes:
        name = node.variable.name.value
        value = given.get(name, _absent)
        if value is _absent and node.default_value is not None:
            value = _literal(node.default_value, {})
        if value is not _absent:
            values[name] = value
    return values


def _literal(node: ValueNode, variables: Mapping[str, Json]) -> Json:
    """Return the value that a node is; `_absent` for a variable without one."""
    match node:
        case VariableNode():
            return variables.get(node.name.value, _absent)
        case IntValueNode():
            return int(_digits(node.value))
        case FloatValueNode():
            return float(_digits(node.value))
        case StringValueNode() | BooleanValueNode() | EnumValueNode():
            return cast("Json", node.value)
        case ListValueNode():
            values = [_literal(each, variables) for each in node.values]
            return [None if each is _absent else each for each in values]
        case ObjectValueNode():
            pairs = ((each.name.value, _literal(each.value, variables)) for each in node.fields)
            return {name: value for name, value in pairs if value is not _absent}
        case _:
            return None


def _digits(text: str) -> str:
    if len(text) > _most_digits or float(text) in (float("inf"), float("-inf")):
        raise unreadable("a number of the operation is too large")
    return text


def _plain(type_: GraphQLType, value: Json) -> Json:
    """Return a value that fits its type in the one form in which it is looked at."""
    type_ = nullable(type_)
    if value is None:
        return None
    if isinstance(type_, GraphQLList):
        inner = cast("GraphQLType", type_.of_type)  # pyright: ignore[reportUnknownMemberType]  # the library leaves it open
        return [_plain(inner, each) for each in cast("list[Json]", value if isinstance(value, list) else [value])]
    if isinstance(type_, GraphQLInputObjectType) and isinstance(value, dict):
        given = cast("dict[str, Json]", value)
        return {key: _plain(type_of(type_.fields[key]), each) for key, each in given.items()}
    if isinstance(type_, GraphQLScalarType) and not isinstance(value, bool):
        if type_.name == "ID" and isinstance(value, int):
            return str(value)
        if type_.name == "Int" and isinstance(value, float):
            return int(value)
    return value


class _Reading:
    """One operation, while it is read."""

    def __init__(
        self, schema: GraphQLSchema, fragments: Mapping[str, FragmentDefinitionNode], variables: Mapping[str, Json]
    ) -> None:
        self._schema = schema
        self._fragments = fragments
        self._variables = variables
        self._count = 0
        self._arguments: dict[str, Json] = {}
        self._asked: dict[tuple[str, ...], dict[str, Json]] = {}
        self._keys: dict[tuple[str, ...], list[tuple[str, frozenset[str] | None]]] = {}

    def root(self, node: FieldNode, name: str, above: GraphQLObjectType) -> Root:
        """Return a field that the operation begins with."""
        field = above.fields[node.name.value]
        self._arguments, self._asked, self._keys = {}, {}, {}
        own = self._given(field, node, "", "")
        picks = self._picks(node.selection_set, named(field), (), ())
        _something(name, field, picks)
        return Root(_key(node), name, field, {**own, **self._arguments}, picks)

    def fields(
        self, found: SelectionSetNode, type_: GraphQLNamedType, on: frozenset[str] | None
    ) -> Iterator[tuple[FieldNode, GraphQLNamedType, frozenset[str] | None]]:
        """Yield the fields of a selection, with the type in which each stands and the types of which it is asked."""
        for each in found.selections:
            self._count += 1
            if self._count > most_fields:
                message = f"the operation asks for more than {most_fields} fields"
                raise unreadable(message, "ask for less at once", "statement_too_large", status=413)
            if not self._included(each.directives):
                continue
            if isinstance(each, FieldNode):
                yield each, type_, on
                continue
            fragment = each
            if isinstance(each, FragmentSpreadNode):
                fragment = self._fragments[each.name.value]
            if isinstance(fragment, FragmentDefinitionNode | InlineFragmentNode):
                condition = fragment.type_condition
                inner = type_ if condition is None else self._schema.type_map[condition.name.value]
                yield from self.fields(fragment.selection_set, inner, self._narrowed(type_, inner, on))

    def _narrowed(
        self, type_: GraphQLNamedType, inner: GraphQLNamedType, on: frozenset[str] | None
    ) -> frozenset[str] | None:
        here, there = self._possible(type_) if on is None else on, self._possible(inner)
        return on if here <= there else here & there

    def _possible(self, type_: GraphQLNamedType) -> frozenset[str]:
        if isinstance(type_, GraphQLInterfaceType | GraphQLUnionType):
            return frozenset(each.name for each in self._schema.get_possible_types(type_))
        return frozenset((type_.name,))

    def _picks(
        self, found: SelectionSetNode | None, type_: GraphQLNamedType, path: tuple[str, ...], keys: tuple[str, ...]
    ) -> tuple[Pick, ...]:
        if found is None:
            return ()
        if len(path) >= deepest:
            raise unreadable(
                f"the operation asks deeper than {deepest}", "ask for less", "statement_too_large", status=413
            )
        return tuple(self._pick(*each, path, keys) for each in self.fields(found, type_, None))

    def _pick(
        self,
        node: FieldNode,
        inner: GraphQLNamedType,
        on: frozenset[str] | None,
        path: tuple[str, ...],
        keys: tuple[str, ...],
    ) -> Pick:
        key, name = _key(node), node.name.value
        self._unambiguous((*keys, key), name, on)
        if name == "__typename":
            known = inner.name if isinstance(inner, GraphQLObjectType) else ""
            return Pick(key, name, on, known=known)
        if name.startswith("__") or not isinstance(inner, GraphQLObjectType | GraphQLInterfaceType):
            raise unreadable("types are asked for together with data", "ask for them by themselves")
        field, here = inner.fields[name], (*path, name)
        dotted = ".".join(here)
        given = self._given(field, node, f"{dotted}(", ")")
        every = {f"{dotted}({each})": given.get(f"{dotted}({each})") for each in properties(field.args)}
        if self._asked.setdefault(here, every) != every:
            message = f"`{dotted}` is asked for with different arguments"
            raise unreadable(message, "ask in two operations, or begin each with its own field")
        self._arguments.update(every)
        picks = self._picks(node.selection_set, named(field), here, (*keys, key))
        _something(dotted, field, picks)
        return Pick(key, name, on, picks)

    def _unambiguous(self, keys: tuple[str, ...], name: str, on: frozenset[str] | None) -> None:
        known = self._keys.setdefault(keys, [])
        for other, there in known:
            if other != name and (on is None or there is None or on & there):
                raise unreadable(f"`{keys[-1]}` stands for two fields of the answer", "give each its own alias")
        if (name, on) not in known:
            known.append((name, on))

    def _given(self, field: GraphQLField, node: FieldNode, before: str, after: str) -> dict[str, Json]:
        """Return the arguments that a field is given, as matchers see them."""
        found: dict[str, Json] = {}
        for each in node.arguments or ():
            argument = field.args[each.name.value]
            value = _literal(each.value, self._variables)
            if value is not _absent:
                self._flat(found, argument, _plain(type_of(argument), value), (each.name.value, before, after), 1)
        return found

    def _flat(
        self,
        found: dict[str, Json],
        each: GraphQLArgument | GraphQLInputField,
        value: Json,
        called: tuple[str, str, str],
        level: int,
    ) -> None:
        name, before, after = called
        inner = keys_of(each, level)
        if inner is None:
            found[f"{before}{name}{after}"] = value
            return
        if not isinstance(value, dict) or not value:
            raise unreadable(f"`{name}` is empty", "leave it out, or give what it holds")
        for key, below in cast("dict[str, Json]", value).items():
            self._flat(found, inner[key], below, (f"{name}.{key}", before, after), level + 1)

    def without_directives(self, found: Sequence[DirectiveNode] | None) -> None:
        """Raise UnreadableError for directives where none is taken."""
        if found:
            raise _no_directive(found[0].name.value)

    def _included(self, found: Sequence[DirectiveNode] | None) -> bool:
        """Return whether what has these directives is asked for."""
        for each in found or ():
            name = each.name.value
            if name not in ("skip", "include"):
                raise _no_directive(name)
            condition = next((_literal(given.value, self._variables) for given in each.arguments or ()), None)
            if not isinstance(condition, bool):
                raise unreadable(f"`if` of `@{name}` is neither true nor false")
            if condition is (name == "skip"):
                return False
        return True


def _something(name: str, field: GraphQLField, picks: Sequence[Pick]) -> None:
    """Raise UnreadableError where nothing is asked of what has fields: INVARIANT: without picks it is a leaf."""
    if not picks and not is_leaf_type(named(field)):
        raise unreadable(f"nothing of `{name}` is asked for", "leave it out, or ask for some of it")


def _no_directive(name: str) -> Exception:
    return unreadable(
        f"the directive `@{name[:50]}` is not served here",
        "leave it out",
        "syntax_not_supported",
        "`@skip` and `@include`",
    )
