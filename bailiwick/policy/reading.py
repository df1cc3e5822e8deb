"""The state of reading one policy: the problems found, and the names that were used and must exist somewhere."""

from __future__ import annotations

from dataclasses import dataclass, field

from bailiwick.model.action import Action
from bailiwick.model.policy import Observe, Resource
from bailiwick.model.position import Position
from bailiwick.model.tool import ToolResource
from bailiwick.model.value import Ref
from bailiwick.policy.expect import Name
from bailiwick.policy.problem import Report


@dataclass(frozen=True, slots=True)
class ActionUse:
    action: Action
    position: Position
    what: str


@dataclass(frozen=True, slots=True)
class RefUse:
    ref: Ref
    position: Position
    task: str | None
    """The task in which it stands; None: in a grant."""


@dataclass(frozen=True, slots=True)
class SqlUse:
    resource: str
    position: Position


@dataclass(slots=True)
class Reading:
    """Collects while the sections are read; checked once all of them are known."""

    report: Report = field(default_factory=Report)
    actions: list[ActionUse] = field(default_factory=list[ActionUse])
    refs: list[RefUse] = field(default_factory=list[RefUse])
    sql: list[SqlUse] = field(default_factory=list[SqlUse])
    roles: list[Name] = field(default_factory=list[Name])
    agents: list[Name] = field(default_factory=list[Name])
    resources: list[Name] = field(default_factory=list[Name])
    overrides: list[tuple[str, Action, Position]] = field(default_factory=list[tuple[str, Action, Position]])
    """Role, action, and where `override` stands."""
    digests: dict[str, str] = field(default_factory=dict[str, str])
    """Grant id → SHA-256 of its content."""
    foreign: set[str] = field(default_factory=set[str])
    """Resources of mounts whose kind is not supported: known by name, otherwise not checked."""
    known: dict[str, Resource] = field(default_factory=dict[str, Resource])
    tool_resources: dict[str, ToolResource] = field(default_factory=dict[str, ToolResource])
    """Resources that tools act on."""
    batched: set[str] = field(default_factory=set[str])
    """Resources that tools act on where `batch` has a meaning: what one call reaches can be counted before it."""
    tool_verbs: dict[str, dict[str, None]] = field(default_factory=dict[str, dict[str, None]])
    """Resource that tools act on → the verbs of those tools."""
    observed: dict[str, Observe] = field(default_factory=dict[str, Observe])
    """Mount → its observe mode."""
    file_resources: set[str] = field(default_factory=set[str])
    """Those of them that are files."""
    task: str | None = None
    """The task that is being read."""

    def ref(self, ref: Ref, position: Position) -> None:
        """Note the use of a session value."""
        self.refs.append(RefUse(ref, position, self.task))
