"""What of sending a scope allows, in a word: the cell of the matrix."""

from __future__ import annotations

from bailiwick.model.scope import ToolScope
from bailiwick.model.tool import EVERY_ARGUMENT

_WRITTEN = ("subject", "body", "html", EVERY_ARGUMENT)


def may_write(tool: ToolScope) -> bool:
    """Return whether some grant admits a text that no template brings."""
    return any(name in grant.args for grant in tool.allows for name in _WRITTEN)


def verb_in_words(tool: ToolScope) -> str:
    """Return the verb of a tool as the matrix shows it: `send (templates only)`, where nothing else may be sent."""
    verb = tool.tool.action.verb
    return verb if tool.tool.own != "email" or may_write(tool) else f"{verb} (templates only)"
