"""Which action a tool is, guessed from its name. A guess: people decide. No I/O.

What a server says of its own tool only ever makes the guess more careful: it never makes a tool a read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast

from bailiwick.model.tool import Effect, LockedTool, effects

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_VERBS: Mapping[str, str] = {
    **dict.fromkeys(
        ("get", "list", "read", "search", "find", "fetch", "describe", "show", "count", "view", "lookup", "browse"),
        "read",
    ),
    **dict.fromkeys(("retrieve", "inspect", "select", "stat", "tree", "diff", "compare", "info", "status"), "read"),
    **dict.fromkeys(("create", "add", "new", "insert", "append", "upload", "open", "fork", "clone", "copy"), "create"),
    **dict.fromkeys(
        ("update", "edit", "set", "modify", "rename", "move", "patch", "write", "put", "replace", "assign", "close"),
        "update",
    ),
    **dict.fromkeys(("delete", "remove", "drop", "clear", "purge", "destroy", "erase", "truncate"), "delete"),
}
_EFFECTS: Mapping[Effect, frozenset[str]] = {
    "external": frozenset(
        ("send", "post", "publish", "email", "mail", "message", "notify", "tweet", "share", "upload", "call", "sms")
    ),
    "money": frozenset(("pay", "payment", "refund", "charge", "transfer", "purchase", "buy", "invoice", "payout")),
    "access_control": frozenset(
        ("grant", "revoke", "permission", "permissions", "invite", "role", "roles", "share", "member", "members")
    ),
    "irreversible": frozenset(("delete", "drop", "purge", "destroy", "erase", "truncate", "merge", "publish")),
}
_PROGRAMS = frozenset(("run", "execute", "exec", "eval", "query", "sql", "script", "shell", "command", "code"))
"""Words of tools that do whatever they are given: never a read."""
_fillers = frozenset(("a", "an", "the", "of", "to", "for", "from", "in", "by", "with", "all", "and"))


@dataclass(frozen=True, slots=True)
class Guess:
    """An action and what a call of it does."""

    resource: str
    verb: str
    effects: tuple[Effect, ...]


def effects_of(words: Iterable[str]) -> tuple[Effect, ...]:
    """Return what words (in small letters) tell that a thing does."""
    known = frozenset(words)
    return tuple(effect for effect in effects if _EFFECTS[effect] & known)


def guesses(mount: str, tools: Iterable[LockedTool]) -> dict[str, Guess]:
    """Return a guess for each tool of a server. Singular and plural of one word are one resource."""
    found = {tool.name: _guess(mount, tool) for tool in tools}
    names = {each.resource for each in found.values()}
    return {
        name: Guess(f"{each.resource}s" if f"{each.resource}s" in names else each.resource, each.verb, each.effects)
        for name, each in found.items()
    }


def _guess(mount: str, tool: LockedTool) -> Guess:
    words = [word.lower() for word in _WORDS.findall(tool.name)]
    place = next((number for number, word in enumerate(words[:2]) if word in _VERBS), None)
    if _PROGRAMS.intersection(words):
        place = None
    hints = _hints(tool)
    if place is None:
        rest = [word for word in words[1:] if word not in _fillers]
        if rest and words[0].isalpha() and words[0] not in _VERBS and len(words[0]) < 50:
            verb, resource = words[0], "_".join(rest)
        else:
            verb, resource = "call", "_".join(words)
    else:
        verb = _VERBS[words[place]]
        rest = [word for number, word in enumerate(words) if number != place and word not in _fillers]
        resource = "_".join(rest)
        if verb == "read" and (hints.get("readOnlyHint") is False or hints.get("destructiveHint") is True):
            verb = words[place] if words[place] != "read" else "call"
    done = {effect for effect in effects if _EFFECTS[effect].intersection(words)}
    if words == ["fetch"]:  # of any address
        verb, done = "call", {*done, "external"}
    if hints.get("destructiveHint") is True and verb in ("delete", "call"):
        done.add("irreversible")
    if verb == "read":
        done.clear()
    return Guess(_name(resource) or _name(mount), verb, tuple(effect for effect in effects if effect in done))


def _hints(tool: LockedTool) -> Mapping[str, object]:
    found = cast("object", json.loads(tool.definition))
    hints = cast("dict[str, object]", found).get("annotations") if isinstance(found, dict) else None
    return cast("dict[str, object]", hints) if isinstance(hints, dict) else {}


def _name(text: str) -> str:
    """Return a text as the name of a resource, empty when nothing is left of it."""
    found = re.sub(r"[^A-Za-z0-9_-]+", "_", text).strip("_-")[:50]
    return found if not found or found[0].isalpha() else f"r_{found}"
