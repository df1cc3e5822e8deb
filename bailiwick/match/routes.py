"""Paths of requests and templates of them: `/invoices/{id}`, `/files/{+path}`. Pure.

A path is taken apart once, and sent on as it was understood: what another parser could read as another path is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from urllib.parse import quote, unquote_to_bytes

longest_path = 4096
_most_segments = 64
_CHARACTERS = r"A-Za-z0-9._~!$&'()*+,=:@-"
_PLAIN = re.compile(rf"(?:/(?!\.)[{_CHARACTERS}]+)+")
_LITERAL = re.compile(rf"(?!\.\.?$)[{_CHARACTERS}]+")
_VARIABLE = re.compile(rf"([{_CHARACTERS}]*)\{{(\+?)([A-Za-z_][A-Za-z0-9_-]{{0,63}})\}}([{_CHARACTERS}]*)")
_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ESCAPED = re.compile(r"%[0-9A-Fa-f]{2}")
Target = TypeVar("Target")


@dataclass(frozen=True, slots=True)
class _Part:
    """A segment with a variable in it: `{id}`, `v{number}`, `{id}:cancel`; `rest`: it may have slashes."""

    before: str
    name: str
    after: str
    rest: bool


def variables_of(template: str) -> tuple[str, ...]:
    """Return the names of a template's variables."""
    return tuple(match[3] for match in _VARIABLE.finditer(template))


def template_problem(template: str) -> str:
    """Return what is wrong with a template; empty: nothing is."""
    if not template.startswith("/") or len(template) > longest_path:
        return f"it begins with `/`, and is at most {longest_path} long"
    segments = template[1:].split("/")
    names = variables_of(template)
    if len(set(names)) != len(names):
        return "a variable stands twice"
    for place, segment in enumerate(segments):
        match = _VARIABLE.fullmatch(segment)
        if match is None and "{" not in segment and "}" not in segment:
            last_is_empty = segment == "" and place == len(segments) - 1
            if not last_is_empty and not _LITERAL.fullmatch(segment):
                return "a segment is empty, `.` or `..`, or has a character that stands escaped in paths"
        elif match is None:
            return "in each segment stands at most one `{name}`"
        elif match[2] and (place < len(segments) - 1 or match[1] or match[4]):
            return "`{+name}` stands alone at the end"
    return ""


def path_fault(path: str) -> str:
    """Return why a path is not looked at, in words; empty: each of its segments can be read in one way only."""
    if _PLAIN.fullmatch(path) and len(path) <= longest_path:
        return "" if path.count("/") <= _most_segments else f"it has more than {_most_segments} segments"
    if not path.startswith("/") or len(path) > longest_path:
        return f"it does not begin with `/`, or is longer than {longest_path}"
    if _ESCAPE.search(path):
        return "`%` stands before two hexadecimal digits"
    bare = _ESCAPED.sub("", path)
    if not re.fullmatch(rf"[/{_CHARACTERS}]*", bare):
        return "it has a character that stands escaped in paths"
    segments = path[1:].split("/")
    if len(segments) > _most_segments:
        return f"it has more than {_most_segments} segments"
    if any(not segment for segment in segments[:-1]):
        return "it has an empty segment"
    for segment in segments:
        value = _decoded(segment)
        if value is None:
            return "it does not hold UTF-8"
        if value in (".", ".."):
            return "it has a segment that leads elsewhere"
        if "/" in value or "\\" in value:
            return "it has an escaped slash or a backslash"
        if not value.isprintable():
            return "it has a character that is not printable"
        if _ESCAPED.search(value):
            return "it is escaped twice"
        if any(chr(int(match.group()[1:], 16)) in _UNRESERVED for match in _ESCAPED.finditer(segment)):
            return "it escapes what needs no escape"
    return ""


_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._")


def _decoded(segment: str) -> str | None:
    if "%" not in segment:
        return segment
    try:
        return unquote_to_bytes(segment).decode("utf-8")
    except UnicodeDecodeError:
        return None


