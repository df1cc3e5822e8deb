"""What a node must be: each function returns the value, or reports why not and returns None (or what is usable)."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TypeVar

from bailiwick.model.position import Position
from bailiwick.policy.document import Block, Broken, Entry, Leaf, Listing, Node
from bailiwick.policy.problem import Report, near, quoted

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,62}")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Name:
    """A name and where it stands."""

    text: str
    position: Position


def kind_of(node: Node) -> str:
    """Return in the user's words what a node is."""
    if isinstance(node, Block):
        return "a mapping"
    if isinstance(node, Listing):
        return "a list"
    if isinstance(node, Broken) or node.value is None:
        return "empty"
    if isinstance(node.value, bool):
        return "true or false"
    if isinstance(node.value, str):
        return f"the text {quoted(node.value)}"
    return quoted(node.text)


def wrong(report: Report, node: Node, what: str, wanted: str, suggestion: str = "") -> None:
    """Report that `what` must be `wanted`; silent about a node that was reported before."""
    if not isinstance(node, Broken):
        report.error(node.position, "wrong_type", f"{what} must be {wanted}, not {kind_of(node)}", suggestion)


def block(report: Report, node: Node, what: str, keys: Collection[str] | None = None) -> Block | None:
    """Return a mapping; with `keys`, every other key is reported."""
    if not isinstance(node, Block):
        wrong(report, node, what, "a mapping")
        return None
    if keys is not None:
        for entry in node.entries.values():
            if entry.key not in keys:
                report.error(
                    entry.position, "unknown_key", f"unknown key {quoted(entry.key)} in {what}", near(entry.key, keys)
                )
    return node


def required(report: Report, node: Block, key: str, what: str) -> Entry | None:
    """Return the entry, reporting its absence at the mapping's start."""
    entry = node.get(key)
    if entry is None:
        report.error(node.position, "missing_key", f"{what} has no `{key}`", f"add `{key}:`")
    return entry


def text(report: Report, node: Node, what: str) -> str | None:
    """Return non-empty text. An unquoted number or boolean is not text."""
    if isinstance(node, Leaf) and isinstance(node.value, str) and node.value.strip():
        return node.value
    hint = "put it in quotes" if isinstance(node, Leaf) and node.value not in (None, "") else ""
    wrong(report, node, what, "text", hint)
    return None


def flag(report: Report, node: Node, what: str) -> bool | None:
    """Return a boolean: exactly `true` or `false`."""
    if isinstance(node, Leaf) and isinstance(node.value, bool):
        return node.value
    wrong(report, node, what, "true or false", "write `true` or `false`, without quotes")
    return None


def count(report: Report, node: Node, what: str) -> int | None:
    """Return a whole number above zero."""
    if isinstance(node, Leaf) and type(node.value) is int and node.value > 0:
        return node.value
    wrong(report, node, what, "a whole number above zero")
    return None


def name(report: Report, node: Node, what: str) -> Name | None:
    """Return a name: letters, digits, `_` and `-`."""
    found = text(report, node, what)
    if found is None or not name_is_good(report, found, node.position, what):
        return None
    return Name(found, node.position)


def name_is_good(report: Report, found: str, position: Position, what: str) -> bool:
    """Report a name that is not one."""
    if _NAME.fullmatch(found):
        return True
    message = f"{what} {quoted(found)} is not a name"
    report.error(position, "bad_name", message, "letters, digits, `_` and `-`, starting with a letter, at most 63")
    return False


def column(report: Report, node: Node, what: str) -> Name | None:
    """Return the name of a column: any text that the database takes as an identifier."""
    found = text(report, node, what)
    if found is None:
        return None
    if len(found.encode(errors="replace")) > 63 or not found.isprintable():
        report.error(node.position, "bad_name", f"{what} {quoted(found)} cannot be the name of a column")
        return None
    return Name(found, node.position)


def several(
    report: Report, node: Node, what: str, one: Callable[[Report, Node, str], T | None], *, least: int = 0
) -> tuple[T, ...]:
    """Return a list of what `one` reads; a single item may stand without brackets."""
    items = node.items if isinstance(node, Listing) else (node,)
    if isinstance(node, Block):
        wrong(report, node, what, "a list")
        return ()
    if len(items) < least:
        report.error(node.position, "empty_list", f"{what} must not be empty")
    read = [one(report, item, what) for item in items]
    return tuple(item for item in read if item is not None)


def distinct(report: Report, names: tuple[Name, ...], what: str) -> tuple[str, ...]:
    """Return the names as text, each once, reporting repetitions."""
    seen: dict[str, None] = {}
    for found in names:
        if found.text in seen:
            report.error(found.position, "duplicate_name", f"{quoted(found.text)} stands twice in {what}")
        seen[found.text] = None
    return tuple(seen)


def names(report: Report, node: Node, what: str, *, least: int = 0) -> tuple[str, ...]:
    """Return a list of distinct names."""
    return distinct(report, several(report, node, what, name, least=least), what)


def listed(node: Node) -> list[Name]:
    """Return the texts of a list (or a single text) with their positions."""
    items = node.items if isinstance(node, Listing) else (node,)
    return [Name(item.value, item.position) for item in items if isinstance(item, Leaf) and isinstance(item.value, str)]


def columns(report: Report, node: Node, what: str, *, least: int = 1) -> tuple[str, ...]:
    """Return a list of distinct column names."""
    return distinct(report, several(report, node, what, column, least=least), what)


def choice(report: Report, node: Node, what: str, options: Mapping[str, T]) -> T | None:
    """Return the option that is named."""
    found = text(report, node, what)
    if found is None:
        return None
    if found in options:
        return options[found]
    wanted = ", ".join(f"`{option}`" for option in options)
    report.error(
        node.position, "unknown_value", f"{what} is {quoted(found)} but must be one of {wanted}", near(found, options)
    )
    return None
