"""The suites of PyPI's `agentdojo`: each task's ground-truth calls are a session; injection tasks are the attacks."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import cast

from bailiwick.model.lock import Lock
from bailiwick.model.observation import Argument, Observation, Seen, ToolUse

ENVIRONMENT = Path(__file__).parent.parent / ".venv" / "agentdojo"
AGENT = "assistant"
Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]


@dataclass(frozen=True)
class Suite:
    """One suite."""

    name: str
    tools: Mapping[str, tuple[str, ...]]
    sessions: list[list[Observation]]
    attacks: list[tuple[str, list[Observation]]]

    def policy(self) -> str:
        """Return its mount."""
        lines = ["bailiwick: 1", "mounts:", f"  {self.name}:", "    kind: python", "    functions:"]
        for tool, names in self.tools.items():
            lines.append(f"      {tool}: {{action: {self.name}:{tool}, parameters: [{', '.join(names)}]}}")
        return "\n".join(lines) + "\n"

    def lock(self) -> Lock:
        """Return what was accepted: functions need nothing."""
        return Lock({})


def suites() -> list[Suite]:
    """Return the suites; none where agentdojo is not installed."""
    python = ENVIRONMENT / "bin" / "python"
    if not python.exists():
        return []
    script = Path(__file__).parent / "learn_extract.py"
    printed = subprocess.run([python, "-P", script], capture_output=True, check=True, timeout=300).stdout  # noqa: S603  # ours
    found = cast("dict[str, dict[str, Json]]", json.loads(printed))
    return [_suite(name, each) for name, each in found.items()]


def _suite(name: str, each: Mapping[str, Json]) -> Suite:
    tools = {tool: tuple(names) for tool, names in cast("dict[str, list[str]]", each["tools"]).items()}
    tasks = cast("list[list[dict[str, Json]]]", each["user"])
    injected = cast("dict[str, list[dict[str, Json]]]", each["injection"])
    sessions = [_session(name, f"task-{number}", calls) for number, calls in enumerate(tasks) if calls]
    attacks = [(key, _session(name, key, calls)) for key, calls in injected.items() if calls]
    return Suite(name, tools, sessions, attacks)


def _session(mount: str, name: str, calls: list[dict[str, Json]]) -> list[Observation]:
    at = datetime(2026, 1, 5, 9, tzinfo=UTC)
    found: list[Observation] = []
    for call in calls:
        at += timedelta(seconds=10)
        given = cast("dict[str, Json]", call["args"])
        arguments = tuple(Argument(key, _seen(value)) for key, value in given.items())
        found.append(
            Observation(AGENT, name, at, "emma", mount=mount, tool=ToolUse(str(call["tool"]), arguments=arguments))
        )
    return found


def _seen(value: Json) -> Seen:
    match value:
        case None:
            return Seen("null")
        case bool():
            return Seen("boolean", value)
        case int():
            return Seen("integer", value)
        case float():
            return Seen("number", Decimal(repr(value)))
        case str():
            return Seen("string", value)
        case list():
            return Seen("list", items=tuple(_seen(item) for item in value))
        case dict():
            return Seen("object")


def halves(suite: Suite, seed: int) -> tuple[list[list[Observation]], list[list[Observation]]]:
    """Return a training half and a test half."""
    shuffled = list(suite.sessions)
    random.Random(seed).shuffle(shuffled)  # noqa: S311  # the same every time
    return shuffled[: len(shuffled) // 2], shuffled[len(shuffled) // 2 :]
