"""Mounts as a person gets them to edit: every tool mapped to a guessed action, nothing granted. No I/O."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from bailiwick.gateway.policies.starter import scalar
from bailiwick.model.tool import BUILT_IN, LockedTool
from bailiwick.mounts.mcp.importing.credentials import Settled
from bailiwick.mounts.mcp.importing.guess import Guess, guesses

_TOOL = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_HEAD = """\
# Mounts, written by `bailiwick mcp import`. They grant nothing yet: what no grant allows is denied.
#
# 1. Look through the tools. What you remove does not exist for agents. Actions and effects are guesses from names:
#    correct them. `read` is for what changes nothing anywhere.
# 2. Set these where the gateway starts: {variables}
# 3. Write a role, an agent and a task; then bailiwick policy check, bailiwick accept, bailiwick serve.

bailiwick: 1

mounts:
"""
_TAIL = """
# What agents may do. An example, to be uncommented and narrowed:
#
# roles:
#   helper:
#     grants:
#       - {{allow: {action}, reason: what it is for, args: any}}
#
# agents:
#   helper-bot: {{owner: the team that answers for it, purpose: what it does, roles: [helper], session: {{ttl: 30m}}}}
"""


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount to be written."""

    name: str
    settled: Settled
    tools: Mapping[str, Guess]
    told: Mapping[str, str]
    """Tool → what the server says of it, on one line."""
    prefix: str = ""
    notes: tuple[str, ...] = ()


def mounts_of(found: Sequence[tuple[Settled, Mapping[str, LockedTool] | None]]) -> tuple[Mount, ...]:
    """Return a mount for each server. None for its tools: they are not known."""
    made: list[Mount] = []
    shown, resources = set(BUILT_IN), dict[str, str]()
    for settled, tools in found:
        name = _unique(_mount_name(settled.name), {each.name for each in made})
        named = {key: tool for key, tool in (tools or {}).items() if _TOOL.fullmatch(key)}
        notes = [] if tools is not None else ["its tools are not known: start it, and import again"]
        if len(named) < len(tools or {}):
            notes.append("tools whose names no policy can say were left out")
        clash = any(key.casefold() in shown for key in named)
        prefix = f"{name}_"[:32] if clash else ""
        shown |= {(prefix + key).casefold() for key in named}
        guessed = guesses(name, named.values())
        guessed = {key: _apart(guess, name, resources) for key, guess in guessed.items()}
        told = {key: _told(tool, settled) for key, tool in named.items()}
        made.append(Mount(name, settled, guessed, told, prefix, (*settled.notes, *notes)))
    return tuple(made)


def _apart(guess: Guess, mount: str, resources: dict[str, str]) -> Guess:
    """Return a guess whose resource no other mount has."""
    if resources.setdefault(guess.resource, mount) == mount:
        return guess
    name = _unique(f"{mount}_{guess.resource}"[:60], {key for key, of in resources.items() if of != mount})
    resources[name] = mount
    return Guess(name, guess.verb, guess.effects)


def _mount_name(text: str) -> str:
    found = re.sub(r"[^A-Za-z0-9_-]+", "_", text).strip("_-")[:50]
    return found if re.match(r"[A-Za-z]", found) else f"mcp_{found}".rstrip("_")


def _unique(wanted: str, taken: Iterable[str]) -> str:
    found, number, known = wanted, 2, set(taken)
    while found in known:
        found, number = f"{wanted}_{number}", number + 1
    return found


def _told(tool: LockedTool, settled: Settled) -> str:
    """Return what a server says of its tool, cut short; nothing of it where a credential stands in it."""
    found = cast("object", json.loads(tool.definition))
    text = cast("dict[str, object]", found).get("description") if isinstance(found, dict) else None
    said = " ".join(str(text or "").split())
    if any(len(value) >= 4 and value in said for value in settled.values.values()):
        return ""
    plain = "".join(character if character.isprintable() else " " for character in said)
    return plain if len(plain) <= 90 else plain[:89] + "…"


def as_policy(mounts: Sequence[Mount]) -> str:
    """Return the text of a policy that has them."""
    names = sorted({name for mount in mounts for name in mount.settled.variables})
    text = _HEAD.format(variables=", ".join(names) or "none") + "\n".join(
        "\n".join(_mount(mount)) + "\n" for mount in mounts
    )
    first = next((f"{guess.resource}:{guess.verb}" for mount in mounts for guess in mount.tools.values()), "")
    return text + (_TAIL.format(action=first) if first else "")


def _mount(mount: Mount) -> Iterator[str]:
    settled = mount.settled
    yield f"  {scalar(mount.name)}:"
    for note in mount.notes:
        yield f"    # {note}"
    yield "    kind: mcp"
    if settled.url:
        yield f"    url: {scalar(settled.url)}"
    else:
        yield f"    command: [{', '.join(map(scalar, settled.command))}]"
    for key, values in (("env", settled.env), ("headers", settled.headers)):
        if values:
            yield f"    {key}:"
            yield from (f"      {scalar(name)}: {scalar(value)}" for name, value in values.items())
    if mount.prefix:
        yield f"    prefix: {scalar(mount.prefix)}"
    yield "    tools:" if mount.tools else "    tools: {}"
    for name, guess in mount.tools.items():
        marks = f", effects: [{', '.join(guess.effects)}]" if guess.effects else ""
        said = f"  # {mount.told[name]}" if mount.told.get(name) else ""
        yield f"      {scalar(name)}: {{action: {guess.resource}:{guess.verb}{marks}}}{said}"


def as_data(mounts: Sequence[Mount]) -> dict[str, object]:
    """Return them as data, for programs."""
    return {
        "mounts": {
            mount.name: {
                "kind": "mcp",
                **({"url": mount.settled.url} if mount.settled.url else {"command": [*mount.settled.command]}),
                **({"env": dict(mount.settled.env)} if mount.settled.env else {}),
                **({"headers": dict(mount.settled.headers)} if mount.settled.headers else {}),
                **({"prefix": mount.prefix} if mount.prefix else {}),
                "tools": {
                    name: {
                        "action": f"{guess.resource}:{guess.verb}",
                        **({"effects": [*guess.effects]} if guess.effects else {}),
                    }
                    for name, guess in mount.tools.items()
                },
            }
            for mount in mounts
        },
        "variables": sorted({name for mount in mounts for name in mount.settled.variables}),
        "notes": {mount.name: [*mount.notes] for mount in mounts if mount.notes},
    }
