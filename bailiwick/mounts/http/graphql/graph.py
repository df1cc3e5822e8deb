"""The GraphQL of one mount: the types that were accepted, and what each scope sees of them. No I/O."""

from __future__ import annotations

import hashlib
import json
from typing import TypeVar, cast

from graphql import DocumentNode, GraphQLSchema, build_ast_schema, parse
from graphql.execution import execute_sync  # pyright: ignore[reportUnknownVariableType]  # parts of it carry no types

from bailiwick.model.http import SCHEMA, GraphQL, HttpMount
from bailiwick.model.lock import Lock
from bailiwick.model.scope import Scope
from bailiwick.mounts.http.graphql.operation import Operation, checked, operation_of
from bailiwick.mounts.http.graphql.text import Posted
from bailiwick.mounts.http.graphql.types import pruned, seen
from bailiwick.mounts.mcp.message import Json

_most_scopes = 64
_most_documents = 512
Known = TypeVar("Known")
Key = TypeVar("Key")


class Graph:
    """What is known of the API's types."""

    def __init__(self, mount: str, graphql: GraphQL, sdl: str) -> None:
        self.mount = mount
        self.path = graphql.path
        self._document = parse(sdl, no_location=True)
        self.schema = build_ast_schema(self._document, assume_valid=True, assume_valid_sdl=True)
        self._seen: dict[str, GraphQLSchema] = {}
        self._checked: dict[tuple[str, bytes], DocumentNode] = {}

    def types(self, scope: Scope) -> GraphQLSchema:
        """Return the types as a scope sees them."""
        known = self._seen.get(scope.id)
        if known is None:
            tools = [each for each in scope.tools.values() if each.mount == self.mount and each.tool.kind == "field"]
            known = _kept(self._seen, scope.id, pruned(self._document, seen(self.schema, tools)), _most_scopes)
        return known

    def read(self, scope: Scope, posted: Posted) -> Operation:
        """Return the operation that was posted, if it is one of the scope's. Raises UnreadableError."""
        return operation_of(self.types(scope), self._checked_document(scope, posted), posted)

    def introspected(self, scope: Scope, posted: Posted) -> dict[str, Json]:
        """Return what an operation that was read asks about the types of a scope."""
        found = execute_sync(
            self.types(scope),
            self._checked_document(scope, posted),
            variable_values=dict(posted.variables),
            operation_name=posted.operation or None,
        )
        return {"data": cast("Json", found.data)}

    def _checked_document(self, scope: Scope, posted: Posted) -> DocumentNode:
        key = (scope.id, hashlib.sha256(posted.document.encode("utf-8", "surrogatepass")).digest())
        known = self._checked.get(key)
        if known is None:
            known = _kept(self._checked, key, checked(self.types(scope), posted.document), _most_documents)
        return known


def _kept(known: dict[Key, Known], key: Key, value: Known, most: int) -> Known:
    if len(known) >= most:
        del known[next(iter(known))]
    known[key] = value
    return value


def graph_of(mount: HttpMount, lock: Lock) -> Graph | None:
    """Return the GraphQL of a mount, as it was accepted; None where there is none."""
    locked = lock.tools.get(mount.name, {}).get(SCHEMA)
    if mount.graphql is None or locked is None:
        return None
    found = cast("dict[str, object]", json.loads(locked.definition)).get("types")
    return Graph(mount.name, mount.graphql, found) if isinstance(found, str) else None
