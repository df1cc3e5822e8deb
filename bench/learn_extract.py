"""Prints the suites of agentdojo as JSON: tools, ground truths of user tasks and of injection tasks.

Run by the interpreter of the environment that `scripts/setup bench` makes for it; it knows nothing of Bailiwick.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Protocol, cast


class Call(Protocol):
    """A call of a ground truth."""

    function: str
    args: Mapping[str, object]


class Task(Protocol):
    """A task of a user, or of an injection."""

    def ground_truth(self, environment: object) -> Sequence[Call]:
        """Return the calls that do it."""
        ...


class Model(Protocol):
    """What a tool takes."""

    def model_json_schema(self) -> Mapping[str, object]:
        """Return it as a JSON Schema."""
        ...


class Tool(Protocol):
    """A tool of a suite."""

    name: str
    parameters: Model


class Suite(Protocol):
    """A suite, as agentdojo has it."""

    tools: Sequence[Tool]
    user_tasks: Mapping[str, Task]
    injection_tasks: Mapping[str, Task]

    def load_and_inject_default_environment(self, injections: Mapping[str, str]) -> object:
        """Return the environment that tasks are done in."""
        ...


def told(suite: Suite) -> dict[str, object]:
    """Return a suite as JSON."""
    environment = suite.load_and_inject_default_environment({})

    def calls(task: Task) -> list[dict[str, object]]:
        return [{"tool": call.function, "args": dict(call.args)} for call in task.ground_truth(environment)]

    return {
        "tools": {tool.name: parameters(tool.parameters) for tool in suite.tools},
        "user": [calls(task) for task in suite.user_tasks.values()],
        "injection": {key: calls(task) for key, task in suite.injection_tasks.items()},
    }


def parameters(model: Model) -> list[str]:
    """Return the names of what a tool takes."""
    return list(cast("Mapping[str, object]", model.model_json_schema().get("properties", {})))


def main() -> None:
    """Print all suites."""
    module = vars(import_module("agentdojo.task_suite.load_suites"))  # is installed elsewhere
    suites = cast("Callable[[str], Mapping[str, Suite]]", module["get_suites"])("v1.2.1")
    json.dump({name: told(suite) for name, suite in suites.items()}, sys.stdout, default=str)


if __name__ == "__main__":
    main()
