"""Actions: `resource:verb[:field]`."""

from __future__ import annotations

from dataclasses import dataclass

data_verbs: tuple[str, ...] = ("read", "create", "update", "delete")


@dataclass(frozen=True, slots=True)
class Action:
    """What is asked for or granted. In a grant, `resource` or `verb` may be `*`."""

    resource: str
    verb: str
    field: str | None = None
    """A field, or a group of fields of the resource."""

    def __str__(self) -> str:
        head = f"{self.resource}:{self.verb}"
        return head if self.field is None else f"{head}:{self.field}"
