"""YAML text → a tree of nodes that know where they stand. Nothing is coerced behind the author's back.

Of YAML only what reads the same to everybody is accepted: no anchors, aliases, merge keys, tags or second documents;
a key stands once; only `true` and `false` are booleans, so `on`, `no` and `yes` stay text; fractions are Decimal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal

import yaml

from bailiwick.model.position import Position
from bailiwick.policy.problem import Report, quoted

_MAX_DEPTH = 40
_MAX_NUMBER = 60
"""Characters of a number. Longer ones are a mistake, and `int` and `Decimal` must never be slow or raise."""
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9]*)\.[0-9]+|[-+]?(0|[1-9][0-9]*)(\.[0-9]+)?[eE][-+]?[0-9]{1,2}")
_PADDED = re.compile(r"[-+]?0[0-9_]+")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)? ?(Z|z|[-+][0-9]{2}:[0-9]{2})?"
)
_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")

LeafValue = str | int | Decimal | bool | date | datetime | None


@dataclass(frozen=True, slots=True)
class Leaf:
    """A scalar. `text` is what was written; `plain` tells whether it stood without quotes."""

    position: Position
    value: LeafValue
    text: str
    plain: bool


@dataclass(frozen=True, slots=True)
class Listing:
    position: Position
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """One `key: value`; `position` is the key's."""

    key: str
    position: Position
    value: Node


@dataclass(frozen=True, slots=True)
class Block:
    """A mapping. Keys are unique."""

    position: Position
    entries: Mapping[str, Entry]

    def get(self, key: str) -> Entry | None:
        """Return the entry of that key."""
        return self.entries.get(key)


@dataclass(frozen=True, slots=True)
class Broken:
    """Something that was already reported; whoever meets it stays silent."""

    position: Position


Node = Leaf | Listing | Block | Broken


@dataclass(slots=True)
class _Frame:
    """A collection that is still open."""

    position: Position
    block: bool
    items: list[Node] = field(default_factory=list["Node"])
    entries: dict[str, Entry] = field(default_factory=dict[str, Entry])
    key: Leaf | Broken | None = None


class _Builder:
    """Takes the parser's events one by one and keeps the tree that they make."""

    def __init__(self, file: str, text: str, report: Report) -> None:
        self.file = file
        self.lines = _lines(text)
        self.report = report
        self.stack: list[_Frame] = []
        self.root: Node | None = None
        self.documents = 0

    def take(self, event: yaml.Event) -> bool:
        """Take one event; False when reading on makes no sense."""
        if isinstance(event, yaml.ScalarEvent):
            return self._node(event, self._leaf(event))
        if isinstance(event, yaml.AliasEvent):
            return self._done(self._refuse(event, "alias", f"an alias (`*{event.anchor}`) cannot be used in a policy"))
        if isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            return self._open(event)
        if isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            return self._done(self._close(self.stack.pop()))
        if isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                self._refuse(event, "second_document", "a file holds one document, and here a second one starts")
                return False
        return True

    def _at(self, event: yaml.Event) -> Position:
        mark = event.start_mark
        if mark is None:  # only hand-made events have none
            return Position(self.file, 1, 1)
        if mark.line >= len(self.lines):  # an empty value at the very end stands behind the text
            return Position(self.file, len(self.lines), len(self.lines[-1]) + 1)
        return Position(self.file, mark.line + 1, mark.column + 1)

    def _refuse(self, event: yaml.Event, code: str, message: str, suggestion: str = "") -> Broken:
        at = self._at(event)
        self.report.error(at, code, message, suggestion)
        return Broken(at)

    def _open(self, event: yaml.MappingStartEvent | yaml.SequenceStartEvent) -> bool:
        if len(self.stack) >= _MAX_DEPTH:
            self._refuse(event, "too_deep", f"nested more than {_MAX_DEPTH} levels deep")
            return False
        self._plainness(event)
        self.stack.append(_Frame(self._at(event), isinstance(event, yaml.MappingStartEvent)))
        return True

    def _node(self, event: yaml.ScalarEvent, leaf: Leaf | Broken) -> bool:
        self._plainness(event)
        return self._done(leaf)

    def _plainness(self, event: yaml.NodeEvent) -> None:
        """Report an anchor or a tag; the node itself stays usable."""
        if event.anchor is not None:
            self._refuse(event, "anchor", f"an anchor (`&{event.anchor}`) cannot be used in a policy", "write it out")
        tag: str | None = getattr(event, "tag", None)
        if tag is not None:
            self._refuse(event, "tag", f"a tag ({quoted(tag)}) cannot be used in a policy", "remove it")

    def _leaf(self, event: yaml.ScalarEvent) -> Leaf | Broken:
        plain = event.style is None or event.style == ""
        value = resolve(event.value) if plain else event.value
        if isinstance(value, _Ambiguous):
            return self._refuse(event, "ambiguous_scalar", value.message, value.suggestion)
        return Leaf(self._at(event), value, event.value, plain)

    def _close(self, frame: _Frame) -> Node:
        if frame.block:
            return Block(frame.position, frame.entries)
        return Listing(frame.position, tuple(frame.items))

    def _done(self, node: Node) -> bool:
        if not self.stack:
            self.root = node
            return True
        frame = self.stack[-1]
        if not frame.block:
            frame.items.append(node)
        elif frame.key is None:
            frame.key = self._key(node)
        else:
            if isinstance(frame.key, Leaf):
                self._put(frame, frame.key, node)
            frame.key = None
        return True

    def _key(self, node: Node) -> Leaf | Broken:
        if isinstance(node, Broken):
            return node
        if isinstance(node, Leaf) and node.plain and node.text == "<<":
            self.report.error(
                node.position, "merge_key", "a merge key (`<<`) cannot be used in a policy", "write it out"
            )
        elif isinstance(node, Leaf) and node.text:
            return node
        else:
            self.report.error(node.position, "bad_key", "a key must be a word")
        return Broken(node.position)

    def _put(self, frame: _Frame, key: Leaf, value: Node) -> None:
        first = frame.entries.get(key.text)
        if first is None:
            frame.entries[key.text] = Entry(key.text, key.position, value)
            return
        message = f"{quoted(key.text)} stands twice; first in line {first.position.line}"
        self.report.error(key.position, "duplicate_key", message)


