"""Tools as a policy maps them: mounts of kind `mcp`, with what was accepted of their servers, and of kind `python`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from bailiwick.model.action import Action
from bailiwick.model.budget import Price
from bailiwick.model.policy import Limit, SecretRef
from bailiwick.model.position import NOWHERE, Position
from bailiwick.model.route import Route
from bailiwick.model.value import Operand

Effect = Literal["external", "irreversible", "access_control", "money"]
effects: tuple[Effect, ...] = ("external", "irreversible", "access_control", "money")
"""What the policy says that a tool does; each has a built-in gate of its name."""
Kind = Literal["tool", "prompt", "document", "route", "field", "file"]
"""What a server offers: a tool, a prompt, or a document (a *resource* in the words of MCP; ours are another thing).

Of an API it is a route, or a field that its GraphQL begins with; of a mount of files, what is done with a file."""
Own = Literal["email", "files"]
"""Kinds of mounts whose tools are the gateway's own: no server says what they are."""
Relayed = Literal["logging", "sampling", "elicitation", "roots"]
relayed: tuple[Relayed, ...] = ("logging", "sampling", "elicitation", "roots")
"""What of a server's own messages may be relayed to the agent's client, if the policy says so."""
EVERY_ARGUMENT = "*"
"""In a grant's `args`: the matcher of every argument that it does not name."""
BUILT_IN = ("my_permissions", "query")
"""The gateway's own tools; no server's tool can have such a name."""


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool of a server, as an action; or one of its prompts, or its documents of one URI or URI template."""

    name: str
    """As the server calls it. Of a document: its URI or the template of URIs, whose variables are its arguments."""
    action: Action
    description: str | None = None
    """What agents read in place of the server's own words."""
    fixed: Mapping[str, Operand] = field(default_factory=dict[str, Operand])
    """Arguments that the gateway fills in. Agents neither see nor give them."""
    items: tuple[str, ...] = ()
    """Where the items of its result stand; empty: the result is the list of items, or is one."""
    effects: frozenset[Effect] = frozenset()
    target: tuple[str, ...] = ()
    """Arguments that say whom or what it concerns."""
    cost: Price | None = None
    parameters: tuple[str, ...] | None = None
    """Of a function of a mount of kind `python`: the arguments that it takes. None: it is a server's tool."""
    kind: Kind = "tool"
    route: Route | None = None
    """Of a route of a mount of kind `http`."""
    own: Own | None = None
    """What the gateway itself does, of a mount of that kind: each value of an argument that is a list must match."""
    position: Position = NOWHERE

    @property
    def key(self) -> str:
        """Return its name among all that its server offers, as the lock has it."""
        return keyed(self.kind, self.name)


def keyed(kind: Kind, name: str) -> str:
    """Return a name of its own for each of what is offered. No tool's name has a colon."""
    return name if kind == "tool" else f"{kind}:{name}"


@dataclass(frozen=True, slots=True)
class ToolResource:
    """A resource that tools act on. It exists by their actions; the mount may label what they tell of it."""

    name: str
    mount: str
    labels: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    """Path in a result (dots between the keys; lists are passed through) → labels; `*` labels the resource itself."""
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True)
class McpMount:
    """An enforcement point in front of one MCP server: a command, or a URL."""

    name: str
    command: tuple[str, ...]
    url: SecretRef | None
    tools: Mapping[str, Tool]
    """By the server's name of the tool."""
    resources: Mapping[str, ToolResource]
    env: Mapping[str, SecretRef] = field(default_factory=dict[str, SecretRef])
    """Environment of the command, beside what every process needs."""
    headers: Mapping[str, SecretRef] = field(default_factory=dict[str, SecretRef])
    """Sent with each request to the URL."""
    prefix: str = ""
    """Put before the names of its tools and prompts, so that two servers may have tools of one name."""
    prompts: Mapping[str, Tool] = field(default_factory=dict[str, Tool])
    """By the server's name of the prompt."""
    documents: Mapping[str, Tool] = field(default_factory=dict[str, Tool])
    """By URI or URI template."""
    limits: tuple[Limit, ...] = ()
    """Ceilings on every call, beside those of the grants."""
    relay: Mapping[Relayed, str] = field(default_factory=dict[Relayed, str])
    """What the server may say to, and ask of, the agent's client beside its results → why."""
    position: Position = NOWHERE

    @property
    def offered(self) -> tuple[Tool, ...]:
        """Return all that is mapped: tools, prompts and documents."""
        return (*self.tools.values(), *self.prompts.values(), *self.documents.values())

    def shown(self, tool: Tool) -> str:
        """Return the name under which a scope has it: the agent's, with the kind before it unless it is a tool."""
        return keyed(tool.kind, tool.name if tool.kind == "document" else self.prefix + tool.name)


@dataclass(frozen=True, slots=True)
class PythonMount:
    """An enforcement point in front of functions of an application, which guards them itself (`bailiwick.guard`)."""

    name: str
    tools: Mapping[str, Tool]
    """The functions, by the names under which they are guarded."""
    resources: Mapping[str, ToolResource]
    accepted: Mapping[str, LockedTool]
    """What the policy says of each: it is accepted by being written there, for no server could change it."""
    prefix: str = ""
    limits: tuple[Limit, ...] = ()
    """Ceilings on every call, beside those of the grants."""
    position: Position = NOWHERE

    @property
    def offered(self) -> tuple[Tool, ...]:
        """Return all that is mapped."""
        return tuple(self.tools.values())

    def shown(self, tool: Tool) -> str:
        """Return the name under which a scope has it."""
        return self.prefix + tool.name


@dataclass(frozen=True, slots=True)
class LockedTool:
    """A tool, prompt or document as it was accepted."""

    name: str
    definition: str
    """What the server says of it, as canonical JSON."""
    fingerprint: str
    """`sha256:` of the definition."""
