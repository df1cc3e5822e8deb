"""Routes of HTTP APIs as a policy maps them: method, path template, and the arguments that a request may carry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
methods: tuple[Method, ...] = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
Plain = Literal["string", "integer", "number", "boolean"]
plain_types: tuple[Plain, ...] = ("string", "integer", "number", "boolean")
"""Of what stands in a path, a query, a header or a form: text, that is read as one of these."""
JsonType = Literal["string", "integer", "number", "boolean", "object", "array", "any"]
json_types: tuple[JsonType, ...] = (*plain_types, "object", "array", "any")
"""Of what stands in a JSON body."""
BodyKind = Literal["none", "json", "form"]
WHOLE_BODY = "body"
"""The argument that a body is which is no object with known keys."""


@dataclass(frozen=True, slots=True)
class Route:
    """One route. Nothing but what is named here is ever sent on."""

    method: Method
    path: str
    """Template below the mount's URL, e.g. `/invoices/{id}`."""
    variables: Mapping[str, Plain] = field(default_factory=dict[str, Plain])
    """Variable of the template → its type; those not named are text."""
    query: Mapping[str, Plain] = field(default_factory=dict[str, Plain])
    headers: Mapping[str, Plain] = field(default_factory=dict[str, Plain])
    """By names in small letters."""
    body: Mapping[str, JsonType] = field(default_factory=dict[str, JsonType])
    """Path of keys (dots between them) → type; `` alone: the whole body is one argument."""
    kind: BodyKind = "none"

    @property
    def arguments(self) -> dict[str, str]:
        """Return name → type of every argument: `path.id`, `query.limit`, `header.if-match`, `body.amount`."""
        named = {"path": self.variables, "query": self.query, "header": self.headers}
        found = {f"{where}.{name}": type_ for where, each in named.items() for name, type_ in each.items()}
        return found | {f"{WHOLE_BODY}.{path}" if path else WHOLE_BODY: type_ for path, type_ in self.body.items()}