@dataclass(frozen=True, slots=True)
class _Ambiguous:
    message: str
    suggestion: str


def resolve(text: str) -> LeafValue | _Ambiguous:
    """Return what an unquoted scalar means. Everything that is not clearly something else is text."""
    if text in ("true", "false"):
        return text == "true"
    if text in ("", "~", "null"):
        return None
    if not (text[0].isdigit() or text[0] in "+-"):
        return text
    return _number_or_moment(text)


def _number_or_moment(text: str) -> LeafValue | _Ambiguous:
    if _INTEGER.fullmatch(text) or _DECIMAL.fullmatch(text):
        if len(text) > _MAX_NUMBER:
            return _Ambiguous(f"the number {quoted(text)} is too long", "put it in quotes if it is text")
        return int(text) if _INTEGER.fullmatch(text) else Decimal(text)
    if _PADDED.fullmatch(text):
        message = f"{quoted(text)} reads as a number to some and as text to others"
        return _Ambiguous(message, "put it in quotes if it is text, else drop the leading zeros and underscores")
    if _DATE.fullmatch(text) or _MOMENT.fullmatch(text):
        return _moment(text)
    return text


def _moment(text: str) -> LeafValue | _Ambiguous:
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text)
        moment = datetime.fromisoformat(text.upper().replace(" +", "+").replace(" -", "-").replace(" Z", "Z"))
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return _Ambiguous(f"{quoted(text)} is not a date", "put it in quotes if it is text")
    return _Ambiguous(f"the moment {quoted(text)} has no time zone", f"write `{text}Z` for UTC")


def read_document(file: str, text: str, report: Report) -> Node | None:
    """Return the root of the tree, or None when the text is not YAML at all (reported) or is empty (not reported)."""
    builder = _Builder(file, text, report)
    try:
        for event in yaml.parse(text, yaml.CSafeLoader):
            if not builder.take(event):
                return None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = (mark.line, mark.column) if mark is not None else (0, 0)
        detail = " ".join(part for part in (error.context, error.problem) if part)
        report.error(_inside(file, text, *at), "not_yaml", f"not valid YAML: {detail or 'it cannot be read'}")
        return None
    except (yaml.YAMLError, ValueError) as error:
        # ReaderError (a character that YAML forbids) and UnicodeEncodeError (a lone surrogate) know no line.
        report.error(_inside(file, text, 0, 0), "not_yaml", f"not valid YAML: {_reason(error)}")
        return None
    return builder.root


def _reason(error: Exception) -> str:
    return "it holds a character that is not allowed" if isinstance(error, ValueError) else str(error).split("\n")[0]


def _lines(text: str) -> list[str]:
    """Return the lines of a text as YAML counts them, without empty ones at the end."""
    lines = _BREAK.split(text)
    while len(lines) > 1 and not lines[-1]:
        lines.pop()
    return lines


def _inside(file: str, text: str, line: int, column: int) -> Position:
    """Return the position, moved into the text where the parser points behind its end."""
    lines = _lines(text)
    if line >= len(lines):
        return Position(file, len(lines), len(lines[-1]) + 1)
    return Position(file, line + 1, min(column, len(lines[line])) + 1)


def places(root: Node, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Position]:
    """Return path → position of every key and list item below `root` (list items count from `0`)."""
    found: dict[tuple[str, ...], Position] = {}
    pending: list[tuple[tuple[str, ...], Node]] = [(path, root)]
    while pending:
        at, node = pending.pop()
        if isinstance(node, Block):
            for entry in node.entries.values():
                found[(*at, entry.key)] = entry.position
                pending.append(((*at, entry.key), entry.value))
        elif isinstance(node, Listing):
            for index, item in enumerate(node.items):
                found[(*at, str(index))] = item.position
                pending.append(((*at, str(index)), item))
    return found
