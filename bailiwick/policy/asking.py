"""What an opener asks for: `only`, as a task has it, as JSON text → narrowings. Nothing is read from disk."""

from __future__ import annotations

from collections.abc import Mapping

from bailiwick.model.policy import Narrowing
from bailiwick.model.position import NOWHERE
from bailiwick.policy.agents import narrowings
from bailiwick.policy.document import Block, Leaf, Listing, Node, read_document
from bailiwick.policy.problem import Problem
from bailiwick.policy.reading import Reading

longest = 8192
"""Characters of the text."""


def read_asked(text: str) -> Mapping[str, Narrowing] | tuple[Problem, ...]:
    """Return the narrowings, or what is wrong with them. Never raises for any text.

    Names are not looked up: a resource, field or verb that does not exist leaves nothing.
    """
    reading = Reading()
    root = read_document("only", text, reading.report) if len(text) <= longest else None
    if isinstance(root, Block):
        reading.tool_verbs.update({entry.key: _verbs(entry.value) for entry in root.entries.values()})
        found = narrowings(reading, root, "`only`")
        errors = tuple(each for each in reading.report.sorted() if each.severity == "error")
        return errors or found
    said = f"it is not a mapping of resources of at most {longest} characters"
    return (Problem(NOWHERE, "wrong_kind", said, 'write e.g. {"customers": {"verbs": ["read"]}}'),)


def _verbs(node: Node) -> dict[str, None]:
    """Return the verbs that a narrowing names, whatever they are."""
    named = node.get("verbs") if isinstance(node, Block) else None
    items = named.value.items if named is not None and isinstance(named.value, Listing) else ()
    return {each.text: None for each in items if isinstance(each, Leaf)}