@dataclass(slots=True)
class _Node(Generic[Target]):
    literals: dict[str, _Node[Target]] = field(default_factory=dict[str, "_Node[Target]"])
    parts: list[tuple[_Part, _Node[Target]]] = field(default_factory=list[tuple[_Part, "_Node[Target]"]])
    ends: dict[str, Target] = field(default_factory=dict[str, Target])
    """Method → what stands here."""


@dataclass(frozen=True, slots=True)
class Found(Generic[Target]):
    """The route of a path, and what its variables stand for."""

    target: Target
    values: Mapping[str, str]


class Router(Generic[Target]):
    """The routes of one mount. A literal segment goes before a variable; what that does not decide is not found."""

    def __init__(self, routes: Iterable[tuple[str, str, Target]]) -> None:
        self._root: _Node[Target] = _Node()
        for method, template, target in routes:
            node = self._root
            for segment in template[1:].split("/"):
                node = _below(node, segment)
            node.ends[method] = target

    def find(self, method: str, path: str) -> Found[Target] | None:
        """Return the one route of a path without fault (`path_fault`); None when there is none, or no only one."""
        found = self._matches(path)
        return next((Found(ends[method], values) for ends, values in found if method in ends), None)

    def methods(self, path: str) -> tuple[str, ...]:
        """Return the methods that a path has."""
        return tuple(dict.fromkeys(method for ends, _ in self._matches(path) for method in ends))

    def _matches(self, path: str) -> list[tuple[Mapping[str, Target], dict[str, str]]]:
        """Return the most specific place of a path: no other one is looked at, also when it lacks the method."""
        segments = path[1:].split("/")
        # A path is (places, values); at each step a literal wins over variables, so at most one literal line is kept.
        reached: list[tuple[tuple[int, ...], _Node[Target], dict[str, str]]] = [((), self._root, {})]
        ended: list[tuple[tuple[int, ...], Mapping[str, Target], dict[str, str]]] = []
        for place, segment in enumerate(segments):
            onward: list[tuple[tuple[int, ...], _Node[Target], dict[str, str]]] = []
            for rank, node, values in reached:
                literal = node.literals.get(segment)
                if literal is not None:
                    onward.append(((*rank, 0), literal, values))
                for part, below in node.parts:
                    value = _value(part, segments[place:] if part.rest else segments[place : place + 1])
                    if value is None:
                        continue
                    step = 3 if part.rest else 1 if part.before or part.after else 2
                    if part.rest:
                        ended.append(((*rank, step), below.ends, {**values, part.name: value}))
                    else:
                        onward.append(((*rank, step), below, {**values, part.name: value}))
            reached = onward
            if not reached:
                break
        ended += [(rank, node.ends, values) for rank, node, values in reached if node.ends]
        if len(ended) > 1:
            first = min(rank for rank, _, _ in ended)
            ended = [each for each in ended if each[0] == first]
        return [(ends, values) for _, ends, values in ended] if len(ended) == 1 else []


def _below(node: _Node[Target], segment: str) -> _Node[Target]:
    match = _VARIABLE.fullmatch(segment)
    if match is None:
        return node.literals.setdefault(segment, _Node())
    part = _Part(match[1], match[3], match[4], bool(match[2]))
    for known, below in node.parts:
        if known == part:
            return below
    below: _Node[Target] = _Node()
    node.parts.append((part, below))
    return below


def _value(part: _Part, segments: list[str]) -> str | None:
    """Return what stands for a variable; None where it is none of its part."""
    values = [_decoded(segment) for segment in segments]
    whole = "/".join(value for value in values if value is not None)
    if not whole.startswith(part.before) or not whole.endswith(part.after):
        return None
    value = whole[len(part.before) : len(whole) - len(part.after)]
    return value if value and len(whole) > len(part.before) + len(part.after) else None


def path_of(template: str, values: Mapping[str, str]) -> str:
    """Return the path that a template is with these values, each in its one spelling."""
    parts: list[str] = []
    for segment in template[1:].split("/"):
        match = _VARIABLE.fullmatch(segment)
        if match is None:
            parts.append(segment)
        else:
            safe = "-._~:@,/" if match[2] else "-._~:@,"
            parts.append(match[1] + quote(values[match[3]], safe=safe) + match[4])
    return "/" + "/".join(parts)
