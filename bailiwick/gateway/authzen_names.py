"""How others name subjects and actions when they ask for decisions: `authzen` of gateway.yaml.

authzen:
  subjects: {user: todo-bot}           # type of subject → the agent that acts for the person of that id
  actions: {can_read_todos: read, can_update_todo: {verb: update, fields: [title, done]}}

Names only: whoever is named so, and whatever it is called, the policy decides.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import yaml

from bailiwick.errors import ConfigError
from bailiwick.gateway.sections import Keys, Plain, place, plain

SECTION = "authzen"
_OWN = ("session", "agent")
_VERBS = ("read", "create", "update", "delete")
_NAME = re.compile(r"[A-Za-z0-9_.:/-]{1,100}")


@dataclass(frozen=True, slots=True)
class NamedAction:
    """What a name of an action stands for."""

    verb: str
    fields: tuple[str, ...] = ()
    """Those that it is about, where a question names none."""


@dataclass(frozen=True, slots=True)
class AuthZenNames:
    """The names that those who ask use."""

    subjects: Mapping[str, str] = field(default_factory=dict[str, str])
    """Type of subject → agent."""
    actions: Mapping[str, NamedAction] = field(default_factory=dict[str, NamedAction])


def read_names(path: Path, root: yaml.Node) -> AuthZenNames:
    """Return the names of a gateway.yaml. Raises ConfigError."""
    for key, value in cast("list[tuple[yaml.Node, yaml.Node]]", root.value):
        if key.value == SECTION:
            found = plain(path, value)
            if found == "":
                continue
            if not isinstance(found, dict):
                raise ConfigError(f"{place(path, value)}: `{SECTION}` maps names to settings")
            return _names(found)
    return AuthZenNames()


def _names(given: Plain) -> AuthZenNames:
    keys = Keys(SECTION, given, ("subjects", "actions"))
    subjects = {_name(name): _agent(name, agent) for name, agent in keys.mapping("subjects").items()}
    return AuthZenNames(subjects, {_name(name): _action(name, each) for name, each in keys.mapping("actions").items()})


def _name(name: str) -> str:
    if not _NAME.fullmatch(name):
        message = f"`{SECTION}`: `{name[:100]}` cannot be such a name"
        raise ConfigError(message, remedy="letters, digits, `_`, `-`, `.`, `:` and `/`")
    return name


def _agent(name: str, agent: Plain) -> str:
    if name in _OWN:
        message = f"`{SECTION}.subjects`: `{name}` is known already"
        raise ConfigError(message, remedy="name another type of subject")
    if not isinstance(agent, str) or not agent:
        message = f"`{SECTION}.subjects.{name}` is no agent"
        raise ConfigError(message, remedy="name the agent that acts for these people")
    return agent


def _action(name: str, given: Plain) -> NamedAction:
    what = f"{SECTION}.actions.{name}"
    if isinstance(given, str):
        given = {"verb": given}
    keys = Keys(what, given, ("verb", "fields"))
    verb = keys.text("verb") or ""
    if verb not in _VERBS:
        raise ConfigError(f"`{what}` is no verb of data", remedy="the verbs are " + ", ".join(_VERBS))
    return NamedAction(verb, keys.texts("fields"))
