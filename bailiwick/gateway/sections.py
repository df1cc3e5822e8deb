"""Sections of gateway.yaml that map names to settings: read as texts, lists and mappings, nothing coerced."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import yaml

from bailiwick.errors import ConfigError

Plain = str | list["Plain"] | dict[str, "Plain"]


class Keys:
    """The keys of one name."""

    def __init__(self, what: str, given: Plain, known: Sequence[str]) -> None:
        if not isinstance(given, dict):
            raise ConfigError(f"`{what}` is not a mapping", remedy="its keys are " + ", ".join(known))
        for key in given:
            if key not in known:
                close = difflib.get_close_matches(key, known, 1, 0.5)
                remedy = f"did you mean `{close[0]}`?" if close else "its keys are " + ", ".join(known)
                raise ConfigError(f"`{what}` has an unknown key `{key[:100]}`", remedy=remedy)
        self.what = what
        self._given = given

    def text(self, key: str) -> str | None:
        """Return a text, None when there is none."""
        found = self._given.get(key)
        if found is None or (isinstance(found, str) and found):
            return found
        raise ConfigError(f"`{self.what}.{key}` is not a text")

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of texts; one text is a list of one."""
        found = self._given.get(key, [])
        listed = found if isinstance(found, list) else [found]
        if not all(isinstance(each, str) and each for each in listed):
            raise ConfigError(f"`{self.what}.{key}` is not a list of texts")
        return tuple(cast("list[str]", listed))

    def mapping(self, key: str) -> dict[str, Plain]:
        """Return a mapping, empty when there is none."""
        found = self._given.get(key, {})
        if not isinstance(found, dict):
            raise ConfigError(f"`{self.what}.{key}` is not a mapping")
        return found


def plain(path: Path, node: yaml.Node) -> Plain:
    """Return a node as texts, lists and mappings; nothing is coerced."""
    if isinstance(node, yaml.ScalarNode):
        return "" if node.tag == "tag:yaml.org,2002:null" else cast("str", node.value)
    if isinstance(node, yaml.SequenceNode):
        return [plain(path, each) for each in cast("list[yaml.Node]", node.value)]
    found: dict[str, Plain] = {}
    for key, value in cast("list[tuple[yaml.Node, yaml.Node]]", node.value):
        name = str(key.value)
        if name in found:
            raise ConfigError(f"{place(path, key)}: `{name[:100]}` is given twice", remedy="remove one of them")
        found[name] = plain(path, value)
    return found


def named(section: str, path: Path, root: yaml.Node) -> Mapping[str, Plain]:
    """Return what a section of gateway.yaml maps names to; nothing where there is none."""
    for key, value in cast("list[tuple[yaml.Node, yaml.Node]]", root.value):
        if key.value == section:
            found = plain(path, value)
            if isinstance(found, dict):
                return found
            if found != "":
                raise ConfigError(f"{place(path, value)}: `{section}` maps names to settings")
    return {}


def place(path: Path, node: yaml.Node) -> str:
    """Return where a node stands."""
    return f"{path}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"
