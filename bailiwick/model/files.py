"""Mounts of kind `files`: folders and buckets, whose files are resources by patterns of their paths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from bailiwick.model.action import Action
from bailiwick.model.policy import Limit, SecretRef
from bailiwick.model.position import NOWHERE, Position
from bailiwick.model.tool import LockedTool, Tool, ToolResource, keyed

FileVerb = Literal["list", "read", "create", "update", "delete", "move"]
file_verbs: tuple[FileVerb, ...] = ("list", "read", "create", "update", "delete", "move")
Redaction = Literal["cards", "email", "keys"]
redactions: tuple[Redaction, ...] = ("cards", "email", "keys")
"""What can be masked in text: numbers of payment cards, addresses of e-mail, keys and tokens of well-known forms."""
FILE_TOOLS = ("list_files", "read_file", "write_file", "search_files", "move_file", "delete_file")
"""What agents call over MCP."""
facts = ("path", "size", "type", "modified", "level", "to")
"""What is known of a file, and what grants and gates may say of it in `args`. `to`: where it is moved."""
own_facts = ("folded", "content", "base", "change")
"""What the gateway adds for its own use: the path without its case, and of what is written the digests and the diff."""


@dataclass(frozen=True, slots=True)
class Quota:
    """What may lie in a mount at most; None: not limited."""

    bytes: int | None = None
    files: int | None = None


@dataclass(frozen=True, slots=True)
class Keeping:
    """How long what was overwritten or deleted is kept."""

    versions: int = 20
    """Of each file."""
    span: timedelta = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class FilesMount:
    """An enforcement point in front of one folder, or one prefix of a bucket."""

    name: str
    url: SecretRef
    """A folder, looked for beside the policy, or `s3://bucket/prefix`."""
    is_local: bool
    paths: Mapping[str, tuple[str, ...]]
    """Resource → the patterns of its files. A file is of the resource whose pattern names most of its folders."""
    resources: Mapping[str, ToolResource]
    tools: Mapping[str, Tool]
    """One for each resource and verb: `knowledge_base:read`."""
    accepted: Mapping[str, LockedTool]
    labels: tuple[tuple[str, frozenset[str]], ...] = ()
    """Pattern → labels; every pattern that matches adds its own."""
    credential: Mapping[str, SecretRef] = field(default_factory=dict[str, SecretRef])
    quota: Quota = Quota()
    keeping: Keeping = Keeping()
    hard_links: bool = False
    """Whether files with several names are served."""
    cross_mounts: bool = False
    """Whether what other file systems are mounted on is served."""
    limits: tuple[Limit, ...] = ()
    position: Position = NOWHERE

    @property
    def offered(self) -> tuple[Tool, ...]:
        """Return all that is mapped."""
        return tuple(self.tools.values())

    def shown(self, tool: Tool) -> str:
        """Return the name under which a scope has it."""
        return keyed(tool.kind, f"{self.name}/{tool.name}")


def file_tool(resource: str, verb: FileVerb, position: Position) -> Tool:
    """Return what one verb is on the files of a resource."""
    return Tool(f"{resource}:{verb}", Action(resource, verb), kind="file", position=position)
