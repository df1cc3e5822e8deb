"""Edits of policy text that leave everything else as it stands: comments, order, quotes and spaces.

Every edit is made in the text, at the place that the parser tells, and then proven: what the edited text means must be
what the edit says, and nothing else. An edit that cannot be proven is refused, and left to people.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import yaml

from bailiwick.errors import PolicyError
from bailiwick.policy.document import Block, Leaf, Listing, Node, read_document
from bailiwick.policy.lock_scalar import scalar_text
from bailiwick.policy.problem import Report

Plain = str | Sequence["Plain"] | Mapping[str, "Plain"]
Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Drop:
    """Take out a list's item (counted from `0`), or a key with its value."""

    path: Path


@dataclass(frozen=True, slots=True)
class Put:
    """Set the value of a key, which may be new."""

    path: Path
    value: Plain


Edit = Drop | Put


def edited(text: str, edits: Iterable[Edit]) -> str:
    """Return the text after all edits; their paths are those of the text as it is given.

    Raises PolicyError for an edit that cannot be made without touching anything else.
    """
    for edit in sorted(edits, key=lambda each: _order(each.path), reverse=True):  # what stands behind does not move
        wanted = _done(_plain(text), edit.path, edit)
        made = _made(text, edit)
        if _plain(made) != wanted:
            raise _by_hand(edit.path)
        text = made
    return text


def _order(path: Path) -> tuple[tuple[int, str], ...]:
    return tuple((int(each), "") if each.isdigit() else (-1, each) for each in path)


def _by_hand(path: Path) -> PolicyError:
    return PolicyError(f"`{'.'.join(path)}` cannot be edited where it stands", remedy="change it by hand")


# --- what a text means ---

_Meaning = tuple[str, object]


def _plain(text: str) -> object:
    report = Report()
    root = read_document("", text, report)
    if root is None or report.problems:
        raise PolicyError("the text is no policy any more", remedy="see `bailiwick policy check`")
    return _meaning(root)


def _meaning(node: Node) -> object:
    if isinstance(node, Block):
        return {entry.key: _meaning(entry.value) for entry in node.entries.values()}
    if isinstance(node, Listing):
        return [_meaning(item) for item in node.items]
    return (type(node.value).__name__, node.value) if isinstance(node, Leaf) else None


def _done(root: object, path: Path, edit: Edit) -> object:
    """Return what the text has to mean after an edit."""
    head, rest = path[0], path[1:]
    if isinstance(root, list) and head.isdigit() and int(head) < len(root):  # pyright: ignore[reportUnknownArgumentType]  # made above
        items: list[object] = [*root]  # pyright: ignore[reportUnknownArgumentType]  # made above
        if rest:
            items[int(head)] = _done(items[int(head)], rest, edit)
        elif isinstance(edit, Drop):
            del items[int(head)]
        else:
            raise _by_hand(edit.path)
        return items
    if not isinstance(root, dict):
        raise _by_hand(edit.path)
    entries: dict[str, object] = {**root}  # pyright: ignore[reportUnknownArgumentType]  # made above
    if not rest and isinstance(edit, Put):
        entries[head] = _plain(f"x: {rendered(edit.value)}")["x"]  # pyright: ignore[reportIndexIssue, reportUnknownVariableType]  # a mapping
    elif head not in entries:
        raise _by_hand(edit.path)
    elif rest:
        entries[head] = _done(entries[head], rest, edit)
    else:
        del entries[head]
    return entries


def rendered(value: Plain) -> str:
    """Return a value as it is written on one line."""
    if isinstance(value, str):
        return scalar_text(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{scalar_text(key)}: {rendered(item)}" for key, item in value.items()) + "}"
    return "[" + ", ".join(rendered(item) for item in value) + "]"


# --- the text ---


@dataclass(frozen=True, slots=True)
class _Found:
    """A node of the parser's, with the collection that it is in."""

    node: yaml.Node
    key: yaml.Node | None
    """Of an entry: its key."""
    parent: yaml.Node | None
    place: int
    """Among its siblings."""


def _made(text: str, edit: Edit) -> str:
    root = yaml.compose(text, yaml.CSafeLoader)  # pyright: ignore[reportUnknownMemberType]  # the stub is untyped here
    if root is None:
        raise _by_hand(edit.path)
    if isinstance(edit, Put):
        holder = _find(root, edit.path[:-1]).node
        if not isinstance(holder, yaml.MappingNode):
            raise _by_hand(edit.path)
        return _put(text, holder, edit.path[-1], rendered(edit.value))
    above = _find(root, edit.path[:-1])
    found = _find(root, edit.path)
    holder = above.node
    if not isinstance(holder, yaml.CollectionNode):
        raise _by_hand(edit.path)
    if holder.flow_style:
        return _without_flow(text, holder, found)
    if len(_children(holder)) == 1:
        return _emptied(text, above)
    return _without_lines(text, holder, found, edit.path)


