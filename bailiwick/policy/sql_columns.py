"""The columns that a policy's own SQL (`sql:` predicates and masks) names."""

from __future__ import annotations

from collections.abc import Iterator

import postgast
from google.protobuf.message import Message
from postgast.pg_query_pb2 import ColumnRef

from bailiwick.sql.parameters import Parameters
from bailiwick.sql.predicates import own_sql, relations_in


def columns_named(sql: str) -> tuple[str, ...]:
    """Return the bare column names of an expression that `load` has accepted.

    Empty when it has a sub-query of its own: which of its columns are then the resource's only the database knows.
    """
    tree = postgast.parse(f"SELECT ({own_sql(sql, Parameters(1))})")
    if any(True for _ in relations_in(tree)):
        return ()
    return tuple(dict.fromkeys(_names(tree)))


def _names(tree: Message) -> Iterator[str]:
    stack: list[Message] = [tree]
    while stack:
        message = stack.pop()
        if isinstance(message, ColumnRef):
            parts = [part.string.sval for part in message.fields if part.HasField("string")]
            if len(parts) == 1:
                yield parts[0]
            continue
        for field, value in message.ListFields():
            if field.message_type is not None:
                stack.extend(value if field.is_repeated else [value])
