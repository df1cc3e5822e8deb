"""Mounts of kind `email`: a mail server, and what agents may send through it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bailiwick.model.policy import Limit, SecretRef
from bailiwick.model.position import NOWHERE, Position
from bailiwick.model.tool import Tool, ToolResource

VariableType = Literal["string", "text", "integer", "number", "boolean", "date", "email", "url", "strings"]
variable_types: tuple[VariableType, ...] = (
    *("string", "text", "integer", "number", "boolean", "date", "email", "url", "strings"),
)


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of a template. Texts have at most `max` characters, `strings` at most `items` of them."""

    type: VariableType
    max: int
    items: int = 20
    optional: bool = False
    description: str = ""


@dataclass(frozen=True, slots=True)
class Template:
    """What a message says: Jinja texts over declared variables. `html` may be empty."""

    name: str
    subject: str
    text: str
    html: str
    variables: Mapping[str, Variable]
    description: str = ""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes with a message, as the gateway knows it once the session has read it, or has handed it over."""

    ref: str
    """`MOUNT/PATH` of a mount of files, or `upload:NAME` of what a mail program handed over."""
    name: str
    type: str
    size: int
    labels: frozenset[str]
    digest: str
    """SHA-256 in hex of what is sent."""

    def __str__(self) -> str:
        return f"{self.ref} ({self.type}, {self.size} bytes, sha256:{self.digest})"


UPLOAD = "upload:"
"""What the references begin with that no path of a mount of files is."""


@dataclass(frozen=True, slots=True)
class EmailMount:
    """An enforcement point in front of one mail server."""

    name: str
    smtp: SecretRef
    """`smtp://` (with STARTTLS, unless it is on this machine) or `smtps://`."""
    sender: str
    """The address that every message comes from."""
    tools: Mapping[str, Tool]
    resources: Mapping[str, ToolResource]
    sender_name: str = ""
    templates: str = ""
    """Folder beside the policy; empty: there are none."""
    internal: tuple[str, ...] = ()
    """Domains of the organisation, as patterns. Who is elsewhere is external."""
    authority: str = ""
    """File with the certificates that the server's is verified by; empty: those of the system."""
    prefix: str = ""
    limits: tuple[Limit, ...] = ()
    """Ceilings on every message, beside those of the grants."""
    position: Position = NOWHERE

    @property
    def offered(self) -> tuple[Tool, ...]:
        """Return all that is mapped."""
        return tuple(self.tools.values())

    def shown(self, tool: Tool) -> str:
        """Return the name under which a scope has it."""
        return self.prefix + tool.name