def _children(node: yaml.CollectionNode) -> list[tuple[yaml.Node | None, yaml.Node]]:
    if isinstance(node, yaml.MappingNode):
        return [(key, value) for key, value in node.value]
    return [(None, item) for item in node.value]


def _find(root: yaml.Node, path: Path) -> _Found:
    found = _Found(root, None, None, 0)
    for head in path:
        node = found.node
        children = _children(node) if isinstance(node, yaml.CollectionNode) else []
        for place, (key, child) in enumerate(children):
            if (str(place) if key is None else str(key.value)) == head:
                found = _Found(child, key, node, place)
                break
        else:
            raise _by_hand(path)
    return found


def _start(node: yaml.Node) -> int:
    return int(node.start_mark.index)


def _end(text: str, node: yaml.Node) -> int:
    """Return where a node's own text ends, without what only follows it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style:
        return _end(text, _children(node)[-1][1]) if node.value else _start(node)
    start, end = _start(node), int(node.end_mark.index)
    return start + len(text[start:end].rstrip())


def _line_start(text: str, at: int) -> int:
    return text.rfind("\n", 0, at) + 1


def _line_end(text: str, at: int) -> int:
    """Return where the next line begins."""
    found = text.find("\n", at)
    return len(text) if found < 0 else found + 1


def _put(text: str, holder: yaml.MappingNode, key: str, value: str) -> str:
    for known, old in holder.value:
        if known.value == key:
            if isinstance(old, yaml.CollectionNode) and not old.flow_style:
                return text[: _colon(text, known)] + f" {value}" + text[_end(text, old) :]
            space = "" if text[_start(old) - 1 : _start(old)].isspace() else " "
            return text[: _start(old)] + space + value + text[_end(text, old) :]
    entry = f"{scalar_text(key)}: {value}"
    if not holder.value:
        return text[: _start(holder)] + "{" + entry + "}" + text[_end(text, holder) :]
    end = _end(text, holder.value[-1][1])
    if holder.flow_style:
        return f"{text[:end]}, {entry}{text[end:]}"
    at, indent = _line_end(text, end), " " * int(holder.start_mark.column)
    before = text[:at] if text[:at].endswith("\n") else text[:at] + "\n"
    return f"{before}{indent}{entry}\n{text[at:]}"


def _colon(text: str, key: yaml.Node) -> int:
    """Return where the text behind a key's colon begins."""
    return text.index(":", _end(text, key)) + 1


def _emptied(text: str, above: _Found) -> str:
    """Return the text with an empty list or mapping in the place of one that had a single item."""
    if above.key is None:
        raise PolicyError("the last of its kind cannot be taken out where it stands", remedy="change it by hand")
    empty = "{}" if isinstance(above.node, yaml.MappingNode) else "[]"
    return text[: _colon(text, above.key)] + f" {empty}" + text[_end(text, above.node) :]


def _without_flow(text: str, holder: yaml.CollectionNode, found: _Found) -> str:
    children = _children(holder)

    def begins(place: int) -> int:
        key, value = children[place]
        return _start(value if key is None else key)

    if found.place + 1 < len(children):
        return text[: begins(found.place)] + text[begins(found.place + 1) :]
    start = _end(text, children[found.place - 1][1]) if found.place else begins(0)
    return text[:start] + text[_end(text, found.node) :]


def _without_lines(text: str, holder: yaml.CollectionNode, found: _Found, path: Path) -> str:
    """Return the text without the lines of an item, and without the comment that stands right above it."""
    dash = text.rfind("-", _start(holder), _start(found.node) + 1)
    begin = dash if found.key is None else _start(found.key)
    start = _line_start(text, begin)
    children = _children(holder)
    if found.key is not None and found.place == 0 and text[start:begin].strip() == "-" and len(children) > 1:
        behind = children[1][0]
        return text[:begin] + text[_start(behind if behind is not None else found.key) :]
    if begin < 0 or text[start:begin].strip():
        raise _by_hand(path)
    indent = text[start:begin]
    while start and _is_comment(text[_line_start(text, start - 1) : start], indent):
        start = _line_start(text, start - 1)
    return text[:start] + text[_line_end(text, _end(text, found.node)) :]


def _is_comment(line: str, indent: str) -> bool:
    return line.startswith(f"{indent}#")
