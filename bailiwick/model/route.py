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
Listed = Literal["strings", "integers", "numbers"]
listed_types: Mapping[Listed, Plain] = {"strings": "string", "integers": "integer", "numbers": "number"}
"""Of what may stand several times in a query or form → what each of it is."""
Several = Plain | Listed
several_types: tuple[Several, ...] = (*plain_types, *listed_types)
PartType = Several | Literal["file"]
part_types: tuple[PartType, ...] = (*several_types, "file")
"""Of what stands in a body of several parts."""
JsonType = Literal["string", "integer", "number", "boolean", "object", "array", "any"]
json_types: tuple[JsonType, ...] = (*plain_types, "object", "array", "any")
"""Of what stands in a JSON body."""
BodyKind = Literal["none", "json", "form", "multipart"]
FILE_FACTS: Mapping[str, Plain] = {"name": "string", "type": "string", "size": "integer"}
"""What matchers see of a file, below its name: how it is called, its media type, its bytes."""
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
    query: Mapping[str, Several] = field(default_factory=dict[str, Several])
    headers: Mapping[str, Plain] = field(default_factory=dict[str, Plain])
    """By names in small letters."""
    body: Mapping[str, JsonType | PartType] = field(default_factory=dict[str, JsonType | PartType])
    """Path of keys (dots between them) → type; `` alone: the whole body is one argument."""
    kind: BodyKind = "none"

    @property
    def arguments(self) -> dict[str, str]:
        """Return name → type of every argument: `path.id`, `query.limit`, `header.if-match`, `body.amount`."""
        named: dict[str, Mapping[str, str]] = {"path": self.variables, "query": self.query, "header": self.headers}
        found = {f"{where}.{name}": type_ for where, each in named.items() for name, type_ in each.items()}
        for path, type_ in self.body.items():
            name = f"{WHOLE_BODY}.{path}" if path else WHOLE_BODY
            found |= {f"{name}.{fact}": of for fact, of in FILE_FACTS.items()} if type_ == "file" else {name: type_}
        return found
