"""Mounts of kind `http`: an API, its routes, and the credential that the gateway adds to each request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from bailiwick.model.email import EmailMount
from bailiwick.model.files import FilesMount
from bailiwick.model.policy import Limit, SecretRef
from bailiwick.model.position import NOWHERE, Position
from bailiwick.model.tool import McpMount, PythonMount, Tool, ToolResource

CredentialKind = Literal["header", "query", "basic", "oauth", "aws"]
credential_kinds: tuple[CredentialKind, ...] = ("header", "query", "basic", "oauth", "aws")


@dataclass(frozen=True, slots=True)
class Credential:
    """How the gateway shows the API who it is. `values` are, by kind:

    header, query: name → value; basic: user, password; oauth: token_url, client_id, client_secret, scope, audience;
    aws: access_key, secret_key, session_token, region, service.
    """

    kind: CredentialKind
    values: Mapping[str, SecretRef]


SCHEMA = "graphql:schema"
"""Under which key the lock has the types of a GraphQL API, as they were accepted."""


@dataclass(frozen=True, slots=True)
class GraphQL:
    """The part of an API that speaks GraphQL."""

    path: str
    """Below the mount, where its operations are posted."""
    schema: str
    """File beside the policy with its types, for `accept`. Empty: the API itself is asked."""
    fields: Mapping[str, Tool]
    """What operations may begin with: `Query.customer`, `Mutation.refund`."""


@dataclass(frozen=True, slots=True)
class HttpMount:
    """An enforcement point in front of one HTTP API."""

    name: str
    url: SecretRef
    """Scheme, host and the path under which its routes are."""
    routes: Mapping[str, Tool]
    """By method and template, e.g. `GET /invoices/{id}`."""
    resources: Mapping[str, ToolResource]
    credential: Credential | None = None
    networks: tuple[str, ...] = ()
    """Networks, beyond those of the whole internet, in which its host may be."""
    authority: str = ""
    """File with the certificates that verify the API's; empty: the system's do."""
    graphql: GraphQL | None = None
    limits: tuple[Limit, ...] = ()
    """Ceilings on every request, beside those of the grants."""
    position: Position = field(default=NOWHERE)

    @property
    def offered(self) -> tuple[Tool, ...]:
        """Return all that is mapped."""
        return (*self.routes.values(), *(self.graphql.fields.values() if self.graphql is not None else ()))

    def shown(self, tool: Tool) -> str:
        """Return the name under which a scope has it: the mount's name before path or field."""
        if tool.kind == "field":
            return f"{tool.kind}:{self.name}/{tool.name}"
        method, _, path = tool.name.partition(" ")
        return f"{tool.kind}:{method} /{self.name}{path}"


ToolMount = McpMount | PythonMount | HttpMount | EmailMount | FilesMount
"""A mount whose resources are acted on by tools, functions, routes, as files, or by what the gateway itself does."""
